/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The generated data of the guest's checks. A page's words follow from (seed,
 * index, generation) alone, so that any reader can say what belongs there; the
 * first words name the page, so that it can be recognised wherever it lies.
 */
#ifndef GVM_TEST_PATTERN_H
#define GVM_TEST_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATTERN_PAGE  4096
#define PATTERN_WORDS (PATTERN_PAGE / sizeof(uint64_t))
#define PATTERN_MAGIC 0x31454741504d5647ULL /* "GVMPAGE1" */

struct pattern {
	uint64_t seed;
	uint64_t index;
	uint64_t generation;
};

static inline uint64_t pattern_mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ULL;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static inline uint64_t pattern_next(uint64_t x)
{
	x ^= x << 13;
	x ^= x >> 7;
	return x ^ (x << 17);
}

static inline uint64_t pattern_start(const struct pattern *p)
{
	uint64_t x = pattern_mix(p->seed * 0x9e3779b97f4a7c15ULL + p->index);

	return pattern_mix(x + p->generation) | 1;
}

/* Fills a page; returns its checksum, which is never the same for two pages of one run. */
static inline uint64_t pattern_fill(uint64_t *page, const struct pattern *p)
{
	uint64_t x = pattern_start(p), sum = 0;
	size_t i;

	page[0] = PATTERN_MAGIC;
	page[1] = p->index;
	page[2] = p->generation;
	for (i = 3; i < PATTERN_WORDS; i++) {
		x = pattern_next(x);
		page[i] = x;
		sum += x * (2 * i + 1);
	}
	return sum;
}

/*
 * Reads a page. Returns the first word that is not what it has to be, or
 * PATTERN_WORDS; *sum is the checksum of what was read.
 */
static inline size_t pattern_check(const uint64_t *page, const struct pattern *p, uint64_t *sum)
{
	uint64_t x = pattern_start(p), s = 0, v;
	size_t i, bad = PATTERN_WORDS;

	for (i = PATTERN_WORDS - 1; i >= 3; i--)
		s += page[i] * (2 * i + 1);
	for (i = 3; i < PATTERN_WORDS; i++) {
		x = pattern_next(x);
		v = page[i];
		if (v != x && bad == PATTERN_WORDS)
			bad = i;
	}
	if (page[0] != PATTERN_MAGIC)
		bad = 0;
	else if (page[1] != p->index)
		bad = 1;
	else if (page[2] != p->generation)
		bad = 2;
	*sum = s;
	return bad;
}

#endif
