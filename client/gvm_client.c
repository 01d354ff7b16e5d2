/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The socket side of the client; the userfaultfd side is in gvm_pager.c. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "gvm_client.h"
#include "gvm_client_internal.h"

#define MAX_FDS 4 /* more than any message may carry, so that a surplus is seen and closed */

struct packet {
	struct gvm_ipc_header h;
	union {
		struct gvm_ipc_attached attached;
		struct gvm_ipc_fault_ack ack;
		struct gvm_ipc_event event;
	} u;
};

int gvm_client_fail(struct gvm_client *c, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->error, sizeof(c->error), fmt, ap);
	va_end(ap);
	return -err;
}

void gvm_client_init(struct gvm_client *c)
{
	memset(c, 0, sizeof(*c));
	c->sock = c->memfd = c->uffd = -1;
	c->timeout_ms = GVM_CLIENT_TIMEOUT_MS;
}

static int check_owner(struct gvm_client *c, const char *path)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(c->sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return gvm_client_fail(c, errno, "%s: cannot tell who listens there: %s", path,
				       strerror(errno));
	if (cred.uid != 0 && cred.uid != geteuid())
		return gvm_client_fail(c, EACCES,
				       "%s is served by user id %u, which is neither this user nor "
				       "root: not trusted with a guest's RAM",
				       path, (unsigned int)cred.uid);
	return 0;
}

