// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Attaches to a node as QEMU does and uses the RAM from several threads, with
 * more pages than the node may hold: what was written must be read again.
 *
 *	attach_test SOCKET SIZE [--budget SIZE] [--threads N] [--rounds N] [--seed N]
 *		    [--part I:N] [--verify-only]
 *
 * With --part it uses only the I-th of N parts of each page, so that several
 * of them can share one RAM.
 */
#include <err.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "../../client/gvm_client.h"
#include "../../master_core/parse.h"

struct test {
	struct gvm_client client;
	u64 pages, budget, rounds, seed, threads;
	unsigned int first, end; /* words of a page */
	u32 *generation;	 /* what each page was last written with */
	bool verify_only;
	bool failed; /* atomic */
	u64 worst_resident;
};

struct runner {
	pthread_t thread;
	struct test *t;
	u64 index;
	u64 random;
};

static u64 next_random(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static u64 word_of(const struct test *t, u64 page, u32 generation, unsigned int i)
{
	u64 x = (page << 20 | generation) * 0x9e3779b97f4a7c15ULL + t->seed;

	return (x ^ x >> 29) * 0xbf58476d1ce4e5b9ULL + i;
}

/* Every fourth page is filled with zeroes from time to time. */
static bool is_zero(u64 page, u32 generation)
{
	return page % 4 == 3 && generation % 2 == 0;
}

static volatile u64 *page_at(const struct test *t, u64 page)
{
	return (volatile u64 *)(t->client.base + (page << GVM_PAGE_SHIFT));
}

static void write_page(struct test *t, u64 page, u32 generation)
{
	volatile u64 *p = page_at(t, page);
	unsigned int i;

	for (i = t->first; i < t->end; i++)
		p[i] = is_zero(page, generation) ? 0 : word_of(t, page, generation, i);
	t->generation[page] = generation;
}

static void check_page(struct test *t, u64 page)
{
	u32 generation = t->generation[page];
	volatile u64 *p = page_at(t, page);
	unsigned int i;

	for (i = t->first; i < t->end; i++) {
		u64 want = !generation || is_zero(page, generation)
				   ? 0
				   : word_of(t, page, generation, i);
		u64 got = p[i];

		if (got == want)
			continue;
		warnx("page %llu word %u: %016llx instead of %016llx (generation %u)",
		      (unsigned long long)page, i, (unsigned long long)got,
		      (unsigned long long)want, generation);
		__atomic_store_n(&t->failed, true, __ATOMIC_RELAXED);
		return;
	}
}

static bool failed(const struct test *t)
{
	return __atomic_load_n(&t->failed, __ATOMIC_RELAXED);
}

static void check_resident(struct test *t)
{
	struct stat st;
	u64 bytes;

	if (fstat(t->client.memfd, &st))
		err(1, "the memory object");
	bytes = (u64)st.st_blocks * 512;
	if (bytes > t->worst_resident)
		t->worst_resident = bytes;
	if (t->budget && bytes > t->budget) {
		warnx("%llu bytes are resident, the budget is %llu", (unsigned long long)bytes,
		      (unsigned long long)t->budget);
		__atomic_store_n(&t->failed, true, __ATOMIC_RELAXED);
	}
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void sweep(struct test *t, const char *name, u32 generation)
{
	double start = now();
	u64 page;

	for (page = 0; page < t->pages && !failed(t); page++) {
		if (generation)
			write_page(t, page, generation);
		else
			check_page(t, page);
		if (page % 256 == 0)
			check_resident(t);
	}
	printf("%s: %llu pages, %.0f pages/s\n", name, (unsigned long long)t->pages,
	       (double)t->pages / (now() - start));
}

/* Each thread has the pages whose number leaves its index; all of them share stripes. */
static void *run(void *arg)
{
	struct runner *r = arg;
	struct test *t = r->t;
	u64 i, mine = t->pages / t->threads;

	for (i = 0; i < t->rounds && !failed(t); i++) {
		u64 page = next_random(&r->random) % mine * t->threads + r->index;

		check_page(t, page);
		if (next_random(&r->random) % 2)
			write_page(t, page, t->generation[page] + 1);
		if (i % 64 == 0 && !r->index)
			check_resident(t);
	}
	return NULL;
}

static void random_access(struct test *t)
{
	struct runner *runners = calloc(t->threads, sizeof(*runners));
	double start = now();
	u64 i;

	if (!runners)
		errx(1, "out of memory");
	for (i = 0; i < t->threads; i++) {
		runners[i] = (struct runner){
			.t = t, .index = i, .random = (t->seed + i + 1) * 0x9e3779b97f4a7c15ULL};
		if (pthread_create(&runners[i].thread, NULL, run, &runners[i]))
			errx(1, "cannot start a thread");
	}
	for (i = 0; i < t->threads; i++)
		pthread_join(runners[i].thread, NULL);
	printf("random: %llu accesses by %llu threads, %.0f/s\n",
	       (unsigned long long)(t->rounds * t->threads), (unsigned long long)t->threads,
	       (double)(t->rounds * t->threads) / (now() - start));
	free(runners);
}

static void on_event(void *opaque, const struct gvm_ipc_event *e)
{
	(void)opaque;
	warnx("event %u: %s", e->kind, e->message);
}

static u64 number(const char *s, u64 min)
{
	u64 v;

	if (gvm_parse_number(s, min, UINT64_MAX, &v))
		errx(2, "'%s' is not a number", s);
	return v;
}

static u64 size(const char *s)
{
	u64 v;

	if (gvm_parse_size(s, &v))
		errx(2, "'%s' is not a size", s);
	return v;
}

static void part(struct test *t, const char *s)
{
	unsigned int i, n, words = GVM_PAGE_SIZE / 8;

	if (sscanf(s, "%u:%u", &i, &n) != 2 || i >= n || n > words)
		errx(2, "'%s' is not of the form I:N", s);
	t->first = words / n * i;
	t->end = words / n * (i + 1);
}

static const char *parse(struct test *t, int argc, char **argv)
{
	static const struct option options[] = {
		{"budget", required_argument, NULL, 'b'},
		{"threads", required_argument, NULL, 't'},
		{"rounds", required_argument, NULL, 'r'},
		{"seed", required_argument, NULL, 's'},
		{"verify-only", no_argument, NULL, 'v'},
		{"part", required_argument, NULL, 'p'},
		{NULL, 0, NULL, 0},
	};
	int opt;

	t->threads = 2;
	t->end = GVM_PAGE_SIZE / 8;
	t->rounds = 1000;
	t->seed = 1;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'b')
			t->budget = size(optarg);
		else if (opt == 't')
			t->threads = number(optarg, 1);
		else if (opt == 'r')
			t->rounds = number(optarg, 0);
		else if (opt == 's')
			t->seed = number(optarg, 0);
		else if (opt == 'p')
			part(t, optarg);
		else if (opt == 'v')
			t->verify_only = true;
		else
			exit(2);
	}
	if (argc - optind != 2)
		errx(2, "usage: attach_test SOCKET SIZE [OPTION]...");
	t->pages = size(argv[optind + 1]) >> GVM_PAGE_SHIFT;
	return argv[optind];
}

static void fill_and_check(struct test *t)
{
	sweep(t, "read of fresh pages", 0);
	sweep(t, "fill", 1);
	sweep(t, "check", 0);
	random_access(t);
	sweep(t, "fill again", 7);
	sweep(t, "check again", 0);
}

int main(int argc, char **argv)
{
	struct test t = {0};
	const char *socket = parse(&t, argc, argv);
	u64 page;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (gvm_client_open(&t.client, socket, t.pages << GVM_PAGE_SHIFT) < 0)
		errx(1, "%s", t.client.error);
	t.client.on_event = on_event;
	t.generation = calloc(t.pages, sizeof(*t.generation));
	if (!t.generation)
		errx(1, "out of memory");
	if (t.verify_only) {
		for (page = 0; page < t.pages; page++)
			t.generation[page] = 7;
		sweep(&t, "check of what was kept", 0);
	} else {
		fill_and_check(&t);
	}
	printf("resident at most %llu KiB: %s\n", (unsigned long long)t.worst_resident >> 10,
	       failed(&t) ? "FAILED" : "ok");
	gvm_client_detach(&t.client);
	free(t.generation);
	return failed(&t);
}
