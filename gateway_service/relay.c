// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A datagram's way through the gateway: every message in it is checked before
 * the first one goes on; where all go to one node the datagram goes on whole.
 */
#include "gateway.h"

/* Messages of one datagram that go on together. */
struct parcel {
	u32 dest, src;
	const u8 *data;
	size_t len;
	u32 messages;
	bool fragment;
};

static u8 *agg_alloc(void *ctx)
{
	struct gw_thread *t = ctx;

	return gvm_net_pkt_alloc(t->net, GVM_DATAGRAM_MAX);
}

static void agg_emit(void *ctx, u32 slave, u8 *buffer, size_t len)
{
	struct gw_thread *t = ctx;
	struct gw_node *n = gw_nodes_find(t->gw->nodes, t->gw->first_slave + slave);
	struct sockaddr_in to = gw_sockaddr(__atomic_load_n(&n->addr, __ATOMIC_RELAXED));

	if (gvm_net_send(t->net, buffer, len, 0, &to))
		gw_count(&t->counters, GW_drop_queue_full, 1);
}

static void agg_free(void *ctx, u8 *buffer)
{
	struct gateway *gw = ctx;

	gvm_pkt_free(gw->pool, buffer);
}

const struct gvm_agg_ops gw_agg_ops = {.alloc = agg_alloc, .emit = agg_emit, .free = agg_free};

/* What is wrong with the bytes at p, where gvm_wire_next refused with err. */
static enum gw_counter judge(int err, const u8 *p, size_t len, bool first)
{
	struct gvm_header h;

	if (err == -EPROTONOSUPPORT)
		return GW_drop_version;
	if (!first && (err == -EPROTO || len < GVM_HEADER_SIZE))
		return GW_drop_overlong;
	if (err == -EPROTO)
		return GW_drop_magic;
	if (len < GVM_HEADER_SIZE || !gvm_header_decode(&h, p, len))
		return GW_drop_truncated;
	return GW_drop_malformed;
}

static bool only_gateways_send(u16 type)
{
	return type == MSG_REGISTER_ACK || type == MSG_NODES_REPLY || type == MSG_NODE_ADDR;
}

static bool only_gateways_get(u16 type)
{
	return type == MSG_REGISTER || type == MSG_NODES_QUERY;
}

static bool is_forged(const struct gvm_header *h)
{
	return only_gateways_send(h->msg_type) ||
	       (only_gateways_get(h->msg_type) && h->slave_id != GVM_TO_GATEWAY);
}

/* The registered node src at this address, or NULL and counted. */
static struct gw_node *check_sender(struct gw_thread *t, u32 src, const struct sockaddr_in *from)
{
	struct gw_node *n = t->sender;
	gw_addr_t addr;

	if (!n || n->id != src)
		n = gw_nodes_find(t->gw->nodes, src);
	addr = n ? __atomic_load_n(&n->addr, __ATOMIC_RELAXED) : 0;
	if (!addr) {
		gw_count(&t->counters, GW_drop_unregistered, 1);
		gw_odd(t, "dropped a message from node %u, which is not registered", src);
		return NULL;
	}
	if (addr != gw_addr(from)) {
		gw_count(&t->counters, GW_drop_wrong_address, 1);
		gw_odd(t, "dropped a message that names node %u but is not from its address", src);
		return NULL;
	}
	t->sender = n;
	gw_node_heard(n, t->now_us);
	return n;
}

static void forward(struct gw_thread *t, const struct parcel *p, gw_addr_t addr)
{
	struct sockaddr_in to = gw_sockaddr(addr);

	if (gvm_net_send_ref(t->net, p->data, p->len, 0, &to))
		gw_count(&t->counters, GW_drop_queue_full, p->messages);
}

/* Tells the slave where the client is; goes before the message that may be answered. */
static void announce(struct gw_thread *t, u32 slave, const struct gw_node *client)
{
	struct sockaddr_in at = gw_sockaddr(__atomic_load_n(&client->addr, __ATOMIC_RELAXED));
	struct gvm_addr_body b = {
		.id = client->id, .ip = at.sin_addr.s_addr, .port = at.sin_port, .direct = 1};
	struct gvm_header h = {.magic = GVM_MAGIC,
			       .msg_type = MSG_NODE_ADDR,
			       .version = GVM_VERSION,
			       .slave_id = t->gw->first_slave + slave,
			       .src_id = GVM_TO_GATEWAY};
	u8 body[GVM_ADDR_BODY], msg[GVM_HEADER_SIZE + GVM_ADDR_BODY];
	size_t seg, len;

	gvm_addr_encode(body, &b);
	len = gvm_wire_build(msg, &h, body, sizeof(body), NULL, 0, &seg);
	if (!gvm_agg_put(&t->agg, slave, msg, len, 1, t->now_us))
		gw_count(&t->counters, GW_announced, 1);
}

