// SPDX-License-Identifier: GPL-2.0-or-later
/* A node's life, and what comes in for it. Its operations are in user_ops.c. */
#include <stdlib.h>
#include <time.h>
#include <sys/random.h>

#include "user_internal.h"

#define PACKET_MEMORY (64UL << 20)

u64 gvm_random_id(void)
{
	u64 id = 0;

	while (!id)
		if (getrandom(&id, sizeof(id), 0) != sizeof(id))
			id = gvm_now_us() * 0x9e3779b97f4a7c15ULL;
	return id;
}

u64 gvm_session_id(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ((u64)ts.tv_sec * 1000000 + (u64)ts.tv_nsec / 1000) << 8 | (gvm_random_id() & 0xff);
}

/* What comes in. */

static bool from_gateway(const struct gvm_backend *b, u32 gw_id, const struct sockaddr_in *from)
{
	struct sockaddr_in known;

	return gvm_addresses_gateway(b->addresses, gw_id, &known) &&
	       known.sin_addr.s_addr == from->sin_addr.s_addr && known.sin_port == from->sin_port;
}

/* Only a slave's own gateway may tell it where clients are. */
static void rx_node_addr(struct gvm_backend *b, const u8 *body, size_t len)
{
	struct gvm_addr_body a;

	if (gvm_addr_decode(&a, body, len))
		return;
	gvm_addresses_set_client(b->addresses, a.id, a.ip, a.direct ? a.port : 0);
}

static void rx_control(struct gvm_backend *b, const struct gvm_header *h, const u8 *body,
		       const struct sockaddr_in *from)
{
	bool addr = h->msg_type == MSG_NODE_ADDR;
	u32 gw = addr ? b->cfg.node.id >> GVM_ROUTING_SHIFT : (u32)h->req_id;

	backend_count(&b->rx_control);
	if (h->slave_id != b->cfg.node.id || h->is_frag || !from_gateway(b, gw, from)) {
		backend_count(&b->rx_control_refused);
		return;
	}
	if (addr)
		rx_node_addr(b, body, h->length);
	else if (h->msg_type == MSG_REGISTER_ACK)
		gvm_registration_ack(b->registration, h->req_id, body, h->length, gvm_now_us());
	else if (b->roster)
		gvm_roster_reply(b->roster, h->req_id, body, h->length, gvm_now_us());
}

static bool is_control(u16 type)
{
	return type == MSG_REGISTER_ACK || type == MSG_NODES_REPLY || type == MSG_NODE_ADDR;
}

/* Messages for the backend may share a datagram with others. */
static void on_rx(void *ctx, const u8 *datagram, size_t len, const struct sockaddr_in *from)
{
	struct gvm_backend *b = ctx;
	size_t left = len;
	const u8 *at = datagram, *part;
	struct gvm_header h;
	bool others = false;
	int used = 0;

	while (left && (used = gvm_wire_next(&h, &part, at, left)) > 0) {
		if (is_control(h.msg_type))
			rx_control(b, &h, part, from);
		else
			others = true;
		at += used;
		left -= (size_t)used;
	}
	if (others || used <= 0)
		gvm_node_rx(b->node, datagram, len);
}

static u64 on_tick(void *ctx)
{
	struct gvm_backend *b = ctx;

	return gvm_node_tick(b->node);
}

static u64 on_periodic(void *ctx, u64 now)
{
	struct gvm_backend *b = ctx;
	u64 next = gvm_registration_tick(b->registration, now), other;

	if (!b->roster)
		return next;
	other = gvm_roster_tick(b->roster, now);
	return other < next ? other : next;
}

