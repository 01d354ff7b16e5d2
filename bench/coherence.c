// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Pages shared by several nodes of one VM: coherence node=SOCKET node=SOCKET ...
 * [measure=raw,read,upgrade,transfer,ping_pong,false_sharing] [cpu=N] [cpu2=N]
 * [services=N] [pages=N] [rounds=N] [settle=US] [seconds=N]. Attaches to every node
 * and touches the same page through the RAM of one after the other, so that each
 * touch that is timed is one transaction of the coherence protocol. What a page
 * holds is checked at every touch. Prints `NAME VALUE UNIT SAMPLES` lines.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../client/gvm_client.h"
#include "coherence.h"
#include "touch.h"

#define RAM_PAGES  4096
#define FIRST_PAGE 512 /* of those that are touched; one in STEP */
#define STEP	   8
#define FAULT_NS   5000 /* an access that takes longer has faulted */
#define BOTH	   2
#define SETTLE_US  2000

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

void coherence_print(const char *name, uint64_t *ns, uint64_t n)
{
	qsort(ns, n, sizeof(*ns), by_value);
	printf("%s_p50 %.2f us %llu\n", name, (double)ns[n / 2] / 1e3, (unsigned long long)n);
	printf("%s_p99 %.2f us %llu\n", name, (double)ns[n * 99 / 100] / 1e3,
	       (unsigned long long)n);
	fflush(stdout);
}

static volatile uint64_t *word(const struct coherence *c, unsigned int node, unsigned int page)
{
	return (volatile uint64_t *)(c->ram[node] + (FIRST_PAGE + page * STEP) * PAGE_BYTES);
}

static void settle(const struct coherence *c)
{
	usleep(c->settle_us);
}

static void check(uint64_t got, uint64_t expected, unsigned int node, unsigned int page)
{
	if (got == expected)
		return;
	errno = 0;
	die("node %u reads %llu from page %u, %llu was written", node, (unsigned long long)got,
	    page, (unsigned long long)expected);
}

static uint64_t timed_read(const struct coherence *c, unsigned int node, unsigned int page,
			   uint64_t expected)
{
	uint64_t start = now_ns(), got = *word(c, node, page), ns = now_ns() - start;

	check(got, expected, node, page);
	return ns;
}

static uint64_t timed_write(const struct coherence *c, unsigned int node, unsigned int page,
			    uint64_t value)
{
	uint64_t start = now_ns();

	*word(c, node, page) = value;
	return now_ns() - start;
}

static uint64_t *samples(const struct coherence *c)
{
	uint64_t *ns = calloc((size_t)c->pages * c->rounds, sizeof(*ns));

	if (!ns)
		die("no memory");
	return ns;
}

/* The page has one reader already, and its home has the bytes. */
static void measure_read(const struct coherence *c)
{
	uint64_t *ns = samples(c), n = 0, value = 0;
	unsigned int round, page;

	if (c->nodes < 3)
		die("read wants three nodes");
	for (round = 0; round < c->rounds; round++) {
		value++;
		for (page = 0; page < c->pages; page++)
			timed_write(c, 0, page, value);
		settle(c);
		for (page = 0; page < c->pages; page++)
			timed_read(c, 1, page, value);
		settle(c);
		for (page = 0; page < c->pages; page++)
			ns[n++] = timed_read(c, 2, page, value);
		settle(c);
	}
	coherence_print("read_shared", ns, n);
	free(ns);
}

/* Node 0 reads the page as the sharers do, then writes it. */
static void upgrade_round(const struct coherence *c, unsigned int sharers, uint64_t value,
			  uint64_t *ns)
{
	unsigned int node, page;

	for (node = 0; node <= sharers; node++)
		for (page = 0; page < c->pages; page++)
			timed_read(c, node, page, value);
	settle(c);
	for (page = 0; page < c->pages; page++)
		ns[page] = timed_write(c, 0, page, value + 1);
	settle(c);
}

/* In turns, so that what else the machine does hits all of them alike. */
static void measure_upgrade(const struct coherence *c)
{
	static const unsigned int sharers[] = {1, 3, 15};
	uint64_t *ns[3], value = 1000;
	unsigned int round, page, i, n = 0;
	char name[32];

	while (n < 3 && sharers[n] < c->nodes)
		ns[n++] = samples(c);
	for (page = 0; page < c->pages; page++)
		timed_write(c, 1, page, value);
	settle(c);
	for (round = 0; round < c->rounds; round++)
		for (i = 0; i < n; i++)
			upgrade_round(c, sharers[i], value++, ns[i] + (size_t)round * c->pages);
	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "upgrade_%u", sharers[i]);
		coherence_print(name, ns[i], (uint64_t)c->pages * c->rounds);
		free(ns[i]);
	}
}

/* A write of a page that another node has written, and has kept for a while. */
static void measure_transfer(const struct coherence *c)
{
	uint64_t *ns = samples(c), n = 0, value = 5000;
	unsigned int round, page;

	for (page = 0; page < c->pages; page++)
		timed_write(c, 1, page, value);
	for (round = 0; round < c->rounds; round++) {
		settle(c);
		for (page = 0; page < c->pages; page++) {
			ns[n++] = timed_write(c, round % BOTH, page, ++value);
			check(*word(c, round % BOTH, page), value, round % BOTH, page);
		}
	}
	coherence_print("transfer", ns, n);
	free(ns);
}

