/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What user_backend.c and user_ops.c share; nobody else includes it. */
#ifndef GIANTVM_USER_INTERNAL_H
#define GIANTVM_USER_INTERNAL_H

#include "req_ring.h"
#include "user_backend.h"

/* Pages to be mapped, of the threads that are no workers. */
struct shared_maps {
	pthread_mutex_t lock;
	struct gvm_map_list list;
	unsigned int count; /* atomic */
};

struct gvm_backend {
	struct gvm_backend_config cfg;
	struct gvm_node *node;
	struct gvm_addresses *addresses;
	struct gvm_registration *registration;
	struct gvm_roster *roster;
	struct gvm_req_ring *ring;
	struct gvm_stalls *stalls;
	struct gvm_pkt_pool *pool;
	struct gvm_net **nets;
	struct gvm_workers *workers;
	struct gvm_pager *pager;   /* atomic */
	struct gvm_map_list *maps; /* one a worker */
	struct shared_maps shared;
	u64 tx_no_route, rx_control, rx_control_refused;
};

static inline void backend_count(u64 *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static inline struct gvm_pager *backend_pager(struct gvm_backend *b)
{
	return __atomic_load_n(&b->pager, __ATOMIC_ACQUIRE);
}

/* Dropped pages leave every mapping before anything is sent. */
static inline void backend_settle(void *ctx)
{
	struct gvm_pager *p = backend_pager(ctx);

	if (p)
		gvm_pager_settle(p);
}

/* Sends a message of the backend itself to a gateway. */
void backend_send_gateway(void *ctx, u32 gw_id, u16 type, u64 req_id, const u8 *body, size_t len);

#endif
