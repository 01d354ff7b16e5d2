// SPDX-License-Identifier: GPL-2.0-or-later
/* Virtual time: a heap of events, ordered by time and then by age. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim.h"

struct sim_event {
	u64 at;
	u64 seq;
	sim_fn fn;
	void *who;
	u64 what;
};

struct sim_queue {
	struct sim_event *heap;
	size_t count;
	size_t capacity;
	u64 seq;
};

static bool earlier(const struct sim_event *a, const struct sim_event *b)
{
	return a->at < b->at || (a->at == b->at && a->seq < b->seq);
}

static void swap(struct sim_event *a, struct sim_event *b)
{
	struct sim_event t = *a;

	*a = *b;
	*b = t;
}

int sim_queue_create(struct sim *s)
{
	s->queue = calloc(1, sizeof(*s->queue));
	return s->queue ? 0 : -ENOMEM;
}

/* Events that own memory are packets: network.c frees them by running them. */
void sim_queue_destroy(struct sim *s)
{
	if (s->queue)
		free(s->queue->heap);
	free(s->queue);
	s->queue = NULL;
}

static bool queue_reserve(struct sim_queue *q)
{
	size_t capacity = q->capacity ? q->capacity * 2 : 256;
	struct sim_event *heap;

	if (q->count < q->capacity)
		return true;
	heap = realloc(q->heap, capacity * sizeof(*heap));
	if (!heap)
		return false;
	q->heap = heap;
	q->capacity = capacity;
	return true;
}

void sim_at(struct sim *s, u64 delay_us, sim_fn fn, void *who, u64 what)
{
	struct sim_queue *q = s->queue;
	size_t i;

	if (!queue_reserve(q)) {
		sim_fail(s, "out of memory for events");
		return;
	}
	i = q->count++;
	q->heap[i] = (struct sim_event){s->now + delay_us, q->seq++, fn, who, what};
	while (i > 0 && earlier(&q->heap[i], &q->heap[(i - 1) / 2])) {
		swap(&q->heap[i], &q->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
}

static struct sim_event queue_pop(struct sim_queue *q)
{
	struct sim_event first = q->heap[0];
	size_t i = 0;

	q->heap[0] = q->heap[--q->count];
	for (;;) {
		size_t least = i, child = 2 * i + 1;

		if (child < q->count && earlier(&q->heap[child], &q->heap[least]))
			least = child;
		if (child + 1 < q->count && earlier(&q->heap[child + 1], &q->heap[least]))
			least = child + 1;
		if (least == i)
			return first;
		swap(&q->heap[i], &q->heap[least]);
		i = least;
	}
}

bool sim_step(struct sim *s, u64 until)
{
	struct sim_event e;

	if (s->queue->count == 0 || s->queue->heap[0].at > until)
		return false;
	e = queue_pop(s->queue);
	s->now = e.at;
	s->counts.events++;
	e.fn(s, e.who, e.what);
	return true;
}

/* splitmix64 */
u64 sim_random(struct sim *s)
{
	u64 z = s->rng += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

u64 sim_below(struct sim *s, u64 n)
{
	return n ? sim_random(s) % n : 0;
}

bool sim_chance(struct sim *s, u32 ppm)
{
	return ppm && sim_below(s, 1000000) < ppm;
}

void sim_fail(struct sim *s, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (s->failed)
		return;
	s->failed = true;
	n = snprintf(s->reason, sizeof(s->reason), "at %llu us: ", (unsigned long long)s->now);
	va_start(ap, fmt);
	vsnprintf(s->reason + n, sizeof(s->reason) - n, fmt, ap);
	va_end(ap);
	sim_trace(s, "FAILED %s", s->reason);
}

void sim_trace(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (!s->cfg.verbose)
		return;
	fprintf(stderr, "%10llu ", (unsigned long long)s->now);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}