/* Two nodes write the same page in turns, each as soon as the other has. */
static void measure_ping_pong(const struct coherence *c)
{
	uint64_t *ns = samples(c), n = (uint64_t)c->pages * c->rounds, i, seen, start;

	*word(c, 0, 0) = 0;
	for (i = 0; i < n; i++) {
		start = now_ns();
		seen = __atomic_fetch_add(word(c, i % BOTH, 0), 1, __ATOMIC_SEQ_CST);
		ns[i] = now_ns() - start;
		check(seen, i, i % BOTH, 0);
	}
	coherence_print("ping_pong", ns, n);
	free(ns);
}

struct sharer {
	const struct coherence *c;
	volatile uint64_t *own; /* its word of the page */
	pthread_barrier_t *start;
	pthread_t thread;
	int cpu;
	uint64_t ops, faults;
};

static void *share(void *arg)
{
	struct sharer *s = arg;
	uint64_t until, before, now;

	pin_to(s->cpu);
	pthread_barrier_wait(s->start);
	now = now_ns();
	until = now + s->c->seconds * 1000000000ULL;
	while (now < until) {
		before = now;
		*s->own = ++s->ops;
		now = now_ns();
		s->faults += now - before > FAULT_NS;
	}
	return NULL;
}

/* Each of these nodes writes a word of its own of the same page. */
static void false_sharing(const struct coherence *c, unsigned int nodes, const char *name)
{
	struct sharer s[BOTH] = {{0}};
	uint64_t ops = 0, faults = 0;
	pthread_barrier_t start;
	unsigned int i;

	if (pthread_barrier_init(&start, NULL, nodes))
		die("pthread_barrier_init");
	for (i = 0; i < nodes; i++) {
		s[i] = (struct sharer){.c = c, .own = word(c, i, 1) + i * 8, .start = &start};
		s[i].cpu = c->cpus[i];
		*s[i].own = 0;
		if (pthread_create(&s[i].thread, NULL, share, &s[i]))
			die("pthread_create");
	}
	for (i = 0; i < nodes; i++) {
		pthread_join(s[i].thread, NULL);
		check(*s[i].own, s[i].ops, i, 1);
		ops += s[i].ops;
		faults += s[i].faults;
	}
	pthread_barrier_destroy(&start);
	printf("%s_writes %.0f writes/s %llu\n", name, (double)ops / c->seconds,
	       (unsigned long long)ops);
	printf("%s_stalls %.0f 1/s %llu\n", name, (double)faults / c->seconds,
	       (unsigned long long)faults);
}

static void measure(const struct coherence *c, const char *what)
{
	if (!strcmp(what, "raw"))
		coherence_raw(c);
	else if (!strcmp(what, "read"))
		measure_read(c);
	else if (!strcmp(what, "upgrade"))
		measure_upgrade(c);
	else if (!strcmp(what, "transfer"))
		measure_transfer(c);
	else if (!strcmp(what, "ping_pong"))
		measure_ping_pong(c);
	else if (!strcmp(what, "false_sharing"))
		for (unsigned int n = 1; n <= BOTH; n++)
			false_sharing(c, n, n == 1 ? "unshared" : "false_sharing");
	else
		die("nothing to measure is called %s", what);
}

struct settings {
	struct coherence c;
	char sockets[COHERENCE_NODES][108];
	char measure[96];
};

static int option(struct settings *s, const char *o)
{
	if (s->c.nodes < COHERENCE_NODES && sscanf(o, "node=%107s", s->sockets[s->c.nodes]) == 1)
		return ++s->c.nodes;
	return sscanf(o, "cpu=%d", &s->c.cpus[0]) == 1 ||
	       sscanf(o, "cpu2=%d", &s->c.cpus[1]) == 1 ||
	       sscanf(o, "services=%d", &s->c.services) == 1 ||
	       sscanf(o, "pages=%u", &s->c.pages) == 1 ||
	       sscanf(o, "rounds=%u", &s->c.rounds) == 1 ||
	       sscanf(o, "settle=%u", &s->c.settle_us) == 1 ||
	       sscanf(o, "seconds=%u", &s->c.seconds) == 1 ||
	       sscanf(o, "measure=%95s", s->measure) == 1;
}

int main(int argc, char **argv)
{
	static struct gvm_client clients[COHERENCE_NODES];
	static struct settings s = {.c = {.cpus = {-1, -1},
					  .services = -1,
					  .pages = 32,
					  .rounds = 10,
					  .settle_us = SETTLE_US,
					  .seconds = 2},
				    .measure = "raw,read,upgrade,transfer,ping_pong,false_sharing"};
	unsigned int i;
	char *what, *rest;

	for (i = 1; i < (unsigned int)argc; i++)
		if (!option(&s, argv[i]))
			die("unknown option %s", argv[i]);
	if (s.c.nodes < BOTH || !s.c.pages || !s.c.rounds || !s.c.seconds ||
	    FIRST_PAGE + s.c.pages * STEP > RAM_PAGES)
		die("two nodes at least, and at most %d pages", (RAM_PAGES - FIRST_PAGE) / STEP);
	for (i = 0; i < s.c.nodes; i++) {
		errno = 0;
		if (gvm_client_open(&clients[i], s.sockets[i], RAM_PAGES * PAGE_BYTES) < 0)
			die("%s", clients[i].error);
		s.c.ram[i] = clients[i].base;
	}
	pin_to(s.c.cpus[0]);
	for (what = strtok_r(s.measure, ",", &rest); what; what = strtok_r(NULL, ",", &rest))
		measure(&s.c, what);
	while (i-- > 0)
		gvm_client_detach(&clients[i]);
	return 0;
}
