/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Recognises sequential and strided streams of faults. Free of locks: the agent's covers it. */
#ifndef GIANTVM_PREFETCH_H
#define GIANTVM_PREFETCH_H

#include "unified_driver.h"

#define GVM_STREAMS 8

struct gvm_stream {
	u64 last; /* page of the last fault */
	u64 next; /* the first page not asked for yet */
	s64 stride;
	u64 used;
	u32 window, run;
};

struct gvm_prefetch {
	struct gvm_stream streams[GVM_STREAMS];
	u64 clock;
	u32 max;
};

/* What to ask for ahead: first, first + stride, ... count pages; marker: the one to leave unmapped.
 */
struct gvm_ahead {
	u64 first, marker;
	s64 stride;
	u32 count;
};

void gvm_prefetch_init(struct gvm_prefetch *pf, u32 max);
/* A fault at page, in a VM of ram_pages. ahead->count may be 0. */
void gvm_prefetch_fault(struct gvm_prefetch *pf, u64 page, u64 ram_pages, struct gvm_ahead *ahead);

#endif
