// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A fixed amount of memory and compute work over a working set that is touched
 * beforehand: what a guest's speed is compared by.
 *
 * mix [MIB=48] [ROUNDS=20]; prints `GVM-GUEST: mix us=N checksum=X`.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pattern.h"

struct mix {
	uint64_t *words;
	size_t n; /* a power of two */
	uint64_t sum;
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000ULL + t.tv_nsec / 1000;
}

/* Streams: read one half, write the other. */
static void stream(struct mix *m)
{
	size_t half = m->n / 2, i;

	for (i = 0; i < half; i++)
		m->words[half + i] = m->words[i] * 3 + i;
}

/* Dependent loads all over the working set. */
static void chase(struct mix *m)
{
	size_t at = m->sum & (m->n - 1), i;

	for (i = 0; i < m->n / 8; i++)
		at = (m->words[at] + i) & (m->n - 1);
	m->sum += at;
}

/* Arithmetic in registers with branches that depend on data. */
static void compute(struct mix *m)
{
	uint64_t x = m->sum | 1, odd = 0;
	size_t i;

	for (i = 0; i < m->n; i++) {
		x = pattern_next(x);
		if (x & 4)
			odd += x >> 7;
		else
			odd ^= x;
	}
	m->sum += odd;
}

/* Copies of page size, as a kernel or a database does them. */
static void copy(struct mix *m)
{
	size_t pages = m->n / PATTERN_WORDS / 2, i;

	for (i = 0; i < pages; i++)
		memcpy(m->words + (pages + i) * PATTERN_WORDS,
		       m->words + (pages - 1 - i) * PATTERN_WORDS, PATTERN_PAGE);
}

int main(int argc, char **argv)
{
	size_t mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 48;
	unsigned long rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 20, r;
	struct mix m = {.n = 1024};
	uint64_t start, i;

	while (m.n * 2 * sizeof(*m.words) <= mib << 20)
		m.n *= 2;
	m.words = malloc(m.n * sizeof(*m.words));
	if (!mib || !rounds || !m.words) {
		fprintf(stderr, "usage: mix MIB ROUNDS (and as much memory)\n");
		return 2;
	}
	for (i = 0; i < m.n; i++)
		m.words[i] = pattern_mix(i + 1);
	printf("GVM-GUEST: mix starts\n");
	fflush(stdout);
	start = now_us();
	for (r = 0; r < rounds; r++) {
		stream(&m);
		chase(&m);
		compute(&m);
		copy(&m);
	}
	printf("GVM-GUEST: mix us=%" PRIu64 " checksum=%016" PRIx64 "\n", now_us() - start, m.sum);
	return 0;
}
