/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The home: directory and bytes of the pages that live at this node.
 *
 * Entry states are UNCACHED (only the home holds it), SHARED (sharers read, the
 * home's bytes are current) and OWNED (one agent may have newer bytes). An
 * owner may drop a page it knows the home holds without saying so; it says
 * "not held" when it is asked, and gets the page again when it asks.
 */
#ifndef GIANTVM_HOME_H
#define GIANTVM_HOME_H

#include "node.h"

#define GVM_DIR_SHARDS 64

enum gvm_dir_state { DIR_UNCACHED, DIR_SHARED, DIR_OWNED };

/* 28 bytes and 2 for the head of every second chain: the overhead of a touched page. */
struct gvm_dir_entry {
	u32 next; /* index of the next entry of the chain, 0: none */
	u32 page_lo;
	u32 version;
	u32 frame;	   /* 0: all zero */
	copyset_t holders; /* sharers, or the owner alone */
	u16 page_hi;
	u8 state;
	u8 contended; /* two nodes met here: acknowledge grants at once */
};
static_assert(sizeof(struct gvm_dir_entry) == 28, "directory entry");

enum gvm_txn_phase { TXN_COLLECT, TXN_GRANT };

struct gvm_waiter {
	struct gvm_waiter *next;
	struct gvm_header from;
	struct gvm_page_body ask;
};

/* One transaction of a page: from its start to the acknowledgement of its grant. */
struct gvm_txn {
	struct gvm_txn *next;
	u64 page;
	struct gvm_header from;
	struct gvm_page_body ask;
	u32 version; /* of the grant */
	u32 cursor;  /* the next holder to be asked */
	u32 pending; /* answers awaited */
	int status;  /* a holder did not answer: */
	u32 culprit; /* this one */
	u8 phase, mode;
	u64 grant_id;
	struct gvm_waiter *waiters, **tail;
};

struct gvm_dir_shard {
	gvm_lock_t lock;
	struct gvm_dir_entry **chunks;
	u32 nchunks;
	u32 room;  /* entries that the chunks have room for */
	u32 count; /* entries have the indexes 1 to count */
	u32 chains;
	u32 mask; /* the least 2^n - 1 that reaches every chain */
	struct gvm_txn *txns;
};

struct gvm_heat {
	gvm_lock_t lock; /* hot */
	struct gvm_hot_page hot[GVM_HEAT_PAGES];
	struct gvm_heat_range ranges[GVM_HEAT_RANGES]; /* atomic */
};

struct gvm_home_vm {
	struct gvm_home_vm *next;
	u32 refs;
	u32 vm_id, epoch, client;
	u64 client_boot, ram_pages, reserve_pages, stored_pages;
	bool kept, dead;
	struct gvm_dir_shard shards[GVM_DIR_SHARDS];
	struct gvm_heat heat;
};

struct gvm_frames {
	gvm_lock_t lock;
	u8 *base;
	u64 total, fresh, nfree, reserved;
	u32 *stack;
};

struct gvm_home {
	gvm_lock_t lock; /* the list of VMs and reservations */
	struct gvm_home_vm *vms;
	struct gvm_frames frames;
	struct gvm_reasm *reasm;
};

int gvm_home_create(struct gvm_node *n);
void gvm_home_destroy(struct gvm_node *n);

/* frames.c: index 1.. , 0 when there is none. */
int gvm_frames_init(struct gvm_node *n, struct gvm_frames *f, u8 *base, u64 pages);
void gvm_frames_free_all(struct gvm_node *n, struct gvm_frames *f);
u32 gvm_frame_alloc(struct gvm_frames *f);
void gvm_frame_free(struct gvm_node *n, struct gvm_frames *f, u32 frame);
static inline u8 *gvm_frame_ptr(struct gvm_frames *f, u32 frame)
{
	return f->base + ((u64)(frame - 1) << GVM_PAGE_SHIFT);
}

/*
 * dir_table.c: entries by page. The caller holds the shard's lock. An entry stays
 * where it is until gvm_dir_get makes another one in its shard.
 */
struct gvm_dir_shard *gvm_dir_shard_of(struct gvm_home_vm *vm, u64 page);
struct gvm_dir_entry *gvm_dir_find(struct gvm_dir_shard *s, u64 page);
/* Finds or makes it: UNCACHED, version 0, all zero. NULL when out of memory. */
struct gvm_dir_entry *gvm_dir_get(struct gvm_node *n, struct gvm_dir_shard *s, u64 page);
/* Visits every entry; fn may change it, not remove it. */
void gvm_dir_for_each(struct gvm_dir_shard *s,
		      void (*fn)(struct gvm_node *n, struct gvm_home_vm *vm,
				 struct gvm_dir_entry *e),
		      struct gvm_node *n, struct gvm_home_vm *vm);
void gvm_dir_free(struct gvm_node *n, struct gvm_dir_shard *s);

/* heat.c */
void gvm_heat_init(struct gvm_heat *h);
void gvm_heat_count(struct gvm_home_vm *vm, u64 page, enum gvm_heat_kind kind);
void gvm_heat_transfer(struct gvm_home_vm *vm, u64 page);

/* vm.c: the VMs this home holds pages of. get/put balance; NULL: unknown. */
struct gvm_home_vm *gvm_home_vm_get(struct gvm_node *n, u32 vm_id);
void gvm_home_vm_put(struct gvm_node *n, struct gvm_home_vm *vm);
void gvm_home_rx_vm(struct gvm_node *n, const struct gvm_header *h, const u8 *body, size_t len);

/* directory.c: messages of agents. data: GVM_PAGE_SIZE bytes or NULL. */
void gvm_home_read(struct gvm_node *n, const struct gvm_header *h, const struct gvm_page_body *b);
void gvm_home_write(struct gvm_node *n, const struct gvm_header *h, const struct gvm_page_body *b,
		    const u8 *data);
void gvm_home_inv_ack(struct gvm_node *n, const struct gvm_header *h, const struct gvm_page_body *b,
		      const u8 *data);
void gvm_home_grant_ack(struct gvm_node *n, const struct gvm_header *h,
			const struct gvm_page_body *b);

/* reasm.c: messages that come in fragments and answer no request of ours. */
struct gvm_reasm *gvm_reasm_create(struct gvm_node *n);
void gvm_reasm_destroy(struct gvm_node *n, struct gvm_reasm *r);
/*
 * Adds a fragment. When that completes a message its body is copied to out
 * (GVM_MSG_MAX bytes) and its length returned, else 0.
 */
size_t gvm_reasm_add(struct gvm_node *n, struct gvm_reasm *r, const struct gvm_header *h,
		     const u8 *part, u8 *out);

#endif
