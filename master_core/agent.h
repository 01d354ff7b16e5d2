/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The agent: which pages this node's guest may read or write now.
 *
 * A page is invalid (no entry), shared, exclusive (mapped read-only, so known
 * clean), modified (mapped writable), or on its way: FILL (a grant is awaited
 * and no copy is held), UPGRADE (a read copy is held), WRITEBACK (write access
 * taken away, the bytes on their way home), ERROR (nobody can supply it).
 */
#ifndef GIANTVM_AGENT_H
#define GIANTVM_AGENT_H

#include "node.h"
#include "prefetch.h"

enum gvm_page_state {
	PAGE_FILL,
	PAGE_SHARED,
	PAGE_EXCLUSIVE,
	PAGE_MODIFIED,
	PAGE_UPGRADE,
	PAGE_WRITEBACK,
	PAGE_ERROR,
};

/* Entry flags. */
#define AP_WAIT_READ  0x01 /* somebody waits to read, */
#define AP_WAIT_WRITE 0x02 /* to write */
#define AP_PREFETCH   0x04 /* asked for ahead of need */
#define AP_AHEAD_RW   0x08 /* prefetched by a writing stream */
#define AP_MARKER     0x10 /* stays unmapped: its fault keeps the stream going */
#define AP_MAPPING    0x20 /* page_map is under way */
#define AP_DROP	      0x40 /* write-back: drop it when it is home */
#define AP_DEFERRED   0x80 /* on the deferred list: waits for room in budget or request ring */

#define AP_WAIT (AP_WAIT_READ | AP_WAIT_WRITE)

struct gvm_page {
	u64 page;
	u64 mapped_at, req_id;
	u64 grant_req;	/* what the acknowledgement of the grant says: req_id, */
	u32 grant_aux;	/* handle, */
	u32 grant_home; /* home; GVM_NO_NODE: nothing to acknowledge */
	u32 version; /* of the bytes, */
	u32 granted; /* of the grant: older recalls are of an earlier one */
	u32 hash_next, prev, next;	  /* indexes, 0: none. List: oldest first, or deferred */
	u8 state, flags, urgent, counted; /* counted: on the resident list */
	u8 leased;			  /* counted as a read copy of its home */
	u8 barred; /* FILL: no grant up to version will do, see gvm_page_bar */
};

struct gvm_ack {
	u64 req_id;
	u32 target;
	u8 body[GVM_PAGE_BODY];
};
#define GVM_ACKS_MAX 32

/* An update that came before the guest had its time with the page. */
struct gvm_later {
	u64 due;
	struct gvm_header from;
	struct gvm_page_body body;
};
#define GVM_LATER_MAX 64

struct gvm_list {
	u32 head, tail, count;
};

/* A recalled page on its way home: its only bytes, until the home has them. */
struct gvm_return {
	struct gvm_return *next;
	u64 page, req_id; /* req_id 0: to be sent by the next tick */
	u8 *data; /* NULL: all zero */
	u32 version, handle;
	u8 mode;
};

/* What is held of one home's pages under its lease. */
struct gvm_lease {
	u64 req_id; /* of the ping that renews it */
	u32 copies; /* read copies held */
};

struct gvm_agent {
	gvm_mutex_t lock;
	bool attached;
	u32 vm_id;
	u64 ram_pages;
	struct gvm_route route;
	struct gvm_page *pool;
	u32 pool_size, pool_used, free_list, *buckets, bucket_mask;
	struct gvm_list resident, deferred;
	u64 reserve; /* room that eviction keeps free; resident.count never exceeds the budget */
	struct gvm_return *returns;
	u32 writebacks;
	struct gvm_prefetch prefetch;
	struct gvm_ack acks[GVM_ACKS_MAX];
	u32 nacks;
	u64 acks_due;
	struct gvm_later later[GVM_LATER_MAX];
	u32 nlater;
	u64 later_due;
	struct gvm_lease *leases; /* one a member of the route */
	u64 lease_due;
};

int gvm_agent_create(struct gvm_node *n);
void gvm_agent_destroy(struct gvm_node *n);
/* A MEM_ACK nobody waits for: a grant has to be refused or acknowledged again. */
void gvm_agent_stray_grant(struct gvm_node *n, const struct gvm_header *h,
			   const struct gvm_page_body *b);
void gvm_agent_update(struct gvm_node *n, const struct gvm_header *h,
		      const struct gvm_page_body *b);
u64 gvm_agent_tick(struct gvm_node *n, u64 now);
void gvm_agent_flush_acks(struct gvm_node *n);

/* agent_table.c; the caller holds the lock. */
struct gvm_page *gvm_page_find(struct gvm_agent *a, u64 page);
struct gvm_page *gvm_page_new(struct gvm_agent *a, u64 page);
void gvm_page_free(struct gvm_agent *a, struct gvm_page *p);
void gvm_list_add(struct gvm_agent *a, struct gvm_list *l, struct gvm_page *p);
void gvm_list_del(struct gvm_agent *a, struct gvm_list *l, struct gvm_page *p);

/* Oldest first; index 0 ends it. */
static inline struct gvm_page *gvm_list_at(struct gvm_agent *a, u32 index)
{
	return index ? &a->pool[index] : NULL;
}

/* The rest is for the agent's own files; the caller holds the lock. */

/* agent.c */
void gvm_page_map(struct gvm_node *n, struct gvm_page *p, enum gvm_prot prot, bool zero);
/* Asks the home for a page in FILL or UPGRADE, or puts it off until there is room. */
void gvm_page_request(struct gvm_node *n, struct gvm_page *p);
/*
 * The home is being told, about this version, that nothing is held. A grant that
 * is no newer and still under way must not be used after that: a home that has
 * given up waiting for its acknowledgement gives the page to others.
 */
void gvm_page_bar(struct gvm_page *p, u32 version);
/* The page is held no more and nobody waits for it. */
void gvm_page_forget(struct gvm_node *n, struct gvm_page *p);
/* Tells the backend; who waits goes on waiting. */
void gvm_page_fail(struct gvm_node *n, struct gvm_page *p, int status);
u32 gvm_page_home(struct gvm_node *n, u64 page);
void gvm_agent_run_deferred(struct gvm_node *n);

/* lease.c */
/* From now on the page is held as a read copy, or is not. */
void gvm_lease_begin(struct gvm_node *n, struct gvm_page *p);
void gvm_lease_end(struct gvm_node *n, struct gvm_page *p);
u64 gvm_lease_tick(struct gvm_node *n, u64 now);
void gvm_agent_free_leases(struct gvm_node *n);

/* evict.c */
void gvm_agent_make_room(struct gvm_node *n);
/* Takes write access from modified pages and sends their bytes home. */
void gvm_agent_write_back(struct gvm_node *n, struct gvm_page **pages, u32 count, bool drop);
/* A write-back that found no room in the request ring. */
void gvm_agent_resume_write(struct gvm_node *n, struct gvm_page *p);

/* recall.c */
/* The page's newest bytes are on their way home. */
bool gvm_agent_returning(struct gvm_node *n, u64 page);
/* Starts again what could not be sent; when to be called next, or (u64)-1. */
u64 gvm_agent_tick_returns(struct gvm_node *n, u64 now);
void gvm_agent_run_later(struct gvm_node *n, u64 now);
void gvm_agent_free_returns(struct gvm_node *n);
bool gvm_bytes_are_zero(const u8 *data);

#endif
