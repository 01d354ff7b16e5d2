// SPDX-License-Identifier: GPL-2.0-or-later
/* giantvm_master_user: the node of one guest. */
#include <arpa/inet.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "control.h"
#include "master.h"
#include "parse.h"
#include "session.h"
#include "status.h"

#define MMAP_THRESHOLD (128 << 10) /* tables beyond it are touched page by page */
#define WAIT_POLL_MS   20	   /* while slaves are awaited */
#define RETRY_BATCH    64

struct program {
	struct gvm_master m;
	struct gvm_control *control;
	int signals;
	bool ready;
	u64 started_us;
};

static void on_refused(void *ctx, const char *sentence)
{
	struct gvm_master *m = ctx;
	u64 one = 1;

	gvm_logf(&m->log, GVM_LOG_ERR, "%s", sentence);
	__atomic_store_n(&m->refused, true, __ATOMIC_RELEASE);
	if (write(m->stop, &one, sizeof(one)) < 0)
		return; /* it stops already */
}

static void on_stalled(void *ctx)
{
	gvm_master_wake(ctx);
}

static int open_backend(struct gvm_master *m)
{
	/* Dropped pages leave the memory object a little later than the agent knows. */
	u64 pages = (m->opt.budget >> GVM_PAGE_SHIFT) - GVM_DROPS_MAX;
	struct gvm_backend_config cfg = {
		.node = {.id = m->opt.node_id,
			 .budget_pages = pages,
			 .prefetch_max = m->opt.prefetch,
			 .residence_us = m->opt.residence_us,
			 .ack_delay_us = m->opt.ack_delay_us},
		.bind = m->opt.bind,
		.threads = m->opt.threads,
		.spin_us = m->opt.spin_us,
		.log = &m->log,
		.refused = on_refused,
		.stalled = on_stalled,
		.ctx = m,
	};
	int err = gvm_backend_create(&m->backend, &cfg);
	char ip[INET_ADDRSTRLEN];

	if (!err)
		return 0;
	inet_ntop(AF_INET, &m->opt.bind.sin_addr, ip, sizeof(ip));
	if (err == -EADDRINUSE)
		gvm_logf(&m->log, GVM_LOG_ERR, "UDP port %u of %s is in use by another process",
			 ntohs(m->opt.bind.sin_port), ip);
	else
		gvm_logf(&m->log, GVM_LOG_ERR, "cannot start on %s:%u: %s", ip,
			 ntohs(m->opt.bind.sin_port), strerror(-err));
	return err;
}

static int open_control(struct program *p)
{
	struct gvm_control_config cfg = {
		.path = p->m.opt.control_path,
		.commands = gvm_master_commands,
		.ctx = &p->m,
		.log = &p->m.log,
	};

	return gvm_control_open(&p->control, &cfg);
}

/* Before any thread is started, so that every thread has them blocked. */
static int open_descriptors(struct program *p)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	p->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	p->m.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->m.stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->signals >= 0 && p->m.wake >= 0 && p->m.stop >= 0)
		return 0;
	gvm_logf(&p->m.log, GVM_LOG_ERR, "cannot open a descriptor: %s", strerror(errno));
	return -EMFILE;
}

static int set_state_path(struct gvm_master *m)
{
	if (m->opt.state_path)
		m->state_path = strdup(m->opt.state_path);
	else if (asprintf(&m->state_path, "%s.vm", m->opt.socket_path) < 0)
		m->state_path = NULL;
	return m->state_path ? 0 : -ENOMEM;
}

/* Says that clients are welcome, once the slaves are there or were waited for long enough. */
static void check_ready(struct program *p)
{
	struct gvm_master *m = &p->m;
	u64 now = gvm_now_us();
	u32 alive = gvm_members_alive(gvm_backend_roster(m->backend), now);

	if (gvm_registration_refused(gvm_backend_registration(m->backend)))
		return;
	if (alive < m->opt.min_slaves) {
		if (now - p->started_us < m->opt.wait_seconds * 1000000ULL)
			return;
		gvm_logf(&m->log, GVM_LOG_WARN, "only %u of %u slaves are there after %u s", alive,
			 m->opt.min_slaves, m->opt.wait_seconds);
	}
	p->ready = true;
	gvm_logf(&m->log, GVM_LOG_INFO, "ready on %s%s", m->opt.socket_path,
		 gvm_ip_is_loopback(m->opt.bind.sin_addr.s_addr) ? "" : ", insecure");
}

static void announce_stall(struct gvm_master *m, const struct gvm_stall *stall)
{
	bool loss = gvm_stall_is_loss(stall->status);
	char text[GVM_SENTENCE_MAX], who[24] = "this node";

	if (stall->node != GVM_NO_NODE)
		snprintf(who, sizeof(who), "slave %u", stall->node);
	if (loss)
		snprintf(text, sizeof(text),
			 "%s has lost page %#llx of VM %u: the guest cannot go on", who,
			 (unsigned long long)stall->page, m->opt.vm_id);
	else if (stall->status == -EIO)
		snprintf(text, sizeof(text),
			 "%s does not answer: the guest waits for page %#llx of VM %u", who,
			 (unsigned long long)stall->page, m->opt.vm_id);
	else
		snprintf(text, sizeof(text), "%s cannot serve page %#llx of VM %u: %s", who,
			 (unsigned long long)stall->page, m->opt.vm_id, strerror(-stall->status));
	gvm_logf(&m->log, GVM_LOG_ERR, "%s", text);
	gvm_sessions_event(m->sessions, loss ? GVM_EVENT_LOST : GVM_EVENT_STALLED, stall->node,
			   stall->page << GVM_PAGE_SHIFT, text);
	if (!loss)
		return;
	pthread_mutex_lock(&m->lock);
	m->vm.lost = true;
	pthread_mutex_unlock(&m->lock);
}

