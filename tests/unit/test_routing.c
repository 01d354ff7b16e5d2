// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#define SLOTS (1ULL << GVM_SLAVE_BITS)

static bool no_memory;

static void *plain_alloc(void *ctx, size_t size)
{
	(void)ctx;
	return no_memory ? NULL : calloc(1, size);
}

static void plain_free(void *ctx, void *ptr)
{
	(void)ctx;
	free(ptr);
}

static const struct dsm_driver_ops ops = {.alloc_large_table = plain_alloc,
					  .free_large_table = plain_free};

static int build(struct gvm_route *r, const struct gvm_member *m, u32 n)
{
	return gvm_route_build(r, m, n, 5, GVM_STRIPE_SHIFT, &ops, NULL);
}

static void refusals(void **state)
{
	struct gvm_member twice[] = {{.id = 3, .weight = 1}, {.id = 3, .weight = 1}};
	struct gvm_member weightless[] = {{.id = 3, .weight = 0}};
	struct gvm_member beyond[] = {{.id = GVM_MAX_SLAVES, .weight = 1}};
	struct gvm_route r;

	(void)state;
	assert_int_equal(build(&r, twice, 0), -EINVAL);
	assert_int_equal(build(&r, NULL, 1), -EINVAL);
	assert_int_equal(build(&r, twice, 2), -EINVAL);
	assert_int_equal(build(&r, weightless, 1), -EINVAL);
	assert_int_equal(build(&r, beyond, 1), -EINVAL);
	no_memory = true;
	assert_int_equal(build(&r, twice, 1), -ENOMEM);
	no_memory = false;
}

static void gateway_is_one_shift(void **state)
{
	(void)state;
	assert_int_equal(gvm_gateway_of(0), 0);
	assert_int_equal(gvm_gateway_of((1U << GVM_ROUTING_SHIFT) - 1), 0);
	assert_int_equal(gvm_gateway_of(GVM_MAX_SLAVES - 1), GVM_MAX_GATEWAYS - 1);
}

/* A pure function of members and epoch: another node builds the same table. */
static void deterministic(void **state)
{
	struct gvm_member m[] = {{1, 3, 11}, {2, 5, 12}, {200, 1, 13}};
	struct gvm_route a, b;
	u64 page;

	(void)state;
	assert_int_equal(build(&a, m, 3), 0);
	m[1].boot_id = 999; /* a restart moves no page */
	assert_int_equal(build(&b, m, 3), 0);
	assert_int_equal(a.epoch, 5);
	for (page = 0; page < SLOTS << GVM_STRIPE_SHIFT; page += 1 << GVM_STRIPE_SHIFT)
		assert_int_equal(gvm_route_home(&a, page), gvm_route_home(&b, page));
	gvm_route_free(&a, &ops, NULL);
	gvm_route_free(&b, &ops, NULL);
	assert_null(a.slots);
}

static void a_stripe_has_one_home(void **state)
{
	struct gvm_member m[] = {{1, 1, 0}, {2, 1, 0}, {3, 1, 0}};
	u64 page, stripe = 1ULL << GVM_STRIPE_SHIFT;
	struct gvm_route r;

	(void)state;
	assert_int_equal(build(&r, m, 3), 0);
	for (page = 0; page < 64 * stripe; page++)
		assert_int_equal(gvm_route_home(&r, page),
				 gvm_route_home(&r, page & ~(stripe - 1)));
	gvm_route_free(&r, &ops, NULL);
}

/* Shares by counting, stripe by stripe. */
static u64 count_share(const struct gvm_route *r, u32 id, u64 ram_pages)
{
	u64 stripe = 1ULL << r->stripe_shift, at, n = 0;

	for (at = 0; at < ram_pages; at += stripe)
		if (gvm_route_home(r, at) == id)
			n += min_t(u64, stripe, ram_pages - at);
	return n;
}

