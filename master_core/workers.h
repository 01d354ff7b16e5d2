/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The threads of a node. Each has a UDP socket of its own and waits for it, for
 * the descriptors they share (userfaultfds) and for the node's timer. What a
 * turn of the loop wants to send goes out together at its end.
 */
#ifndef GIANTVM_WORKERS_H
#define GIANTVM_WORKERS_H

#include "../slave_daemon/net_uring.h"
#include "logger.h"

struct gvm_worker;
struct gvm_workers;

/* A descriptor that every worker waits for; one of them is woken. */
struct gvm_source {
	int fd;
	void (*ready)(struct gvm_source *s);
	bool added; /* atomic: what came before gvm_workers_add is seen by ready */
};

struct gvm_workers_ops {
	void (*rx)(void *ctx, const u8 *datagram, size_t len, const struct sockaddr_in *from);
	/* The node's timer; returns when it is due next. */
	u64 (*tick)(void *ctx);
	/* Housekeeping, by the first worker only; returns when it is due next. */
	u64 (*periodic)(void *ctx, u64 now);
	/* The end of a turn, before what is queued goes out. */
	void (*end_turn)(void *ctx);
	/* Called before anything is sent. */
	void (*before_send)(void *ctx);
};

struct gvm_workers_config {
	unsigned int count;
	bool pin;	       /* each to a processor of its own */
	unsigned int spin_us;  /* polling before a worker sleeps */
	struct gvm_net **nets; /* count of them, which stay the caller's */
	const struct gvm_workers_ops *ops;
	void *ctx;
	const struct gvm_logger *log;
};

/* Monotonic microseconds. */
u64 gvm_now_us(void);

/* 0 or a negative errno. */
int gvm_workers_create(struct gvm_workers **out, const struct gvm_workers_config *cfg);
int gvm_workers_start(struct gvm_workers *ws);
/* Ends the threads; what they still had queued is sent once more. */
void gvm_workers_stop(struct gvm_workers *ws);
void gvm_workers_destroy(struct gvm_workers *ws);

/* The node's timer is due no later than at when. Any thread. */
void gvm_workers_arm(struct gvm_workers *ws, u64 when);

/* 0 or a negative errno. Not by a worker. */
int gvm_workers_add(struct gvm_workers *ws, struct gvm_source *s);
/* On return no worker uses s any more. Not by a worker. */
void gvm_workers_remove(struct gvm_workers *ws, struct gvm_source *s);

/* Waits until every worker has begun a new turn. Not by a worker. */
void gvm_workers_quiesce(struct gvm_workers *ws);

/* The worker that runs this, or NULL when it is none of ws. */
struct gvm_worker *gvm_worker_current(const struct gvm_workers *ws);
struct gvm_net *gvm_worker_net(struct gvm_worker *w);
unsigned int gvm_worker_index(const struct gvm_worker *w);
/* Sends what this worker has queued. */
void gvm_worker_flush(struct gvm_worker *w);

/* How many processors this process may use. */
unsigned int gvm_usable_cpus(void);
/*
 * How long it is worth to poll: a wake-up across processors costs more than that,
 * but where guest, master, gateway and slave share few of them, polling takes the
 * processor from whoever is waited for (on two, a third of the sequential pages
 * per second were left).
 */
unsigned int gvm_default_spin_us(void);

#endif
