/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A client's request to bring pages in, some at a time. */
#ifndef GIANTVM_PREFAULT_H
#define GIANTVM_PREFAULT_H

#include "pager.h"

#define GVM_PREFAULT_CHUNK 256

struct gvm_prefault {
	struct gvm_prefault *next;
	void *owner;
	u64 gpa;       /* as the client named it */
	u64 page, end; /* still to be asked for */
	bool write;
	int status;    /* atomic */
	u32 remaining; /* atomic: of this chunk */
	/* This chunk is done. Any thread, with locks of the logic held. */
	void (*done)(struct gvm_prefault *p);
	struct gvm_fault_waiter waiters[GVM_PREFAULT_CHUNK];
};

/* len: bytes, whole pages. NULL: no memory. */
struct gvm_prefault *gvm_prefault_create(void *owner, u64 gpa, u64 len, bool write,
					 void (*done)(struct gvm_prefault *p));
/* Asks for the next pages; done follows. Main thread. */
void gvm_prefault_run(struct gvm_prefault *p, struct gvm_pager *pager);
/* Whether nothing is left to be asked for, or it failed. */
bool gvm_prefault_finished(const struct gvm_prefault *p);

#endif
