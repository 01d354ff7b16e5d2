/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who waits for which page: clients whose access faulted, and callers that asked for it. */
#ifndef GIANTVM_FAULT_TABLE_H
#define GIANTVM_FAULT_TABLE_H

#include "../common_include/platform_defs.h"

struct gvm_fault_table;

/* Somebody who is to be told when a page is there. */
struct gvm_fault_waiter {
	struct gvm_fault_waiter *next;
	u64 page;
	bool write;
	const void *owner; /* see gvm_fault_forget */
	void *context;	   /* of done */
	/* bytes: the page, valid during the call; NULL if status is not 0. Must not call back. */
	void (*done)(struct gvm_fault_waiter *w, int status, const u8 *bytes);
};

struct gvm_faults {
	u64 since_us; /* of the first fault; 0: no client waits */
	u32 clients;  /* a bit each */
	u8 hints;     /* GVM_FAULT_* of all of them */
	struct gvm_fault_waiter *waiters;
};

/* NULL: no memory. */
struct gvm_fault_table *gvm_fault_table_create(void);
void gvm_fault_table_destroy(struct gvm_fault_table *t);

/* client: 0 to 31. Without memory it is not noted: who maps the page then tries every client. */
void gvm_fault_add(struct gvm_fault_table *t, u64 page, unsigned int client, u8 hints, u64 now);
/* 0 or -ENOMEM. */
int gvm_fault_wait(struct gvm_fault_table *t, struct gvm_fault_waiter *w);

/* Takes out who waits for page; all zero when nobody does. */
void gvm_fault_take(struct gvm_fault_table *t, u64 page, struct gvm_faults *out);
/* Takes the waiters of page, not its clients. */
struct gvm_fault_waiter *gvm_fault_take_waiters(struct gvm_fault_table *t, u64 page);
/* The hints of who waits for page, 0 when nobody does. */
u8 gvm_fault_pending(struct gvm_fault_table *t, u64 page);

/* Forgets a client; the waiters of owner are taken out and returned. */
struct gvm_fault_waiter *gvm_fault_forget(struct gvm_fault_table *t, unsigned int client,
					  const void *owner);

#endif
