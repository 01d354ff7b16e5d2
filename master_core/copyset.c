// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The set of nodes that hold a copy of a page. Eight bytes as long as it has
 * at most three members: 21 bits each, holding id + 1, so that all-zero memory
 * is the empty set. Beyond that bit 63 is set and the other 63 hold the address
 * of a sparse set, shifted right by one: the address is even, and shifting back
 * restores the top bit of a kernel address as well as a user's.
 *
 * The sparse set is a sorted vector of blocks of 64 ids, kept as two arrays
 * (bitmaps, then block numbers: 10 bytes a block). Its cost follows the members,
 * not the highest id: 20 KiB at most for 2^17 nodes, 56 bytes for four.
 */
#include "unified_driver.h"

#define INLINE_IDS   3
#define INLINE_MASK  ((1ULL << GVM_NODE_ID_BITS) - 1)
#define SPARSE_FLAG  (1ULL << 63)
#define BLOCK_SHIFT  6
#define BLOCK_MASK   ((1U << BLOCK_SHIFT) - 1)
#define CAPACITY_MIN 4

static_assert(INLINE_IDS * GVM_NODE_ID_BITS <= 63, "inline ids leave bit 63 free");
static_assert(GVM_NODE_ID_BITS - BLOCK_SHIFT <= 16, "block number fits u16");

struct sparse_set {
	u32 members;
	u32 blocks;
	u32 capacity;
	u32 reserved;
	u64 bits[]; /* [capacity], followed by u16 number[capacity] */
};

static u64 word_get(const copyset_t *cs)
{
	return (u64)cs->w[1] << 32 | cs->w[0];
}

static void word_set(copyset_t *cs, u64 word)
{
	cs->w[0] = (u32)word;
	cs->w[1] = (u32)(word >> 32);
}

static struct sparse_set *sparse_get(const copyset_t *cs)
{
	u64 word = word_get(cs);

	return word & SPARSE_FLAG ? (struct sparse_set *)(uintptr_t)(word << 1) : NULL;
}

static void sparse_install(copyset_t *cs, struct sparse_set *s)
{
	word_set(cs, SPARSE_FLAG | (u64)(uintptr_t)s >> 1);
}

static u32 inline_get(u64 word, unsigned int i)
{
	return (u32)(word >> (i * GVM_NODE_ID_BITS) & INLINE_MASK) - 1;
}

static u64 inline_put(u32 id, unsigned int i)
{
	return (u64)(id + 1) << (i * GVM_NODE_ID_BITS);
}

/* The members of an inline word stand without gaps from slot 0 on. */
static unsigned int inline_count(u64 word)
{
	unsigned int n = 0;

	while (n < INLINE_IDS && word >> (n * GVM_NODE_ID_BITS) & INLINE_MASK)
		n++;
	return n;
}

static int inline_find(u64 word, u32 id)
{
	unsigned int i, n = inline_count(word);

	for (i = 0; i < n; i++)
		if (inline_get(word, i) == id)
			return (int)i;
	return -1;
}

static u16 *sparse_numbers(const struct sparse_set *s)
{
	return (u16 *)(uintptr_t)(s->bits + s->capacity);
}

static struct sparse_set *sparse_alloc(u32 capacity, const struct dsm_driver_ops *ops, void *ctx)
{
	struct sparse_set *s;

	s = ops->alloc_large_table(ctx, sizeof(*s) + capacity * (sizeof(u64) + sizeof(u16)));
	if (s)
		s->capacity = capacity;
	return s;
}

