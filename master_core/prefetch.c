/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "prefetch.h"

#define FIRST_WINDOW 4
#define MAX_STRIDE   64

void gvm_prefetch_init(struct gvm_prefetch *pf, u32 max)
{
	memset(pf, 0, sizeof(*pf));
	pf->max = max;
}

/* Between the last fault and the end of what was asked for, on the stream's grid. */
static bool stream_hit(const struct gvm_stream *s, u64 page)
{
	s64 off = (s64)(page - s->last), span = (s64)(s->next - s->last);

	if (!s->run || off == 0 || (off < 0) != (s->stride < 0) || off % s->stride)
		return false;
	return off / s->stride <= span / s->stride;
}

static bool stream_near(const struct gvm_stream *s, u64 page)
{
	s64 off = (s64)(page - s->last);

	return s->used && off != 0 && off >= -MAX_STRIDE && off <= MAX_STRIDE;
}

static struct gvm_stream *stream_find(struct gvm_prefetch *pf, u64 page)
{
	struct gvm_stream *near = NULL, *old = &pf->streams[0];

	for (unsigned int i = 0; i < GVM_STREAMS; i++) {
		struct gvm_stream *s = &pf->streams[i];

		if (stream_hit(s, page))
			return s;
		if (stream_near(s, page))
			near = s;
		if (s->used < old->used)
			old = s;
	}
	if (near)
		return near;
	memset(old, 0, sizeof(*old));
	return old;
}

/* The second step of the same length confirms a stream; steps of one page at once. */
static void stream_learn(struct gvm_stream *s, u64 page)
{
	s64 step = (s64)(page - s->last);

	if (s->used && (step == s->stride || step == 1)) {
		s->run = 1;
		s->window = FIRST_WINDOW;
		s->next = page + step;
	} else {
		s->run = 0;
	}
	s->stride = s->used ? step : 0;
}

static u32 clip(u64 first, s64 stride, u32 count, u64 ram_pages)
{
	u64 room;

	if (first >= ram_pages)
		return 0;
	room = stride > 0 ? (ram_pages - 1 - first) / stride : first / (u64)-stride;
	return min_t(u64, count, room + 1);
}

void gvm_prefetch_fault(struct gvm_prefetch *pf, u64 page, u64 ram_pages, struct gvm_ahead *ahead)
{
	struct gvm_stream *s;
	s64 done;

	ahead->count = 0;
	if (!pf->max)
		return;
	s = stream_find(pf, page);
	if (stream_hit(s, page)) {
		s->run++;
		s->window = min_t(u32, s->window * 2, pf->max);
		if (page == s->next)
			s->next = page + s->stride;
	} else {
		stream_learn(s, page);
	}
	s->last = page;
	s->used = ++pf->clock;
	if (!s->run)
		return;
	/* Keep up to two windows asked for beyond the fault. */
	done = ((s64)(s->next - page)) / s->stride - 1;
	if (done > s->window)
		return;
	ahead->first = s->next;
	ahead->stride = s->stride;
	ahead->count = clip(s->next, s->stride, min_t(u32, s->window, pf->max), ram_pages);
	ahead->marker = ahead->first;
	s->next += (s64)ahead->count * s->stride;
}
