/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "litmus.h"

#include <err.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../client/gvm_client.h"

#define RAM_SIZE     (64ULL << 20)
#define MAX_NODES    8
#define LEAST_SHARED 100 /* rounds in a thousand that have to overlap in time */

struct options {
	const char *nodes[MAX_NODES];
	unsigned int nnodes;
	uint64_t rounds;
	const char *only;
};

/* Threads meet here; by turns spinning and yielding, since nodes share the processors. */
struct barrier {
	uint32_t count, arrived, turn;
};

struct crew {
	struct litmus_run run;
	struct barrier barrier;
};

static void barrier_wait(struct barrier *b)
{
	uint32_t turn = __atomic_load_n(&b->turn, __ATOMIC_ACQUIRE);
	unsigned int spins = 0;

	if (__atomic_add_fetch(&b->arrived, 1, __ATOMIC_ACQ_REL) == b->count) {
		b->arrived = 0;
		__atomic_store_n(&b->turn, turn + 1, __ATOMIC_RELEASE);
		return;
	}
	while (__atomic_load_n(&b->turn, __ATOMIC_ACQUIRE) == turn)
		if (++spins % 512 == 0)
			sched_yield();
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Some two bodies of the round ran at the same time. */
static bool round_overlapped(const struct litmus_run *r)
{
	for (unsigned int i = 0; i < r->test->threads; i++)
		for (unsigned int j = i + 1; j < r->test->threads; j++)
			if (r->threads[i].start < r->threads[j].end &&
			    r->threads[j].start < r->threads[i].end)
				return true;
	return false;
}

static void judge_round(struct litmus_run *r, uint64_t v)
{
	int verdict = r->test->judge ? r->test->judge(r, v) : 0;

	r->forbidden += verdict < 0;
	r->relaxed += verdict > 0;
	r->overlapped += round_overlapped(r);
}

/*
 * Bodies start a little apart, by another amount each round and up to another
 * bound from round to round, so that they meet in every way.
 */
static void jitter(uint32_t *seed, uint64_t round)
{
	*seed = *seed * 1664525 + 1013904223;
	for (uint32_t n = (*seed >> 16) % (2U << round % LITMUS_JITTER_BITS); n; n--)
		__asm__ volatile("pause" ::: "memory");
}

static void *thread_main(void *arg)
{
	struct litmus_thread *t = arg;
	struct crew *c = (struct crew *)t->run;
	uint32_t seed = t->index + 1;

	for (uint64_t i = 1; i <= t->run->rounds; i++) {
		barrier_wait(&c->barrier);
		jitter(&seed, i);
		t->start = now_ns();
		t->run->test->body(t, 2 * i);
		t->end = now_ns();
		barrier_wait(&c->barrier);
		/* By turns: whose node reads last begins the next round with a copy. */
		if (t->index == i % t->run->test->threads) {
			t->run->judge = t->index;
			judge_round(t->run, 2 * i);
		}
	}
	return NULL;
}

static bool run_test(const struct litmus_test *test, struct gvm_client *clients, unsigned int n,
		     uint64_t rounds)
{
	struct crew c = {.run = {.test = test, .rounds = rounds},
			 .barrier = {.count = test->threads}};
	pthread_t threads[LITMUS_MAX_THREADS];
	uint64_t start;
	bool ok;

	for (unsigned int i = 0; i < test->threads; i++)
		c.run.threads[i] = (struct litmus_thread){
			.run = &c.run, .index = i, .base = clients[i % n].base};
	for (unsigned int i = 0; i < LITMUS_VARS; i++)
		memset((void *)litmus_var(&c.run.threads[0], i), 0, 256);
	start = now_ns();
	for (unsigned int i = 0; i < test->threads; i++)
		if (pthread_create(&threads[i], NULL, thread_main, &c.run.threads[i]))
			errx(1, "cannot start a thread");
	for (unsigned int i = 0; i < test->threads; i++)
		pthread_join(threads[i], NULL);
	ok = !c.run.forbidden && (!test->final || !test->final(&c.run, rounds)) &&
	     c.run.overlapped * 1000 >= rounds * LEAST_SHARED;
	printf("%s %-12s %llu rounds, %llu forbidden, %llu relaxed, %llu overlapped, %.1f us a "
	       "round%s\n",
	       ok ? "ok    " : "not ok", test->name, (unsigned long long)rounds,
	       (unsigned long long)c.run.forbidden, (unsigned long long)c.run.relaxed,
	       (unsigned long long)c.run.overlapped,
	       (double)(now_ns() - start) / 1000 / (double)rounds,
	       test->final && test->final(&c.run, rounds) ? ", final state WRONG" : "");
	fflush(stdout);
	return ok;
}

static unsigned int run_table(const struct litmus_test *table, struct gvm_client *clients,
			      const struct options *o, unsigned int *passed)
{
	unsigned int failed = 0;

	for (; table->name; table++) {
		if (o->only && strcmp(o->only, table->name))
			continue;
		if (run_test(table, clients, o->nnodes, o->rounds))
			++*passed;
		else
			failed++;
	}
	return failed;
}

static int parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {{"node", required_argument, NULL, 'n'},
					      {"rounds", required_argument, NULL, 'r'},
					      {"test", required_argument, NULL, 't'},
					      {NULL, 0, NULL, 0}};
	char *end;
	int c;

	while ((c = getopt_long(argc, argv, "n:r:t:", longs, NULL)) != -1) {
		if (c == 'n' && o->nnodes < MAX_NODES) {
			o->nodes[o->nnodes++] = optarg;
		} else if (c == 'r') {
			o->rounds = strtoull(optarg, &end, 10);
			if (*end || !o->rounds)
				return -1;
		} else if (c == 't') {
			o->only = optarg;
		} else {
			return -1;
		}
	}
	return o->nnodes && optind == argc ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct options o = {.rounds = 10000};
	static struct gvm_client clients[MAX_NODES];
	unsigned int passed = 0, failed;

	if (parse(&o, argc, argv))
		errx(2,
		     "usage: litmus --node SOCKET [--node SOCKET...] [--rounds N] [--test NAME]");
	for (unsigned int i = 0; i < o.nnodes; i++)
		if (gvm_client_open(&clients[i], o.nodes[i], RAM_SIZE) < 0)
			errx(1, "%s", clients[i].error);
	failed = run_table(litmus_shapes, clients, &o, &passed);
	failed += run_table(litmus_locks, clients, &o, &passed);
	if (!passed && !failed)
		errx(2, "no test is named %s", o.only);
	for (unsigned int i = o.nnodes; i-- > 0;)
		gvm_client_detach(&clients[i]);
	printf("%u passed, %u failed\n", passed, failed);
	return failed ? 1 : 0;
}
