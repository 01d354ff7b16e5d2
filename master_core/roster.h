/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The slaves that the gateways serve, as a client learns them with NODES_QUERY. */
#ifndef GIANTVM_ROSTER_H
#define GIANTVM_ROSTER_H

#include "addresses.h"

#define GVM_ROSTER_PERIOD_US 250000

struct gvm_roster;

/* As in gvm_registration_ops. */
typedef void (*gvm_roster_send)(void *ctx, u32 gw_id, u16 type, u64 req_id, const u8 *body,
				size_t len);

struct gvm_roster_entry {
	u32 id;
	u64 boot_id;
	u64 lent_pages;
	u64 free_pages;
	u64 heard_us; /* when its gateway last heard it, our clock */
};

/* NULL: no memory. boot_id marks the queries of this node. */
struct gvm_roster *gvm_roster_create(u64 boot_id, struct gvm_addresses *addresses,
				     gvm_roster_send send, void *ctx);
void gvm_roster_destroy(struct gvm_roster *r);

/* Asks every gateway when it is time to; returns when it wants to be called next. One thread. */
u64 gvm_roster_tick(struct gvm_roster *r, u64 now);
/* A NODES_REPLY. Any thread. */
void gvm_roster_reply(struct gvm_roster *r, u64 req_id, const u8 *body, size_t len, u64 now);

/* The known slave with the least id >= from; false when there is none. */
bool gvm_roster_next(struct gvm_roster *r, u32 from, struct gvm_roster_entry *out);
/* Whether a slave was heard lately enough to count on it. */
bool gvm_roster_alive(const struct gvm_roster_entry *e, u64 now);

#endif
