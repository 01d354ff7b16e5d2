/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is where: the slaves of this gateway by id, and the clients. Learned from
 * registrations (and a static list), looked up by any thread without a lock.
 * A node that is not heard any more keeps its address: only its liveness ends.
 */
#ifndef GVM_NODE_TABLE_H
#define GVM_NODE_TABLE_H

#include <netinet/in.h>
#include "../common_include/giantvm_protocol.h"

/* An address in one word, so that it is read and written whole; 0: none. */
typedef u64 gw_addr_t;

static inline gw_addr_t gw_addr(const struct sockaddr_in *a)
{
	return (u64)a->sin_addr.s_addr << 16 | a->sin_port;
}

static inline struct sockaddr_in gw_sockaddr(gw_addr_t a)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = (u16)a, .sin_addr.s_addr = (u32)(a >> 16)};
}

struct gw_node {
	u32 id;
	u32 generation;	 /* atomic: changes with every new boot or address */
	gw_addr_t addr;	 /* atomic */
	u64 heard_us;	 /* atomic: 0 never */
	gvm_lock_t lock; /* over what follows */
	u64 boot_id;
	u64 lent_pages;
	u64 free_pages;
	bool registered;      /* has been, since this gateway started */
	struct gw_node *next; /* clients: of the same hash bucket, newest first */
};

struct gw_nodes;

/* Slaves [first, first + nslaves), at most max_clients clients. NULL: no memory. */
struct gw_nodes *gw_nodes_create(u32 first, u32 nslaves, u32 max_clients);
void gw_nodes_destroy(struct gw_nodes *t);

/* A slave's address from the static list; before the threads start. */
void gw_nodes_set_static(struct gw_nodes *t, u32 id, u32 ip, u16 port);

/* NULL: not in the range of this gateway; a client that never registered. */
struct gw_node *gw_nodes_find(struct gw_nodes *t, u32 id);
static inline bool gw_is_client(u32 id)
{
	return id >= GVM_MAX_SLAVES && id < GVM_MAX_NODES;
}

/* What a registration did to the table. */
enum gw_change { GW_CHANGE_NONE, GW_CHANGE_NEW, GW_CHANGE_BOOT, GW_CHANGE_ADDR };

/*
 * A node says that it is id, at from. 0; -ERANGE: not an id of this gateway;
 * -EPROTO: other slave_bits; -EEXIST: another node that is alive has the id;
 * -ENOSPC: no room for another client.
 */
int gw_nodes_register(struct gw_nodes *t, u32 id, const struct gvm_register_body *body,
		      const struct sockaddr_in *from, u64 now_us, enum gw_change *change);

bool gw_node_alive(const struct gw_node *n, u64 now_us);

/* Traffic came from it. Kept to a millisecond, so that it is seldom written. */
static inline void gw_node_heard(struct gw_node *n, u64 now_us)
{
	if (now_us > __atomic_load_n(&n->heard_us, __ATOMIC_RELAXED) + 1000)
		__atomic_store_n(&n->heard_us, now_us, __ATOMIC_RELAXED);
}

/* Up to max records of live slaves from id first_id on. Returns how many. */
u32 gw_nodes_list(struct gw_nodes *t, u32 first_id, struct gvm_node_record *out, u32 max,
		  u64 now_us);

/* Calls fn for every node that has or had an address; any thread. */
typedef void (*gw_node_fn)(void *ctx, struct gw_node *n);
void gw_nodes_each(struct gw_nodes *t, gw_node_fn fn, void *ctx);

#endif