static void retry_stalls(struct gvm_master *m)
{
	unsigned int cursor = 0, n, i;
	u64 pages[RETRY_BATCH];

	while ((n = gvm_stalls_retry(gvm_backend_stalls(m->backend), &cursor, pages, RETRY_BATCH)))
		for (i = 0; i < n; i++)
			gvm_agent_retry(gvm_backend_node(m->backend), pages[i]);
}

static void tell_stalls(struct gvm_master *m)
{
	struct gvm_stalls *stalls = gvm_backend_stalls(m->backend);
	struct gvm_stall stall;

	while (gvm_stalls_news(stalls, &stall))
		announce_stall(m, &stall);
	if (!gvm_stalls_cleared(stalls))
		return;
	gvm_logf(&m->log, GVM_LOG_INFO, "every stalled page has come: the guest goes on");
	gvm_sessions_event(m->sessions, GVM_EVENT_RESUMED, GVM_NO_NODE, 0, "the guest goes on");
}

static int next_timeout(struct program *p)
{
	return p->ready ? gvm_stalls_period_ms(gvm_backend_stalls(p->m.backend)) : WAIT_POLL_MS;
}

/* Until the node is told to stop. */
static void run(struct program *p)
{
	struct pollfd fds[] = {
		{.fd = p->signals, .events = POLLIN},
		{.fd = p->m.stop, .events = POLLIN},
		{.fd = p->m.wake, .events = POLLIN},
		{.fd = -1, .events = POLLIN},
	};
	u64 retried = 0, now, count;
	int timeout;

	while (!fds[0].revents && !fds[1].revents) {
		if (!p->ready)
			check_ready(p);
		fds[3].fd = p->ready ? gvm_sessions_fd(p->m.sessions) : -1;
		timeout = next_timeout(p);
		if (poll(fds, ARRAY_SIZE(fds), timeout) < 0 && errno != EINTR)
			return;
		if (fds[2].revents && read(p->m.wake, &count, sizeof(count)) < 0)
			continue;
		if (fds[3].revents)
			gvm_sessions_run(p->m.sessions);
		gvm_sessions_answer(p->m.sessions);
		tell_stalls(&p->m);
		now = gvm_now_us();
		if (p->ready && timeout >= 0 && now - retried >= (u64)timeout * 1000) {
			retry_stalls(&p->m);
			retried = now;
		}
	}
}

/* What the guest has is home and kept there when this returns 0. */
static int shut_down(struct gvm_master *m)
{
	u64 written;
	int err;

	__atomic_store_n(&m->closing, true, __ATOMIC_RELEASE);
	gvm_sessions_event(m->sessions, GVM_EVENT_CLOSING, GVM_NO_NODE, 0,
			   "the node is told to stop");
	gvm_sessions_stop_serving(m->sessions);
	err = gvm_master_flush_vm(m, &written);
	gvm_sessions_close(m->sessions);
	m->sessions = NULL;
	if (!err)
		err = gvm_master_keep_vm(m);
	else
		gvm_master_close_vm(m);
	gvm_logf(&m->log, GVM_LOG_INFO, "stopped, wrote %llu pages home",
		 (unsigned long long)written);
	return err;
}

static int serve(struct program *p)
{
	struct gvm_master *m = &p->m;
	int err = gvm_backend_start(m->backend);

	if (err) {
		gvm_logf(&m->log, GVM_LOG_ERR, "cannot start a thread: %s", strerror(-err));
		return EXIT_FAILURE;
	}
	p->started_us = gvm_now_us();
	run(p);
	err = shut_down(m);
	gvm_backend_stop(m->backend);
	return err || __atomic_load_n(&m->refused, __ATOMIC_ACQUIRE) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void release(struct program *p)
{
	gvm_control_close(p->control);
	gvm_sessions_close(p->m.sessions);
	gvm_backend_destroy(p->m.backend);
	free(p->m.state_path);
	if (p->signals >= 0)
		close(p->signals);
	if (p->m.wake >= 0)
		close(p->m.wake);
	if (p->m.stop >= 0)
		close(p->m.stop);
}

int main(int argc, char **argv)
{
	struct program p = {.signals = -1, .m = {.wake = -1, .stop = -1}};
	struct gvm_master *m = &p.m;
	int code = EXIT_FAILURE;
	int err = master_options_parse(&m->opt, argc, argv);

	if (err)
		return err > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
	pthread_mutex_init(&m->lock, NULL);
	gvm_logger_init(&m->log, "giantvm_master", m->opt.vm_id);
	m->adopt = m->opt.adopt;
	if (!open_descriptors(&p) && !set_state_path(m) && !open_backend(m) &&
	    (!m->opt.gateways_file || !gvm_master_load_gateways(m, m->opt.gateways_file)) &&
	    !gvm_sessions_open(&m->sessions, m) && !open_control(&p))
		code = serve(&p);
	release(&p);
	return code;
}