static void shares_add_up(void **state)
{
	struct gvm_member m[] = {{4, 7, 0}, {9, 1, 0}, {33, 2, 0}, {250, 90, 0}};
	const u64 sizes[] = {1,
			     511,
			     512,
			     513,
			     196608,
			     262144 + 3,
			     (SLOTS << GVM_STRIPE_SHIFT) + 1,
			     3 * (SLOTS << GVM_STRIPE_SHIFT) + 77777};
	struct gvm_route r;
	u32 i, k;

	(void)state;
	assert_int_equal(build(&r, m, 4), 0);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		u64 sum = 0;

		for (k = 0; k < 4; k++) {
			u64 share = gvm_route_share(&r, m[k].id, sizes[i]);

			assert_int_equal(share, count_share(&r, m[k].id, sizes[i]));
			sum += share;
		}
		assert_int_equal(sum, sizes[i]);
		assert_int_equal(gvm_route_share(&r, 5, sizes[i]), 0);
	}
	gvm_route_free(&r, &ops, NULL);
}

/* Over the whole table each member has its weight's part, within 1 % or one slot. */
static void weights_respected(void **state)
{
	const u32 n = GVM_SLAVE_BITS < 10 ? 5 : 100;
	struct gvm_member *m = calloc(n, sizeof(*m));
	u64 seed = 3, total = 0, slots, want, slack;
	struct gvm_route r;
	u32 i;

	(void)state;
	assert_non_null(m);
	for (i = 0; i < n; i++) {
		m[i].id = i * 2 + 1;
		m[i].weight = 1 + (u32)(test_random(&seed) % 64);
		total += m[i].weight;
	}
	assert_int_equal(build(&r, m, n), 0);
	for (i = 0; i < n; i++) {
		slots = gvm_route_share(&r, m[i].id, SLOTS << GVM_STRIPE_SHIFT) >> GVM_STRIPE_SHIFT;
		want = SLOTS * m[i].weight / total;
		slack = want / 100 + 1;
		assert_in_range(slots, want > slack ? want - slack : 0, want + slack);
	}
	gvm_route_free(&r, &ops, NULL);
	free(m);
}

/* A guest of ordinary size is spread over equal slaves, too: nobody has twice his part. */
static void small_guests_are_spread(void **state)
{
	struct gvm_member m[] = {{0, 1, 0}, {1, 1, 0}, {2, 1, 0}};
	const u64 ram = 196608; /* 768 MiB: 384 stripes */
	struct gvm_route r;
	u32 i;

	(void)state;
	assert_int_equal(build(&r, m, 3), 0);
	for (i = 0; i < 3; i++)
		assert_in_range(gvm_route_share(&r, i, ram), ram / 3 * 85 / 100,
				ram / 3 * 115 / 100);
	gvm_route_free(&r, &ops, NULL);
}

/* As many members as ids: every one has its slot. */
static void every_slave(void **state)
{
	struct gvm_member *m = calloc(SLOTS, sizeof(*m));
	u8 *seen = calloc(1, SLOTS);
	struct gvm_route r;
	u64 i;

	(void)state;
	assert_non_null(m);
	assert_non_null(seen);
	for (i = 0; i < SLOTS; i++)
		m[i] = (struct gvm_member){.id = (u32)i, .weight = 1};
	assert_int_equal(build(&r, m, (u32)SLOTS), 0);
	for (i = 0; i < SLOTS; i++)
		seen[gvm_route_home(&r, i << GVM_STRIPE_SHIFT)]++;
	for (i = 0; i < SLOTS; i++)
		assert_int_equal(seen[i], 1);
	gvm_route_free(&r, &ops, NULL);
	free(m);
	free(seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refusals),
		cmocka_unit_test(gateway_is_one_shift),
		cmocka_unit_test(deterministic),
		cmocka_unit_test(a_stripe_has_one_home),
		cmocka_unit_test(shares_add_up),
		cmocka_unit_test(weights_respected),
		cmocka_unit_test(small_guests_are_spread),
		cmocka_unit_test(every_slave),
	};

	return cmocka_run_group_tests_name("routing", tests, NULL, NULL);
}
