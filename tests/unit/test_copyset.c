// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#define IDS (1U << 21)

/* Counts what is allocated, and fails when told to. */
struct heap {
	u64 bytes, blocks;
	bool empty;
};

static void *heap_alloc(void *ctx, size_t size)
{
	struct heap *heap = ctx;
	u64 *p = heap->empty ? NULL : calloc(1, size + sizeof(u64));

	if (!p)
		return NULL;
	p[0] = size;
	heap->bytes += size;
	heap->blocks++;
	return p + 1;
}

static void heap_free(void *ctx, void *ptr)
{
	struct heap *heap = ctx;
	u64 *p = (u64 *)ptr - 1;

	heap->bytes -= p[0];
	heap->blocks--;
	free(p);
}

static const struct dsm_driver_ops ops = {.alloc_large_table = heap_alloc,
					  .free_large_table = heap_free};

static void check_members(const copyset_t *cs, const u32 *sorted, u32 n)
{
	u32 id = copyset_next(cs, 0), i;

	assert_int_equal(copyset_count(cs), n);
	for (i = 0; i < n; i++) {
		assert_int_equal(id, sorted[i]);
		assert_true(copyset_has(cs, id));
		id = copyset_next(cs, id + 1);
	}
	assert_int_equal(id, GVM_NO_NODE);
}

static void inline_members(void **state)
{
	struct heap heap = {0};
	copyset_t cs;

	(void)state;
	copyset_init(&cs);
	assert_int_equal(sizeof(cs), 8);
	assert_int_equal(copyset_next(&cs, 0), GVM_NO_NODE);
	assert_int_equal(copyset_count(&cs), 0);
	assert_int_equal(copyset_add(&cs, GVM_NO_NODE - 1, &ops, &heap), 0);
	assert_int_equal(copyset_add(&cs, 0, &ops, &heap), 0);
	assert_int_equal(copyset_add(&cs, 77, &ops, &heap), 0);
	assert_int_equal(copyset_add(&cs, 77, &ops, &heap), 0);
	check_members(&cs, (const u32[]){0, 77, GVM_NO_NODE - 1}, 3);
	copyset_del(&cs, 0, &ops, &heap);
	copyset_del(&cs, 5, &ops, &heap);
	check_members(&cs, (const u32[]){77, GVM_NO_NODE - 1}, 2);
	assert_false(copyset_has(&cs, 0));
	copyset_del(&cs, GVM_NO_NODE - 1, &ops, &heap);
	copyset_del(&cs, 77, &ops, &heap);
	check_members(&cs, NULL, 0);
	assert_int_equal(heap.blocks, 0);
}

static void no_such_node(void **state)
{
	struct heap heap = {0};
	copyset_t cs;

	(void)state;
	copyset_init(&cs);
	assert_int_equal(copyset_add(&cs, GVM_NO_NODE, &ops, &heap), -EINVAL);
	assert_int_equal(copyset_add(&cs, 0xffffffff, &ops, &heap), -EINVAL);
	assert_false(copyset_has(&cs, GVM_NO_NODE));
	assert_false(copyset_has(&cs, 0xffffffff));
	copyset_del(&cs, 0xffffffff, &ops, &heap);
	assert_int_equal(copyset_next(&cs, 0xffffffff), GVM_NO_NODE);
	assert_int_equal(copyset_count(&cs), 0);
}

static void overflow_and_back(void **state)
{
	struct heap heap = {0};
	copyset_t cs;
	u32 i;

	(void)state;
	copyset_init(&cs);
	for (i = 0; i < 4; i++)
		assert_int_equal(copyset_add(&cs, i * 100, &ops, &heap), 0);
	assert_int_equal(heap.blocks, 1);
	assert_true(heap.bytes <= 64);
	check_members(&cs, (const u32[]){0, 100, 200, 300}, 4);
	copyset_del(&cs, 100, &ops, &heap);
	check_members(&cs, (const u32[]){0, 200, 300}, 3);
	copyset_del(&cs, 0, &ops, &heap);
	check_members(&cs, (const u32[]){200, 300}, 2);
	assert_int_equal(heap.blocks, 0);
}

