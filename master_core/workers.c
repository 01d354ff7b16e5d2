// SPDX-License-Identifier: GPL-2.0-or-later
#include "workers.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define EVENTS	   16
#define RX_ROUNDS  4 /* batches of datagrams before the other descriptors get a turn */
#define NEVER	   ((u64)-1)
#define SPIN_CPUS  4
#define SPIN_US	   20
#define US_PER_SEC 1000000ULL

struct gvm_worker {
	struct gvm_workers *set;
	unsigned int index;
	struct gvm_net *net;
	int epoll;
	int kick;
	int timer;
	pthread_t thread;
	bool started;
	bool wants_out; /* epoll also waits for room to send */
	u64 seen;	/* the last barrier that it passed */
	u64 periodic_at;
	u64 timer_at; /* when the timer goes off, NEVER: it is not set */
};

struct gvm_workers {
	struct gvm_workers_config cfg;
	struct gvm_worker *workers;
	u64 deadline; /* of the node's timer */
	bool stopping;
	pthread_mutex_t lock;
	pthread_cond_t passed;
	u64 barrier;
};

static __thread struct gvm_worker *current_worker;

u64 gvm_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * US_PER_SEC + (u64)t.tv_nsec / 1000;
}

unsigned int gvm_usable_cpus(void)
{
	cpu_set_t set;
	int n;

	if (sched_getaffinity(0, sizeof(set), &set))
		return 1;
	n = CPU_COUNT(&set);
	return n > 0 ? (unsigned int)n : 1;
}

unsigned int gvm_default_spin_us(void)
{
	return gvm_usable_cpus() >= SPIN_CPUS ? SPIN_US : 0;
}

/* The index-th processor of those this process may use, round and round. */
static void pin_thread(const struct gvm_worker *w)
{
	unsigned int cpus = gvm_usable_cpus(), cpu, seen = 0;
	cpu_set_t allowed, one;

	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		return;
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed) || seen++ != w->index % cpus)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (pthread_setaffinity_np(pthread_self(), sizeof(one), &one))
			gvm_logf(w->set->cfg.log, GVM_LOG_WARN, "cannot pin a thread to CPU %u",
				 cpu);
		return;
	}
}

static void kick(struct gvm_worker *w)
{
	u64 one = 1;

	if (write(w->kick, &one, sizeof(one)) < 0)
		return; /* the counter is full: it is awake */
}

static void pass_barrier(struct gvm_worker *w)
{
	struct gvm_workers *ws = w->set;

	if (__atomic_load_n(&ws->barrier, __ATOMIC_ACQUIRE) == w->seen)
		return;
	pthread_mutex_lock(&ws->lock);
	w->seen = ws->barrier;
	pthread_cond_broadcast(&ws->passed);
	pthread_mutex_unlock(&ws->lock);
}

/*
 * A timer that is set already and goes off earlier is left alone. A time-out a
 * wait would be set and cleared every time, which costs more than the wait.
 */
static void set_timer(struct gvm_worker *w, u64 due)
{
	struct itimerspec t = {.it_value = {.tv_sec = (time_t)(due / US_PER_SEC),
					    .tv_nsec = (long)(due % US_PER_SEC) * 1000}};

	if (due >= w->timer_at)
		return;
	if (!timerfd_settime(w->timer, TFD_TIMER_ABSTIME, &t, NULL))
		w->timer_at = due;
}

/* Polls for a bounded while, then sleeps until something is there or due. */
static int wait_events(struct gvm_worker *w, struct epoll_event *ev)
{
	struct gvm_workers *ws = w->set;
	u64 now = gvm_now_us(), spin_until = now + ws->cfg.spin_us, due;
	int n;

	for (;;) {
		due = __atomic_load_n(&ws->deadline, __ATOMIC_ACQUIRE);
		if (w->periodic_at < due)
			due = w->periodic_at;
		if (now >= due || now >= spin_until)
			break;
		n = epoll_wait(w->epoll, ev, EVENTS, 0);
		if (n)
			return n;
		now = gvm_now_us();
	}
	if (due <= now)
		return epoll_wait(w->epoll, ev, EVENTS, 0);
	set_timer(w, due);
	return epoll_wait(w->epoll, ev, EVENTS, -1);
}

static void receive(struct gvm_worker *w)
{
	struct gvm_workers *ws = w->set;
	int round, n;

	for (round = 0; round < RX_ROUNDS; round++) {
		n = gvm_net_recv(w->net, ws->cfg.ops->rx, ws->cfg.ctx);
		if (n < GVM_BATCH)
			break;
	}
}

