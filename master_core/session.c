// SPDX-License-Identifier: GPL-2.0-or-later
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "prefault.h"
#include "uffd.h"
#include "unix_socket.h"

#define SESSIONS_MAX  64
#define PREFAULTS_MAX 16 /* of one client at a time; then it is not listened to */
#define MAX_FDS	      4
#define EVENTS	      16

enum session_state { CONNECTED, ATTACHED, SERVED };

struct session {
	struct session *next;
	struct gvm_sessions *set;
	int fd;
	int uffd;
	pid_t pid;
	enum session_state state;
	unsigned int client; /* index at the pager */
	struct gvm_source source;
	bool serving; /* source is with the workers */
	bool paused;  /* not listened to */
	bool dead;    /* freed when its last prefault has ended */
	unsigned int prefaults;
};

struct gvm_sessions {
	struct gvm_master *master;
	int fd;
	int spare; /* see gvm_unix_accept */
	int epoll;
	struct session *list;
	unsigned int count;
	pthread_mutex_t lock; /* of done */
	struct gvm_prefault *done;
};

struct packet {
	struct gvm_ipc_header h;
	union {
		struct gvm_ipc_attach attach;
		struct gvm_ipc_pager pager;
		struct gvm_ipc_fault_req fault;
		u8 room[512];
	} u;
};

static const struct gvm_logger *log_of(const struct session *s)
{
	return &s->set->master->log;
}

/* Sending. Nothing a client does or leaves undone may make the node wait. */

