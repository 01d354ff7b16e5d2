/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "litmus.h"

#include <sched.h>
#include <stddef.h>

#define PER_ROUND 2 /* critical sections or items of a thread in a round */

/* Spins a while, then lets others run: the nodes need the processors too. */
static void wait_a_bit(unsigned int *spins)
{
	if (++*spins % 64)
		__asm__ volatile("pause" ::: "memory");
	else
		sched_yield();
}

static void increments(struct litmus_thread *t, uint64_t v)
{
	(void)v;
	for (int i = 0; i < PER_ROUND; i++)
		__atomic_fetch_add(litmus_var(t, 0), 1, __ATOMIC_SEQ_CST);
}

static int increments_final(const struct litmus_run *r, uint64_t rounds)
{
	return *litmus_var(&r->threads[0], 0) != rounds * PER_ROUND * r->test->threads;
}

/* Variable 2: a counter that only the lock protects. */
static void critical_section(struct litmus_thread *t)
{
	uint64_t n = *litmus_var(t, 2);

	__asm__ volatile("pause" ::: "memory");
	*litmus_var(t, 2) = n + 1;
}

static int critical_final(const struct litmus_run *r, uint64_t rounds)
{
	return *litmus_var(&r->threads[0], 2) != rounds * PER_ROUND * r->test->threads;
}

/* Ticket lock: variable 0 the next ticket, variable 1 who is served. */
static void ticket(struct litmus_thread *t, uint64_t v)
{
	(void)v;
	for (int i = 0; i < PER_ROUND; i++) {
		uint64_t mine = __atomic_fetch_add(litmus_var(t, 0), 1, __ATOMIC_SEQ_CST);
		unsigned int spins = 0;

		while (__atomic_load_n(litmus_var(t, 1), __ATOMIC_ACQUIRE) != mine)
			wait_a_bit(&spins);
		critical_section(t);
		__atomic_store_n(litmus_var(t, 1), mine + 1, __ATOMIC_RELEASE);
	}
}

/*
 * MCS lock: variable 0 the tail (thread index + 1), variables 3.. a node each:
 * word 0 "wait", word 1 the successor.
 */
static volatile uint64_t *mcs_node(const struct litmus_thread *t, uint64_t index)
{
	return litmus_var(t, 3 + (unsigned int)index);
}

static void mcs_lock(struct litmus_thread *t)
{
	volatile uint64_t *me = mcs_node(t, t->index);
	unsigned int spins = 0;
	uint64_t before;

	me[0] = 1;
	me[1] = 0;
	before = __atomic_exchange_n(litmus_var(t, 0), t->index + 1, __ATOMIC_SEQ_CST);
	if (!before)
		return;
	__atomic_store_n(&mcs_node(t, before - 1)[1], t->index + 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&me[0], __ATOMIC_ACQUIRE))
		wait_a_bit(&spins);
}

static void mcs_unlock(struct litmus_thread *t)
{
	volatile uint64_t *me = mcs_node(t, t->index);
	uint64_t mine = t->index + 1, next;
	unsigned int spins = 0;

	if (!__atomic_load_n(&me[1], __ATOMIC_ACQUIRE) &&
	    __atomic_compare_exchange_n(litmus_var(t, 0), &mine, 0, 0, __ATOMIC_SEQ_CST,
					__ATOMIC_SEQ_CST))
		return;
	while (!(next = __atomic_load_n(&me[1], __ATOMIC_ACQUIRE)))
		wait_a_bit(&spins);
	__atomic_store_n(&mcs_node(t, next - 1)[0], 0, __ATOMIC_RELEASE);
}

static void mcs(struct litmus_thread *t, uint64_t v)
{
	(void)v;
	for (int i = 0; i < PER_ROUND; i++) {
		mcs_lock(t);
		critical_section(t);
		mcs_unlock(t);
	}
}

/* Ring of 16: variable 0 written, variable 1 read, the items on variable 3's page. */
#define RING 16

static void produce(struct litmus_thread *t, uint64_t item)
{
	unsigned int spins = 0;

	while (item - __atomic_load_n(litmus_var(t, 1), __ATOMIC_ACQUIRE) >= RING)
		wait_a_bit(&spins);
	litmus_var(t, 3)[item % RING] = item * 0x9e3779b97f4a7c15ULL;
	__atomic_store_n(litmus_var(t, 0), item + 1, __ATOMIC_RELEASE);
}

static uint64_t consume(struct litmus_thread *t, uint64_t item)
{
	unsigned int spins = 0;
	uint64_t got;

	while (__atomic_load_n(litmus_var(t, 0), __ATOMIC_ACQUIRE) <= item)
		wait_a_bit(&spins);
	got = litmus_var(t, 3)[item % RING];
	__atomic_store_n(litmus_var(t, 1), item + 1, __ATOMIC_RELEASE);
	return got;
}

static void ring(struct litmus_thread *t, uint64_t v)
{
	uint64_t first = (v / 2 - 1) * PER_ROUND;

	t->seen[0] = 0;
	for (uint64_t i = first; i < first + PER_ROUND; i++) {
		if (t->index == 0)
			produce(t, i);
		else if (consume(t, i) != i * 0x9e3779b97f4a7c15ULL)
			t->seen[0]++;
	}
}

static int ring_judge(const struct litmus_run *r, uint64_t v)
{
	(void)v;
	return r->threads[1].seen[0] ? -1 : 0;
}

const struct litmus_test litmus_locks[] = {
	{"increments", 4, increments, NULL, increments_final},
	{"ticket lock", 3, ticket, NULL, critical_final},
	{"MCS lock", 4, mcs, NULL, critical_final},
	{"ring", 2, ring, ring_judge, NULL},
	{NULL, 0, NULL, NULL, NULL},
};
