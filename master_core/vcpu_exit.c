// SPDX-License-Identifier: GPL-2.0-or-later
#include "vcpu_exit.h"

static bool is_access(const struct gvm_record *r)
{
	return r->type == GVM_REC_PIO || r->type == GVM_REC_MMIO;
}

static bool waits(const struct gvm_record *r)
{
	return is_access(r) && !(r->flags & GVM_ACCESS_POSTED);
}

static bool from_executor(u8 type)
{
	return type >= GVM_REC_PIO && type <= GVM_REC_PIECE;
}

static bool from_master(u8 type)
{
	return type >= GVM_REC_PIECE && type < GVM_REC_TYPES;
}

static int record_push(struct gvm_link *l, const struct gvm_record *r, u64 *seq)
{
	u8 buf[GVM_RECORD_MAX];
	int len = gvm_record_encode(buf, r);

	return len < 0 ? len : gvm_link_push(l, r->type, buf, len, seq);
}

static void caller_send(void *ctx, const u8 *frame, size_t len)
{
	struct gvm_exit_caller *c = ctx;

	c->ops->send(c->ctx, frame, len);
}

static void caller_lost(void *ctx)
{
	struct gvm_exit_caller *c = ctx;

	c->ops->lost(c->ctx);
}

/* The link goes on being probed only while something is open. */
static void answer_in(struct gvm_exit_caller *c, const struct gvm_record *r)
{
	if (!c->open || r->of != c->open || (!r->status && r->len != c->open_len)) {
		c->rx_refused++;
		return;
	}
	c->open = 0;
	gvm_link_expect(&c->link, false, c->now);
	c->ops->answered(c->ctx, r->status, r->data, r->len);
}

static void caller_deliver(void *ctx, u64 seq, u8 type, const u8 *payload, size_t len)
{
	struct gvm_exit_caller *c = ctx;
	struct gvm_record r;

	if (gvm_record_decode(&r, type, payload, len) || !from_master(type))
		c->rx_refused++;
	else if (type == GVM_REC_ANSWER)
		answer_in(c, &r);
	else if (type != GVM_REC_IRQ)
		c->ops->command(c->ctx, seq, &r);
	else if (r.of >= c->taken)
		c->ops->irq(c->ctx, r.vector == GVM_EXIT_NO_VECTOR ? -1 : r.vector);
}

static const struct gvm_link_ops caller_link = {caller_send, caller_deliver, caller_lost};

void gvm_exit_caller_init(struct gvm_exit_caller *c, u32 vcpu, u32 incarnation,
			  const struct gvm_exit_caller_ops *ops, void *ctx)
{
	memset(c, 0, sizeof(*c));
	c->ops = ops;
	c->ctx = ctx;
	gvm_link_init(&c->link, vcpu, incarnation, &caller_link, c);
}

int gvm_exit_send(struct gvm_exit_caller *c, const struct gvm_record *r, u64 now)
{
	u64 seq;
	int err;

	if (!from_executor(r->type))
		return -EINVAL;
	if (c->open && is_access(r))
		return -EBUSY;
	err = record_push(&c->link, r, &seq);
	if (err)
		return err;
	if (r->type == GVM_REC_TAKEN)
		c->taken = seq;
	gvm_link_flush(&c->link, now);
	if (waits(r)) {
		c->open = seq;
		c->open_len = gvm_record_answer_len(r);
		gvm_link_expect(&c->link, true, now);
	}
	return 0;
}

int gvm_exit_caller_rx(struct gvm_exit_caller *c, const u8 *frame, size_t len, u64 now)
{
	c->now = now;
	return gvm_link_rx(&c->link, frame, len, now);
}

u64 gvm_exit_caller_tick(struct gvm_exit_caller *c, u64 now)
{
	return gvm_link_tick(&c->link, now);
}

static void server_send(void *ctx, const u8 *frame, size_t len)
{
	struct gvm_exit_server *s = ctx;

	s->ops->send(s->ctx, frame, len);
}

static void server_lost(void *ctx)
{
	struct gvm_exit_server *s = ctx;

	s->ops->lost(s->ctx);
}

static void server_deliver(void *ctx, u64 seq, u8 type, const u8 *payload, size_t len)
{
	struct gvm_exit_server *s = ctx;
	struct gvm_record r;

	if (gvm_record_decode(&r, type, payload, len) || !from_executor(type) ||
	    (s->open && is_access(&r))) {
		s->rx_refused++;
		return;
	}
	if (waits(&r)) {
		s->open = seq;
		s->open_len = gvm_record_answer_len(&r);
		gvm_link_busy(&s->link, true);
	}
	s->ops->exit(s->ctx, seq, &r);
}

static const struct gvm_link_ops server_link = {server_send, server_deliver, server_lost};

void gvm_exit_server_init(struct gvm_exit_server *s, u32 vcpu, u32 incarnation,
			  const struct gvm_exit_server_ops *ops, void *ctx)
{
	memset(s, 0, sizeof(*s));
	s->ops = ops;
	s->ctx = ctx;
	gvm_link_init(&s->link, vcpu, incarnation, &server_link, s);
}

int gvm_exit_server_rx(struct gvm_exit_server *s, const u8 *frame, size_t len, u64 now)
{
	return gvm_link_rx(&s->link, frame, len, now);
}

u64 gvm_exit_server_tick(struct gvm_exit_server *s, u64 now)
{
	return gvm_link_tick(&s->link, now);
}

void gvm_exit_served(struct gvm_exit_server *s, u64 seq)
{
	if (seq > s->served)
		s->served = seq;
}

int gvm_exit_answer(struct gvm_exit_server *s, u64 seq, s32 status, const u8 *data, u32 len,
		    u64 now)
{
	struct gvm_record r = {
		.type = GVM_REC_ANSWER, .of = seq, .status = status, .data = data, .len = len};
	int err;

	if (!s->open || seq != s->open || (!status && len != s->open_len))
		return -EINVAL;
	err = record_push(&s->link, &r, NULL);
	if (err)
		return err;
	s->open = 0;
	gvm_link_busy(&s->link, false);
	gvm_exit_served(s, seq);
	gvm_link_flush(&s->link, now);
	return 0;
}

int gvm_exit_offer(struct gvm_exit_server *s, int vector, u64 now)
{
	struct gvm_record r = {.type = GVM_REC_IRQ,
			       .of = s->served,
			       .vector = vector < 0 ? GVM_EXIT_NO_VECTOR : vector};
	int err = record_push(&s->link, &r, NULL);

	if (!err)
		gvm_link_flush(&s->link, now);
	return err;
}

int gvm_exit_command(struct gvm_exit_server *s, const struct gvm_record *r, u64 *seq, u64 now)
{
	int err;

	if (!from_master(r->type) || r->type == GVM_REC_ANSWER || r->type == GVM_REC_IRQ)
		return -EINVAL;
	err = record_push(&s->link, r, seq);
	if (!err)
		gvm_link_flush(&s->link, now);
	return err;
}