static int send_packet(struct session *s, u16 type, const void *body, u32 len, int fd)
{
	struct gvm_ipc_header h = {
		.magic = GVM_IPC_MAGIC, .version = GVM_IPC_VERSION, .type = type, .length = len};
	struct iovec iov[2] = {{&h, sizeof(h)}, {(void *)body, len}};
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	if (fd >= 0) {
		msg.msg_control = control.buf;
		msg.msg_controllen = sizeof(control.buf);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	}
	if (sendmsg(s->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
		return 0;
	if (errno == EAGAIN)
		gvm_logf(log_of(s), GVM_LOG_WARN, "client %d does not read its answers", s->pid);
	return -errno;
}

static int send_ack(struct session *s, u16 type, u64 gpa, int status)
{
	struct gvm_ipc_fault_ack ack = {.gpa = gpa, .status = status};

	return send_packet(s, type, &ack, sizeof(ack), -1);
}

/* Life of a session. */

static void stop_serving(struct session *s)
{
	if (!s->serving)
		return;
	gvm_workers_remove(gvm_backend_workers(s->set->master->backend), &s->source);
	s->serving = false;
}

static void listen_to(struct session *s, bool on)
{
	struct epoll_event ev = {.events = on ? EPOLLIN : 0, .data.ptr = s};

	if (s->paused == !on)
		return;
	s->paused = !on;
	epoll_ctl(s->set->epoll, EPOLL_CTL_MOD, s->fd, &ev);
}

static void free_if_unused(struct session *s)
{
	if (s->dead && !s->prefaults)
		free(s);
}

static void leave_vm(struct session *s)
{
	struct gvm_master *m = s->set->master;
	unsigned int left;

	if (s->state == CONNECTED)
		return;
	if (s->state == SERVED)
		gvm_pager_remove_client(m->vm.pager, s->client, s);
	pthread_mutex_lock(&m->lock);
	left = --m->vm.clients;
	pthread_mutex_unlock(&m->lock);
	gvm_logf(log_of(s), GVM_LOG_INFO, "client %d has left", s->pid);
	if (!left && !m->closing)
		gvm_master_close_vm(m);
}

static void end_session(struct session *s)
{
	struct session **at = &s->set->list;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	s->set->count--;
	epoll_ctl(s->set->epoll, EPOLL_CTL_DEL, s->fd, NULL);
	stop_serving(s);
	leave_vm(s);
	close(s->fd);
	if (s->uffd >= 0)
		close(s->uffd);
	s->dead = true;
	free_if_unused(s);
}

/* Requests. Each returns 0, or a negative errno that ends the session. */

static int on_attach(struct session *s, const struct gvm_ipc_attach *a)
{
	struct gvm_master *m = s->set->master;
	struct gvm_ipc_attached answer = {.vm_id = m->opt.vm_id};
	int fd = -1;

	if (s->state != CONNECTED)
		return -EPROTO;
	answer.status =
		m->closing ? -ESHUTDOWN : gvm_master_open_vm(m, a->ram_size, answer.message);
	if (m->closing)
		snprintf(answer.message, sizeof(answer.message), "the node is about to stop");
	if (!answer.status) {
		s->state = ATTACHED;
		pthread_mutex_lock(&m->lock);
		m->vm.clients++;
		pthread_mutex_unlock(&m->lock);
		answer.ram_size = m->vm.ram_pages << GVM_PAGE_SHIFT;
		fd = gvm_pager_memfd(m->vm.pager);
	} else {
		gvm_logf(log_of(s), GVM_LOG_WARN, "client %d refused: %s", s->pid, answer.message);
	}
	return send_packet(s, GVM_IPC_ATTACHED, &answer, sizeof(answer), fd);
}

static void on_fault_event(struct gvm_source *source)
{
	struct session *s = container_of(source, struct session, source);

	gvm_pager_serve(s->set->master->vm.pager, s->client);
}

/* 0 when the client's faults are served from now on. */
static int take_pager(struct session *s, const struct gvm_ipc_pager *p, int uffd)
{
	struct gvm_master *m = s->set->master;
	const char *missing = NULL;
	int err = gvm_uffd_check(uffd, p->features, &missing);

	if (missing)
		gvm_logf(log_of(s), GVM_LOG_ERR,
			 "client %d refused: its userfaultfd lacks %s; Linux 6.1 or later is "
			 "needed",
			 s->pid, missing);
	if (err)
		return err;
	err = gvm_pager_add_client(m->vm.pager, uffd, p->base, p->size);
	if (err < 0)
		return err;
	s->client = (unsigned int)err;
	s->state = SERVED;
	s->source.fd = uffd;
	s->source.ready = on_fault_event;
	err = gvm_workers_add(gvm_backend_workers(m->backend), &s->source);
	s->serving = !err;
	return err;
}

static int on_pager(struct session *s, const struct gvm_ipc_pager *p, int uffd)
{
	int err;

	if (s->state != ATTACHED || uffd < 0) {
		if (uffd >= 0)
			close(uffd);
		return -EPROTO;
	}
	s->uffd = uffd;
	err = take_pager(s, p, uffd);
	if (err)
		gvm_logf(log_of(s), GVM_LOG_ERR, "client %d: cannot serve its memory: %s", s->pid,
			 strerror(-err));
	else
		gvm_logf(log_of(s), GVM_LOG_INFO, "client %d is served", s->pid);
	return send_ack(s, GVM_IPC_PAGER_ACK, 0, err);
}

static void on_prefault_done(struct gvm_prefault *p)
{
	struct session *s = p->owner;
	struct gvm_sessions *ss = s->set;

	pthread_mutex_lock(&ss->lock);
	p->next = ss->done;
	ss->done = p;
	pthread_mutex_unlock(&ss->lock);
	gvm_master_wake(ss->master);
}

static int on_fault(struct session *s, const struct gvm_ipc_fault_req *r)
{
	u64 size = s->set->master->vm.ram_pages << GVM_PAGE_SHIFT;
	struct gvm_prefault *p;

	if (s->state != SERVED)
		return -EPROTO;
	if ((r->gpa | r->len) & (GVM_PAGE_SIZE - 1) || !r->len || r->gpa >= size ||
	    r->len > size - r->gpa)
		return send_ack(s, GVM_IPC_FAULT_ACK, r->gpa, -EINVAL);
	p = gvm_prefault_create(s, r->gpa, r->len, r->flags & GVM_IPC_WRITE, on_prefault_done);
	if (!p)
		return send_ack(s, GVM_IPC_FAULT_ACK, r->gpa, -ENOMEM);
	if (++s->prefaults == PREFAULTS_MAX)
		listen_to(s, false);
	gvm_prefault_run(p, s->set->master->vm.pager);
	return 0;
}

/* Receiving. */

/* Keeps the one descriptor that a message may carry and closes the others. */
static int take_fd(struct msghdr *msg)
{
	struct cmsghdr *c;
	int kept = -1;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n, i;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (kept < 0)
				kept = fd;
			else
				close(fd);
		}
	}
	return kept;
}