static void to_slave(struct gw_thread *t, const struct parcel *p, const struct gw_node *n,
		     const struct gw_node *sender)
{
	gw_addr_t addr = __atomic_load_n(&n->addr, __ATOMIC_RELAXED);
	u32 slave = n->id - t->gw->first_slave;

	if (!addr) {
		gw_count(&t->counters, GW_drop_slave_unknown, p->messages);
		return;
	}
	if (t->gw->opt.direct && gw_is_client(sender->id) &&
	    gw_announce_due(&t->announcer, n, sender->id,
			    __atomic_load_n(&sender->addr, __ATOMIC_RELAXED), t->now_us))
		announce(t, slave, sender);
	gw_count(&t->counters, GW_to_slave, p->messages);
	if (!p->fragment && p->len <= GVM_AGG_SMALL &&
	    !gvm_agg_put(&t->agg, slave, p->data, p->len, p->messages, t->now_us))
		return;
	gvm_agg_flush_slave(&t->agg, slave);
	forward(t, p, addr);
}

static void to_client(struct gw_thread *t, const struct parcel *p, const struct gw_node *n)
{
	gw_count(&t->counters, GW_to_client, p->messages);
	forward(t, p, __atomic_load_n(&n->addr, __ATOMIC_RELAXED));
}

static void deliver(struct gw_thread *t, const struct parcel *p, const struct gw_node *sender)
{
	struct gw_node *n = gw_nodes_find(t->gw->nodes, p->dest);

	if (p->dest < GVM_MAX_SLAVES) {
		if (n)
			to_slave(t, p, n, sender);
		else
			gw_count(&t->counters, GW_drop_not_mine, p->messages);
	} else if (n) {
		to_client(t, p, n);
	} else {
		gw_count(&t->counters, GW_drop_client_unknown, p->messages);
	}
}

static void relay_parcel(struct gw_thread *t, const struct parcel *p,
			 const struct sockaddr_in *from)
{
	const struct gw_node *sender = check_sender(t, p->src, from);

	if (sender)
		deliver(t, p, sender);
}

/* A message to the gateway, or one that nobody may send. True: there is nothing to relay. */
static bool handle_own(struct gw_thread *t, const struct gvm_header *h, const u8 *body,
		       const struct sockaddr_in *from)
{
	if (is_forged(h)) {
		gw_count(&t->counters, GW_drop_forged, 1);
		gw_odd(t, "dropped a message of type %u from node %u to %u", h->msg_type, h->src_id,
		       h->slave_id);
		return true;
	}
	if (h->slave_id != GVM_TO_GATEWAY)
		return false;
	if (h->msg_type == MSG_REGISTER || check_sender(t, h->src_id, from))
		gw_serve(t, h, body, from);
	return true;
}

/* The messages go to several nodes, or some of them to the gateway. */
static void split(struct gw_thread *t, const u8 *datagram, size_t len,
		  const struct sockaddr_in *from)
{
	struct parcel p = {.messages = 0};
	struct gvm_header h;
	const u8 *body;
	u32 parcels = 0;
	int n;

	for (; (n = gvm_wire_next(&h, &body, datagram, len)) > 0; datagram += n, len -= n) {
		bool own = handle_own(t, &h, body, from);

		if (p.messages && (own || p.dest != h.slave_id || p.src != h.src_id)) {
			relay_parcel(t, &p, from);
			p.messages = 0;
			parcels++;
		}
		if (own)
			continue;
		if (!p.messages)
			p = (struct parcel){h.slave_id, h.src_id, datagram, 0, 0, h.is_frag};
		p.len += n;
		p.messages++;
	}
	if (p.messages)
		relay_parcel(t, &p, from);
	if (parcels + (p.messages != 0) > 1)
		gw_count(&t->counters, GW_split, 1);
}

/*
 * Checks every message. True: the datagram is sound; *p describes it and *whole
 * says that it can go on as it is.
 */
static bool inspect(struct gw_thread *t, const u8 *datagram, size_t len, struct parcel *p,
		    bool *whole)
{
	const u8 *at = datagram, *body;
	struct gvm_header h;
	size_t left = len;
	int n;

	*p = (struct parcel){.data = datagram, .len = len};
	*whole = true;
	for (; (n = gvm_wire_next(&h, &body, at, left)) > 0; at += n, left -= n) {
		if (!p->messages++) {
			p->dest = h.slave_id;
			p->src = h.src_id;
			p->fragment = h.is_frag;
		}
		if (h.slave_id != p->dest || h.src_id != p->src || is_forged(&h) ||
		    h.slave_id == GVM_TO_GATEWAY)
			*whole = false;
	}
	if (n < 0 || !p->messages) {
		gw_count(&t->counters, judge(n, at, left, at == datagram), 1);
		return false;
	}
	gw_count(&t->counters, GW_rx_messages, p->messages);
	return true;
}

void gw_relay(void *ctx, const u8 *datagram, size_t len, const struct sockaddr_in *from)
{
	struct gw_thread *t = ctx;
	struct parcel p;
	bool whole;

	gw_count(&t->counters, GW_rx_datagrams, 1);
	if (!inspect(t, datagram, len, &p, &whole)) {
		gw_odd(t, "dropped a datagram of %zu bytes that is not well formed", len);
		return;
	}
	if (!whole) {
		split(t, datagram, len, from);
		return;
	}
	gw_count(&t->counters, GW_whole, 1);
	relay_parcel(t, &p, from);
}
