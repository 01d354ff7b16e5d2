// SPDX-License-Identifier: GPL-2.0-or-later
#include "vcpu_agent.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct gvm_vcpu_agent {
	struct gvm_vcpu_agent_config cfg;
	struct gvm_exec_vcpu *v;
	pthread_t thread;
	bool has_thread;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct gvm_exit_caller caller;
	bool quit, lost, running;
	/* Commands that the thread is to carry out. */
	u64 stop_seq, get_seq, set_seq, refuse_seq;
	bool answered;
	s32 answer_status;
	u32 answer_len;
	u8 answer[GVM_EXIT_DATA_MAX];
	u32 incoming_len; /* of the state that comes in pieces */
	u8 incoming[GVM_VCPU_STATE_MAX];

	/* The thread's own. */
	struct gvm_exit exit;
	struct gvm_vcpu_state state;
	u8 outgoing[GVM_VCPU_STATE_MAX];
	char error[GVM_EXEC_ERROR_MAX];
};

static u64 clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* --- what comes in: under the lock, in the owner's thread --- */

static void on_send(void *ctx, const u8 *frame, size_t len)
{
	struct gvm_vcpu_agent *a = ctx;

	a->cfg.send(a->cfg.ctx, frame, len);
}

static void on_answered(void *ctx, s32 status, const u8 *data, u32 len)
{
	struct gvm_vcpu_agent *a = ctx;

	a->answer_status = status;
	a->answer_len = len;
	memcpy(a->answer, data, len);
	a->answered = true;
	pthread_cond_broadcast(&a->changed);
}

static void on_irq(void *ctx, int vector)
{
	struct gvm_vcpu_agent *a = ctx;

	a->cfg.x->irq(a->v, vector);
}

/* What cannot be sent now will be: the link retries the whole, the window has room again. */
static void done(struct gvm_vcpu_agent *a, u64 seq, s32 status, const char *text)
{
	struct gvm_record r = {.type = GVM_REC_DONE,
			       .of = seq,
			       .status = status,
			       .data = (const u8 *)text,
			       .len = status ? strlen(text) : 0};

	while (gvm_exit_send(&a->caller, &r, clock_us()) == -EAGAIN && !a->lost && !a->quit)
		pthread_cond_wait(&a->changed, &a->lock);
}

static void piece_in(struct gvm_vcpu_agent *a, u64 seq, const struct gvm_record *r)
{
	if (r->object != GVM_OBJECT_STATE || r->count > sizeof(a->incoming) || a->set_seq ||
	    r->offset != a->incoming_len) {
		a->incoming_len = 0;
		a->refuse_seq = seq;
		return;
	}
	memcpy(a->incoming + r->offset, r->data, r->len);
	a->incoming_len += r->len;
	if (a->incoming_len == r->count)
		a->set_seq = seq;
}

static void on_command(void *ctx, u64 seq, const struct gvm_record *r)
{
	struct gvm_vcpu_agent *a = ctx;

	switch (r->type) {
	case GVM_REC_NMI:
		a->cfg.x->nmi(a->v);
		break;
	case GVM_REC_INIT:
		a->cfg.x->init(a->v);
		break;
	case GVM_REC_SIPI:
		a->cfg.x->sipi(a->v, r->vector);
		break;
	case GVM_REC_RUN:
		a->running = true;
		break;
	case GVM_REC_STOP:
		a->stop_seq = seq;
		a->cfg.x->kick(a->v);
		break;
	case GVM_REC_GET_STATE:
		a->get_seq = seq;
		break;
	default:
		piece_in(a, seq, r);
	}
	pthread_cond_broadcast(&a->changed);
}

static void on_lost(void *ctx)
{
	struct gvm_vcpu_agent *a = ctx;

	a->lost = true;
	a->running = false;
	a->cfg.x->kick(a->v);
	pthread_cond_broadcast(&a->changed);
	a->cfg.lost(a->cfg.ctx);
}

static const struct gvm_exit_caller_ops caller_ops = {on_send, on_answered, on_irq, on_command,
						      on_lost};

int gvm_vcpu_agent_rx(struct gvm_vcpu_agent *a, const u8 *frame, size_t len, u64 now)
{
	int err;

	pthread_mutex_lock(&a->lock);
	err = gvm_exit_caller_rx(&a->caller, frame, len, now);
	pthread_cond_broadcast(&a->changed); /* the window may have room again */
	pthread_mutex_unlock(&a->lock);
	return err;
}

u64 gvm_vcpu_agent_tick(struct gvm_vcpu_agent *a, u64 now)
{
	u64 next;

	pthread_mutex_lock(&a->lock);
	next = gvm_exit_caller_tick(&a->caller, now);
	pthread_mutex_unlock(&a->lock);
	return next;
}

/* --- what goes out: under the lock, in the vCPU's thread --- */