static int dispatch(struct session *s, const struct packet *p, int fd)
{
	if (p->h.type == GVM_IPC_PAGER && p->h.length == sizeof(p->u.pager))
		return on_pager(s, &p->u.pager, fd);
	if (fd >= 0)
		close(fd);
	if (p->h.type == GVM_IPC_ATTACH && p->h.length == sizeof(p->u.attach))
		return on_attach(s, &p->u.attach);
	if (p->h.type == GVM_IPC_FAULT && p->h.length == sizeof(p->u.fault))
		return on_fault(s, &p->u.fault);
	return -EPROTO;
}

static int receive(struct session *s)
{
	union {
		char buf[CMSG_SPACE(MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct packet p;
	struct iovec iov = {&p, sizeof(p)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf)};
	ssize_t n = recvmsg(s->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int fd;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (!n)
		return -ENOTCONN;
	fd = take_fd(&msg);
	if ((size_t)n < sizeof(p.h) || p.h.magic != GVM_IPC_MAGIC ||
	    p.h.version != GVM_IPC_VERSION || (size_t)n != sizeof(p.h) + p.h.length ||
	    msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		if (fd >= 0)
			close(fd);
		return -EPROTO;
	}
	return dispatch(s, &p, fd);
}

static void on_readable(struct session *s, u32 events)
{
	int err = events & (EPOLLIN | EPOLLRDHUP) ? receive(s) : -ENOTCONN;

	if (!err)
		return;
	if (err == -EPROTO)
		gvm_logf(log_of(s), GVM_LOG_WARN,
			 "client %d sent what is no message of this protocol", s->pid);
	end_session(s);
}

static void accept_one(struct gvm_sessions *ss)
{
	int fd = gvm_unix_accept(ss->fd, SOCK_NONBLOCK, &ss->spare);
	struct epoll_event ev = {.events = EPOLLIN};
	struct ucred cred = {0};
	socklen_t len = sizeof(cred);
	struct session *s;

	if (fd < 0) {
		if (errno == EMFILE)
			gvm_logf(&ss->master->log, GVM_LOG_WARN,
				 "a client was refused: this process has no descriptor left");
		return;
	}
	s = calloc(1, sizeof(*s));
	if (!s || ss->count >= SESSIONS_MAX || !gvm_unix_peer_allowed(fd))
		goto refuse;
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
	s->set = ss;
	s->fd = fd;
	s->uffd = -1;
	s->pid = cred.pid;
	ev.data.ptr = s;
	if (epoll_ctl(ss->epoll, EPOLL_CTL_ADD, fd, &ev))
		goto refuse;
	s->next = ss->list;
	ss->list = s;
	ss->count++;
	return;
refuse:
	gvm_logf(&ss->master->log, GVM_LOG_WARN, "a client was refused: %s",
		 !s			     ? "out of memory"
		 : ss->count >= SESSIONS_MAX ? "there are too many"
					     : "neither this user nor root");
	free(s);
	close(fd);
}

int gvm_sessions_open(struct gvm_sessions **out, struct gvm_master *m)
{
	struct gvm_sessions *ss = calloc(1, sizeof(*ss));
	struct epoll_event ev = {.events = EPOLLIN};
	char error[GVM_UNIX_ERROR_MAX] = "out of memory";
	int err;

	if (!ss) {
		gvm_logf(&m->log, GVM_LOG_ERR, "%s", error);
		return -ENOMEM;
	}
	ss->master = m;
	pthread_mutex_init(&ss->lock, NULL);
	ss->spare = -1;
	ss->epoll = epoll_create1(EPOLL_CLOEXEC);
	ss->fd = gvm_unix_listen(m->opt.socket_path, SOCK_SEQPACKET, error);
	err = ss->fd < 0 ? ss->fd : 0;
	if (!err && (ss->epoll < 0 || epoll_ctl(ss->epoll, EPOLL_CTL_ADD, ss->fd, &ev))) {
		err = -errno;
		snprintf(error, sizeof(error), "cannot watch %s: %s", m->opt.socket_path,
			 strerror(errno));
	}
	if (err) {
		gvm_logf(&m->log, GVM_LOG_ERR, "%s", error);
		gvm_sessions_close(ss);
	} else {
		*out = ss;
	}
	return err;
}

void gvm_sessions_close(struct gvm_sessions *ss)
{
	if (!ss)
		return;
	while (ss->list)
		end_session(ss->list);
	gvm_sessions_answer(ss);
	if (ss->fd >= 0) {
		unlink(ss->master->opt.socket_path);
		close(ss->fd);
	}
	if (ss->epoll >= 0)
		close(ss->epoll);
	if (ss->spare >= 0)
		close(ss->spare);
	pthread_mutex_destroy(&ss->lock);
	free(ss);
}

int gvm_sessions_fd(const struct gvm_sessions *ss)
{
	return ss->epoll;
}

/* Ending a session may free it: one event a session and call, so none is used after. */
void gvm_sessions_run(struct gvm_sessions *ss)
{
	struct epoll_event ev[EVENTS];
	int n = epoll_wait(ss->epoll, ev, EVENTS, 0), i;

	for (i = 0; i < n; i++) {
		if (ev[i].data.ptr)
			on_readable(ev[i].data.ptr, ev[i].events);
		else
			accept_one(ss);
	}
}

static void answer_one(struct gvm_sessions *ss, struct gvm_prefault *p)
{
	struct session *s = p->owner;
	int err = 0;

	if (!s->dead && !gvm_prefault_finished(p)) {
		gvm_prefault_run(p, ss->master->vm.pager);
		return;
	}
	s->prefaults--;
	if (s->dead) {
		free_if_unused(s);
	} else {
		listen_to(s, true);
		err = send_ack(s, GVM_IPC_FAULT_ACK, p->gpa, p->status);
		if (err)
			end_session(s);
	}
	free(p);
}

void gvm_sessions_answer(struct gvm_sessions *ss)
{
	struct gvm_prefault *p, *next;

	pthread_mutex_lock(&ss->lock);
	p = ss->done;
	ss->done = NULL;
	pthread_mutex_unlock(&ss->lock);
	for (; p; p = next) {
		next = p->next;
		answer_one(ss, p);
	}
}

void gvm_sessions_event(struct gvm_sessions *ss, u32 kind, u32 node, u64 gpa, const char *text)
{
	struct gvm_ipc_event e = {.kind = kind, .node = node, .gpa = gpa};
	struct session *s, *next;
	int err;

	snprintf(e.message, sizeof(e.message), "%s", text);
	for (s = ss->list; s; s = next) {
		next = s->next;
		if (s->state == CONNECTED)
			continue;
		/* Who does not read is told later, by the page that it gets or does not get. */
		err = send_packet(s, GVM_IPC_EVENT, &e, sizeof(e), -1);
		if (err && err != -EAGAIN)
			end_session(s);
	}
}

void gvm_sessions_stop_serving(struct gvm_sessions *ss)
{
	struct session *s;

	for (s = ss->list; s; s = s->next)
		stop_serving(s);
}
