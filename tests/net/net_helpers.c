// SPDX-License-Identifier: GPL-2.0-or-later
#define _GNU_SOURCE 1
#include "net_helpers.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 5000

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	abort();
}

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static const char *binary(void)
{
	const char *path = getenv("GATEWAY");

	return path ? path : "../../build/giantvm_gateway";
}

u16 free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (bind(fd, (struct sockaddr *)&a, len) || getsockname(fd, (struct sockaddr *)&a, &len))
		die("no free port");
	close(fd);
	return ntohs(a.sin_port);
}

static pid_t spawn(const char *const *args, int *err_fd)
{
	const char *argv[ARGS_MAX * 2] = {binary()};
	int p[2], n = 1;
	pid_t pid;

	for (; *args; args++)
		argv[n++] = *args;
	if (pipe2(p, O_CLOEXEC))
		die("pipe: %m");
	pid = fork();
	if (pid < 0)
		die("fork: %m");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* not to outlive a test that fails */
		dup2(p[1], STDERR_FILENO);
		execv(argv[0], (char *const *)argv);
		_exit(127);
	}
	close(p[1]);
	*err_fd = p[0];
	return pid;
}

/* More of its stderr; false: none within ms. */
static bool read_log(struct gateway_proc *g, int ms)
{
	struct pollfd p = {.fd = g->log_fd, .events = POLLIN};
	ssize_t n;

	if (poll(&p, 1, ms) <= 0)
		return false;
	n = read(g->log_fd, g->log + g->log_len, sizeof(g->log) - 1 - g->log_len);
	if (n <= 0)
		return false;
	g->log_len += n;
	g->log[g->log_len] = '\0';
	return true;
}

bool gateway_said(struct gateway_proc *g, const char *text)
{
	long end = now_ms() + WAIT_MS;

	while (!strstr(g->log, text))
		if (now_ms() >= end || !read_log(g, end - now_ms()))
			return strstr(g->log, text) != NULL;
	return true;
}

void gateway_start(struct gateway_proc *g, u32 id, const char *const *extra)
{
	const char *threads = getenv("GATEWAY_THREADS");
	char id_text[16], port[16];
	const char *args[ARGS_MAX * 2] = {
		"--id",	    id_text,	    "--port", port,	   "--control",
		g->control, "--stats-file", g->stats, "--threads", threads ? threads : "1"};
	int n = 10;

	memset(g, 0, sizeof(*g));
	strcpy(g->dir, "/tmp/gvm-net-XXXXXX");
	if (!mkdtemp(g->dir))
		die("mkdtemp: %m");
	snprintf(g->control, sizeof(g->control), "%s/control", g->dir);
	snprintf(g->stats, sizeof(g->stats), "%s/stats", g->dir);
	g->port = free_port();
	snprintf(id_text, sizeof(id_text), "%u", id);
	snprintf(port, sizeof(port), "%u", g->port);
	while (extra && *extra && n < ARGS_MAX * 2 - 1)
		args[n++] = *extra++;
	g->pid = spawn(args, &g->log_fd);
	if (!gateway_said(g, ": ready on "))
		die("the gateway did not start: %s", g->log);
}

static int exit_code(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		die("waitpid: %m");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int gateway_stop(struct gateway_proc *g)
{
	int code;

	kill(g->pid, SIGTERM);
	while (read_log(g, WAIT_MS))
		;
	code = exit_code(g->pid);
	if (code)
		fprintf(stderr, "%s", g->log);
	close(g->log_fd);
	unlink(g->stats);
	rmdir(g->dir);
	return code;
}

int gateway_run(const char *const *args, char *log, size_t room)
{
	size_t len = 0;
	ssize_t n;
	int fd;
	pid_t pid = spawn(args, &fd);

	while (len < room - 1 && (n = read(fd, log + len, room - 1 - len)) > 0)
		len += n;
	log[len] = '\0';
	close(fd);
	return exit_code(pid);
}

char *gateway_ask(struct gateway_proc *g, const char *request)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	size_t len = 0, room = 1 << 20;
	char *text = malloc(room);
	ssize_t n;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(a.sun_path, g->control);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)))
		die("connect %s: %m", g->control);
	if (write(fd, request, strlen(request)) < 0)
		die("write: %m");
	while (len < room - 1 && (n = read(fd, text + len, room - 1 - len)) > 0)
		len += n;
	text[len] = '\0';
	close(fd);
	return text;
}

u64 json_number(const char *json, const char *name)
{
	char key[64];
	const char *p;

	snprintf(key, sizeof(key), "\"%s\":", name);
	p = strstr(json, key);
	if (!p)
		die("no %s in %s", name, json);
	return strtoull(p + strlen(key), NULL, 10);
}

