// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Runs inside the guest: fills memory with generated data and reads it back in
 * several passes, each over all of it, so that a page is read long after it had
 * to leave a node whose budget is smaller.
 *
 * memcheck [mb=520] [seed=1] [threads=1] [random=N pages] [hold=1]
 *
 * Prints `GVM-GUEST: ...` lines and a verdict; exits 0 only if all agreed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "pattern.h"

#define MAX_REPORTS 16

struct check {
	uint64_t *base;
	uint64_t pages;
	uint64_t seed;
	uint64_t threads;
	uint64_t random_pages;
	bool hold;
	bool rewritten; /* every third page is of the second generation */
	pthread_mutex_t lock;
	uint64_t mismatches;
};

struct worker {
	struct check *c;
	uint64_t first, end;
	uint64_t sum;
	pthread_t thread;
};

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static struct pattern pattern_of(const struct check *c, uint64_t index)
{
	struct pattern p = {.seed = c->seed, .index = index, .generation = 1};

	if (c->rewritten && index % 3 == 0)
		p.generation = 2;
	return p;
}

static uint64_t *page_of(const struct check *c, uint64_t index)
{
	return c->base + index * PATTERN_WORDS;
}

static void report(struct check *c, uint64_t index, size_t word)
{
	pthread_mutex_lock(&c->lock);
	if (c->mismatches++ < MAX_REPORTS)
		printf("GVM-GUEST: mismatch page=%" PRIu64 " word=%zu got=%016" PRIx64 "\n", index,
		       word, page_of(c, index)[word]);
	pthread_mutex_unlock(&c->lock);
}

static void check_page(struct worker *w, uint64_t index)
{
	struct pattern p = pattern_of(w->c, index);
	uint64_t sum;
	size_t word = pattern_check(page_of(w->c, index), &p, &sum);

	w->sum += sum;
	if (word < PATTERN_WORDS)
		report(w->c, index, word);
}

static void *write_all(void *arg)
{
	struct worker *w = arg;
	struct pattern p;
	uint64_t i;

	for (i = w->first; i < w->end; i++) {
		p = pattern_of(w->c, i);
		w->sum += pattern_fill(page_of(w->c, i), &p);
	}
	return NULL;
}

static void *check_all(void *arg)
{
	struct worker *w = arg;
	uint64_t i;

	for (i = w->first; i < w->end; i++)
		check_page(w, i);
	return NULL;
}

/* Single pages all over the worker's part, in an order that no prefetch can guess. */
static void *check_random(void *arg)
{
	struct worker *w = arg;
	uint64_t span = w->end - w->first, n = w->c->random_pages / w->c->threads, i;

	for (i = 0; i < n && span; i++)
		check_page(w, w->first + pattern_mix(w->c->seed + i) % span);
	return NULL;
}

static void *rewrite_third(void *arg)
{
	struct worker *w = arg;
	struct pattern p;
	uint64_t i;

	for (i = (w->first + 2) / 3 * 3; i < w->end; i += 3) {
		p = pattern_of(w->c, i);
		pattern_fill(page_of(w->c, i), &p);
	}
	return NULL;
}

/* Runs one pass with every worker; returns the sum of the pages' checksums. */
static uint64_t pass(struct check *c, const char *name, void *(*fn)(void *))
{
	struct worker *workers = calloc(c->threads, sizeof(*workers));
	uint64_t i, sum = 0;
	double t = now_s();

	if (!workers)
		abort();
	for (i = 0; i < c->threads; i++) {
		workers[i].c = c;
		workers[i].first = c->pages * i / c->threads;
		workers[i].end = c->pages * (i + 1) / c->threads;
		if (pthread_create(&workers[i].thread, NULL, fn, &workers[i]))
			abort();
	}
	for (i = 0; i < c->threads; i++) {
		pthread_join(workers[i].thread, NULL);
		sum += workers[i].sum;
	}
	free(workers);
	printf("GVM-GUEST: pass %s: %.2f s, checksum %016" PRIx64 "\n", name, now_s() - t, sum);
	return sum;
}

/* Lets the host act while the data lies where it was evicted to. */
static void hold(void)
{
	char line[16];

	printf("GVM-GUEST: holding\n");
	if (!fgets(line, sizeof(line), stdin))
		printf("GVM-GUEST: nobody there, going on\n");
	else
		printf("GVM-GUEST: going on\n");
}

/* The written sum is of what was meant, the others of what memory gave back. */
static bool run(struct check *c)
{
	uint64_t written = pass(c, "write", write_all), read;
	bool same;

	if (c->hold)
		hold();
	read = pass(c, "read", check_all);
	same = read == written;
	pass(c, "random", check_random);
	c->rewritten = true;
	pass(c, "rewrite", rewrite_third);
	read = pass(c, "read again", check_all);
	return same && read != written && !c->mismatches;
}

static int parse(struct check *c, const char *arg)
{
	const char *eq = strchr(arg, '=');
	char *end;
	uint64_t v = eq ? strtoull(eq + 1, &end, 10) : 0;

	if (!eq || eq[1] < '0' || eq[1] > '9' || *end)
		return -EINVAL;
	if (!strncmp(arg, "mb=", 3) && v)
		c->pages = v << 8;
	else if (!strncmp(arg, "seed=", 5))
		c->seed = v;
	else if (!strncmp(arg, "threads=", 8) && v && v <= 256)
		c->threads = v;
	else if (!strncmp(arg, "random=", 7))
		c->random_pages = v;
	else if (!strncmp(arg, "hold=", 5))
		c->hold = v;
	else
		return -EINVAL;
	return 0;
}

int main(int argc, char **argv)
{
	struct check c = {.pages = 520 << 8, .seed = 1, .threads = 1, .random_pages = 20000};
	bool ok;
	int i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	pthread_mutex_init(&c.lock, NULL);
	for (i = 1; i < argc; i++) {
		if (parse(&c, argv[i])) {
			fprintf(stderr, "memcheck: '%s' is not an option with a number\n", argv[i]);
			return 2;
		}
	}
	c.base = mmap(NULL, c.pages * PATTERN_PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c.base == MAP_FAILED) {
		printf("GVM-GUEST: memcheck FAIL no memory for %" PRIu64 " MiB\n", c.pages >> 8);
		return 1;
	}
	printf("GVM-GUEST: memcheck %" PRIu64 " MiB, %" PRIu64 " threads\n", c.pages >> 8,
	       c.threads);
	ok = run(&c);
	printf("GVM-GUEST: memcheck %s bytes=%" PRIu64 " mismatches=%" PRIu64 "\n",
	       ok ? "PASS" : "FAIL", c.pages * PATTERN_PAGE, c.mismatches);
	return !ok;
}
