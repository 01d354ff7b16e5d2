// SPDX-License-Identifier: GPL-2.0-or-later
#include "addresses.h"

#include <stdlib.h>

#define CLIENTS (GVM_MAX_NODES - GVM_MAX_SLAVES)

/* ip << 16 | port, both as the socket API has them; 0: not known. */
struct gvm_addresses {
	u32 self;
	u64 *gateways;
	u64 *clients;
};

struct gvm_addresses *gvm_addresses_create(u32 self)
{
	struct gvm_addresses *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->self = self;
	a->gateways = calloc(GVM_MAX_GATEWAYS, sizeof(*a->gateways));
	a->clients = calloc(CLIENTS, sizeof(*a->clients));
	if (a->gateways && a->clients)
		return a;
	gvm_addresses_destroy(a);
	return NULL;
}

void gvm_addresses_destroy(struct gvm_addresses *a)
{
	if (!a)
		return;
	free(a->gateways);
	free(a->clients);
	free(a);
}

static void store(u64 *entry, u32 ip, u16 port)
{
	__atomic_store_n(entry, port ? (u64)ip << 16 | port : 0, __ATOMIC_RELAXED);
}

static bool load(const u64 *entry, struct sockaddr_in *out)
{
	u64 v = __atomic_load_n(entry, __ATOMIC_RELAXED);

	if (!v)
		return false;
	memset(out, 0, sizeof(*out));
	out->sin_family = AF_INET;
	out->sin_addr.s_addr = (u32)(v >> 16);
	out->sin_port = (u16)v;
	return true;
}

int gvm_addresses_set_gateway(struct gvm_addresses *a, u32 gw_id, u32 ip, u16 port)
{
	if (gw_id >= GVM_MAX_GATEWAYS)
		return -ERANGE;
	store(&a->gateways[gw_id], ip, port);
	return 0;
}

bool gvm_addresses_gateway(const struct gvm_addresses *a, u32 gw_id, struct sockaddr_in *out)
{
	return gw_id < GVM_MAX_GATEWAYS && load(&a->gateways[gw_id], out);
}

u32 gvm_addresses_next_gateway(const struct gvm_addresses *a, u32 from)
{
	while (from < GVM_MAX_GATEWAYS && !__atomic_load_n(&a->gateways[from], __ATOMIC_RELAXED))
		from++;
	return from;
}

int gvm_addresses_set_client(struct gvm_addresses *a, u32 id, u32 ip, u16 port)
{
	if (id < GVM_MAX_SLAVES || id >= GVM_MAX_NODES)
		return -ERANGE;
	store(&a->clients[id - GVM_MAX_SLAVES], ip, port);
	return 0;
}

/* A client without an address of its own is behind the gateway it registered with: with a
 * slave's own gateway, and for a client with any. */
static bool behind_gateway(const struct gvm_addresses *a, struct sockaddr_in *out)
{
	u32 gw = a->self < GVM_MAX_SLAVES ? a->self >> GVM_ROUTING_SHIFT
					  : gvm_addresses_next_gateway(a, 0);

	return gvm_addresses_gateway(a, gw, out);
}

bool gvm_addresses_lookup(const struct gvm_addresses *a, u32 target, struct sockaddr_in *out)
{
	if (target < GVM_MAX_SLAVES)
		return gvm_addresses_gateway(a, target >> GVM_ROUTING_SHIFT, out);
	if (target >= GVM_MAX_NODES)
		return false;
	return load(&a->clients[target - GVM_MAX_SLAVES], out) || behind_gateway(a, out);
}
