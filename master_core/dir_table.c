/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Directory entries by page: a chained hash of 32-bit indexes into chunks that never move. */
#include "home.h"

#define CHUNK_SHIFT   9
#define CHUNK	      (1U << CHUNK_SHIFT)
#define FIRST_BUCKETS 64

static struct gvm_dir_entry *entry(struct gvm_dir_shard *s, u32 index)
{
	return &s->chunks[index >> CHUNK_SHIFT][index & (CHUNK - 1)];
}

static u64 entry_page(const struct gvm_dir_entry *e)
{
	return (u64)e->page_hi << 32 | e->page_lo;
}

struct gvm_dir_shard *gvm_dir_shard_of(struct gvm_home_vm *vm, u64 page)
{
	return &vm->shards[(gvm_hash_page(page) >> 56) & (GVM_DIR_SHARDS - 1)];
}

static u32 *bucket(struct gvm_dir_shard *s, u64 page)
{
	return &s->buckets[gvm_hash_page(page) & s->bucket_mask];
}

struct gvm_dir_entry *gvm_dir_find(struct gvm_dir_shard *s, u64 page)
{
	if (!s->buckets)
		return NULL;
	for (u32 i = *bucket(s, page); i; i = entry(s, i)->next)
		if (entry_page(entry(s, i)) == page)
			return entry(s, i);
	return NULL;
}

static int rehash(struct gvm_node *n, struct gvm_dir_shard *s, u32 buckets)
{
	u32 *old = s->buckets, *fresh = gvm_table_alloc(n, (size_t)buckets * sizeof(*fresh));

	if (!fresh)
		return -ENOMEM;
	s->buckets = fresh;
	s->bucket_mask = buckets - 1;
	for (u32 i = 1; i <= s->count; i++) {
		u32 *b = bucket(s, entry_page(entry(s, i)));

		entry(s, i)->next = *b;
		*b = i;
	}
	gvm_table_free(n, old);
	return 0;
}

/* The list of chunks doubles; the chunks stay where they are. */
static int add_chunk(struct gvm_node *n, struct gvm_dir_shard *s)
{
	if ((s->nchunks & (s->nchunks - 1)) == 0) {
		u32 room = s->nchunks ? s->nchunks * 2 : 1;
		struct gvm_dir_entry **list = gvm_table_alloc(n, room * sizeof(*list));

		if (!list)
			return -ENOMEM;
		if (s->nchunks)
			memcpy(list, s->chunks, s->nchunks * sizeof(*list));
		gvm_table_free(n, s->chunks);
		s->chunks = list;
	}
	s->chunks[s->nchunks] = gvm_table_alloc(n, CHUNK * sizeof(struct gvm_dir_entry));
	if (!s->chunks[s->nchunks])
		return -ENOMEM;
	s->nchunks++;
	return 0;
}

struct gvm_dir_entry *gvm_dir_get(struct gvm_node *n, struct gvm_dir_shard *s, u64 page)
{
	struct gvm_dir_entry *e = gvm_dir_find(s, page);
	u32 index = s->count + 1;

	if (e)
		return e;
	if (!s->buckets && rehash(n, s, FIRST_BUCKETS))
		return NULL;
	if (index >> CHUNK_SHIFT >= s->nchunks && add_chunk(n, s))
		return NULL;
	/* A table that cannot grow only gets slower. */
	if (s->count > s->bucket_mask)
		rehash(n, s, (s->bucket_mask + 1) * 2);
	e = entry(s, index);
	memset(e, 0, sizeof(*e));
	e->page_lo = (u32)page;
	e->page_hi = (u16)(page >> 32);
	copyset_init(&e->holders);
	e->next = *bucket(s, page);
	*bucket(s, page) = index;
	s->count = index;
	gvm_stat_inc(n, touched_pages);
	return e;
}

void gvm_dir_for_each(struct gvm_dir_shard *s,
		      void (*fn)(struct gvm_node *n, struct gvm_home_vm *vm,
				 struct gvm_dir_entry *e),
		      struct gvm_node *n, struct gvm_home_vm *vm)
{
	for (u32 i = 1; i <= s->count; i++)
		fn(n, vm, entry(s, i));
}

void gvm_dir_free(struct gvm_node *n, struct gvm_dir_shard *s)
{
	gvm_stat_add(n, touched_pages, -(u64)s->count);
	for (u32 i = 0; i < s->nchunks; i++)
		gvm_table_free(n, s->chunks[i]);
	gvm_table_free(n, s->chunks);
	gvm_table_free(n, s->buckets);
	s->chunks = NULL;
	s->buckets = NULL;
	s->count = s->nchunks = s->bucket_mask = 0;
}