/* Takes the pages that other threads want mapped. */
static void take_shared(struct gvm_backend *b, struct gvm_map_list *l)
{
	struct gvm_map_list *s = &b->shared.list;
	unsigned int i, kept = 0;

	if (!__atomic_load_n(&b->shared.count, __ATOMIC_ACQUIRE))
		return;
	pthread_mutex_lock(&b->shared.lock);
	for (i = 0; i < s->count; i++)
		if (gvm_map_list_add(l, s->requests[i].page, s->requests[i].prot,
				     s->requests[i].zero))
			s->requests[kept++] = s->requests[i];
	s->count = kept;
	__atomic_store_n(&b->shared.count, kept, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&b->shared.lock);
}

/* Guests go on first; then what may have been held back for company is sent. */
static void on_end_turn(void *ctx)
{
	struct gvm_backend *b = ctx;
	struct gvm_worker *w = gvm_worker_current(b->workers);
	struct gvm_map_list *l = &b->maps[gvm_worker_index(w)];
	struct gvm_pager *p = backend_pager(b);

	take_shared(b, l);
	if (p && l->count)
		gvm_pager_map(p, l);
	else
		l->count = 0;
	gvm_node_flush(b->node);
	backend_settle(b);
}

static const struct gvm_workers_ops worker_ops = {
	.rx = on_rx,
	.tick = on_tick,
	.periodic = on_periodic,
	.end_turn = on_end_turn,
	.before_send = backend_settle,
};

static u64 free_pages(void *ctx)
{
	struct gvm_backend *b = ctx;
	struct gvm_node_stats s;
	u64 used;

	gvm_node_stats(b->node, &s);
	used = s.reserved_pages > s.stored_pages ? s.reserved_pages : s.stored_pages;
	return used < b->cfg.node.lent_pages ? b->cfg.node.lent_pages - used : 0;
}

static void on_refused(void *ctx, const char *sentence)
{
	struct gvm_backend *b = ctx;

	b->cfg.refused(b->cfg.ctx, sentence);
}

static const struct gvm_registration_ops registration_ops = {
	.send = backend_send_gateway,
	.free_pages = free_pages,
	.refused = on_refused,
};

static void on_stalled(void *ctx)
{
	struct gvm_backend *b = ctx;

	if (b->cfg.stalled)
		b->cfg.stalled(b->cfg.ctx);
}

/* Life. */

static int create_tables(struct gvm_backend *b)
{
	struct gvm_registration_config reg = {
		.id = b->cfg.node.id,
		.boot_id = b->cfg.node.boot_id,
		.lent_pages = b->cfg.node.lent_pages,
		.log = b->cfg.log,
		.ops = &registration_ops,
		.ctx = b,
	};

	b->addresses = gvm_addresses_create(b->cfg.node.id);
	b->ring = gvm_req_ring_create();
	b->pool = gvm_pkt_pool_create(PACKET_MEMORY);
	b->nets = calloc(b->cfg.threads, sizeof(*b->nets));
	b->maps = calloc(b->cfg.threads, sizeof(*b->maps));
	b->stalls = gvm_stalls_create(on_stalled, b);
	if (!b->addresses || !b->ring || !b->pool || !b->nets || !b->maps || !b->stalls)
		return -ENOMEM;
	reg.addresses = b->addresses;
	b->registration = gvm_registration_create(&reg);
	if (b->cfg.node.id >= GVM_MAX_SLAVES) {
		b->roster = gvm_roster_create(b->cfg.node.boot_id, b->addresses,
					      backend_send_gateway, b);
		if (!b->roster)
			return -ENOMEM;
	}
	return b->registration ? 0 : -ENOMEM;
}

static int create_workers(struct gvm_backend *b)
{
	struct gvm_net_config net = {
		.bind = b->cfg.bind,
		.flags = GVM_NET_GRO | GVM_NET_STEER,
		.pool = b->pool,
	};
	struct gvm_workers_config w = {
		.count = b->cfg.threads,
		.pin = b->cfg.pin,
		.spin_us = b->cfg.spin_us,
		.nets = b->nets,
		.ops = &worker_ops,
		.ctx = b,
		.log = b->cfg.log,
	};
	int err = gvm_net_open(b->nets, b->cfg.threads, &net);

	return err ? err : gvm_workers_create(&b->workers, &w);
}