static bool dead(const struct gvm_vcpu_agent *a)
{
	return a->lost || a->quit;
}

/* Waits for room. false: the link is gone. */
static bool put(struct gvm_vcpu_agent *a, const struct gvm_record *r)
{
	int err;

	while ((err = gvm_exit_send(&a->caller, r, clock_us())) == -EAGAIN && !dead(a))
		pthread_cond_wait(&a->changed, &a->lock);
	a->cfg.wake(a->cfg.ctx);
	return !err;
}

static bool is_posted(const struct gvm_vcpu_agent *a, const struct gvm_exit *e)
{
	u64 apic = a->state.apic_base & ~(u64)(GVM_PAGE_SIZE - 1);
	unsigned int i;

	if (e->kind != GVM_EXIT_MMIO || !e->write)
		return false;
	if (e->gpa - apic < GVM_PAGE_SIZE)
		return true;
	for (i = 0; i < a->cfg.ndoorbells; i++)
		if (e->gpa - a->cfg.doorbells[i].address < a->cfg.doorbells[i].size)
			return true;
	return false;
}

/* One record's worth of an access: sent, and waited for if it is not posted. */
static bool access_part(struct gvm_vcpu_agent *a, const struct gvm_record *r, u8 *data)
{
	a->answered = false;
	if (!put(a, r))
		return false;
	if (r->flags & GVM_ACCESS_POSTED)
		return true;
	while (!a->answered && !dead(a))
		pthread_cond_wait(&a->changed, &a->lock);
	if (!a->answered)
		return false;
	if (a->answer_status)
		memset(data, 0xff, gvm_record_answer_len(r)); /* as a bus that nobody drives */
	else
		memcpy(data, a->answer, a->answer_len);
	return true;
}

static bool access_all(struct gvm_vcpu_agent *a, struct gvm_exit *e)
{
	struct gvm_record r = {
		.type = e->kind == GVM_EXIT_PIO ? GVM_REC_PIO : GVM_REC_MMIO,
		.flags = (e->write ? GVM_ACCESS_WRITE : 0) |
			 (is_posted(a, e) ? GVM_ACCESS_POSTED : 0),
		.size = e->size,
		.address = e->kind == GVM_EXIT_PIO ? e->port : e->gpa,
	};
	u32 at = 0, part;

	for (; at < e->len; at += part) {
		part = min_t(u32, e->len - at, GVM_EXIT_DATA_MAX);
		r.count = e->kind == GVM_EXIT_PIO ? part / e->size : part;
		r.data = e->data + at;
		r.len = e->write ? part : 0;
		if (!access_part(a, &r, e->data + at))
			return false;
	}
	return true;
}

/*
 * Offers that came between the engine's taking and here did not know of it: they are
 * void, as are all that come until the master has seen this.
 */
static bool taken(struct gvm_vcpu_agent *a, u8 vector)
{
	struct gvm_record r = {.type = GVM_REC_TAKEN, .vector = vector};
	bool ok = put(a, &r);

	a->cfg.x->irq(a->v, GVM_NO_VECTOR);
	return ok;
}

static bool stopped(struct gvm_vcpu_agent *a, s32 status, const char *text)
{
	struct gvm_record r = {.type = GVM_REC_STOPPED,
			       .status = status,
			       .data = (const u8 *)text,
			       .len = min_t(u32, strlen(text), 1024)};

	a->running = false;
	return put(a, &r);
}

/* Asleep: the lock is let go, any request wakes it. */
static bool sleeps(struct gvm_vcpu_agent *a, bool halted)
{
	struct gvm_record r = {.type = GVM_REC_HALTED};
	bool ok = !halted || put(a, &r);

	pthread_mutex_unlock(&a->lock);
	if (ok)
		a->cfg.x->wait(a->v, -1);
	pthread_mutex_lock(&a->lock);
	return ok;
}

static bool handle(struct gvm_vcpu_agent *a, struct gvm_exit *e)
{
	struct gvm_record tpr = {.type = GVM_REC_TPR, .vector = e->cr8};

	switch (e->kind) {
	case GVM_EXIT_PIO:
	case GVM_EXIT_MMIO:
		return access_all(a, e);
	case GVM_EXIT_HALT:
	case GVM_EXIT_WAIT:
		return sleeps(a, e->kind == GVM_EXIT_HALT);
	case GVM_EXIT_TAKEN:
		return taken(a, e->vector);
	case GVM_EXIT_TPR:
		return put(a, &tpr);
	case GVM_EXIT_KICKED:
		return true;
	case GVM_EXIT_SHUTDOWN:
		return stopped(a, -ECONNABORTED, e->text);
	default:
		return stopped(a, e->status ? e->status : -EIO, e->text);
	}
}

