/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A gateway process with nodes that are registered, for tests of what it relays. */
#ifndef GVM_NET_SITE_H
#define GVM_NET_SITE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include "net_helpers.h"

#define GW_ID	  (GVM_MAX_GATEWAYS > 3 ? 3U : 0U)
#define SLAVE(i)  ((GW_ID << GVM_ROUTING_SHIFT) + (i))
#define CLIENT(i) (GVM_MAX_SLAVES + (i))
#define WAIT	  3000
#define NOTHING	  50 /* ms in which nothing must come */

/* A gateway, two slaves and a client, all registered. */
struct site {
	struct gateway_proc gw;
	struct node slave[2], client;
};

extern const char *const relay_mode[];

void site_open(struct site *s, const char *const *extra);
void site_close(struct site *s);
void pattern(u8 *p, size_t len, u32 seed);
void assert_arrives(struct node *to, u64 req_id, u16 type, u32 src, const u8 *body, size_t len);
void assert_nothing(struct node *n);
/* While it is stopped datagrams queue up, so that they are sure to come as one batch. */
void pause_gateway(struct site *s);
void resume_gateway(struct site *s);
size_t append(struct node *n, u8 *buf, size_t at, u32 dest, u64 req_id);
void assert_small(struct node *to, u64 req_id, u32 src);

#endif
