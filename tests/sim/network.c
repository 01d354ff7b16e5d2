// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The network: each datagram is lost, doubled, delayed, overtaken, joined with
 * another for the same host (a gateway aggregates), or arrives cut short or
 * defaced. UDP's checksum keeps plausible corruption away from the protocol, so
 * a defaced datagram is one that a strict decoder can tell.
 */
#include <stdio.h>
#include <stdlib.h>

#include "sim.h"

struct sim_packet {
	u32 to;
	u32 from;
	size_t len;
	u8 data[GVM_DATAGRAM_MAX];
};

struct sim_host *sim_host_find(struct sim *s, u32 id)
{
	u32 i;

	for (i = 0; i < s->nhosts; i++)
		if (s->hosts[i]->cfg.id == id)
			return s->hosts[i];
	return NULL;
}

static bool cut_between(struct sim *s, const struct sim_host *a, const struct sim_host *b)
{
	return s->now < s->cut_until && a->side != b->side;
}

static const char *type_name(u16 type)
{
	static const char *const names[] = {
		"PING",	   "MEM_READ",	"MEM_WRITE", "MEM_ACK", "COPYSET_UPDATE", "VCPU_EXIT",
		"INV_ACK", "GRANT_ACK", "REGISTER",  "REG_ACK", "NODES_QUERY",	  "NODES_REPLY",
		"VM_OPEN", "VM_CLOSE",	"VM_STAT",   "VM_ACK",	"NODE_ADDR"};

	return type < ARRAY_SIZE(names) ? names[type] : "?";
}

static void trace_message(struct sim *s, const char *what, const struct gvm_header *h,
			  const u8 *part)
{
	bool paged = h->frag_seq == 0 && gvm_frag_length(h) >= GVM_PAGE_BODY;
	u64 page = paged ? gvm_get_le64(part) : 0;

	if (s->cfg.trace_page >= 0 && (!paged || page != (u64)s->cfg.trace_page))
		return;
	if (paged)
		sim_trace(
			s,
			"%s %u>%u %s req %llx page %llu v%u mode %u flags %02x status %d aux %u%s",
			what, h->src_id, h->slave_id, type_name(h->msg_type),
			(unsigned long long)h->req_id, (unsigned long long)page,
			gvm_get_le32(part + 8), part[12], part[13],
			(int16_t)gvm_get_le16(part + 14), gvm_get_le32(part + 16),
			h->is_frag ? " 1/n" : "");
	else
		sim_trace(s, "%s %u>%u %s req %llx frag %u", what, h->src_id, h->slave_id,
			  type_name(h->msg_type), (unsigned long long)h->req_id, h->frag_seq);
}

static void trace(struct sim *s, const char *what, const u8 *data, size_t len)
{
	struct gvm_header h;
	const u8 *part;
	int used;

	if (!s->cfg.verbose)
		return;
	while ((used = gvm_wire_next(&h, &part, data, len)) > 0) {
		trace_message(s, what, &h, part);
		data += used;
		len -= used;
	}
}

static void deliver(struct sim *s, void *who, u64 what)
{
	struct sim_packet *p = who;
	struct sim_host *from = sim_host_find(s, p->from), *to = sim_host_find(s, p->to);

	(void)what;
	if (to && to->joinable == p)
		to->joinable = NULL;
	if (to && to->node && !(from && cut_between(s, from, to))) {
		trace(s, "<", p->data, p->len);
		sim_host_receive(to, p->data, p->len);
	} else {
		s->counts.lost++;
	}
	free(p);
}

/* Mostly near the mean, sometimes long after: a duplicate may outlive its request. */
static u64 draw_delay(struct sim *s)
{
	u64 delay = s->cfg.delay_us + sim_below(s, s->cfg.jitter_us + 1);

	if (sim_chance(s, s->cfg.late_ppm))
		delay += sim_below(s,
				   sim_chance(s, 100000) ? 20ULL * s->cfg.late_us : s->cfg.late_us);
	return delay;
}

