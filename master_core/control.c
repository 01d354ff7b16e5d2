// SPDX-License-Identifier: GPL-2.0-or-later
#include "control.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "unix_socket.h"

#define REQUEST_MAX (1U << 20) /* a gateway list of the largest build fits */
#define PATIENCE_S  2

struct gvm_control {
	struct gvm_control_config cfg;
	char *path;
	int fd;
	int spare; /* see gvm_unix_accept */
	int stop;
	pthread_t thread;
};

void gvm_json_string(FILE *out, const char *s)
{
	fputc('"', out);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

void gvm_control_error(FILE *out, const char *fmt, ...)
{
	char text[768];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fputs("{\"error\":", out);
	gvm_json_string(out, text);
	fputs("}\n", out);
}

static void run(struct gvm_control *c, char *line, FILE *out)
{
	const struct gvm_control_command *cmd;
	size_t len = strcspn(line, " ");
	char *args = line + len;

	args += strspn(args, " ");
	line[len] = '\0';
	for (cmd = c->cfg.commands; cmd->name; cmd++) {
		if (strcmp(cmd->name, line))
			continue;
		cmd->run(c->cfg.ctx, args, out);
		return;
	}
	gvm_control_error(out, "unknown command '%.64s'", line);
}

/* The request line, to be freed; NULL when there is none within the time. */
static char *read_line(int fd)
{
	size_t len = 0, room = 4096;
	char *line = malloc(room), *more;
	ssize_t n;

	while (line) {
		n = recv(fd, line + len, room - len - 1, 0);
		if (n <= 0)
			break;
		len += (size_t)n;
		line[len] = '\0';
		if (memchr(line + len - n, '\n', (size_t)n)) {
			line[strcspn(line, "\r\n")] = '\0';
			return line;
		}
		if (len + 1 < room)
			continue;
		more = room < REQUEST_MAX ? realloc(line, room * 2) : NULL;
		if (!more)
			break;
		line = more;
		room *= 2;
	}
	free(line);
	return NULL;
}

static void send_all(int fd, const char *data, size_t len)
{
	ssize_t n;

	while (len) {
		n = send(fd, data, len, MSG_NOSIGNAL);
		if (n <= 0)
			return;
		data += n;
		len -= (size_t)n;
	}
}

static void serve(struct gvm_control *c, int fd)
{
	struct timeval patience = {.tv_sec = PATIENCE_S};
	char *line, *answer = NULL;
	size_t len = 0;
	FILE *out;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (!gvm_unix_peer_allowed(fd))
		return;
	line = read_line(fd);
	if (!line)
		return;
	out = open_memstream(&answer, &len);
	if (out) {
		run(c, line, out);
		if (!fclose(out))
			send_all(fd, answer, len);
	}
	free(answer);
	free(line);
}

static void *control_main(void *arg)
{
	struct gvm_control *c = arg;
	struct pollfd fds[2] = {{.fd = c->stop, .events = POLLIN}, {.fd = c->fd, .events = POLLIN}};
	int fd;

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (fds[0].revents)
			break;
		if (!fds[1].revents)
			continue;
		fd = gvm_unix_accept(c->fd, 0, &c->spare);
		if (fd < 0)
			continue;
		serve(c, fd);
		close(fd);
	}
	return NULL;
}

static void release(struct gvm_control *c)
{
	if (c->fd >= 0) {
		unlink(c->path);
		close(c->fd);
	}
	if (c->spare >= 0)
		close(c->spare);
	if (c->stop >= 0)
		close(c->stop);
	free(c->path);
	free(c);
}

int gvm_control_open(struct gvm_control **out, const struct gvm_control_config *cfg)
{
	struct gvm_control *c = calloc(1, sizeof(*c));
	char error[GVM_UNIX_ERROR_MAX];
	int err;

	if (!c)
		return -ENOMEM;
	c->cfg = *cfg;
	c->fd = c->spare = -1;
	c->stop = eventfd(0, EFD_CLOEXEC);
	c->path = strdup(cfg->path);
	if (c->stop < 0 || !c->path) {
		err = c->path ? -errno : -ENOMEM;
		release(c);
		return err;
	}
	c->fd = gvm_unix_listen(cfg->path, SOCK_STREAM, error);
	if (c->fd < 0) {
		err = c->fd;
		gvm_logf(cfg->log, GVM_LOG_ERR, "control socket: %s", error);
		release(c);
		return err;
	}
	err = -pthread_create(&c->thread, NULL, control_main, c);
	if (err)
		release(c);
	else
		*out = c;
	return err;
}

void gvm_control_close(struct gvm_control *c)
{
	u64 one = 1;

	if (!c)
		return;
	if (write(c->stop, &one, sizeof(one)) == sizeof(one))
		pthread_join(c->thread, NULL);
	release(c);
}
