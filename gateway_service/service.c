// SPDX-License-Identifier: GPL-2.0-or-later
/* Messages to the gateway itself: registrations, the list of slaves, pings. */
#include "gateway.h"

#include <arpa/inet.h>

static void answer(struct gw_thread *t, const struct gvm_header *to, u16 type, const u8 *body,
		   size_t len, const struct sockaddr_in *from)
{
	struct gvm_header h = {.magic = GVM_MAGIC,
			       .msg_type = type,
			       .version = GVM_VERSION,
			       .slave_id = to->src_id,
			       .src_id = GVM_TO_GATEWAY,
			       .req_id = to->req_id,
			       .vm_id = to->vm_id,
			       .epoch = to->epoch,
			       .flags = GVM_FLAG_RESP};
	u8 *pkt = gvm_net_pkt_alloc(t->net, gvm_wire_size(len));
	size_t seg, bytes;

	if (!pkt) {
		gw_count(&t->counters, GW_drop_no_memory, 1);
		return;
	}
	bytes = gvm_wire_build(pkt, &h, body, len, NULL, 0, &seg);
	if (gvm_net_send(t->net, pkt, bytes, seg, from))
		gw_count(&t->counters, GW_drop_queue_full, 1);
}

static void log_change(struct gw_thread *t, u32 id, enum gw_change change, u64 lent_pages,
		       const struct sockaddr_in *from)
{
	static const char *const what[] = {
		[GW_CHANGE_NEW] = "registered",
		[GW_CHANGE_BOOT] = "registered again after a restart",
		[GW_CHANGE_ADDR] = "moved to another address",
	};
	char ip[INET_ADDRSTRLEN];

	if (change == GW_CHANGE_NONE)
		return;
	gw_count(&t->counters, GW_registered, 1);
	inet_ntop(AF_INET, &from->sin_addr, ip, sizeof(ip));
	gvm_logf(&t->gw->log, GVM_LOG_INFO, "%s %u %s: %s:%u, lends %llu MiB",
		 gw_is_client(id) ? "client" : "slave", id, what[change], ip, ntohs(from->sin_port),
		 (unsigned long long)(lent_pages >> (20 - GVM_PAGE_SHIFT)));
}

static void log_refusal(struct gw_thread *t, u32 id, int status, u32 slave_bits)
{
	struct gw_counters *c = &t->counters;

	switch (status) {
	case -EEXIST:
		gw_count(c, GW_refused_exists, 1);
		gw_odd(t, "refused node %u: another live node has this id", id);
		break;
	case -ERANGE:
		gw_count(c, GW_refused_range, 1);
		gw_odd(t, "refused node %u: this gateway serves slaves %u to %u", id,
		       t->gw->first_slave, t->gw->first_slave + t->gw->nslaves - 1);
		break;
	case -EPROTO:
		gw_count(c, GW_refused_bits, 1);
		gw_odd(t, "refused node %u: built for %u bits of slave id, this gateway for %u", id,
		       slave_bits, GVM_SLAVE_BITS);
		break;
	default:
		gw_count(c, GW_refused_full, 1);
		gw_odd(t, "refused client %u: the table of clients is full", id);
	}
}

static void serve_register(struct gw_thread *t, const struct gvm_header *h, const u8 *body,
			   const struct sockaddr_in *from)
{
	struct gvm_register_body b;
	enum gw_change change;
	u8 out[GVM_REGISTER_BODY];

	if (gvm_register_decode(&b, body, h->length)) {
		gw_count(&t->counters, GW_drop_body, 1);
		return;
	}
	b.status = gw_nodes_register(t->gw->nodes, h->src_id, &b, from, t->now_us, &change);
	if (b.status)
		log_refusal(t, h->src_id, b.status, b.slave_bits);
	else
		log_change(t, h->src_id, change, b.lent_pages, from);
	b.slave_bits = GVM_SLAVE_BITS;
	b.gateway_boot = t->gw->boot_id;
	gvm_register_encode(out, &b);
	answer(t, h, MSG_REGISTER_ACK, out, sizeof(out), from);
}

static void serve_nodes(struct gw_thread *t, const struct gvm_header *h, const u8 *body,
			const struct sockaddr_in *from)
{
	struct gvm_node_record records[GVM_NODES_MAX];
	u8 out[GVM_NODES_MAX * GVM_NODE_RECORD];
	u32 n;

	static_assert(sizeof(out) <= GVM_FRAG_MAX, "a list of nodes is one datagram");
	if (h->length != sizeof(u32)) {
		gw_count(&t->counters, GW_drop_body, 1);
		return;
	}
	gw_count(&t->counters, GW_nodes_queries, 1);
	n = gw_nodes_list(t->gw->nodes, gvm_get_le32(body), records, GVM_NODES_MAX, t->now_us);
	for (u32 i = 0; i < n; i++)
		gvm_node_record_encode(out + i * GVM_NODE_RECORD, &records[i]);
	answer(t, h, MSG_NODES_REPLY, out, n * GVM_NODE_RECORD, from);
}

void gw_serve(struct gw_thread *t, const struct gvm_header *h, const u8 *body,
	      const struct sockaddr_in *from)
{
	bool request = !h->is_frag && !(h->flags & GVM_FLAG_RESP);

	if (request && h->msg_type == MSG_REGISTER) {
		serve_register(t, h, body, from);
	} else if (request && h->msg_type == MSG_NODES_QUERY) {
		serve_nodes(t, h, body, from);
	} else if (request && h->msg_type == MSG_PING) {
		gw_count(&t->counters, GW_pings, 1);
		answer(t, h, MSG_PING, body, h->length, from);
	} else {
		gw_count(&t->counters, GW_drop_unexpected, 1);
		gw_odd(t, "dropped a message of type %u from node %u to the gateway", h->msg_type,
		       h->src_id);
	}
}
