/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a node knows of the nodes it talks to: round trips, the window of
 * requests under way, when it was heard. A peer that has been made stays.
 */
#ifndef GIANTVM_PEER_H
#define GIANTVM_PEER_H

#include "node.h"

struct gvm_req;

/* Under the RPC layer's lock, but for heard and answered, which are atomic. */
struct gvm_peer {
	u32 inflight, window, credit;
	u64 last_cut;	     /* when the window was last halved */
	u64 heard, answered; /* see gvm_peer_heard */
	u32 srtt, rttvar;    /* us; srtt 0: not measured yet */
	struct gvm_req *head, **tail;
};

int gvm_peers_create(struct gvm_node *n);
void gvm_peers_destroy(struct gvm_node *n);

/* Finds or makes it, under the RPC layer's lock. NULL: no such id, or no memory. */
struct gvm_peer *gvm_peer_get(struct gvm_node *n, u32 id);

/*
 * When a node was last heard at all, and when the latest request that it has
 * answered was first sent; 0: never. Without a lock.
 */
void gvm_peer_heard_now(struct gvm_node *n, u32 id);
u64 gvm_peer_heard(struct gvm_node *n, u32 id);
u64 gvm_peer_answered(struct gvm_node *n, u32 id);

/* How long to wait for an answer after that many repetitions, in microseconds. */
u64 gvm_peer_rto(const struct gvm_peer *p, u32 tries);
/* The answer to a request that was sent once took us microseconds. */
void gvm_peer_sample(struct gvm_peer *p, u64 us);
/* A request first sent then has to be repeated. */
void gvm_peer_lost(struct gvm_peer *p, u64 first_sent, u64 now);

#endif