/* The first block whose number is at least this, s->blocks when there is none. */
static u32 sparse_search(const struct sparse_set *s, u32 number)
{
	const u16 *numbers = sparse_numbers(s);
	u32 low = 0, high = s->blocks;

	while (low < high) {
		u32 mid = low + (high - low) / 2;

		if (numbers[mid] < number)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool sparse_at(const struct sparse_set *s, u32 at, u32 number)
{
	return at < s->blocks && sparse_numbers(s)[at] == number;
}

/* Moves s to another capacity, at least s->blocks; on NULL s is still there. */
static struct sparse_set *sparse_resize(copyset_t *cs, struct sparse_set *s, u32 capacity,
					const struct dsm_driver_ops *ops, void *ctx)
{
	struct sparse_set *t = sparse_alloc(capacity, ops, ctx);

	if (!t)
		return NULL;
	t->members = s->members;
	t->blocks = s->blocks;
	memcpy(t->bits, s->bits, s->blocks * sizeof(u64));
	memcpy(sparse_numbers(t), sparse_numbers(s), s->blocks * sizeof(u16));
	sparse_install(cs, t);
	ops->free_large_table(ctx, s);
	return t;
}

/* Room for one more block is the caller's care. */
static void sparse_open_block(struct sparse_set *s, u32 at, u32 number)
{
	u16 *numbers = sparse_numbers(s);

	memmove(&s->bits[at + 1], &s->bits[at], (s->blocks - at) * sizeof(u64));
	memmove(&numbers[at + 1], &numbers[at], (s->blocks - at) * sizeof(u16));
	s->bits[at] = 0;
	numbers[at] = (u16)number;
	s->blocks++;
}

static void sparse_close_block(struct sparse_set *s, u32 at)
{
	u16 *numbers = sparse_numbers(s);

	s->blocks--;
	memmove(&s->bits[at], &s->bits[at + 1], (s->blocks - at) * sizeof(u64));
	memmove(&numbers[at], &numbers[at + 1], (s->blocks - at) * sizeof(u16));
}

static int sparse_add(copyset_t *cs, struct sparse_set *s, u32 id, const struct dsm_driver_ops *ops,
		      void *ctx)
{
	u32 number = id >> BLOCK_SHIFT, at = sparse_search(s, number);
	u64 bit = 1ULL << (id & BLOCK_MASK);

	if (!sparse_at(s, at, number)) {
		if (s->blocks == s->capacity) {
			s = sparse_resize(cs, s, s->capacity * 2, ops, ctx);
			if (!s)
				return -ENOMEM;
		}
		sparse_open_block(s, at, number);
	}
	s->members += !(s->bits[at] & bit);
	s->bits[at] |= bit;
	return 0;
}

static int inline_overflow(copyset_t *cs, u32 id, const struct dsm_driver_ops *ops, void *ctx)
{
	u64 word = word_get(cs);
	struct sparse_set *s = sparse_alloc(CAPACITY_MIN, ops, ctx);
	unsigned int i;

	if (!s)
		return -ENOMEM;
	sparse_install(cs, s);
	for (i = 0; i < INLINE_IDS; i++)
		sparse_add(cs, s, inline_get(word, i), ops, ctx);
	return sparse_add(cs, s, id, ops, ctx);
}

/*
 * Two members fewer than inline space before going back to it, and a quarter
 * full before halving: a member that comes and goes costs no allocation.
 */
static void sparse_shrink(copyset_t *cs, struct sparse_set *s, const struct dsm_driver_ops *ops,
			  void *ctx)
{
	u64 word = 0;
	u32 i, id = 0;

	if (s->members >= INLINE_IDS) {
		if (s->capacity > CAPACITY_MIN && s->blocks <= s->capacity / 4)
			sparse_resize(cs, s, s->capacity / 2, ops, ctx);
		return;
	}
	for (i = 0; i < s->members; i++) {
		id = copyset_next(cs, id);
		word |= inline_put(id++, i);
	}
	word_set(cs, word);
	ops->free_large_table(ctx, s);
}

void copyset_init(copyset_t *cs)
{
	word_set(cs, 0);
}

void copyset_free(copyset_t *cs, const struct dsm_driver_ops *ops, void *ctx)
{
	struct sparse_set *s = sparse_get(cs);

	if (s)
		ops->free_large_table(ctx, s);
	copyset_init(cs);
}

/* Also -EINVAL when id is not a node's. */
int copyset_add(copyset_t *cs, u32 id, const struct dsm_driver_ops *ops, void *ctx)
{
	struct sparse_set *s = sparse_get(cs);
	u64 word = word_get(cs);
	unsigned int n;

	if (id >= GVM_NO_NODE)
		return -EINVAL;
	if (s)
		return sparse_add(cs, s, id, ops, ctx);
	if (inline_find(word, id) >= 0)
		return 0;
	n = inline_count(word);
	if (n == INLINE_IDS)
		return inline_overflow(cs, id, ops, ctx);
	word_set(cs, word | inline_put(id, n));
	return 0;
}

static void inline_del(copyset_t *cs, u32 id)
{
	u64 old = word_get(cs), word = 0;
	unsigned int i, n = inline_count(old), kept = 0;

	for (i = 0; i < n; i++)
		if (inline_get(old, i) != id)
			word |= inline_put(inline_get(old, i), kept++);
	word_set(cs, word);
}

void copyset_del(copyset_t *cs, u32 id, const struct dsm_driver_ops *ops, void *ctx)
{
	struct sparse_set *s = sparse_get(cs);
	u32 at;

	if (!s) {
		inline_del(cs, id);
		return;
	}
	if (!copyset_has(cs, id))
		return;
	at = sparse_search(s, id >> BLOCK_SHIFT);
	s->bits[at] &= ~(1ULL << (id & BLOCK_MASK));
	s->members--;
	if (!s->bits[at])
		sparse_close_block(s, at);
	sparse_shrink(cs, s, ops, ctx);
}

bool copyset_has(const copyset_t *cs, u32 id)
{
	const struct sparse_set *s = sparse_get(cs);
	u32 number = id >> BLOCK_SHIFT, at;

	if (id >= GVM_NO_NODE)
		return false;
	if (!s)
		return inline_find(word_get(cs), id) >= 0;
	at = sparse_search(s, number);
	return sparse_at(s, at, number) && s->bits[at] >> (id & BLOCK_MASK) & 1;
}

u32 copyset_count(const copyset_t *cs)
{
	const struct sparse_set *s = sparse_get(cs);

	return s ? s->members : inline_count(word_get(cs));
}

static u32 inline_next(u64 word, u32 id)
{
	unsigned int i, n = inline_count(word);
	u32 least = GVM_NO_NODE;

	for (i = 0; i < n; i++)
		if (inline_get(word, i) >= id && inline_get(word, i) < least)
			least = inline_get(word, i);
	return least;
}

u32 copyset_next(const copyset_t *cs, u32 id)
{
	const struct sparse_set *s = sparse_get(cs);
	u32 number = id >> BLOCK_SHIFT, at;
	u64 bits;

	if (id >= GVM_NO_NODE)
		return GVM_NO_NODE;
	if (!s)
		return inline_next(word_get(cs), id);
	at = sparse_search(s, number);
	if (at == s->blocks)
		return GVM_NO_NODE;
	bits = s->bits[at];
	if (sparse_numbers(s)[at] == number)
		bits &= ~0ULL << (id & BLOCK_MASK);
	if (!bits) {
		if (++at == s->blocks)
			return GVM_NO_NODE;
		bits = s->bits[at];
	}
	return (u32)sparse_numbers(s)[at] << BLOCK_SHIFT | (u32)__builtin_ctzll(bits);
}
