// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the set of a page's sharers costs: copyset_cost. For each number of sharers,
 * with ids spread by chance over all nodes and with ids in a row: bytes beyond the
 * directory entry, and time a member to add, to walk and to remove. Ends with
 * status 1 when a member costs more the more there are.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tables.h"
#include "touch.h"

#define LEAST_VISITS 500000 /* members a measurement */
#define REPEATS	     5
#define MEASURED     100
#define GROWTH	     8.0 /* what a member may cost against one of MEASURED: a step is a binary search */

static const u32 sizes[] = {0, 1, 3, 4, 100, 10000, 131072};

/* Ids in the order in which they come and go: by chance, or one after the other. */
static void draw_ids(u32 *ids, u32 n, bool scattered)
{
	u32 *all = calloc(GVM_MAX_SLAVES, sizeof(*all)), i, k, id;

	if (!all)
		die("no memory");
	for (i = 0; i < GVM_MAX_SLAVES; i++)
		all[i] = i;
	for (i = 0; i < n; i++) {
		k = i + (u32)(chance(i) % (GVM_MAX_SLAVES - i));
		id = scattered ? all[k] : i;
		all[k] = all[i];
		ids[i] = id;
	}
	free(all);
}

static u64 walk(const copyset_t *cs)
{
	u64 sum = 0;

	for (u32 id = copyset_next(cs, 0); id != GVM_NO_NODE; id = copyset_next(cs, id + 1))
		sum += id;
	return sum;
}

/* Nanoseconds a member, or a call for the empty set; the best of REPEATS, as others run too. */
static double time_walk(const copyset_t *cs, u32 n, u64 expected)
{
	u32 members = n ? n : 1, rounds = LEAST_VISITS / members + 1, i, k;
	double best = 1e18;

	for (k = 0; k < REPEATS; k++) {
		u64 start = cpu_ns();

		for (i = 0; i < rounds; i++)
			if (walk(cs) != expected)
				die("the set does not hold its %u members", n);
		best = min_t(double, best, (double)(cpu_ns() - start) / rounds / members);
	}
	return best;
}

static double add_all(copyset_t *cs, const u32 *ids, u32 n, struct counted *m)
{
	u64 start = cpu_ns();

	for (u32 i = 0; i < n; i++)
		if (copyset_add(cs, ids[i], &counted_ops, m))
			die("no memory for %u members", n);
	return n ? (double)(cpu_ns() - start) / n : 0;
}

static double remove_all(copyset_t *cs, const u32 *ids, u32 n, struct counted *m)
{
	u64 start = cpu_ns();

	for (u32 i = 0; i < n; i++)
		copyset_del(cs, ids[i], &counted_ops, m);
	return n ? (double)(cpu_ns() - start) / n : 0;
}

/* Returns the time of a walk a member. */
static double measure(u32 n, bool scattered)
{
	u32 *ids = calloc(n ? n : 1, sizeof(*ids)), i;
	struct counted m = {0};
	double added, walked, removed;
	copyset_t cs;
	u64 asked, sum = 0;

	if (!ids)
		die("no memory");
	draw_ids(ids, n, scattered);
	for (i = 0; i < n; i++)
		sum += ids[i];
	copyset_init(&cs);
	added = add_all(&cs, ids, n, &m);
	asked = m.asked;
	walked = time_walk(&cs, n, sum);
	removed = remove_all(&cs, ids, n, &m);
	if (copyset_count(&cs) || m.asked || m.blocks)
		die("a set of %u members leaves %llu bytes behind", n, (unsigned long long)m.asked);
	printf("%-9s %7u %7zu %8llu %9.3f %8.1f %8.1f %8.1f\n",
	       scattered ? "scattered" : "in a row", n, sizeof(cs), (unsigned long long)asked,
	       n ? (double)asked / n : 0, added, walked, removed);
	free(ids);
	return walked;
}

int main(void)
{
	double few = 0, most = 0, walked;
	size_t i;

	printf("%-9s %7s %7s %8s %9s %8s %8s %8s\n", "ids", "sharers", "inline", "beyond",
	       "B/sharer", "ns/add", "ns/walk", "ns/del");
	for (int scattered = 1; scattered >= 0; scattered--) {
		for (i = 0; i < ARRAY_SIZE(sizes) && sizes[i] <= GVM_MAX_SLAVES; i++) {
			walked = measure(sizes[i], scattered);
			if (sizes[i] == MEASURED)
				few = max_t(double, few, walked);
			most = max_t(double, most, walked);
		}
	}
	printf("%s: a walk costs at most %.1f ns a member, %.1f ns with %d\n",
	       most <= few * GROWTH ? "reached" : "NOT reached", most, few, MEASURED);
	return most <= few * GROWTH ? 0 : 1;
}
