/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where messages go: the gateways' addresses, and those of clients that may be
 * answered directly. Both tables are touched only where used; an entry is one
 * word, read without a lock.
 */
#ifndef GIANTVM_ADDRESSES_H
#define GIANTVM_ADDRESSES_H

#include <netinet/in.h>

#include "../common_include/giantvm_protocol.h"

struct gvm_addresses;

/* self: the id of this node. NULL: no memory. */
struct gvm_addresses *gvm_addresses_create(u32 self);
void gvm_addresses_destroy(struct gvm_addresses *a);

/* ip and port in network byte order. 0, or -ERANGE for a gateway that cannot be. */
int gvm_addresses_set_gateway(struct gvm_addresses *a, u32 gw_id, u32 ip, u16 port);
bool gvm_addresses_gateway(const struct gvm_addresses *a, u32 gw_id, struct sockaddr_in *out);
/* The least known gateway id >= from, or GVM_MAX_GATEWAYS. */
u32 gvm_addresses_next_gateway(const struct gvm_addresses *a, u32 from);

/* port 0 forgets it. -ERANGE for an id that no client has. */
int gvm_addresses_set_client(struct gvm_addresses *a, u32 id, u32 ip, u16 port);

/* The address that a message for this node goes to; false when none is known. */
bool gvm_addresses_lookup(const struct gvm_addresses *a, u32 target, struct sockaddr_in *out);

#endif
