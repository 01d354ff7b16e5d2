/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VM's RAM at this node: a sparse memory object, the node's own mapping of
 * it, and the userfaultfds of the clients that map it too. Pages are RAM
 * offsets >> 12.
 *
 * The agent decides; the pager only does. A page that is not held has no bytes
 * in the memory object, and the own mapping of such a page is never touched.
 */
#ifndef GIANTVM_PAGER_H
#define GIANTVM_PAGER_H

#include "fault_table.h"
#include "histogram.h"
#include "logger.h"
#include "logic_core.h"

#define GVM_PAGER_CLIENTS 32
#define GVM_DROPS_MAX	  128 /* pages that were dropped and are still there, at most */

struct gvm_pager;

/* What pagers count; of all the VMs a node serves one after the other. */
struct gvm_pager_totals {
	u64 faults;	     /* events read */
	u64 map_calls, maps; /* maps / map_calls pages went together */
	u64 protect_calls, protects;
	u64 punch_calls, drops;
	/* From a fault's event to the moment its access was resumed, in microseconds. */
	struct gvm_histogram latency;
};

struct gvm_pager_config {
	const char *name; /* of the memory object */
	u64 pages;
	bool copy_reads; /* map read-only pages by copying even if the kernel can do without */
	struct gvm_node *node;
	const struct gvm_logger *log;
	struct gvm_pager_totals *totals;
};

/* Pages to be mapped at the end of a turn; one list a worker. */
struct gvm_map_request {
	u64 page;
	u8 prot; /* enum gvm_prot */
	bool zero;
};
struct gvm_map_list {
	struct gvm_map_request *requests;
	unsigned int count, room;
};

/* 0 or a negative errno (-ENOMEM, -EMFILE, ...). */
int gvm_pager_create(struct gvm_pager **out, const struct gvm_pager_config *cfg);
/* No thread may use it any more. */
void gvm_pager_destroy(struct gvm_pager *p);
int gvm_pager_memfd(const struct gvm_pager *p);

/*
 * A client's mapping: uffd, which stays the caller's, is registered over
 * [base, base + size) there. Returns its index, -EINVAL for a range that does
 * not fit, -EBUSY when there are too many clients.
 */
int gvm_pager_add_client(struct gvm_pager *p, int uffd, u64 base, u64 size);
/* owner's waiters are told -ECANCELED. */
void gvm_pager_remove_client(struct gvm_pager *p, unsigned int client, const void *owner);
/* Faults are there to be read. */
void gvm_pager_serve(struct gvm_pager *p, unsigned int client);
/* w->done is called when w->page has been mapped. 0 or -ENOMEM. May call the agent. */
int gvm_pager_wait(struct gvm_pager *p, struct gvm_fault_waiter *w);

/* The page operations of dsm_driver_ops; page_map goes through a list. */
void *gvm_pager_buffer(struct gvm_pager *p, u64 page);
void *gvm_pager_data(struct gvm_pager *p, u64 page);
int gvm_pager_protect(struct gvm_pager *p, const u64 *pages, unsigned int n);
void gvm_pager_drop(struct gvm_pager *p, u64 page);
/* Tells the waiters of page, but not the clients, that it cannot be had. */
void gvm_pager_fail(struct gvm_pager *p, u64 page, int status);

/* 0 or -ENOMEM, the list unchanged. */
int gvm_map_list_add(struct gvm_map_list *l, u64 page, enum gvm_prot prot, bool zero);
/* Maps what is on the list, empties it and tells the agent. No lock of the logic may be held. */
void gvm_pager_map(struct gvm_pager *p, struct gvm_map_list *l);
/* Maps one page without telling the agent, for want of memory to put it on a list. */
void gvm_pager_map_now(struct gvm_pager *p, u64 page, enum gvm_prot prot, bool zero);

/* Dropped pages have left every mapping when this returns. Before anything is sent. */
void gvm_pager_settle(struct gvm_pager *p);

/* What the memory object occupies, in bytes. */
u64 gvm_pager_resident(const struct gvm_pager *p);

#endif
