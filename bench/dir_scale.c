// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The directory in a guest-physical space of 1 PiB: dir_scale [MOST-PAGES]. The
 * logic's own table (master_core/dir_table.c) is filled with 1,000, 10,000 ...
 * pages, up to three sharers each, and asked for them; what it allocates, how many
 * entries an operation looks at and how long it takes is printed. Ends with status 1
 * when a page costs more than 32 bytes, or when probes grow with the pages.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../master_core/home.h"
#include "tables.h"
#include "touch.h"

#define SPACE_BITS  38 /* pages of 1 PiB */
#define SPACE_MASK  ((1ULL << SPACE_BITS) - 1)
#define LOOK_UPS    1000000
#define BYTES_LIMIT 32.0
#define FLAT	    1.25 /* most probes against fewest, over all sizes */
#define HEAD_BYTES  (sizeof(u32) + sizeof(void *))
#define PROBE_BYTES (sizeof(struct gvm_dir_entry) + sizeof(void *))

unsigned long long dir_probes;

struct table {
	struct gvm_node *node;
	struct gvm_home_vm *vm;
	struct counted memory;
	bool scattered; /* else one page after the other */
	u64 pages;
};

struct cost {
	double probes, ns;
};

/* The least and the most probes of all sizes; over: some size needs too many bytes. */
struct verdict {
	double least, most;
	bool over;
};

/* The i-th page: every step can be undone, so no two are the same. */
static u64 page_number(const struct table *t, u64 i)
{
	if (!t->scattered)
		return i;
	i = i * 0x9e3779b97f4a7c15ULL & SPACE_MASK;
	i ^= i >> 19;
	i = i * 0xbf58476d1ce4e5b9ULL & SPACE_MASK;
	return i ^ i >> 20;
}

static void check_entry(const struct gvm_dir_entry *e, u64 page, u64 i)
{
	if (e->page_lo != (u32)page || e->page_hi != page >> 32 || e->version != (u32)i ||
	    copyset_count(&e->holders) != 1 + i % 3)
		die("the entry of page %llu is not what was put there", (unsigned long long)page);
}

static void insert(struct table *t, u64 i)
{
	u64 page = page_number(t, i), k;
	struct gvm_dir_shard *s = gvm_dir_shard_of(t->vm, page);
	struct gvm_dir_entry *e = gvm_dir_get(t->node, s, page);

	if (!e)
		die("no memory for %llu pages", (unsigned long long)t->pages);
	e->version = (u32)i;
	e->state = DIR_SHARED;
	/* Three ids that differ. */
	for (k = 0; k <= i % 3; k++)
		copyset_add(&e->holders, (u32)(chance(i) + k) % GVM_MAX_SLAVES, t->node->ops,
			    t->node->ctx);
}

/* worst: the most entries that one insertion looked at. */
static struct cost fill(struct table *t, u64 *worst)
{
	u64 start = cpu_ns(), i, before;
	struct cost c;

	*worst = dir_probes = 0;
	for (i = 0; i < t->pages; i++) {
		before = dir_probes;
		insert(t, i);
		*worst = max_t(u64, *worst, dir_probes - before);
	}
	c.ns = (double)(cpu_ns() - start) / (double)t->pages;
	c.probes = (double)dir_probes / (double)t->pages;
	return c;
}

static struct cost look_up(struct table *t, bool there)
{
	u64 start = cpu_ns(), k;

	dir_probes = 0;
	for (k = 0; k < LOOK_UPS; k++) {
		u64 i = chance(k) % t->pages + (there ? 0 : t->pages);
		u64 page = page_number(t, i);
		struct gvm_dir_entry *e = gvm_dir_find(gvm_dir_shard_of(t->vm, page), page);

		if (there != (e != NULL))
			die("page %llu is %s", (unsigned long long)page, e ? "there" : "not there");
		if (e)
			check_entry(e, page, i);
	}
	return (struct cost){.probes = (double)dir_probes / LOOK_UPS,
			     .ns = (double)(cpu_ns() - start) / LOOK_UPS};
}

static void report(struct table *t, struct verdict *v)
{
	u64 worst;
	struct cost in = fill(t, &worst), hit = look_up(t, true), miss = look_up(t, false);
	double bytes = (double)t->memory.asked / (double)t->pages;
	double taken = (double)t->memory.taken / (double)t->pages;

	printf("%-9s %9llu %7.2f %7.2f %7.2f %7.2f %7.2f %7llu %7.0f %7.0f %7.0f %7.0f\n",
	       t->scattered ? "scattered" : "in a row", (unsigned long long)t->pages, bytes, taken,
	       hit.probes, miss.probes, in.probes, (unsigned long long)worst,
	       HEAD_BYTES + hit.probes * PROBE_BYTES, hit.ns, miss.ns, in.ns);
	fflush(stdout);
	v->over |= bytes > BYTES_LIMIT;
	v->least = min_t(double, v->least, hit.probes);
	v->most = max_t(double, v->most, hit.probes);
}

static void open_table(struct table *t)
{
	t->node = calloc(1, sizeof(*t->node));
	t->vm = calloc(1, sizeof(*t->vm));
	if (!t->node || !t->vm)
		die("no memory");
	t->node->ops = &counted_ops;
	t->node->ctx = &t->memory;
}

static void close_table(struct table *t)
{
	for (u32 i = 0; i < GVM_DIR_SHARDS; i++)
		gvm_dir_free(t->node, &t->vm->shards[i]);
	if (t->memory.asked || t->memory.blocks)
		die("%llu blocks are not given back", (unsigned long long)t->memory.blocks);
	free(t->vm);
	free(t->node);
}

static void all_sizes(struct verdict *v, u64 most, bool scattered)
{
	for (u64 pages = 1000; pages <= most; pages *= 10) {
		struct table t = {.pages = pages, .scattered = scattered};

		open_table(&t);
		report(&t, v);
		close_table(&t);
	}
}

int main(int argc, char **argv)
{
	u64 most = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000000;
	struct verdict scattered = {.least = 1e9}, row = {.least = 1e9};
	bool ok;

	printf("a VM: %zu bytes whatever its size\n", sizeof(struct gvm_home_vm));
	printf("%-9s %9s %7s %7s %7s %7s %7s %7s %7s %7s %7s %7s\n", "pages", "touched", "B/page",
	       "+malloc", "found", "absent", "added", "worst", "B read", "ns", "absent", "added");
	all_sizes(&scattered, most, true);
	all_sizes(&row, most, false);
	ok = !scattered.over && scattered.most <= scattered.least * FLAT;
	printf("%s: at most %.0f bytes a page, probes between %.2f and %.2f\n",
	       ok ? "reached" : "NOT reached", BYTES_LIMIT, scattered.least, scattered.most);
	return ok ? 0 : 1;
}
