// SPDX-License-Identifier: GPL-2.0-or-later
#include "node_table.h"

#include <stdlib.h>

#define CLIENT_BITS 10

struct gw_nodes {
	u32 first, nslaves;
	struct gw_node *slaves;
	gvm_lock_t clients_lock; /* to add one; entries are never removed */
	u32 nclients, max_clients;
	struct gw_node *clients[1 << CLIENT_BITS];
};

struct gw_nodes *gw_nodes_create(u32 first, u32 nslaves, u32 max_clients)
{
	struct gw_nodes *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->slaves = calloc(nslaves, sizeof(*t->slaves));
	if (!t->slaves) {
		free(t);
		return NULL;
	}
	t->first = first;
	t->nslaves = nslaves;
	t->max_clients = max_clients;
	gvm_lock_init(&t->clients_lock);
	for (u32 i = 0; i < nslaves; i++) {
		t->slaves[i].id = first + i;
		gvm_lock_init(&t->slaves[i].lock);
	}
	return t;
}

static void free_chain(struct gw_node *n)
{
	struct gw_node *next;

	for (; n; n = next) {
		next = n->next;
		pthread_mutex_destroy(&n->lock);
		free(n);
	}
}

void gw_nodes_destroy(struct gw_nodes *t)
{
	if (!t)
		return;
	for (u32 i = 0; i < 1 << CLIENT_BITS; i++)
		free_chain(t->clients[i]);
	for (u32 i = 0; i < t->nslaves; i++)
		pthread_mutex_destroy(&t->slaves[i].lock);
	pthread_mutex_destroy(&t->clients_lock);
	free(t->slaves);
	free(t);
}

void gw_nodes_set_static(struct gw_nodes *t, u32 id, u32 ip, u16 port)
{
	struct gw_node *n = gw_nodes_find(t, id);

	if (n)
		n->addr = (u64)ip << 16 | port;
}

static struct gw_node **bucket(struct gw_nodes *t, u32 id)
{
	return &t->clients[(id * 0x9e3779b1U) >> (32 - CLIENT_BITS)];
}

struct gw_node *gw_nodes_find(struct gw_nodes *t, u32 id)
{
	struct gw_node *n;

	if (id - t->first < t->nslaves)
		return &t->slaves[id - t->first];
	if (!gw_is_client(id))
		return NULL;
	for (n = __atomic_load_n(bucket(t, id), __ATOMIC_ACQUIRE); n; n = n->next)
		if (n->id == id)
			return n;
	return NULL;
}

static int add_client(struct gw_nodes *t, u32 id, struct gw_node **out)
{
	struct gw_node *n;
	int err = 0;

	gvm_lock(&t->clients_lock);
	n = gw_nodes_find(t, id); /* another thread may have been quicker */
	if (!n && t->nclients == t->max_clients)
		err = -ENOSPC;
	if (!n && !err) {
		n = calloc(1, sizeof(*n));
		if (n) {
			n->id = id;
			gvm_lock_init(&n->lock);
			n->next = *bucket(t, id);
			__atomic_store_n(bucket(t, id), n, __ATOMIC_RELEASE);
			t->nclients++;
		} else {
			err = -ENOSPC;
		}
	}
	gvm_unlock(&t->clients_lock);
	*out = n;
	return err;
}

static void accept_node(struct gw_node *n, const struct gvm_register_body *body, gw_addr_t addr,
			u64 now_us, enum gw_change *change)
{
	if (!n->registered)
		*change = GW_CHANGE_NEW;
	else if (n->boot_id != body->boot_id)
		*change = GW_CHANGE_BOOT;
	else if (n->addr != addr)
		*change = GW_CHANGE_ADDR;
	n->registered = true;
	n->boot_id = body->boot_id;
	n->lent_pages = body->lent_pages;
	n->free_pages = body->free_pages;
	__atomic_store_n(&n->addr, addr, __ATOMIC_RELAXED);
	__atomic_store_n(&n->heard_us, now_us, __ATOMIC_RELAXED);
	if (*change != GW_CHANGE_NONE)
		__atomic_store_n(&n->generation, n->generation + 1, __ATOMIC_RELAXED);
}

/* A new boot at the old one's very address means that the old one has ended. */
static bool is_taken(const struct gw_node *n, u64 boot_id, gw_addr_t addr, u64 now_us)
{
	return n->registered && n->boot_id != boot_id && n->addr != addr &&
	       gw_node_alive(n, now_us);
}

int gw_nodes_register(struct gw_nodes *t, u32 id, const struct gvm_register_body *body,
		      const struct sockaddr_in *from, u64 now_us, enum gw_change *change)
{
	struct gw_node *n = gw_nodes_find(t, id);
	gw_addr_t addr = gw_addr(from);
	int err = 0;

	*change = GW_CHANGE_NONE;
	if (!n && !gw_is_client(id))
		return -ERANGE;
	if (body->slave_bits != GVM_SLAVE_BITS)
		return -EPROTO;
	if (!n)
		err = add_client(t, id, &n);
	if (err)
		return err;
	gvm_lock(&n->lock);
	if (is_taken(n, body->boot_id, addr, now_us))
		err = -EEXIST;
	else
		accept_node(n, body, addr, now_us, change);
	gvm_unlock(&n->lock);
	return err;
}

bool gw_node_alive(const struct gw_node *n, u64 now_us)
{
	u64 heard = __atomic_load_n(&n->heard_us, __ATOMIC_RELAXED);

	/* heard may be later than now_us, which another thread took earlier */
	return heard && (heard >= now_us || now_us - heard < GVM_PEER_GONE_US);
}

static bool fill_record(struct gw_node *n, struct gvm_node_record *r, u64 now_us)
{
	u64 heard = __atomic_load_n(&n->heard_us, __ATOMIC_RELAXED);
	bool listed;

	if (!gw_node_alive(n, now_us))
		return false;
	gvm_lock(&n->lock);
	listed = n->registered;
	*r = (struct gvm_node_record){.id = n->id,
				      .age_ms = heard < now_us ? (now_us - heard) / 1000 : 0,
				      .boot_id = n->boot_id,
				      .lent_pages = n->lent_pages,
				      .free_pages = n->free_pages};
	gvm_unlock(&n->lock);
	return listed;
}

u32 gw_nodes_list(struct gw_nodes *t, u32 first_id, struct gvm_node_record *out, u32 max,
		  u64 now_us)
{
	u32 i = first_id > t->first ? first_id - t->first : 0;
	u32 n = 0;

	for (; i < t->nslaves && n < max; i++)
		n += fill_record(&t->slaves[i], &out[n], now_us);
	return n;
}

static bool has_address(const struct gw_node *n)
{
	return __atomic_load_n(&n->addr, __ATOMIC_RELAXED) != 0;
}

void gw_nodes_each(struct gw_nodes *t, gw_node_fn fn, void *ctx)
{
	struct gw_node *n;

	for (u32 i = 0; i < t->nslaves; i++)
		if (has_address(&t->slaves[i]))
			fn(ctx, &t->slaves[i]);
	for (u32 i = 0; i < 1 << CLIENT_BITS; i++)
		for (n = __atomic_load_n(&t->clients[i], __ATOMIC_ACQUIRE); n; n = n->next)
			if (has_address(n))
				fn(ctx, n);
}
