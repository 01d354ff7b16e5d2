// SPDX-License-Identifier: GPL-2.0-or-later
/* The control socket: a request is a line, the answer is JSON up to the end of the stream. */
#include "gateway.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define REQUEST_MAX 64

static int set_path(struct sockaddr_un *a, const char *path)
{
	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(a->sun_path))
		return -ENAMETOOLONG;
	strcpy(a->sun_path, path);
	return 0;
}

/* A socket that nobody listens on is left from a process that ended; any other file stays. */
static int remove_stale(const struct sockaddr_un *a)
{
	struct stat st;
	int fd, err;

	if (lstat(a->sun_path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	err = connect(fd, (const struct sockaddr *)a, sizeof(*a)) ? errno : EADDRINUSE;
	close(fd);
	if (err != ECONNREFUSED)
		return -err;
	return unlink(a->sun_path) ? -errno : 0;
}

/* Before any thread starts, since the umask is the process's. */
static int bind_private(int fd, const struct sockaddr_un *a)
{
	mode_t old = umask(0177);
	int err = bind(fd, (const struct sockaddr *)a, sizeof(*a)) ? -errno : 0;

	umask(old);
	if (!err && listen(fd, 8))
		err = -errno;
	return err;
}

int gw_control_open(struct gateway *gw)
{
	const char *path = gw->opt.control_path;
	struct sockaddr_un a;
	int fd = -1;
	int err = set_path(&a, path);

	if (!err)
		err = remove_stale(&a);
	if (!err) {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		err = fd < 0 ? -errno : bind_private(fd, &a);
	}
	if (!err)
		return fd;
	if (fd >= 0)
		close(fd);
	if (err == -EADDRINUSE)
		gvm_logf(&gw->log, GVM_LOG_ERR,
			 "the control socket %s is in use by another process", path);
	else if (err == -EEXIST)
		gvm_logf(&gw->log, GVM_LOG_ERR, "%s exists and is not a socket", path);
	else
		gvm_logf(&gw->log, GVM_LOG_ERR, "cannot listen on the control socket %s: %s", path,
			 strerror(-err));
	return err;
}

static bool read_request(int fd, char *line)
{
	size_t len = 0;
	ssize_t n;

	while (len < REQUEST_MAX - 1 && !memchr(line, '\n', len)) {
		n = recv(fd, line + len, REQUEST_MAX - 1 - len, 0);
		if (n <= 0)
			break;
		len += n;
	}
	line[len] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	return len > 0;
}

static void send_all(int fd, const char *p, size_t len)
{
	ssize_t n;

	for (; len; p += n, len -= n) {
		n = send(fd, p, len, MSG_NOSIGNAL);
		if (n <= 0)
			return;
	}
}

static void answer(struct gateway *gw, int fd, const char *request)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return;
	if (!strcmp(request, "status"))
		gw_status_write(gw, out);
	else
		fputs("{\"error\":\"the only request is: status\"}\n", out);
	if (!fclose(out))
		send_all(fd, text, len);
	free(text);
}

/* A client that neither asks nor reads holds the main thread for these seconds at most. */
static void limit_wait(int fd)
{
	struct timeval limit = {.tv_sec = 1};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

void gw_control_serve(struct gateway *gw, int listen_fd)
{
	char request[REQUEST_MAX];
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	limit_wait(fd);
	if (read_request(fd, request))
		answer(gw, fd, request);
	close(fd);
}

void gw_control_close(struct gateway *gw, int listen_fd)
{
	if (listen_fd < 0)
		return;
	unlink(gw->opt.control_path);
	close(listen_fd);
}
