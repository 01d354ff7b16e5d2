// SPDX-License-Identifier: GPL-2.0-or-later
#include "aggregator.h"

#include <stdlib.h>

struct agg_buffer {
	gvm_lock_t lock;
	u8 *data; /* NULL: nothing held */
	u32 len;
	bool listed; /* some thread has it on its list */
};

struct gvm_agg_table {
	u32 nslaves;
	struct agg_buffer buffers[];
};

struct gvm_agg_table *gvm_agg_table_create(u32 nslaves)
{
	struct gvm_agg_table *t = calloc(1, sizeof(*t) + nslaves * sizeof(t->buffers[0]));

	if (!t)
		return NULL;
	t->nslaves = nslaves;
	for (u32 i = 0; i < nslaves; i++)
		gvm_lock_init(&t->buffers[i].lock);
	return t;
}

void gvm_agg_table_destroy(struct gvm_agg_table *table, const struct gvm_agg_ops *ops, void *ctx)
{
	if (!table)
		return;
	for (u32 i = 0; i < table->nslaves; i++) {
		if (table->buffers[i].data)
			ops->free(ctx, table->buffers[i].data);
		pthread_mutex_destroy(&table->buffers[i].lock);
	}
	free(table);
}

int gvm_aggregator_init(struct gvm_aggregator *a, struct gvm_agg_table *table,
			const struct gvm_agg_ops *ops, void *ctx, struct gw_counters *counters,
			u64 flush_us)
{
	*a = (struct gvm_aggregator){
		.table = table, .ops = ops, .ctx = ctx, .counters = counters, .flush_us = flush_us};
	a->listed = calloc(table->nslaves, sizeof(*a->listed));
	return a->listed ? 0 : -ENOMEM;
}

void gvm_aggregator_free(struct gvm_aggregator *a)
{
	free(a->listed);
	a->listed = NULL;
}

static void emit(struct gvm_aggregator *a, u32 slave, struct agg_buffer *b, enum gw_counter why)
{
	u8 *data = b->data;

	if (!data)
		return;
	b->data = NULL;
	gw_count(a->counters, why, 1);
	a->ops->emit(a->ctx, slave, data, b->len);
}

/* Whoever lists a buffer sees to it at the end of its batch. Lock held. */
static void list(struct gvm_aggregator *a, u32 slave, struct agg_buffer *b, u64 now_us)
{
	if (b->listed)
		return;
	b->listed = true;
	if (!a->nlisted)
		a->since_us = now_us;
	a->listed[a->nlisted++] = slave;
}

static int put_locked(struct gvm_aggregator *a, u32 slave, struct agg_buffer *b, const u8 *data,
		      size_t len)
{
	if (b->data && b->len + len > GVM_DATAGRAM_MAX)
		emit(a, slave, b, GW_flush_full);
	if (!b->data) {
		b->data = a->ops->alloc(a->ctx);
		b->len = 0;
	}
	if (!b->data)
		return -ENOMEM;
	memcpy(b->data + b->len, data, len);
	b->len += len;
	return 0;
}

int gvm_agg_put(struct gvm_aggregator *a, u32 slave, const u8 *data, size_t len, u32 messages,
		u64 now_us)
{
	struct agg_buffer *b = &a->table->buffers[slave];
	int err;

	gvm_lock(&b->lock);
	err = put_locked(a, slave, b, data, len);
	if (!err) {
		gw_count(a->counters, GW_aggregated, messages);
		if (b->len + GVM_HEADER_SIZE > GVM_DATAGRAM_MAX)
			emit(a, slave, b, GW_flush_full);
		else
			list(a, slave, b, now_us);
	}
	gvm_unlock(&b->lock);
	return err;
}

void gvm_agg_flush_slave(struct gvm_aggregator *a, u32 slave)
{
	struct agg_buffer *b = &a->table->buffers[slave];

	gvm_lock(&b->lock);
	emit(a, slave, b, GW_flush_ordered);
	gvm_unlock(&b->lock);
}

void gvm_agg_end_batch(struct gvm_aggregator *a, bool drained, u64 now_us)
{
	enum gw_counter why = drained ? GW_flush_drained : GW_flush_deadline;

	if (!a->nlisted || (!drained && now_us - a->since_us < a->flush_us))
		return;
	for (u32 i = 0; i < a->nlisted; i++) {
		struct agg_buffer *b = &a->table->buffers[a->listed[i]];

		gvm_lock(&b->lock);
		b->listed = false;
		emit(a, a->listed[i], b, why);
		gvm_unlock(&b->lock);
	}
	a->nlisted = 0;
}
