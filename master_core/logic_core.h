/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A node: agent, home and RPC, free of I/O. It is driven by three calls
 * (gvm_node_rx, gvm_node_tick, gvm_agent_fault) and acts through dsm_driver_ops.
 * Every function here may be called from any thread and never sleeps, but for
 * those that say so.
 */
#ifndef GIANTVM_LOGIC_CORE_H
#define GIANTVM_LOGIC_CORE_H

#include "unified_driver.h"

struct gvm_node;

struct gvm_node_config {
	u32 id; /* slave: below GVM_MAX_SLAVES; client: from there up */
	u64 boot_id;
	/* Home: memory that this node lends; both 0 when it lends none. */
	u8 *lent_base;
	u64 lent_pages;
	/* Agent: the most pages held at once, 0 when the node has no guest. */
	u64 budget_pages;
	u32 prefetch_max; /* pages ahead at most, 0: none */
	u64 residence_us; /* least time a granted page is kept against others, 0: none */
	u64 ack_delay_us; /* how long a grant's acknowledgement may wait for company */
};

/* Every counter only grows. Read without a lock: each is right, their sum is not a snapshot. */
struct gvm_node_stats {
	u64 rx_messages, rx_bad, rx_version, rx_stale_reply, rx_unexpected, rx_not_mine;
	u64 tx_messages, tx_errors;
	u64 retransmits, rpc_failures, req_ring_full;
	u64 faults_read, faults_write, fault_errors, upgrades, prefetches, prefetch_refused;
	u64 pages_in, pages_in_zero, writebacks, writebacks_zero, evictions;
	u64 grants, invalidations_tx, invalidations_rx, transfers;
	u64 home_full, home_refused, fenced, presumed_fenced;
	/* gauges */
	u64 resident_pages, stored_pages, touched_pages, reserved_pages;
};

/* NULL: -ENOMEM. ops and ctx must outlive the node. */
struct gvm_node *gvm_node_create(const struct gvm_node_config *cfg,
				 const struct dsm_driver_ops *ops, void *ctx);
void gvm_node_destroy(struct gvm_node *n);

/*
 * A datagram came in: any number of messages back to back. Never trusts it.
 * Messages for other nodes are counted and dropped; REGISTER_ACK,
 * NODES_REPLY and NODE_ADDR are the backend's (see gvm_node_rx_control).
 * Call gvm_node_flush after a batch.
 */
void gvm_node_rx(struct gvm_node *n, const u8 *datagram, size_t len);

/*
 * Handles what is due. Returns when it wants to be called next (absolute, as
 * get_time_us), or (u64)-1.
 */
u64 gvm_node_tick(struct gvm_node *n);

/* Sends what was held back to go out together (grant acknowledgements). */
void gvm_node_flush(struct gvm_node *n);

void gvm_node_stats(struct gvm_node *n, struct gvm_node_stats *out);

/*
 * routing.c: stripe -> slot -> slave. The table is a pure function of
 * (members, epoch), the same on every node.
 */
struct gvm_member {
	u32 id;
	u32 weight; /* relative to the others, at least 1 */
	u64 boot_id;
};
struct gvm_route {
	u32 *slots; /* 2^GVM_SLAVE_BITS slave ids */
	u32 epoch;
	u32 stripe_shift; /* log2 pages */
	u32 nmembers;
	struct gvm_member *members;
};
/* members: sorted by id. 0, -EINVAL (none, not sorted, an id out of range or twice, no weight),
 * -ENOMEM. */
int gvm_route_build(struct gvm_route *r, const struct gvm_member *members, u32 n, u32 epoch,
		    u32 stripe_shift, const struct dsm_driver_ops *ops, void *ctx);
void gvm_route_free(struct gvm_route *r, const struct dsm_driver_ops *ops, void *ctx);
u32 gvm_route_home(const struct gvm_route *r, u64 page);
/* Ranks put the slots in the order in which members own runs of them, as long as their weights. */
u32 gvm_route_slot(u32 rank);
/* How many of ram_pages have this member as their home. */
u64 gvm_route_share(const struct gvm_route *r, u32 member_id, u64 ram_pages);
static inline u32 gvm_gateway_of(u32 slave_id)
{
	return slave_id >> GVM_ROUTING_SHIFT;
}

/*
 * The agent. gvm_agent_attach ties the node's agent to a VM (route is copied);
 * gvm_agent_detach forgets every page without writing it home.
 */
int gvm_agent_attach(struct gvm_node *n, u32 vm_id, u64 ram_pages, const struct gvm_route *route);
void gvm_agent_detach(struct gvm_node *n);
/* The guest wants this page. Ends in page_map or page_error, at once or later. */
void gvm_agent_fault(struct gvm_node *n, u64 page, bool write);
/* page_map returned GVM_PENDING and has now been done. */
void gvm_agent_mapped(struct gvm_node *n, u64 page);
/* Tries again what ended in page_error; the status says which homes answer again. */
void gvm_agent_retry(struct gvm_node *n, u64 page);
/*
 * Starts writing every dirty page home (and dropping it, if drop). Returns how many
 * pages are not clean yet: call until 0, with rx and tick going on between.
 */
u64 gvm_agent_flush(struct gvm_node *n, bool drop);
/*
 * Changes the budget while pages are held, up to what it was when the VM was
 * attached. Starts to evict what is too much: call until it has gone.
 */
void gvm_agent_set_budget(struct gvm_node *n, u64 pages);
/* For tests and status: 'I','S','E','M', or 'f' (filling), 'w' (write-back). */
char gvm_agent_state(struct gvm_node *n, u64 page);

/*
 * What a home counts of a VM: for each of GVM_HEAT_RANGES equal ranges of its
 * RAM, and for the pages that change hands most, hottest first.
 */
#define GVM_HEAT_RANGES 256
#define GVM_HEAT_PAGES	64
enum gvm_heat_kind {
	GVM_HEAT_FAULTS,   /* grants */
	GVM_HEAT_UPGRADES, /* of those, to who had a read copy */
	GVM_HEAT_INVALIDATIONS,
	GVM_HEAT_TRANSFERS, /* transactions that needed another node's copy */
	GVM_HEAT_KINDS
};
struct gvm_heat_range {
	u64 n[GVM_HEAT_KINDS];
};
struct gvm_hot_page {
	u64 page, count, error; /* transfers: between count - error and count */
};
struct gvm_heat_report {
	u64 ram_pages;
	struct gvm_heat_range ranges[GVM_HEAT_RANGES];
	u32 nhot;
	struct gvm_hot_page hot[GVM_HEAT_PAGES];
};
/* 0, or -ENOENT: no such VM here. */
int gvm_home_heat(struct gvm_node *n, u32 vm_id, struct gvm_heat_report *out);

/*
 * Blocking, reliable request to a node: sends body, waits (ops->wait_req), and
 * copies the answer's body to reply (at most reply_len bytes). Returns its
 * length, or -EIO after GVM_RPC_TRIES tries (with a log line that names the
 * node), -EBUSY when the ring is full. May sleep.
 */
int gvm_rpc_call(struct gvm_node *n, u32 target, u16 msg_type, u32 vm_id, u32 epoch, const u8 *body,
		 size_t len, u8 *reply, size_t reply_len);

#endif
