// SPDX-License-Identifier: GPL-2.0-or-later
#include "roster.h"

#include <stdlib.h>

/* A gateway forgets a slave after GVM_PEER_GONE_US; then we still have its last record. */
#define ALIVE_US (GVM_PEER_GONE_US + 2 * GVM_ROSTER_PERIOD_US)

struct gvm_roster {
	pthread_mutex_t lock;
	struct gvm_addresses *addresses;
	gvm_roster_send send;
	void *ctx;
	u64 nonce; /* upper half of our req_ids; the lower is the gateway's id */
	u64 next;
	struct gvm_roster_entry *entries; /* by slave id, touched where known */
	u32 end;			  /* one past the greatest known id */
};

struct gvm_roster *gvm_roster_create(u64 boot_id, struct gvm_addresses *addresses,
				     gvm_roster_send send, void *ctx)
{
	struct gvm_roster *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->entries = calloc(GVM_MAX_SLAVES, sizeof(*r->entries));
	if (!r->entries) {
		free(r);
		return NULL;
	}
	pthread_mutex_init(&r->lock, NULL);
	r->addresses = addresses;
	r->send = send;
	r->ctx = ctx;
	r->nonce = boot_id >> 32 << 32;
	return r;
}

void gvm_roster_destroy(struct gvm_roster *r)
{
	if (!r)
		return;
	pthread_mutex_destroy(&r->lock);
	free(r->entries);
	free(r);
}

static void query(struct gvm_roster *r, u32 gw, u32 first)
{
	u8 body[4];

	gvm_put_le32(body, first);
	r->send(r->ctx, gw, MSG_NODES_QUERY, r->nonce | gw, body, sizeof(body));
}

u64 gvm_roster_tick(struct gvm_roster *r, u64 now)
{
	u32 gw;

	if (now < r->next)
		return r->next;
	for (gw = gvm_addresses_next_gateway(r->addresses, 0); gw < GVM_MAX_GATEWAYS;
	     gw = gvm_addresses_next_gateway(r->addresses, gw + 1))
		query(r, gw, gw << GVM_ROUTING_SHIFT);
	r->next = now + GVM_ROSTER_PERIOD_US;
	return r->next;
}

static void update(struct gvm_roster *r, const struct gvm_node_record *rec, u64 now)
{
	struct gvm_roster_entry *e = &r->entries[rec->id];
	u64 age = (u64)rec->age_ms * 1000;

	e->id = rec->id;
	e->boot_id = rec->boot_id;
	e->lent_pages = rec->lent_pages;
	e->free_pages = rec->free_pages;
	e->heard_us = age < now ? now - age : 1;
	if (rec->id >= r->end)
		r->end = rec->id + 1;
}

void gvm_roster_reply(struct gvm_roster *r, u64 req_id, const u8 *body, size_t len, u64 now)
{
	struct gvm_node_record records[GVM_NODES_MAX];
	unsigned int n, i;
	u32 gw = (u32)req_id;

	if ((req_id & ~0xffffffffULL) != r->nonce || gw >= GVM_MAX_GATEWAYS ||
	    gvm_nodes_decode(records, &n, body, len))
		return;
	pthread_mutex_lock(&r->lock);
	for (i = 0; i < n; i++)
		if (records[i].id < GVM_MAX_SLAVES && records[i].id >> GVM_ROUTING_SHIFT == gw)
			update(r, &records[i], now);
	pthread_mutex_unlock(&r->lock);
	if (n == GVM_NODES_MAX)
		query(r, gw, records[n - 1].id + 1);
}

bool gvm_roster_next(struct gvm_roster *r, u32 from, struct gvm_roster_entry *out)
{
	bool found = false;

	pthread_mutex_lock(&r->lock);
	for (; from < r->end && !found; from++) {
		found = r->entries[from].heard_us != 0;
		if (found)
			*out = r->entries[from];
	}
	pthread_mutex_unlock(&r->lock);
	return found;
}

bool gvm_roster_alive(const struct gvm_roster_entry *e, u64 now)
{
	return e->lent_pages && now < e->heard_us + ALIVE_US;
}