static void dispatch(struct gvm_worker *w, const struct epoll_event *ev)
{
	struct gvm_source *s = ev->data.ptr;
	u64 count;

	if (ev->data.ptr == w) {
		if (read(w->kick, &count, sizeof(count)) < 0)
			return;
	} else if (ev->data.ptr == &w->timer) {
		if (read(w->timer, &count, sizeof(count)) == sizeof(count))
			w->timer_at = NEVER;
	} else if (s) {
		if (__atomic_load_n(&s->added, __ATOMIC_ACQUIRE))
			s->ready(s);
	} else if (ev->events & ~(u32)EPOLLOUT) {
		receive(w);
	}
}

/* One worker takes the deadline; what is armed meanwhile is kept. */
static void run_timer(struct gvm_worker *w, u64 now)
{
	struct gvm_workers *ws = w->set;
	u64 due = __atomic_load_n(&ws->deadline, __ATOMIC_ACQUIRE);

	if (now >= due && __atomic_compare_exchange_n(&ws->deadline, &due, NEVER, false,
						      __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		gvm_workers_arm(ws, ws->cfg.ops->tick(ws->cfg.ctx));
	if (now >= w->periodic_at)
		w->periodic_at = ws->cfg.ops->periodic(ws->cfg.ctx, now);
}

void gvm_worker_flush(struct gvm_worker *w)
{
	struct epoll_event ev = {.events = EPOLLIN};
	bool full;

	if (!gvm_net_queued(w->net))
		return;
	w->set->cfg.ops->before_send(w->set->cfg.ctx);
	full = gvm_net_flush(w->net) > 0;
	if (full == w->wants_out)
		return;
	ev.events |= full ? (u32)EPOLLOUT : 0;
	if (!epoll_ctl(w->epoll, EPOLL_CTL_MOD, gvm_net_fd(w->net), &ev))
		w->wants_out = full;
}

static void *worker_main(void *arg)
{
	struct gvm_worker *w = arg;
	struct gvm_workers *ws = w->set;
	struct epoll_event ev[EVENTS];
	int n, i;

	current_worker = w;
	if (ws->cfg.pin)
		pin_thread(w);
	while (!__atomic_load_n(&ws->stopping, __ATOMIC_ACQUIRE)) {
		pass_barrier(w);
		n = wait_events(w, ev);
		for (i = 0; i < n; i++)
			dispatch(w, &ev[i]);
		run_timer(w, gvm_now_us());
		ws->cfg.ops->end_turn(ws->cfg.ctx);
		gvm_worker_flush(w);
	}
	current_worker = NULL;
	return NULL;
}

static int worker_init(struct gvm_workers *ws, unsigned int index)
{
	struct gvm_worker *w = &ws->workers[index];
	struct epoll_event net_ev = {.events = EPOLLIN};
	struct epoll_event kick_ev = {.events = EPOLLIN, .data.ptr = w};
	struct epoll_event timer_ev = {.events = EPOLLIN, .data.ptr = &w->timer};

	w->set = ws;
	w->index = index;
	w->net = ws->cfg.nets[index];
	w->periodic_at = index ? NEVER : 0;
	w->timer_at = NEVER;
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	w->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (w->epoll < 0 || w->kick < 0 || w->timer < 0 ||
	    epoll_ctl(w->epoll, EPOLL_CTL_ADD, gvm_net_fd(w->net), &net_ev) ||
	    epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->kick, &kick_ev) ||
	    epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->timer, &timer_ev))
		return -errno;
	return 0;
}

int gvm_workers_create(struct gvm_workers **out, const struct gvm_workers_config *cfg)
{
	struct gvm_workers *ws = calloc(1, sizeof(*ws));
	unsigned int i;
	int err = 0;

	if (!ws)
		return -ENOMEM;
	ws->cfg = *cfg;
	ws->deadline = NEVER;
	pthread_mutex_init(&ws->lock, NULL);
	pthread_cond_init(&ws->passed, NULL);
	ws->workers = calloc(cfg->count, sizeof(*ws->workers));
	if (!ws->workers) {
		gvm_workers_destroy(ws);
		return -ENOMEM;
	}
	for (i = 0; i < cfg->count; i++)
		ws->workers[i].epoll = ws->workers[i].kick = ws->workers[i].timer = -1;
	for (i = 0; i < cfg->count && !err; i++)
		err = worker_init(ws, i);
	if (err)
		gvm_workers_destroy(ws);
	else
		*out = ws;
	return err;
}