int gvm_backend_create(struct gvm_backend **out, const struct gvm_backend_config *cfg)
{
	struct gvm_backend *b = calloc(1, sizeof(*b));
	int err;

	if (!b)
		return -ENOMEM;
	b->cfg = *cfg;
	if (!b->cfg.node.boot_id)
		b->cfg.node.boot_id = gvm_random_id();
	pthread_mutex_init(&b->shared.lock, NULL);
	err = create_tables(b);
	if (!err)
		err = create_workers(b);
	if (!err) {
		b->node = gvm_node_create(&b->cfg.node, &gvm_user_ops, b);
		err = b->node ? 0 : -ENOMEM;
	}
	if (err)
		gvm_backend_destroy(b);
	else
		*out = b;
	return err;
}

int gvm_backend_start(struct gvm_backend *b)
{
	return gvm_workers_start(b->workers);
}

void gvm_backend_stop(struct gvm_backend *b)
{
	gvm_workers_stop(b->workers);
}

void gvm_backend_destroy(struct gvm_backend *b)
{
	unsigned int i;

	if (!b)
		return;
	if (b->node)
		gvm_node_destroy(b->node);
	gvm_workers_destroy(b->workers);
	for (i = 0; b->nets && i < b->cfg.threads; i++)
		gvm_net_close(b->nets[i]);
	for (i = 0; b->maps && i < b->cfg.threads; i++)
		free(b->maps[i].requests);
	free(b->shared.list.requests);
	free(b->nets);
	free(b->maps);
	gvm_roster_destroy(b->roster);
	gvm_registration_destroy(b->registration);
	gvm_stalls_destroy(b->stalls);
	gvm_req_ring_destroy(b->ring);
	gvm_addresses_destroy(b->addresses);
	if (b->pool)
		gvm_pkt_pool_destroy(b->pool);
	pthread_mutex_destroy(&b->shared.lock);
	free(b);
}

struct gvm_node *gvm_backend_node(struct gvm_backend *b)
{
	return b->node;
}

struct gvm_addresses *gvm_backend_addresses(struct gvm_backend *b)
{
	return b->addresses;
}

struct gvm_registration *gvm_backend_registration(struct gvm_backend *b)
{
	return b->registration;
}

struct gvm_roster *gvm_backend_roster(struct gvm_backend *b)
{
	return b->roster;
}

struct gvm_stalls *gvm_backend_stalls(struct gvm_backend *b)
{
	return b->stalls;
}

struct gvm_workers *gvm_backend_workers(struct gvm_backend *b)
{
	return b->workers;
}

u64 gvm_backend_boot_id(const struct gvm_backend *b)
{
	return b->cfg.node.boot_id;
}

void gvm_backend_set_pager(struct gvm_backend *b, struct gvm_pager *p)
{
	__atomic_store_n(&b->pager, p, __ATOMIC_RELEASE);
	if (!p)
		gvm_workers_quiesce(b->workers);
}

void gvm_backend_stats(struct gvm_backend *b, struct gvm_backend_stats *out)
{
	u64 *sum = (u64 *)&out->net;
	struct gvm_net_stats one;
	unsigned int i;
	size_t f;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < b->cfg.threads; i++) {
		gvm_net_stats(b->nets[i], &one);
		for (f = 0; f < sizeof(one) / sizeof(u64); f++)
			sum[f] += ((u64 *)&one)[f];
	}
	out->net.gso = one.gso;
	out->net.gro = one.gro;
	out->tx_no_route = __atomic_load_n(&b->tx_no_route, __ATOMIC_RELAXED);
	out->rx_control = __atomic_load_n(&b->rx_control, __ATOMIC_RELAXED);
	out->rx_control_refused = __atomic_load_n(&b->rx_control_refused, __ATOMIC_RELAXED);
}