static void out_of_memory(void **state)
{
	struct heap heap = {0};
	copyset_t cs;
	u32 i;

	(void)state;
	copyset_init(&cs);
	for (i = 0; i < 3; i++)
		assert_int_equal(copyset_add(&cs, i, &ops, &heap), 0);
	heap.empty = true;
	assert_int_equal(copyset_add(&cs, 9, &ops, &heap), -ENOMEM);
	check_members(&cs, (const u32[]){0, 1, 2}, 3);
	heap.empty = false;
	for (i = 0; i < 4; i++)
		assert_int_equal(copyset_add(&cs, i * 64, &ops, &heap), 0);
	heap.empty = true;
	assert_int_equal(copyset_add(&cs, 7 * 64, &ops, &heap), -ENOMEM);
	assert_int_equal(copyset_add(&cs, 3 * 64 + 1, &ops, &heap), 0);
	check_members(&cs, (const u32[]){0, 1, 2, 64, 128, 192, 193}, 7);
	/* Giving back needs no memory either. */
	for (i = 0; i < 200; i++)
		copyset_del(&cs, i, &ops, &heap);
	check_members(&cs, NULL, 0);
	assert_int_equal(heap.blocks, 0);
}

/* Against a plain bitmap, with ids that are dense, sparse, and everything between. */
static void like_a_bitmap(void **state)
{
	struct heap heap = {0};
	bool *model = calloc(IDS, sizeof(*model));
	u64 seed = 1, step;
	u32 members = 0, id, at;
	copyset_t cs;

	(void)state;
	assert_non_null(model);
	copyset_init(&cs);
	for (step = 0; step < 300000; step++) {
		u32 span = 1U << (2 + step / 16000);
		bool add = test_random(&seed) % 8 < (step / 10000 % 2 ? 3 : 5);

		id = (u32)(test_random(&seed) % (span < IDS - 1 ? span : IDS - 1));
		if (add)
			assert_int_equal(copyset_add(&cs, id, &ops, &heap), 0);
		else
			copyset_del(&cs, id, &ops, &heap);
		members += (u32)add - (u32)model[id];
		model[id] = add;
		assert_int_equal(copyset_count(&cs), members);
		assert_int_equal(copyset_has(&cs, id), add);
		if (step % 20000)
			continue;
		id = copyset_next(&cs, 0);
		for (at = 0; at < IDS - 1; at++) {
			if (!model[at])
				continue;
			assert_int_equal(id, at);
			id = copyset_next(&cs, id + 1);
		}
		assert_int_equal(id, GVM_NO_NODE);
	}
	copyset_free(&cs, &ops, &heap);
	assert_int_equal(copyset_count(&cs), 0);
	assert_int_equal(heap.blocks, 0);
	free(model);
}

/* 100,000 sharers: 1.6 bytes each in 2^17 nodes; the cost of 100 follows the 100. */
static void a_hundred_thousand(void **state)
{
	const u32 counts[] = {3, 100, 100000};
	u64 seed = 7, limit;
	copyset_t cs;
	u32 i, id, n;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		struct heap heap = {0};

		copyset_init(&cs);
		while (copyset_count(&cs) < counts[i])
			assert_int_equal(
				copyset_add(&cs, (u32)(test_random(&seed) % 131072), &ops, &heap),
				0);
		limit = counts[i] <= 3 ? 0 : 16 + min_t(u64, 20ULL * counts[i], 20480);
		print_message("%u sharers: %llu bytes beyond the 8 inline\n", counts[i],
			      (unsigned long long)heap.bytes);
		assert_true(heap.bytes <= limit);
		for (n = 0, id = copyset_next(&cs, 0); id != GVM_NO_NODE;
		     id = copyset_next(&cs, id + 1))
			n++;
		assert_int_equal(n, counts[i]);
		while ((id = copyset_next(&cs, 0)) != GVM_NO_NODE)
			copyset_del(&cs, id, &ops, &heap);
		assert_int_equal(heap.blocks, 0);
	}
}

/* The pointer's encoding keeps both a user's and a kernel's address. */
static void address_encoding(void **state)
{
	const u64 addresses[] = {0x10, 0x00007ffffffffff0ULL, 0xffff888012345678ULL,
				 0xffffffffffffff00ULL};
	u32 i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(addresses); i++) {
		u64 word = 1ULL << 63 | addresses[i] >> 1;

		assert_int_equal(word << 1, addresses[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inline_members),    cmocka_unit_test(no_such_node),
		cmocka_unit_test(overflow_and_back), cmocka_unit_test(out_of_memory),
		cmocka_unit_test(like_a_bitmap),     cmocka_unit_test(a_hundred_thousand),
		cmocka_unit_test(address_encoding),
	};

	return cmocka_run_group_tests_name("copyset", tests, NULL, NULL);
}
