/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stripe -> slot -> slave. */
#include "node.h"

#define GVM_SLOTS (1U << GVM_SLAVE_BITS)

static int check_members(const struct gvm_member *m, u32 n)
{
	if (!m || !n || n > GVM_SLOTS)
		return -EINVAL;
	for (u32 i = 0; i < n; i++)
		if (m[i].id >= GVM_MAX_SLAVES || !m[i].weight || (i && m[i].id <= m[i - 1].id))
			return -EINVAL;
	return 0;
}

/* x with x * odd == 1 modulo 2^32, by Newton's iteration. */
static u32 inverse(u32 odd)
{
	u32 x = odd;

	for (int i = 0; i < 5; i++)
		x *= 2 - odd * x;
	return x;
}

/*
 * Rank r is slot r / C modulo the slots, C at the golden section of them, so
 * any run of neighbouring slots has its ranks spread evenly.
 */
u32 gvm_route_slot(u32 rank)
{
	return rank * inverse((u32)((u64)GVM_SLOTS * 618034 / 1000000) | 1) & (GVM_SLOTS - 1);
}

/* Each member owns a run of ranks as long as its weight asks for. */
static void fill_slots(struct gvm_route *r, u64 total)
{
	u64 acc = 0;
	u32 rank = 0;

	for (u32 i = 0; i < r->nmembers; i++) {
		acc += r->members[i].weight;
		for (; rank < acc * GVM_SLOTS / total; rank++)
			r->slots[gvm_route_slot(rank)] = r->members[i].id;
	}
}

int gvm_route_build(struct gvm_route *r, const struct gvm_member *members, u32 n, u32 epoch,
		    u32 stripe_shift, const struct dsm_driver_ops *ops, void *ctx)
{
	u64 total = 0;
	int err = check_members(members, n);

	if (err || stripe_shift > 30)
		return err ? err : -EINVAL;
	memset(r, 0, sizeof(*r));
	r->slots = ops->alloc_large_table(ctx, (size_t)GVM_SLOTS * sizeof(*r->slots));
	r->members = ops->alloc_large_table(ctx, (size_t)n * sizeof(*r->members));
	if (!r->slots || !r->members) {
		gvm_route_free(r, ops, ctx);
		return -ENOMEM;
	}
	memcpy(r->members, members, (size_t)n * sizeof(*members));
	r->nmembers = n;
	r->epoch = epoch;
	r->stripe_shift = stripe_shift;
	for (u32 i = 0; i < n; i++)
		total += members[i].weight;
	fill_slots(r, total);
	return 0;
}

void gvm_route_free(struct gvm_route *r, const struct dsm_driver_ops *ops, void *ctx)
{
	if (r->slots)
		ops->free_large_table(ctx, r->slots);
	if (r->members)
		ops->free_large_table(ctx, r->members);
	memset(r, 0, sizeof(*r));
}

u32 gvm_route_home(const struct gvm_route *r, u64 page)
{
	return r->slots[(page >> r->stripe_shift) & (GVM_SLOTS - 1)];
}

u64 gvm_route_share(const struct gvm_route *r, u32 member_id, u64 ram_pages)
{
	u64 stripe = 1ULL << r->stripe_shift;
	u64 stripes = ram_pages >> r->stripe_shift, rest = ram_pages & (stripe - 1);
	u64 rounds = stripes >> GVM_SLAVE_BITS, tail = stripes & (GVM_SLOTS - 1);
	u64 share = 0;

	for (u32 s = 0; s < GVM_SLOTS; s++) {
		if (r->slots[s] != member_id)
			continue;
		share += (rounds + (s < tail)) << r->stripe_shift;
		if (s == tail)
			share += rest;
	}
	return share;
}
