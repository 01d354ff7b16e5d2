/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Litmus tests over the shared pages of several nodes. A test is a set of
 * threads, each at a node of its own (round robin when there are fewer nodes),
 * that run a body once a round, all at the same time.
 *
 *   litmus.c  options, nodes, threads, verdicts
 *   shapes.c  SB, MP, LB, IRIW, CoRR, 2+2W: outcomes x86-TSO forbids or permits
 *   locks.c   atomic increments, ticket and MCS locks, a ring
 */
#ifndef GVM_LITMUS_H
#define GVM_LITMUS_H

#include <stdint.h>

#define LITMUS_MAX_THREADS 4
#define LITMUS_JITTER_BITS 14 /* up to 2^14 pauses */
#define LITMUS_VARS	   8

struct litmus_run;

struct litmus_thread {
	struct litmus_run *run;
	unsigned int index;
	uint8_t *base; /* the RAM as this thread's node shows it */
	uint64_t seen[2];
	uint64_t start, end; /* time stamps of the round */
};

struct litmus_test {
	const char *name;
	unsigned int threads;
	/* One round; v is 2 in the first and grows by 2: what was there before is smaller. */
	void (*body)(struct litmus_thread *t, uint64_t v);
	/* After a round, by one thread: -1 forbidden, 1 the outcome that is permitted and relaxed.
	 */
	int (*judge)(const struct litmus_run *r, uint64_t v);
	/* After the last round. 0: right. */
	int (*final)(const struct litmus_run *r, uint64_t rounds);
};

struct litmus_run {
	const struct litmus_test *test;
	struct litmus_thread threads[LITMUS_MAX_THREADS];
	uint64_t rounds, forbidden, relaxed, overlapped;
	unsigned int judge; /* the thread that judges this round */
};

/* Variable i lies on a page, a stripe and so a home of its own. */
static inline volatile uint64_t *litmus_var(const struct litmus_thread *t, unsigned int i)
{
	return (volatile uint64_t *)(t->base + ((uint64_t)i * ((2 << 20) + 4096)) + 64);
}

static inline void litmus_fence(void)
{
	__asm__ volatile("mfence" ::: "memory");
}

extern const struct litmus_test litmus_shapes[], litmus_locks[];

#endif
