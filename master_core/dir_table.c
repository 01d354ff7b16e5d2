/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Directory entries by page: linear hashing, so that the memory follows the pages
 * closely and nobody ever waits for a whole table to be built anew.
 *
 * The entries stand in chunks of CHUNK, behind them in each chunk the heads of
 * half as many chains. The last chunk may have less room; it moves when it gets
 * more. With every second entry that is added one chain is split in two.
 */
#include "home.h"

#define CHUNK_SHIFT 9
#define CHUNK	    (1U << CHUNK_SHIFT)

/* A benchmark counts the entries that are looked at. */
#ifndef GVM_DIR_PROBE
#define GVM_DIR_PROBE() ((void)0)
#endif

static struct gvm_dir_entry *entry(struct gvm_dir_shard *s, u32 index)
{
	return &s->chunks[(index - 1) >> CHUNK_SHIFT][(index - 1) & (CHUNK - 1)];
}

static u32 *head(struct gvm_dir_shard *s, u32 chain)
{
	u32 chunk = chain >> (CHUNK_SHIFT - 1);
	u32 room = min_t(u32, CHUNK, s->room - (chunk << CHUNK_SHIFT));

	return (u32 *)(s->chunks[chunk] + room) + (chain & (CHUNK / 2 - 1));
}

static u64 entry_page(const struct gvm_dir_entry *e)
{
	return (u64)e->page_hi << 32 | e->page_lo;
}

struct gvm_dir_shard *gvm_dir_shard_of(struct gvm_home_vm *vm, u64 page)
{
	return &vm->shards[(gvm_hash_page(page) >> 56) & (GVM_DIR_SHARDS - 1)];
}

/* Chains from s->chains on are not split off yet: their pages are at half the number. */
static u32 *chain_of(struct gvm_dir_shard *s, u64 page)
{
	u32 chain = (u32)gvm_hash_page(page) & s->mask;

	return head(s, chain < s->chains ? chain : chain & (s->mask >> 1));
}

struct gvm_dir_entry *gvm_dir_find(struct gvm_dir_shard *s, u64 page)
{
	struct gvm_dir_entry *e;

	if (!s->count)
		return NULL;
	for (u32 i = *chain_of(s, page); i; i = e->next) {
		e = entry(s, i);
		GVM_DIR_PROBE();
		if (entry_page(e) == page)
			return e;
	}
	return NULL;
}

/* One chain more: takes over what is its own of the chain that stood for both. */
static void split(struct gvm_dir_shard *s)
{
	u32 fresh = s->chains++, *at, *to;

	if (fresh > s->mask)
		s->mask = s->mask * 2 + 1;
	at = head(s, fresh & (s->mask >> 1));
	to = head(s, fresh);
	while (*at) {
		u32 i = *at;
		struct gvm_dir_entry *e = entry(s, i);

		GVM_DIR_PROBE();
		if (((u32)gvm_hash_page(entry_page(e)) & s->mask) == fresh) {
			*at = e->next;
			*to = i;
			to = &e->next;
		} else {
			at = &e->next;
		}
	}
	*to = 0;
}

/* The list of chunks doubles. */
static int grow_list(struct gvm_node *n, struct gvm_dir_shard *s)
{
	u32 room = s->nchunks ? s->nchunks * 2 : 1;
	struct gvm_dir_entry **list = gvm_table_alloc(n, room * sizeof(*list));

	if (!list)
		return -ENOMEM;
	if (s->nchunks)
		memcpy(list, s->chunks, s->nchunks * sizeof(*list));
	gvm_table_free(n, s->chunks);
	s->chunks = list;
	return 0;
}

/* Room for a sixteenth more, but no further than to the end of the last chunk. */
static int grow(struct gvm_node *n, struct gvm_dir_shard *s)
{
	u32 last = s->room >> CHUNK_SHIFT, had = s->room & (CHUNK - 1);
	u32 room = min_t(u32, CHUNK, had + max_t(u32, 2, s->room / 16 & ~1U));
	struct gvm_dir_entry *fresh;

	if (!had && !(last & (last - 1)) && grow_list(n, s))
		return -ENOMEM;
	fresh = gvm_table_alloc(n, room * sizeof(*fresh) + room / 2 * sizeof(u32));
	if (!fresh)
		return -ENOMEM;
	if (had) {
		memcpy(fresh, s->chunks[last], had * sizeof(*fresh));
		memcpy(fresh + room, s->chunks[last] + had, had / 2 * sizeof(u32));
		gvm_table_free(n, s->chunks[last]);
	}
	s->chunks[last] = fresh;
	s->nchunks = last + 1;
	s->room += room - had;
	return 0;
}

struct gvm_dir_entry *gvm_dir_get(struct gvm_node *n, struct gvm_dir_shard *s, u64 page)
{
	struct gvm_dir_entry *e = gvm_dir_find(s, page);
	u32 index = s->count + 1, *chain;

	if (e)
		return e;
	if (index > s->room && grow(n, s))
		return NULL;
	if (s->chains * 2 < index)
		split(s);
	e = entry(s, index);
	memset(e, 0, sizeof(*e));
	e->page_lo = (u32)page;
	e->page_hi = (u16)(page >> 32);
	copyset_init(&e->holders);
	chain = chain_of(s, page);
	e->next = *chain;
	*chain = index;
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
	s->chunks = NULL;
	s->count = s->room = s->nchunks = s->chains = s->mask = 0;
}
