/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the logic share. Lock order: agent or directory shard, then frames or rpc. */
#ifndef GIANTVM_NODE_H
#define GIANTVM_NODE_H

#include "logic_core.h"

struct gvm_rpc;
struct gvm_peers;
struct gvm_home;
struct gvm_agent;

struct gvm_node {
	struct gvm_node_config cfg;
	const struct dsm_driver_ops *ops;
	void *ctx;
	struct gvm_peers *peers;
	struct gvm_rpc *rpc;
	struct gvm_home *home;	 /* NULL when the node lends nothing */
	struct gvm_agent *agent; /* NULL when the node has no guest */
	struct gvm_node_stats stats;
};

#define gvm_stat_add(n, field, v) __atomic_fetch_add(&(n)->stats.field, (v), __ATOMIC_RELAXED)
#define gvm_stat_inc(n, field)	  gvm_stat_add(n, field, 1)

#define gvm_log(n, level, ...) (n)->ops->log((n)->ctx, level, __VA_ARGS__)

static inline void *gvm_table_alloc(struct gvm_node *n, size_t size)
{
	return n->ops->alloc_large_table(n->ctx, size);
}

static inline void gvm_table_free(struct gvm_node *n, void *p)
{
	if (p)
		n->ops->free_large_table(n->ctx, p);
}

/* splitmix64's finalizer: pages of one stripe spread over shards and buckets. */
static inline u64 gvm_hash(u64 x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ULL;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

/*
 * For tables that are walked in page order too: neighbours fall into one line of
 * buckets, and any other pattern is spread as well as gvm_hash does it.
 */
static inline u64 gvm_hash_page(u64 page)
{
	return gvm_hash(page >> 4) ^ (page & 15);
}

/* Versions are compared as serial numbers: a message 2^31 transactions late cannot be. */
static inline bool gvm_version_before(u32 a, u32 b)
{
	return (s32)(a - b) < 0;
}

#endif