static void send_state(struct gvm_vcpu_agent *a, u64 seq)
{
	struct gvm_record r = {.type = GVM_REC_PIECE, .object = GVM_OBJECT_STATE};
	int len = a->cfg.x->get_state(a->v, &a->state, a->error);

	if (!len)
		len = gvm_vcpu_state_encode(a->outgoing, sizeof(a->outgoing), &a->state);
	if (len < 0) {
		done(a, seq, len, a->error);
		return;
	}
	for (r.count = len; r.offset < r.count; r.offset += r.len) {
		r.data = a->outgoing + r.offset;
		r.len = min_t(u32, r.count - r.offset, GVM_PIECE_MAX);
		if (!put(a, &r))
			return;
	}
	done(a, seq, 0, "");
}

static void take_state(struct gvm_vcpu_agent *a, u64 seq)
{
	int err = gvm_vcpu_state_decode(&a->state, a->incoming, a->incoming_len);

	a->incoming_len = 0;
	if (err)
		snprintf(a->error, sizeof(a->error), "what came is no vCPU state");
	else
		err = a->cfg.x->set_state(a->v, &a->state, a->error);
	done(a, seq, err, a->error);
}

/* Of a vCPU that stands still. true: there was something to do. */
static bool commands(struct gvm_vcpu_agent *a)
{
	u64 seq;

	if (a->refuse_seq) {
		seq = a->refuse_seq;
		a->refuse_seq = 0;
		done(a, seq, -EINVAL, "a piece of something else than the next of a vCPU's state");
	} else if (a->set_seq) {
		seq = a->set_seq;
		take_state(a, seq);
		a->set_seq = 0;
	} else if (a->stop_seq) {
		seq = a->stop_seq;
		a->stop_seq = 0;
		a->running = false;
		done(a, seq, 0, "");
	} else if (a->get_seq && !a->running) {
		seq = a->get_seq;
		a->get_seq = 0;
		send_state(a, seq);
	} else {
		return false;
	}
	a->cfg.wake(a->cfg.ctx);
	return true;
}

/*
 * A stop waits until the access that is open is complete: run says KICKED only then.
 * Whatever it says before is served first.
 */
static void *agent_thread(void *arg)
{
	struct gvm_vcpu_agent *a = arg;
	bool between = true; /* no access is open: it may stop here */

	pthread_mutex_lock(&a->lock);
	while (!dead(a)) {
		if (between && commands(a))
			continue;
		if (!a->running) {
			pthread_cond_wait(&a->changed, &a->lock);
			continue;
		}
		pthread_mutex_unlock(&a->lock);
		a->cfg.x->run(a->v, &a->exit);
		pthread_mutex_lock(&a->lock);
		between = a->exit.kind != GVM_EXIT_PIO && a->exit.kind != GVM_EXIT_MMIO;
		if (!dead(a) && !handle(a, &a->exit))
			break;
	}
	a->running = false;
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

static int start_thread(struct gvm_vcpu_agent *a, char *error)
{
	cpu_set_t set;
	int err = pthread_create(&a->thread, NULL, agent_thread, a);

	if (err) {
		snprintf(error, GVM_EXEC_ERROR_MAX, "a thread for vCPU %u: %s", a->cfg.vcpu.index,
			 strerror(err));
		return -err;
	}
	a->has_thread = true;
	if (a->cfg.cpu < 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET(a->cfg.cpu, &set);
	pthread_setaffinity_np(a->thread, sizeof(set), &set); /* a wish: no error if not */
	return 0;
}

int gvm_vcpu_agent_open(struct gvm_vcpu_agent **out, const struct gvm_vcpu_agent_config *cfg,
			char *error)
{
	struct gvm_vcpu_agent *a = calloc(1, sizeof(*a));
	int err;

	if (!a) {
		snprintf(error, GVM_EXEC_ERROR_MAX, "no memory for vCPU %u", cfg->vcpu.index);
		return -ENOMEM;
	}
	a->cfg = *cfg;
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->changed, NULL);
	gvm_exit_caller_init(&a->caller, cfg->vcpu.index, cfg->incarnation, &caller_ops, a);
	err = cfg->x->vcpu_open(&a->v, cfg->vm, &cfg->vcpu, error);
	if (!err)
		err = cfg->x->get_state(a->v, &a->state, error);
	if (!err)
		err = start_thread(a, error);
	if (err)
		gvm_vcpu_agent_close(a);
	else
		*out = a;
	return err;
}

void gvm_vcpu_agent_close(struct gvm_vcpu_agent *a)
{
	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->quit = true;
	if (a->v)
		a->cfg.x->kick(a->v);
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->lock);
	if (a->has_thread)
		pthread_join(a->thread, NULL);
	if (a->v)
		a->cfg.x->vcpu_close(a->v);
	pthread_cond_destroy(&a->changed);
	pthread_mutex_destroy(&a->lock);
	free(a);
}
