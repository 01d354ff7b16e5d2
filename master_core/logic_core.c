/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A node's entry points: messages to the part that handles them, timers, blocking calls. */
#include "logic_core.h"
#include "agent.h"
#include "home.h"
#include "peer.h"
#include "rpc.h"

struct gvm_node *gvm_node_create(const struct gvm_node_config *cfg,
				 const struct dsm_driver_ops *ops, void *ctx)
{
	struct gvm_node *n = ops->alloc_large_table(ctx, sizeof(*n));

	if (!n)
		return NULL;
	n->cfg = *cfg;
	n->ops = ops;
	n->ctx = ctx;
	if (gvm_peers_create(n) || gvm_rpc_create(n) || gvm_home_create(n) || gvm_agent_create(n)) {
		gvm_node_destroy(n);
		return NULL;
	}
	return n;
}

void gvm_node_destroy(struct gvm_node *n)
{
	gvm_agent_destroy(n);
	gvm_home_destroy(n);
	gvm_rpc_destroy(n);
	gvm_peers_destroy(n);
	n->ops->free_large_table(n->ctx, n);
}

/* A whole message about a page. */
static void rx_page(struct gvm_node *n, const struct gvm_header *h, const u8 *body, size_t len)
{
	struct gvm_page_body b;
	const u8 *data = len == GVM_MSG_MAX ? body + GVM_PAGE_BODY : NULL;

	if (gvm_page_body_decode(&b, body, len < GVM_PAGE_BODY ? len : GVM_PAGE_BODY) ||
	    (len != GVM_PAGE_BODY && !data) || (data != NULL) != !!(b.flags & GVM_PF_DATA)) {
		gvm_stat_inc(n, rx_bad);
		return;
	}
	switch (h->msg_type) {
	case MSG_MEM_READ:
		gvm_home_read(n, h, &b);
		break;
	case MSG_MEM_WRITE:
		gvm_home_write(n, h, &b, data);
		break;
	case MSG_INV_ACK:
		gvm_home_inv_ack(n, h, &b, data);
		break;
	case MSG_GRANT_ACK:
		gvm_home_grant_ack(n, h, &b);
		break;
	case MSG_COPYSET_UPDATE:
		gvm_agent_update(n, h, &b);
		break;
	}
}

static void rx_fragment(struct gvm_node *n, const struct gvm_header *h, const u8 *part)
{
	u8 *whole;
	size_t len;

	whole = n->ops->alloc_packet(n->ctx, GVM_MSG_MAX, true);
	if (!whole)
		return;
	len = gvm_reasm_add(n, n->home->reasm, h, part, whole);
	if (len)
		rx_page(n, h, whole, len);
	n->ops->free_packet(n->ctx, whole);
}

static void rx_answer(struct gvm_node *n, const struct gvm_header *h, const u8 *part)
{
	struct gvm_page_body b;

	if (gvm_rpc_answer(n, h, part))
		return;
	gvm_stat_inc(n, rx_stale_reply);
	if (h->msg_type != MSG_MEM_ACK || !n->agent || h->frag_seq || h->length < GVM_PAGE_BODY ||
	    gvm_page_body_decode(&b, part, GVM_PAGE_BODY))
		return;
	if (!b.status && b.mode != GVM_MODE_NONE && !(b.flags & GVM_PF_WRITTEN))
		gvm_agent_stray_grant(n, h, &b);
}

static void rx_ping(struct gvm_node *n, const struct gvm_header *h, const u8 *part)
{
	if (h->flags & GVM_FLAG_RESP)
		rx_answer(n, h, part);
	else if (h->length == GVM_REGISTER_BODY)
		gvm_send(n, h->src_id, MSG_PING, h->req_id, h->vm_id, h->epoch, GVM_FLAG_RESP, part,
			 h->length, NULL);
	else
		gvm_stat_inc(n, rx_bad);
}