u64 gateway_count(struct gateway_proc *g, const char *name)
{
	char *json = gateway_ask(g, "status\n");
	u64 v = json_number(json, name);

	free(json);
	return v;
}

struct held {
	u8 data[65536];
	size_t len, at;
	struct sockaddr_in from;
};

void node_open(struct node *n, u32 id, u16 gateway_port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(n->addr);
	int bytes = 4 << 20;

	*n = (struct node){.id = id, .boot_id = 0x1000 + id};
	n->held = calloc(1, sizeof(*n->held));
	if (!n->held)
		die("out of memory");
	n->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	setsockopt(n->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	if (bind(n->fd, (struct sockaddr *)&a, sizeof(a)) ||
	    getsockname(n->fd, (struct sockaddr *)&n->addr, &len))
		die("bind: %m");
	n->gateway = a;
	n->gateway.sin_port = htons(gateway_port);
}

void node_close(struct node *n)
{
	close(n->fd);
	free(n->held);
}

size_t node_build(struct node *n, u8 *buf, u32 dest, u16 type, u64 req_id, const void *body,
		  size_t len, size_t *seg)
{
	struct gvm_header h = {.magic = GVM_MAGIC,
			       .msg_type = type,
			       .version = GVM_VERSION,
			       .slave_id = dest,
			       .src_id = n->id,
			       .req_id = req_id};

	return gvm_wire_build(buf, &h, body, len, NULL, 0, seg);
}

void node_send_raw(struct node *n, const void *data, size_t len)
{
	if (sendto(n->fd, data, len, 0, (struct sockaddr *)&n->gateway, sizeof(n->gateway)) < 0)
		die("sendto: %m");
}

void node_send(struct node *n, u32 dest, u16 type, u64 req_id, const void *body, size_t len)
{
	u8 buf[GVM_MSG_MAX + GVM_MAX_FRAGS * GVM_HEADER_SIZE];
	size_t seg, bytes = node_build(n, buf, dest, type, req_id, body, len, &seg);

	for (size_t off = 0; off < bytes; off += seg)
		node_send_raw(n, buf + off, min_t(size_t, seg, bytes - off));
}

static bool receive(struct node *n, int ms)
{
	struct pollfd p = {.fd = n->fd, .events = POLLIN};
	socklen_t alen = sizeof(n->held->from);
	ssize_t len;

	if (poll(&p, 1, ms) <= 0)
		return false;
	len = recvfrom(n->fd, n->held->data, sizeof(n->held->data), 0,
		       (struct sockaddr *)&n->held->from, &alen);
	if (len < 0)
		die("recvfrom: %m");
	n->held->len = len;
	n->held->at = 0;
	return true;
}

bool node_recv(struct node *n, struct message *m, int ms)
{
	const u8 *part;
	int used;

	if (n->held->at == n->held->len && !receive(n, ms))
		return false;
	used = gvm_wire_next(&m->h, &part, n->held->data + n->held->at, n->held->len - n->held->at);
	if (used <= 0)
		die("node %u received what is not a message: %d", n->id, used);
	memcpy(m->body, part, gvm_frag_length(&m->h));
	m->from = n->held->from;
	m->datagram_len = n->held->len;
	m->datagram_at = n->held->at;
	n->held->at += used;
	return true;
}

bool node_recv_whole(struct node *n, struct message *m, int ms)
{
	u8 body[GVM_MSG_MAX];
	u32 parts = 0;

	do {
		if (!node_recv(n, m, ms))
			return false;
		memcpy(body + gvm_frag_offset(&m->h), m->body, gvm_frag_length(&m->h));
		parts |= 1U << m->h.frag_seq;
	} while (parts != (1U << m->h.frag_count) - 1);
	memcpy(m->body, body, m->h.length);
	return true;
}

int node_register(struct node *n)
{
	struct gvm_register_body b = {.boot_id = n->boot_id,
				      .lent_pages = n->lent_pages,
				      .free_pages = n->lent_pages,
				      .slave_bits = GVM_SLAVE_BITS};
	u8 body[GVM_REGISTER_BODY];
	struct message m;

	gvm_register_encode(body, &b);
	node_send(n, GVM_TO_GATEWAY, MSG_REGISTER, 77, body, sizeof(body));
	do
		if (!node_recv(n, &m, WAIT_MS))
			die("node %u: no answer to its registration", n->id);
	while (m.h.msg_type != MSG_REGISTER_ACK);
	if (m.h.req_id != 77 || m.h.slave_id != n->id || !(m.h.flags & GVM_FLAG_RESP))
		die("node %u: a wrong answer to its registration", n->id);
	if (gvm_register_decode(&b, m.body, m.h.length) || !b.gateway_boot)
		die("node %u: a malformed answer to its registration", n->id);
	return b.status;
}
