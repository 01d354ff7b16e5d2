// SPDX-License-Identifier: GPL-2.0-or-later
/* The threads: receive a batch, relay it, send what came of it, sleep when there is nothing. */
#include "gateway.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define ODD_A_SECOND 5
#define ROUNDS_MAX   256

u64 gw_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Whether one more line may be written in this second; *silent: how many were not before. */
static bool may_log(struct gateway *gw, u64 now_us, u32 *silent)
{
	bool may;

	*silent = 0;
	gvm_lock(&gw->log_lock);
	if (now_us > gw->odd_since_us + 1000000) {
		*silent = gw->odd_silent;
		gw->odd_since_us = now_us;
		gw->odd_logged = gw->odd_silent = 0;
	}
	may = gw->odd_logged < ODD_A_SECOND;
	if (may)
		gw->odd_logged++;
	else
		gw->odd_silent++;
	gvm_unlock(&gw->log_lock);
	return may;
}

void gw_odd(struct gw_thread *t, const char *fmt, ...)
{
	u32 silent;
	va_list ap;

	if (!may_log(t->gw, t->now_us, &silent))
		return;
	if (silent)
		gvm_logf(&t->gw->log, GVM_LOG_WARN, "%u more warnings were not written", silent);
	va_start(ap, fmt);
	gvm_vlog(&t->gw->log, GVM_LOG_WARN, fmt, ap);
	va_end(ap);
}

/* EPOLLOUT only while something waits for room in the socket buffer. */
static void watch_out(struct gw_thread *t, bool wanted)
{
	struct epoll_event e = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0)};

	if (wanted == t->wants_out)
		return;
	e.data.fd = gvm_net_fd(t->net);
	if (!epoll_ctl(t->epoll_fd, EPOLL_CTL_MOD, e.data.fd, &e))
		t->wants_out = wanted;
}

/*
 * Until the socket is drained, or for long enough: under a flood that never
 * ends the thread must still see that it is to end. Nothing is held back when
 * it leaves, since it may sleep then. Negative: the socket is broken.
 */
static int receive_all(struct gw_thread *t)
{
	int n = GVM_BATCH;

	for (int left = ROUNDS_MAX; n == GVM_BATCH && left; left--) {
		t->now_us = gw_now_us();
		n = gvm_net_recv(t->net, gw_relay, t);
		gvm_agg_end_batch(&t->agg, n < GVM_BATCH || left == 1, t->now_us);
		watch_out(t, gvm_net_flush(t->net) > 0);
	}
	return n;
}

/* True: there is something to do on the socket; false: the thread is to end. */
static bool wait_ready(struct gw_thread *t)
{
	u64 start = t->gw->opt.spin_us ? gw_now_us() : 0;
	struct epoll_event e[2];
	int n, timeout = 0;

	do {
		if (!start || gw_now_us() - start >= t->gw->opt.spin_us)
			timeout = -1;
		n = epoll_wait(t->epoll_fd, e, 2, timeout);
	} while (n == 0 || (n < 0 && errno == EINTR));
	for (int i = 0; i < n; i++)
		if (e[i].data.fd == t->gw->stop_fd)
			return false;
	return n > 0;
}

void gw_stop(struct gateway *gw)
{
	eventfd_write(gw->stop_fd, 1);
}

static void *run(void *arg)
{
	struct gw_thread *t = arg;
	int err = 0;

	while (err >= 0 && wait_ready(t))
		err = receive_all(t);
	if (err < 0) {
		gvm_logf(&t->gw->log, GVM_LOG_ERR, "cannot receive any more: %s", strerror(-err));
		gw_stop(t->gw);
	}
	return NULL;
}

static int watch(struct gw_thread *t, int fd)
{
	struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, fd, &e) ? -errno : 0;
}

static int start(struct gw_thread *t)
{
	struct gateway *gw = t->gw;
	int err = gvm_aggregator_init(&t->agg, gw->buffers, &gw_agg_ops, t, &t->counters,
				      gw->opt.flush_us);

	if (err)
		return err;
	t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (t->epoll_fd < 0)
		return -errno;
	err = watch(t, gvm_net_fd(t->net));
	if (!err)
		err = watch(t, gw->stop_fd);
	if (!err)
		err = -pthread_create(&t->thread, NULL, run, t);
	t->started = !err;
	return err;
}

int gw_workers_start(struct gateway *gw)
{
	int err = 0;

	for (u32 i = 0; i < gw->opt.threads; i++) {
		gw->threads[i].gw = gw;
		gw->threads[i].net = gw->nets[i];
		gw->threads[i].epoll_fd = -1;
	}
	for (u32 i = 0; !err && i < gw->opt.threads; i++)
		err = start(&gw->threads[i]);
	if (err)
		gw_workers_stop(gw);
	return err;
}

void gw_workers_stop(struct gateway *gw)
{
	gw_stop(gw);
	for (u32 i = 0; i < gw->opt.threads; i++) {
		struct gw_thread *t = &gw->threads[i];

		if (t->started)
			pthread_join(t->thread, NULL);
		t->started = false;
		gvm_aggregator_free(&t->agg);
		if (t->epoll_fd >= 0)
			close(t->epoll_fd);
		t->epoll_fd = -1;
	}
}