static void rx_message(struct gvm_node *n, const struct gvm_header *h, const u8 *part)
{
	gvm_stat_inc(n, rx_messages);
	if (h->slave_id != n->cfg.id) {
		gvm_stat_inc(n, rx_not_mine);
		return;
	}
	gvm_peer_heard_now(n, h->src_id);
	switch (h->msg_type) {
	case MSG_MEM_ACK:
	case MSG_VM_ACK:
		rx_answer(n, h, part);
		return;
	case MSG_PING:
		rx_ping(n, h, part);
		return;
	case MSG_COPYSET_UPDATE:
		if (!n->agent || h->is_frag)
			break;
		rx_page(n, h, part, h->length);
		return;
	case MSG_MEM_READ:
	case MSG_MEM_WRITE:
	case MSG_INV_ACK:
	case MSG_GRANT_ACK:
		if (!n->home)
			break;
		if (h->is_frag)
			rx_fragment(n, h, part);
		else
			rx_page(n, h, part, h->length);
		return;
	case MSG_VM_OPEN:
	case MSG_VM_CLOSE:
	case MSG_VM_STAT:
		if (!n->home || h->is_frag)
			break;
		gvm_home_rx_vm(n, h, part, h->length);
		return;
	}
	gvm_stat_inc(n, rx_unexpected);
}

void gvm_node_rx(struct gvm_node *n, const u8 *datagram, size_t len)
{
	struct gvm_header h;
	const u8 *part;

	while (len) {
		int used = gvm_wire_next(&h, &part, datagram, len);

		if (used <= 0) {
			if (used == -EPROTONOSUPPORT)
				gvm_stat_inc(n, rx_version);
			else
				gvm_stat_inc(n, rx_bad);
			return;
		}
		rx_message(n, &h, part);
		datagram += used;
		len -= (size_t)used;
	}
}

u64 gvm_node_tick(struct gvm_node *n)
{
	u64 now = n->ops->get_time_us(n->ctx), acks = (u64)-1, next;

	if (n->agent)
		acks = gvm_agent_tick(n, now);
	next = gvm_rpc_tick(n, now);
	return min_t(u64, acks, next);
}

void gvm_node_flush(struct gvm_node *n)
{
	struct gvm_agent *a = n->agent;

	if (!a)
		return;
	gvm_lock(&a->lock);
	if (a->acks_due <= n->ops->get_time_us(n->ctx))
		gvm_agent_flush_acks(n);
	gvm_unlock(&a->lock);
}

void gvm_node_stats(struct gvm_node *n, struct gvm_node_stats *out)
{
	const u64 *from = (const u64 *)&n->stats;
	u64 *to = (u64 *)out;

	for (size_t i = 0; i < sizeof(*out) / sizeof(*to); i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

struct call {
	u64 wait_id;
	u8 *reply;
	size_t room;
	int result;
};

static void call_done(struct gvm_node *n, struct gvm_req *q, int status)
{
	struct call *c = q->arg;

	c->result = status ? status : (int)min_t(size_t, q->reply_len, c->room);
	if (!status)
		memcpy(c->reply, q->reply, (size_t)c->result);
	n->ops->complete_req(n->ctx, c->wait_id, status ? status : 1);
}

int gvm_rpc_call(struct gvm_node *n, u32 target, u16 msg_type, u32 vm_id, u32 epoch, const u8 *body,
		 size_t len, u8 *reply, size_t reply_len)
{
	struct call c = {.reply = reply, .room = reply_len};
	struct gvm_req_params p = {.target = target,
				   .vm_id = vm_id,
				   .epoch = epoch,
				   .type = msg_type,
				   .body = body,
				   .body_len = (u8)len,
				   .done = call_done,
				   .arg = &c};

	if (len > GVM_VM_BODY)
		return -EINVAL;
	c.wait_id = n->ops->alloc_req_id(n->ctx, reply);
	if (c.wait_id == (u64)-1)
		return -EBUSY;
	if (!gvm_req_start(n, &p)) {
		n->ops->free_req_id(n->ctx, c.wait_id);
		return -EBUSY;
	}
	while (!n->ops->check_req_status(n->ctx, c.wait_id))
		n->ops->wait_req(n->ctx, c.wait_id, GVM_RTO_MAX_US);
	n->ops->free_req_id(n->ctx, c.wait_id);
	if (c.result == -EIO)
		gvm_log(n, GVM_LOG_ERR, "slave %u does not answer (message type %u, %u tries)",
			target, msg_type, GVM_RPC_TRIES);
	return c.result;
}
