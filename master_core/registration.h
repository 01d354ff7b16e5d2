/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A node makes itself known to its gateways: a slave to its own, a client to
 * every one it has an address of. Sent every period, so that a gateway that
 * restarts learns it again.
 */
#ifndef GIANTVM_REGISTRATION_H
#define GIANTVM_REGISTRATION_H

#include "addresses.h"
#include "logger.h"

struct gvm_registration;

struct gvm_registration_ops {
	/* Sends a message to a gateway; what is lost is sent again. */
	void (*send)(void *ctx, u32 gw_id, u16 type, u64 req_id, const u8 *body, size_t len);
	u64 (*free_pages)(void *ctx);
	/* No gateway has ever taken the node and this one says why not: the node cannot work. */
	void (*refused)(void *ctx, const char *sentence);
};

struct gvm_registration_config {
	u32 id;
	u64 boot_id;
	u64 lent_pages;
	struct gvm_addresses *addresses;
	const struct gvm_logger *log;
	const struct gvm_registration_ops *ops;
	void *ctx;
};

enum gvm_registration_state {
	GVM_REGISTRATION_SILENT, /* nothing heard, or not for GVM_PEER_GONE_US */
	GVM_REGISTRATION_ACCEPTED,
	GVM_REGISTRATION_REFUSED
};

struct gvm_gateway_status {
	u32 id;
	struct sockaddr_in addr;
	enum gvm_registration_state state;
	s32 status;   /* when refused */
	u64 heard_us; /* 0: never */
};

/* NULL: no memory. */
struct gvm_registration *gvm_registration_create(const struct gvm_registration_config *cfg);
void gvm_registration_destroy(struct gvm_registration *r);

/* Sends what is due; returns when it wants to be called next. One thread. */
u64 gvm_registration_tick(struct gvm_registration *r, u64 now);
/* A REGISTER_ACK. Any thread. */
void gvm_registration_ack(struct gvm_registration *r, u64 req_id, const u8 *body, size_t len,
			  u64 now);

/* The first known gateway with an id >= from; false when there is none. */
bool gvm_registration_status(struct gvm_registration *r, u32 from, struct gvm_gateway_status *out);
/* Whether one refuses it, and may still change its mind. */
bool gvm_registration_refused(struct gvm_registration *r);
/* How many gateways take this node now. */
u32 gvm_registration_accepted(struct gvm_registration *r);

#endif
