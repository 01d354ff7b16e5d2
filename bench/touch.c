// SPDX-License-Identifier: GPL-2.0-or-later
#define _GNU_SOURCE
#include "touch.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

void die(const char *fmt, ...)
{
	int err = errno;
	va_list ap;

	fprintf(stderr, "%s: error: ", program_invocation_short_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, err ? ": %s\n" : "\n", strerror(err));
	exit(1);
}

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void pin_to(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("cannot run on CPU %d", cpu);
}

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

static uint64_t first_word(uint64_t page)
{
	return mix(page + 1);
}

void page_fill(void *bytes, uint64_t page)
{
	uint64_t *words = bytes, i;

	for (i = 0; i < PAGE_WORDS; i++)
		words[i] = first_word(page) + i;
}

static void *allocate(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		die("no memory for %zu items", n);
	return p;
}

/* Which pages are not in the memory object: the next touch of one is a fault. */
static uint64_t *pages_away(const struct ram *ram, uint64_t *n)
{
	unsigned char *there = allocate(ram->pages, 1);
	uint64_t *away = allocate(ram->pages, sizeof(*away)), page;

	if (mincore(ram->base, ram->pages * PAGE_BYTES, there))
		die("mincore");
	*n = 0;
	for (page = 0; page < ram->pages; page++)
		if (!(there[page] & 1))
			away[(*n)++] = page;
	free(there);
	if (!*n) {
		errno = 0;
		die("every page is there: nothing to measure");
	}
	return away;
}

static void shuffle(uint64_t *list, uint64_t n, uint64_t seed)
{
	uint64_t i, j, t;

	for (i = n - 1; i > 0; i--) {
		seed = mix(seed + i);
		j = seed % (i + 1);
		t = list[i];
		list[i] = list[j];
		list[j] = t;
	}
}

static void check(uint64_t page, uint64_t word)
{
	if (word == first_word(page))
		return;
	errno = 0;
	die("page %" PRIu64 " holds %#" PRIx64 ", not what was written to it", page, word);
}

static uint64_t read_page(const struct ram *ram, uint64_t page)
{
	return *(volatile uint64_t *)(ram->base + page * PAGE_BYTES);
}

/* Writes what a read expects, so that the page's later readers agree. */
static void write_page(const struct ram *ram, uint64_t page)
{
	*(volatile uint64_t *)(ram->base + page * PAGE_BYTES) = first_word(page);
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void print_percentiles(const char *name, uint64_t *ns, uint64_t n)
{
	qsort(ns, n, sizeof(*ns), by_value);
	printf("%s_p50 %.2f us %" PRIu64 "\n", name, ns[n / 2] / 1e3, n);
	printf("%s_p99 %.2f us %" PRIu64 "\n", name, ns[n * 99 / 100] / 1e3, n);
}

void measure_faults(const struct ram *ram, bool write, uint64_t n)
{
	uint64_t count, i, start, word, *ns, *away = pages_away(ram, &count);

	shuffle(away, count, ram->run * 2 + write);
	if (n > count)
		n = count;
	ns = allocate(n, sizeof(*ns));
	for (i = 0; i < n; i++) {
		start = now_ns();
		if (write)
			write_page(ram, away[i]);
		word = read_page(ram, away[i]);
		ns[i] = now_ns() - start;
		check(away[i], word);
	}
	/* The rest of a written page came from the other side. */
	for (i = 0; write && i < n; i += 64)
		check(away[i], read_page(ram, away[i]));
	print_percentiles(write ? "write_fault" : "read_fault", ns, n);
	free(ns);
	free(away);
}

void measure_sequential(const struct ram *ram, uint64_t n)
{
	uint64_t count, start, ns, page, *away = pages_away(ram, &count);

	/* In order, and over those that happen to be there too. */
	if (n < count)
		count = n;
	start = now_ns();
	for (page = 0; page <= away[count - 1]; page++)
		check(page, read_page(ram, page));
	ns = now_ns() - start;
	printf("seq_read_pages %.0f pages/s %" PRIu64 "\n", count * 1e9 / ns, count);
	free(away);
}

struct toucher {
	const struct ram *ram;
	const uint64_t *list;
	uint64_t n;
	pthread_barrier_t *start;
	pthread_t thread;
};

static void *touch_all(void *arg)
{
	struct toucher *t = arg;
	uint64_t i;

	pin_to(t->ram->cpu);
	pthread_barrier_wait(t->start);
	for (i = 0; i < t->n; i++)
		check(t->list[i], read_page(t->ram, t->list[i]));
	return NULL;
}

void measure_random(const struct ram *ram, unsigned int threads, uint64_t n)
{
	struct toucher *t = allocate(threads, sizeof(*t));
	uint64_t count, start, ns, *away = pages_away(ram, &count);
	pthread_barrier_t barrier;
	unsigned int i;

	shuffle(away, count, ram->run + 1000);
	n = (n < count ? n : count) / threads;
	if (pthread_barrier_init(&barrier, NULL, threads + 1))
		die("pthread_barrier_init");
	for (i = 0; i < threads; i++) {
		t[i] = (struct toucher){ram, away + i * n, n, &barrier, 0};
		if (pthread_create(&t[i].thread, NULL, touch_all, &t[i]))
			die("pthread_create");
	}
	pthread_barrier_wait(&barrier);
	start = now_ns();
	for (i = 0; i < threads; i++)
		pthread_join(t[i].thread, NULL);
	ns = now_ns() - start;
	printf("rand_read_pages %.0f pages/s %" PRIu64 "\n", n * threads * 1e9 / ns, n * threads);
	pthread_barrier_destroy(&barrier);
	free(away);
	free(t);
}
