// SPDX-License-Identifier: GPL-2.0-or-later
#include "prefault.h"

#include <stdlib.h>

static void release(struct gvm_prefault *p)
{
	if (!__atomic_sub_fetch(&p->remaining, 1, __ATOMIC_ACQ_REL))
		p->done(p);
}

static void fail(struct gvm_prefault *p, int status)
{
	__atomic_store_n(&p->status, status, __ATOMIC_RELAXED);
}

struct gvm_prefault *gvm_prefault_create(void *owner, u64 gpa, u64 len, bool write,
					 void (*done)(struct gvm_prefault *p))
{
	struct gvm_prefault *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->owner = owner;
	p->gpa = gpa;
	p->page = gpa >> GVM_PAGE_SHIFT;
	p->end = p->page + (len >> GVM_PAGE_SHIFT);
	p->write = write;
	p->done = done;
	return p;
}

static void page_done(struct gvm_fault_waiter *w, int status, const u8 *bytes)
{
	struct gvm_prefault *p = w->context;

	(void)bytes;
	if (status)
		fail(p, status);
	release(p);
}

void gvm_prefault_run(struct gvm_prefault *p, struct gvm_pager *pager)
{
	u64 left = p->end - p->page;
	u32 n = left < GVM_PREFAULT_CHUNK ? (u32)left : GVM_PREFAULT_CHUNK, i;
	int err;

	/* One more, until all have been asked for. */
	__atomic_store_n(&p->remaining, n + 1, __ATOMIC_RELEASE);
	for (i = 0; i < n; i++) {
		struct gvm_fault_waiter *w = &p->waiters[i];

		*w = (struct gvm_fault_waiter){
			.page = p->page++,
			.write = p->write,
			.owner = p->owner,
			.context = p,
			.done = page_done,
		};
		err = gvm_pager_wait(pager, w);
		if (!err)
			continue;
		fail(p, err);
		release(p);
	}
	release(p);
}

bool gvm_prefault_finished(const struct gvm_prefault *p)
{
	return p->page == p->end || __atomic_load_n(&p->status, __ATOMIC_RELAXED);
}