static void deface(struct sim *s, struct sim_packet *p)
{
	static const u8 strict[] = {0, 1, 2, 3, 5, 7, 11, 15, 32, 44, 47, 48};
	u64 i;

	switch (sim_below(s, 3)) {
	case 0:
		p->len = sim_below(s, p->len);
		break;
	case 1:
		if (p->len >= GVM_HEADER_SIZE)
			p->data[strict[sim_below(s, sizeof(strict))]] ^= 0x80;
		break;
	default:
		p->len = sim_below(s, sizeof(p->data));
		for (i = 0; i < p->len; i++)
			p->data[i] = (u8)sim_random(s);
	}
}

static bool join(struct sim *s, struct sim_host *to, u32 from, const u8 *data, size_t len)
{
	struct sim_packet *p = to->joinable;

	if (!p || p->from != from || p->len + len > sizeof(p->data))
		return false;
	memcpy(p->data + p->len, data, len);
	p->len += len;
	s->counts.joined++;
	return true;
}

static void launch(struct sim *s, u32 from, u32 to, const u8 *data, size_t len, bool defaced)
{
	struct sim_host *dest = sim_host_find(s, to);
	struct sim_packet *p;

	if (len > sizeof(p->data)) {
		sim_fail(s, "node %u sent a datagram of %zu bytes", from, len);
		return;
	}
	if (dest && !defaced && sim_chance(s, s->cfg.join_ppm) && join(s, dest, from, data, len))
		return;
	p = malloc(sizeof(*p));
	if (!p) {
		sim_fail(s, "out of memory for datagrams");
		return;
	}
	p->from = from;
	p->to = to;
	p->len = len;
	memcpy(p->data, data, len);
	if (defaced)
		deface(s, p);
	else if (dest)
		dest->joinable = p;
	sim_at(s, draw_delay(s), deliver, p, 0);
}

/* After a flush the homes have every byte: no page may go there any more. */
static void check_audit(struct sim *s, const u8 *data, size_t len)
{
	struct gvm_header h;
	const u8 *part;

	if (!s->auditing || gvm_wire_next(&h, &part, data, len) <= 0)
		return;
	if (h.src_id < SIM_AUDITOR && h.length == GVM_MSG_MAX &&
	    (h.msg_type == MSG_INV_ACK || h.msg_type == MSG_MEM_WRITE))
		sim_fail(s, "node %u sends home a page after everything was flushed", h.src_id);
}

/* A gateway stands between any two hosts: two hops, each with its own loss. */
void sim_net_send(struct sim *s, u32 from, u32 to, const u8 *data, size_t len)
{
	s->counts.sent++;
	check_audit(s, data, len);
	if (s->filter && !s->filter(s, from, to, data, len))
		return;
	trace(s, ">", data, len);
	if (sim_chance(s, s->cfg.mangle_ppm)) {
		s->counts.mangled++;
		launch(s, from, to, data, len, true);
	}
	if (sim_chance(s, s->cfg.loss_ppm) || sim_chance(s, s->cfg.loss_ppm)) {
		s->counts.lost++;
		return;
	}
	launch(s, from, to, data, len, false);
	if (sim_chance(s, s->cfg.duplicate_ppm)) {
		s->counts.duplicated++;
		launch(s, from, to, data, len, false);
	}
}

static void cut_again(struct sim *s, void *who, u64 what)
{
	(void)who;
	(void)what;
	sim_net_cut(s);
}

/* Hosts fall on two sides that do not hear each other for a while; then again, later. */
void sim_net_cut(struct sim *s)
{
	u32 i;

	if (s->draining || !s->cutting || !s->cfg.cut_every_us)
		return;
	for (i = 0; i < s->nhosts; i++)
		s->hosts[i]->side = sim_below(s, 2);
	s->cut_until = s->now + 1000 + sim_below(s, s->cfg.cut_us);
	s->counts.cuts++;
	sim_at(s, s->cut_until - s->now + sim_below(s, 2ULL * s->cfg.cut_every_us), cut_again, NULL,
	       0);
}

void sim_net_heal(struct sim *s)
{
	s->cutting = false;
	s->cut_until = 0;
}
