/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "litmus.h"

#include <stddef.h>

#define X(t) (*litmus_var(t, 0))
#define Y(t) (*litmus_var(t, 1))

static uint64_t seen(const struct litmus_run *r, unsigned int thread, unsigned int i)
{
	return r->threads[thread].seen[i];
}

/* Store buffering: with fences not both may miss the other's store. */
static void sb(struct litmus_thread *t, uint64_t v, int fenced)
{
	if (t->index == 0)
		X(t) = v;
	else
		Y(t) = v;
	if (fenced)
		litmus_fence();
	t->seen[0] = t->index == 0 ? Y(t) : X(t);
}

static void sb_plain(struct litmus_thread *t, uint64_t v)
{
	sb(t, v, 0);
}

static void sb_fenced(struct litmus_thread *t, uint64_t v)
{
	sb(t, v, 1);
}

static int sb_missed(const struct litmus_run *r, uint64_t v)
{
	return seen(r, 0, 0) < v && seen(r, 1, 0) < v;
}

static int sb_fenced_judge(const struct litmus_run *r, uint64_t v)
{
	return sb_missed(r, v) ? -1 : 0;
}

/* Message passing: who sees the flag sees the data. */
static void mp(struct litmus_thread *t, uint64_t v)
{
	if (t->index == 0) {
		X(t) = v;
		Y(t) = v;
	} else {
		t->seen[0] = Y(t);
		t->seen[1] = X(t);
	}
}

static int mp_judge(const struct litmus_run *r, uint64_t v)
{
	return seen(r, 1, 0) == v && seen(r, 1, 1) < v ? -1 : 0;
}

/* Load buffering: not both loads see the other's later store. */
static void lb(struct litmus_thread *t, uint64_t v)
{
	if (t->index == 0) {
		t->seen[0] = X(t);
		Y(t) = v;
	} else {
		t->seen[0] = Y(t);
		X(t) = v;
	}
}

static int lb_judge(const struct litmus_run *r, uint64_t v)
{
	return seen(r, 0, 0) == v && seen(r, 1, 0) == v ? -1 : 0;
}

/* Independent reads of independent writes: all readers see one order. */
static void iriw(struct litmus_thread *t, uint64_t v)
{
	switch (t->index) {
	case 0:
		X(t) = v;
		break;
	case 1:
		Y(t) = v;
		break;
	case 2:
		t->seen[0] = X(t);
		t->seen[1] = Y(t);
		break;
	default:
		t->seen[0] = Y(t);
		t->seen[1] = X(t);
	}
}

static int iriw_judge(const struct litmus_run *r, uint64_t v)
{
	return seen(r, 2, 0) == v && seen(r, 2, 1) < v && seen(r, 3, 0) == v && seen(r, 3, 1) < v
		       ? -1
		       : 0;
}

/* Coherence of reads: a location never goes back. */
static void corr(struct litmus_thread *t, uint64_t v)
{
	if (t->index == 0) {
		X(t) = v;
	} else {
		t->seen[0] = X(t);
		t->seen[1] = X(t);
	}
}

static int corr_judge(const struct litmus_run *r, uint64_t v)
{
	(void)v;
	for (unsigned int i = 1; i < r->test->threads; i++)
		if (seen(r, i, 1) < seen(r, i, 0))
			return -1;
	return 0;
}

/* 2+2W: the first store of each thread may not both be the last of its location. */
static void two_w(struct litmus_thread *t, uint64_t v)
{
	if (t->index == 0) {
		X(t) = v;
		Y(t) = v + 1;
	} else {
		Y(t) = v;
		X(t) = v + 1;
	}
}

static int two_w_judge(const struct litmus_run *r, uint64_t v)
{
	const struct litmus_thread *t = &r->threads[r->judge];

	return X(t) == v && Y(t) == v ? -1 : 0;
}

const struct litmus_test litmus_shapes[] = {
	{"SB", 2, sb_plain, sb_missed, NULL},  {"SB+mfence", 2, sb_fenced, sb_fenced_judge, NULL},
	{"MP", 2, mp, mp_judge, NULL},	       {"LB", 2, lb, lb_judge, NULL},
	{"IRIW", 4, iriw, iriw_judge, NULL},   {"CoRR", 3, corr, corr_judge, NULL},
	{"2+2W", 2, two_w, two_w_judge, NULL}, {NULL, 0, NULL, NULL, NULL},
};