int gvm_workers_start(struct gvm_workers *ws)
{
	unsigned int i;
	int err;

	for (i = 0; i < ws->cfg.count; i++) {
		err = pthread_create(&ws->workers[i].thread, NULL, worker_main, &ws->workers[i]);
		if (err) {
			gvm_workers_stop(ws);
			return -err;
		}
		ws->workers[i].started = true;
	}
	return 0;
}

void gvm_workers_stop(struct gvm_workers *ws)
{
	unsigned int i;

	__atomic_store_n(&ws->stopping, true, __ATOMIC_RELEASE);
	for (i = 0; i < ws->cfg.count; i++) {
		if (!ws->workers[i].started)
			continue;
		kick(&ws->workers[i]);
		pthread_join(ws->workers[i].thread, NULL);
		ws->workers[i].started = false;
		gvm_worker_flush(&ws->workers[i]);
	}
}

void gvm_workers_destroy(struct gvm_workers *ws)
{
	unsigned int i;

	if (!ws)
		return;
	for (i = 0; ws->workers && i < ws->cfg.count; i++) {
		if (ws->workers[i].epoll >= 0)
			close(ws->workers[i].epoll);
		if (ws->workers[i].kick >= 0)
			close(ws->workers[i].kick);
		if (ws->workers[i].timer >= 0)
			close(ws->workers[i].timer);
	}
	pthread_cond_destroy(&ws->passed);
	pthread_mutex_destroy(&ws->lock);
	free(ws->workers);
	free(ws);
}

void gvm_workers_arm(struct gvm_workers *ws, u64 when)
{
	u64 due = __atomic_load_n(&ws->deadline, __ATOMIC_RELAXED);

	do {
		if (when >= due)
			return;
	} while (!__atomic_compare_exchange_n(&ws->deadline, &due, when, true, __ATOMIC_ACQ_REL,
					      __ATOMIC_RELAXED));
	/* A worker looks at it before it sleeps; others may all be asleep. */
	if (!gvm_worker_current(ws))
		kick(&ws->workers[0]);
}

int gvm_workers_add(struct gvm_workers *ws, struct gvm_source *s)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = s};
	unsigned int i;
	int err;

	if (ws->cfg.count > 1)
		ev.events |= EPOLLEXCLUSIVE;
	__atomic_store_n(&s->added, true, __ATOMIC_RELEASE);
	for (i = 0; i < ws->cfg.count; i++) {
		if (!epoll_ctl(ws->workers[i].epoll, EPOLL_CTL_ADD, s->fd, &ev))
			continue;
		err = -errno;
		while (i--)
			epoll_ctl(ws->workers[i].epoll, EPOLL_CTL_DEL, s->fd, NULL);
		return err;
	}
	return 0;
}

static bool all_passed(const struct gvm_workers *ws)
{
	unsigned int i;

	for (i = 0; i < ws->cfg.count; i++)
		if (ws->workers[i].started && ws->workers[i].seen != ws->barrier)
			return false;
	return true;
}

void gvm_workers_quiesce(struct gvm_workers *ws)
{
	unsigned int i;

	pthread_mutex_lock(&ws->lock);
	__atomic_store_n(&ws->barrier, ws->barrier + 1, __ATOMIC_RELEASE);
	for (i = 0; i < ws->cfg.count; i++)
		kick(&ws->workers[i]);
	while (!all_passed(ws))
		pthread_cond_wait(&ws->passed, &ws->lock);
	pthread_mutex_unlock(&ws->lock);
}

void gvm_workers_remove(struct gvm_workers *ws, struct gvm_source *s)
{
	unsigned int i;

	for (i = 0; i < ws->cfg.count; i++)
		epoll_ctl(ws->workers[i].epoll, EPOLL_CTL_DEL, s->fd, NULL);
	gvm_workers_quiesce(ws);
}

struct gvm_worker *gvm_worker_current(const struct gvm_workers *ws)
{
	return current_worker && current_worker->set == ws ? current_worker : NULL;
}

struct gvm_net *gvm_worker_net(struct gvm_worker *w)
{
	return w->net;
}

unsigned int gvm_worker_index(const struct gvm_worker *w)
{
	return w->index;
}
