/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Aggregation of small messages, one buffer a slave. A buffer is allocated when
 * a message for that slave comes, shared by all threads under its own lock, and
 * handed over as one datagram when it is full, when the thread has nothing more
 * to receive, or at its deadline.
 */
#ifndef GVM_AGGREGATOR_H
#define GVM_AGGREGATOR_H

#include "counters.h"
#include "../common_include/giantvm_protocol.h"

/* Longer messages are not worth a copy. */
#define GVM_AGG_SMALL (GVM_DATAGRAM_MAX / 2)

/* The buffers of all slaves of a gateway, by index in its range. */
struct gvm_agg_table;
struct gvm_agg_table *gvm_agg_table_create(u32 nslaves); /* NULL: no memory */

/* What an aggregator sends with. Called with the slave's lock held. */
struct gvm_agg_ops {
	/* GVM_DATAGRAM_MAX bytes or NULL. */
	u8 *(*alloc)(void *ctx);
	/* Takes the buffer over. */
	void (*emit)(void *ctx, u32 slave, u8 *buffer, size_t len);
	void (*free)(void *ctx, u8 *buffer);
};

/* One thread's access to the table. */
struct gvm_aggregator {
	struct gvm_agg_table *table;
	const struct gvm_agg_ops *ops;
	void *ctx;
	struct gw_counters *counters;
	u64 flush_us; /* longest time a message is held back */
	u64 since_us; /* when the oldest slave listed was listed */
	u32 *listed;  /* slaves whose buffers this thread has to see to */
	u32 nlisted;
};

/* 0 or -ENOMEM. */
int gvm_aggregator_init(struct gvm_aggregator *a, struct gvm_agg_table *table,
			const struct gvm_agg_ops *ops, void *ctx, struct gw_counters *counters,
			u64 flush_us);
void gvm_aggregator_free(struct gvm_aggregator *a);
/* ops->free for every buffer left; after the last aggregator's end. */
void gvm_agg_table_destroy(struct gvm_agg_table *table, const struct gvm_agg_ops *ops, void *ctx);

/*
 * Adds len bytes (messages whole messages, len at most GVM_AGG_SMALL) to the
 * slave's buffer. 0 or -ENOMEM, then nothing was added.
 */
int gvm_agg_put(struct gvm_aggregator *a, u32 slave, const u8 *data, size_t len, u32 messages,
		u64 now_us);
/* Sends what is held for the slave, so that a long message keeps its place. */
void gvm_agg_flush_slave(struct gvm_aggregator *a, u32 slave);
/*
 * After each receive batch. drained: there was nothing more to receive, the
 * thread is going to sleep: everything leaves. Else only what is due.
 */
void gvm_agg_end_batch(struct gvm_aggregator *a, bool drained, u64 now_us);

#endif
