// SPDX-License-Identifier: GPL-2.0-or-later
#include "show.h"

#include <stdio.h>
#include <string.h>

#define MIB_PAGES 256.0

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "?";
}

static long long number(const json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

static double mib(long long pages)
{
	return (double)pages / MIB_PAGES;
}

void show_gateways(const json_t *answer)
{
	const json_t *list = json_object_get(answer, "gateways"), *g;
	size_t i;

	json_array_foreach((json_t *)list, i, g)
	{
		printf("gateway %lld at %s:%lld: %s", number(g, "id"), text(g, "ip"),
		       number(g, "port"), text(g, "state"));
		if (json_object_get(g, "age_ms"))
			printf(", heard %lld ms ago", number(g, "age_ms"));
		putchar('\n');
	}
}

static void show_range(const json_t *r, double range_mib)
{
	double from = (double)number(r, "range") * range_mib;

	printf("  %8.1f to %8.1f MiB: %lld faults, %lld upgrades, %lld invalidations, "
	       "%lld transfers\n",
	       from, from + range_mib, number(r, "faults"), number(r, "upgrades"),
	       number(r, "invalidations"), number(r, "transfers"));
}

void show_hot(const json_t *answer)
{
	double range_mib =
		mib(number(answer, "ram_pages")) / (double)number(answer, "ranges_of_ram");
	const json_t *o;
	size_t i;

	printf("VM %lld at slave %lld, pages that change hands most:\n", number(answer, "vm"),
	       number(answer, "slave"));
	json_array_foreach((json_t *)json_object_get(answer, "pages"), i, o)
	{
		printf("  page %lld: %lld transfers", number(o, "page"), number(o, "transfers"));
		if (number(o, "error"))
			printf(" (at least %lld)", number(o, "transfers") - number(o, "error"));
		putchar('\n');
	}
	puts("ranges of its RAM that were used:");
	json_array_foreach((json_t *)json_object_get(answer, "ranges"), i, o)
		show_range(o, range_mib);
}

static const json_t *find_home(const json_t *vm, long long id)
{
	const json_t *h;
	size_t i;

	json_array_foreach((json_t *)json_object_get(vm, "homes"), i,
			   h) if (number(h, "id") == id) return h;
	return NULL;
}

static void show_nodes(const json_t *answer)
{
	const json_t *list = json_object_get(answer, "nodes"), *n, *h;
	size_t i;

	json_array_foreach((json_t *)list, i, n)
	{
		printf("slave %lld: lends %.0f MiB, %.0f MiB free, heard %lld ms ago%s",
		       number(n, "id"), mib(number(n, "lent_pages")), mib(number(n, "free_pages")),
		       number(n, "age_ms"),
		       json_is_false(json_object_get(n, "alive")) ? ", gone" : "");
		h = find_home(json_object_get(answer, "vm"), number(n, "id"));
		if (h && json_object_get(h, "error"))
			printf("; holds pages of this VM, but %s", text(h, "error"));
		else if (h)
			printf("; holds %lld pages of this VM (%.1f MiB), touched %lld of its "
			       "share of %lld",
			       number(h, "stored_pages"), mib(number(h, "stored_pages")),
			       number(h, "touched_pages"), number(h, "reserved_pages"));
		putchar('\n');
	}
}

static void show_vm(const json_t *answer)
{
	const json_t *vm = json_object_get(answer, "vm"), *c = json_object_get(answer, "counters");
	const json_t *us = json_object_get(answer, "fault_us");

	printf("VM %lld: %s, %lld clients, RAM %lld MiB\n", number(vm, "id"),
	       json_is_true(json_object_get(vm, "attached")) ? "attached" : "nobody attached",
	       number(vm, "clients"), number(vm, "ram_bytes") >> 20);
	printf("local memory: %.1f MiB resident, budget %lld MiB\n",
	       (double)number(vm, "resident_bytes") / (1 << 20), number(vm, "budget_bytes") >> 20);
	printf("faults: %lld, latency p50 %lld us, p99 %lld us\n", number(us, "count"),
	       number(us, "p50"), number(us, "p99"));
	printf("pages: %lld in (%lld of them zero), %lld fetched ahead, %lld evicted, %lld written "
	       "back (%lld of them zero)\n",
	       number(c, "pages_in"), number(c, "pages_in_zero"), number(c, "prefetches"),
	       number(c, "evictions"), number(c, "writebacks"), number(c, "writebacks_zero"));
}

static void show_traffic(const json_t *answer)
{
	const json_t *c = json_object_get(answer, "counters");

	if (!json_object_get(c, "retransmits"))
		return;
	printf("messages: %lld in, %lld out, %lld sent again, %lld requests given up\n",
	       number(c, "rx_messages"), number(c, "tx_messages"), number(c, "retransmits"),
	       number(c, "rpc_failures"));
}

/* A gateway lists what has registered with it. */
static void show_registered(const json_t *answer)
{
	const json_t *list = json_object_get(answer, "nodes"), *n;
	size_t i;

	json_array_foreach((json_t *)list, i, n)
		printf("%s %lld at %s:%lld: %s, lends %.0f MiB\n", text(n, "kind"), number(n, "id"),
		       text(n, "ip"), number(n, "port"),
		       json_is_true(json_object_get(n, "alive")) ? "alive" : "gone",
		       mib(number(n, "lent_pages")));
}

void show_status(const json_t *answer)
{
	const char *program = text(answer, "program");

	printf("%s %lld: %s, %s\n", program, number(answer, "id"),
	       json_object_get(answer, "health") ? text(answer, "health") : "ok",
	       text(answer, "mode"));
	if (!strcmp(program, "giantvm_gateway")) {
		show_registered(answer);
		return;
	}
	if (!strcmp(program, "giantvm_slave"))
		printf("lends %.0f MiB, %.0f MiB reserved, %.1f MiB held\n",
		       mib(number(answer, "lent_pages")), mib(number(answer, "reserved_pages")),
		       mib(number(answer, "held_pages")));
	if (json_object_get(answer, "vm"))
		show_vm(answer);
	if (number(answer, "stalled_pages"))
		printf("stalled: %lld pages that no slave supplies\n",
		       number(answer, "stalled_pages"));
	show_nodes(answer);
	show_gateways(answer);
	show_traffic(answer);
}