int gvm_client_connect(struct gvm_client *c, const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int ret;

	gvm_client_init(c);
	if (strlen(path) >= sizeof(sa.sun_path))
		return gvm_client_fail(c, ENAMETOOLONG, "%s: a socket's path has at most %zu bytes",
				       path, sizeof(sa.sun_path) - 1);
	memcpy(sa.sun_path, path, strlen(path) + 1);
	c->sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (c->sock < 0)
		return gvm_client_fail(c, errno, "cannot make a Unix socket: %s", strerror(errno));
	if (connect(c->sock, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		ret = gvm_client_fail(c, errno,
				      "cannot connect to the node at %s: %s (is "
				      "giantvm_master_user running with --socket %s?)",
				      path, strerror(errno), path);
	else
		ret = check_owner(c, path);
	if (ret < 0) {
		close(c->sock);
		c->sock = -1;
	}
	return ret;
}

static int send_packet(struct gvm_client *c, uint16_t type, void *body, uint32_t len, int fd)
{
	struct gvm_ipc_header h = {
		.magic = GVM_IPC_MAGIC, .version = GVM_IPC_VERSION, .type = type, .length = len};
	struct iovec iov[2] = {{&h, sizeof(h)}, {body, len}};
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t n;

	if (fd >= 0) {
		msg.msg_control = control.buf;
		msg.msg_controllen = sizeof(control.buf);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	}
	do {
		n = sendmsg(c->sock, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
		return gvm_client_fail(c, ENOTCONN, "the node went away");
	if (n < 0)
		return gvm_client_fail(c, errno, "cannot send to the node: %s", strerror(errno));
	return 0;
}

static unsigned int take_fds(struct msghdr *msg, int *fds)
{
	unsigned int n = 0, len;
	struct cmsghdr *cm;

	for (cm = CMSG_FIRSTHDR(msg); cm; cm = CMSG_NXTHDR(msg, cm)) {
		if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
			continue;
		len = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (len > MAX_FDS - n)
			len = MAX_FDS - n;
		memcpy(fds + n, CMSG_DATA(cm), len * sizeof(int));
		n += len;
	}
	return n;
}

/* The exact length of a message's body, or 0 for one that a node never sends. */
static uint32_t body_length(uint16_t type)
{
	switch (type) {
	case GVM_IPC_ATTACHED:
		return sizeof(struct gvm_ipc_attached);
	case GVM_IPC_PAGER_ACK:
	case GVM_IPC_FAULT_ACK:
		return sizeof(struct gvm_ipc_fault_ack);
	case GVM_IPC_EVENT:
		return sizeof(struct gvm_ipc_event);
	default:
		return 0;
	}
}

static int check_packet(struct gvm_client *c, struct packet *p, size_t n, int msg_flags)
{
	if (n < sizeof(p->h) || p->h.magic != GVM_IPC_MAGIC)
		return gvm_client_fail(c, EPROTO, "what listens there is not a giantvm node");
	if (p->h.version != GVM_IPC_VERSION)
		return gvm_client_fail(c, EPROTO,
				       "the node speaks version %u of the socket protocol, this "
				       "program version %u",
				       p->h.version, GVM_IPC_VERSION);
	if ((msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || n - sizeof(p->h) != p->h.length ||
	    p->h.length == 0 || p->h.length != body_length(p->h.type))
		return gvm_client_fail(c, EPROTO,
				       "malformed message (type %u, %zu bytes) from the node",
				       p->h.type, n);
	p->u.attached.message[sizeof(p->u.attached.message) - 1] = 0;
	p->u.event.message[sizeof(p->u.event.message) - 1] = 0;
	return 0;
}

/* Reads one packet that is there. *fd: the descriptor that came with it, or -1. */
static int recv_packet(struct gvm_client *c, struct packet *p, int *fd)
{
	union {
		char buf[CMSG_SPACE(MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {p, sizeof(*p)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf)};
	int fds[MAX_FDS], ret;
	unsigned int i, nfds, want;
	ssize_t n;

	*fd = -1;
	memset(p, 0, sizeof(*p));
	n = recvmsg(c->sock, &msg, MSG_CMSG_CLOEXEC);
	if (n < 0 && errno != ECONNRESET)
		return gvm_client_fail(c, errno, "cannot read from the node: %s", strerror(errno));
	if (n <= 0)
		return gvm_client_fail(c, ENOTCONN, "the node went away");
	nfds = take_fds(&msg, fds);
	ret = check_packet(c, p, n, msg.msg_flags);
	want = ret == 0 && p->h.type == GVM_IPC_ATTACHED && p->u.attached.status == 0;
	if (ret == 0 && nfds != want)
		ret = gvm_client_fail(c, EPROTO,
				      "message of type %u came with %u descriptors instead of %u",
				      p->h.type, nfds, want);
	if (ret == 0 && want)
		*fd = fds[0];
	else
		for (i = 0; i < nfds; i++)
			close(fds[i]);
	return ret;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static int wait_packet(struct gvm_client *c, int timeout_ms)
{
	struct pollfd pfd = {.fd = c->sock, .events = POLLIN};
	int64_t end = now_ms() + timeout_ms;
	int64_t left = timeout_ms;
	int n;

	for (;;) {
		n = poll(&pfd, 1, (int)left);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return gvm_client_fail(c, errno, "cannot wait for the node: %s",
					       strerror(errno));
		if (timeout_ms >= 0) {
			left = end - now_ms();
			if (left <= 0)
				return gvm_client_fail(c, ETIMEDOUT,
						       "the node did not answer within %d ms",
						       timeout_ms);
		}
	}
}

static int next_packet(struct gvm_client *c, struct packet *p, int *fd, int timeout_ms)
{
	int ret = wait_packet(c, timeout_ms);

	return ret < 0 ? ret : recv_packet(c, p, fd);
}

/* The answer of that type; events that come before it go to on_event. */
static int await(struct gvm_client *c, uint16_t type, struct packet *p, int *fd, int timeout_ms)
{
	int ret;

	for (;;) {
		ret = next_packet(c, p, fd, timeout_ms);
		if (ret < 0 || p->h.type == type)
			return ret;
		if (p->h.type != GVM_IPC_EVENT) {
			if (*fd >= 0)
				close(*fd);
			return gvm_client_fail(c, EPROTO,
					       "the node answered with a message of type %u",
					       p->h.type);
		}
		if (c->on_event)
			c->on_event(c->opaque, &p->u.event);
	}
}

static int check_memory(struct gvm_client *c, const struct gvm_ipc_attached *a, uint64_t wanted)
{
	struct stat st;

	if (fstat(c->memfd, &st) < 0)
		return gvm_client_fail(c, errno, "cannot look at the RAM's memory object: %s",
				       strerror(errno));
	if (!S_ISREG(st.st_mode) || a->ram_size == 0 || a->ram_size % GVM_PAGE_SIZE ||
	    a->ram_size > SIZE_MAX || (uint64_t)st.st_size < a->ram_size)
		return gvm_client_fail(
			c, EPROTO,
			"the node's memory object of %llu bytes does not hold a RAM of "
			"%llu bytes",
			(unsigned long long)st.st_size, (unsigned long long)a->ram_size);
	if (wanted && a->ram_size != wanted)
		return gvm_client_fail(c, EPROTO, "the node has a RAM of %llu bytes, not %llu",
				       (unsigned long long)a->ram_size, (unsigned long long)wanted);
	c->size = a->ram_size;
	c->vm_id = a->vm_id;
	return 0;
}

int gvm_client_attach(struct gvm_client *c, uint64_t ram_size)
{
	struct gvm_ipc_attach body = {.ram_size = ram_size, .pid = (uint32_t)getpid()};
	struct packet p;
	int ret;

	if (ram_size % GVM_PAGE_SIZE)
		return gvm_client_fail(c, EINVAL,
				       "a RAM size of %llu bytes is not a multiple of %u",
				       (unsigned long long)ram_size, GVM_PAGE_SIZE);
	if (c->memfd >= 0)
		return gvm_client_fail(c, EALREADY, "already attached to VM %u", c->vm_id);
	ret = send_packet(c, GVM_IPC_ATTACH, &body, sizeof(body), -1);
	if (ret == 0)
		ret = await(c, GVM_IPC_ATTACHED, &p, &c->memfd, c->timeout_ms);
	if (ret < 0)
		return ret;
	if (p.u.attached.status < 0)
		return gvm_client_fail(c, -p.u.attached.status, "the node refuses: %s",
				       p.u.attached.message[0] ? p.u.attached.message
							       : strerror(-p.u.attached.status));
	if (p.u.attached.status > 0)
		ret = gvm_client_fail(c, EPROTO, "the node answered with status %d",
				      p.u.attached.status);
	else
		ret = check_memory(c, &p.u.attached, ram_size);
	if (ret < 0 && c->memfd >= 0) {
		close(c->memfd);
		c->memfd = -1;
	}
	return ret;
}

/* Huge pages would be filled behind the pager's back; a forked child is not registered. */
static int advise(struct gvm_client *c)
{
	if (madvise(c->base, c->size, MADV_NOHUGEPAGE) < 0 && errno != EINVAL)
		return gvm_client_fail(c, errno, "cannot switch huge pages off for the RAM: %s",
				       strerror(errno));
	if (madvise(c->base, c->size, MADV_DONTFORK) < 0)
		return gvm_client_fail(c, errno, "cannot keep the RAM from child processes: %s",
				       strerror(errno));
	return 0;
}

int gvm_client_map(struct gvm_client *c)
{
	void *p;

	if (c->memfd < 0 || c->base)
		return gvm_client_fail(c, EINVAL, "the RAM is %s",
				       c->base ? "mapped already" : "not attached yet");
	p = mmap(NULL, c->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, c->memfd, 0);
	if (p == MAP_FAILED)
		return gvm_client_fail(c, errno, "cannot map %llu bytes of RAM: %s",
				       (unsigned long long)c->size, strerror(errno));
	c->base = p;
	c->own_mapping = true;
	return advise(c);
}

int gvm_client_adopt(struct gvm_client *c, void *base)
{
	if (c->memfd < 0 || c->base || !base || (uintptr_t)base % GVM_PAGE_SIZE)
		return gvm_client_fail(c, EINVAL,
				       "the RAM is not attached, or mapped already, or %p is "
				       "not on a page boundary",
				       base);
	c->base = base;
	return advise(c);
}

int gvm_client_pager(struct gvm_client *c)
{
	struct gvm_ipc_pager body;
	struct packet p;
	int ret, fd;

	if (!c->base || c->uffd >= 0)
		return gvm_client_fail(c, EINVAL, "the RAM is %s",
				       c->base ? "served already" : "not mapped yet");
	ret = gvm_pager_register(c);
	if (ret < 0)
		return ret;
	body.base = (uintptr_t)c->base;
	body.size = c->size;
	body.features = c->features;
	ret = send_packet(c, GVM_IPC_PAGER, &body, sizeof(body), c->uffd);
	if (ret == 0)
		ret = await(c, GVM_IPC_PAGER_ACK, &p, &fd, c->timeout_ms);
	if (ret == 0 && p.u.ack.status != 0)
		ret = gvm_client_fail(c, p.u.ack.status < 0 ? -p.u.ack.status : EPROTO,
				      "the node does not take the userfaultfd: %s",
				      strerror(p.u.ack.status < 0 ? -p.u.ack.status : EPROTO));
	return ret;
}

int gvm_client_open(struct gvm_client *c, const char *path, uint64_t ram_size)
{
	int ret = gvm_client_connect(c, path);

	if (ret == 0)
		ret = gvm_client_attach(c, ram_size);
	if (ret == 0)
		ret = gvm_client_map(c);
	if (ret == 0)
		ret = gvm_client_pager(c);
	if (ret < 0)
		gvm_client_detach(c);
	return ret;
}

int gvm_client_next(struct gvm_client *c, struct gvm_client_msg *msg, int timeout_ms)
{
	struct packet p;
	int fd, ret;

	ret = next_packet(c, &p, &fd, timeout_ms);
	if (ret < 0)
		return ret;
	msg->type = p.h.type;
	if (p.h.type == GVM_IPC_EVENT) {
		msg->event = p.u.event;
		return 0;
	}
	if (p.h.type == GVM_IPC_FAULT_ACK) {
		msg->ack = p.u.ack;
		return 0;
	}
	if (fd >= 0)
		close(fd);
	return gvm_client_fail(c, EPROTO, "unexpected message of type %u from the node", p.h.type);
}

int gvm_client_fault_send(struct gvm_client *c, uint64_t gpa, uint32_t len, uint32_t flags)
{
	struct gvm_ipc_fault_req body = {.gpa = gpa, .len = len, .flags = flags};

	if (gpa % GVM_PAGE_SIZE || len % GVM_PAGE_SIZE || len == 0 || gpa >= c->size ||
	    len > c->size - gpa || (flags & ~GVM_IPC_WRITE))
		return -EINVAL;
	return send_packet(c, GVM_IPC_FAULT, &body, sizeof(body), -1);
}

int gvm_client_fault(struct gvm_client *c, uint64_t gpa, uint32_t len, uint32_t flags)
{
	struct packet p;
	int ret, fd;

	ret = gvm_client_fault_send(c, gpa, len, flags);
	if (ret == -EINVAL)
		return gvm_client_fail(c, EINVAL,
				       "%u bytes at %#llx are not whole pages of the RAM", len,
				       (unsigned long long)gpa);
	while (ret == 0) {
		ret = await(c, GVM_IPC_FAULT_ACK, &p, &fd, -1);
		if (ret == 0 && p.u.ack.gpa == gpa)
			break;
	}
	if (ret < 0 || p.u.ack.status == 0)
		return ret;
	return gvm_client_fail(c, p.u.ack.status < 0 ? -p.u.ack.status : EPROTO,
			       "the node cannot bring in the page at %#llx: %s",
			       (unsigned long long)gpa,
			       strerror(p.u.ack.status < 0 ? -p.u.ack.status : EPROTO));
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void gvm_client_detach(struct gvm_client *c)
{
	if (c->base && c->own_mapping)
		munmap(c->base, c->size);
	c->base = NULL;
	c->own_mapping = false;
	close_fd(&c->sock);
	close_fd(&c->uffd);
	close_fd(&c->memfd);
}
