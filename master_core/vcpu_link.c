// SPDX-License-Identifier: GPL-2.0-or-later
#include "vcpu_link.h"

#define NEVER ((u64)-1)
/* So little that sending it again costs less than waiting for a lost frame. */
#define REPEAT_MAX 512

struct frame {
	u32 vcpu, incarnation;
	u64 first, ack;
	u16 count;
	u8 flags;
	const u8 *records;
	size_t len;
};

/* vcpu, incarnation, first, ack, count u16, flags u8, 0 u8, 0 u32 */
static int frame_decode(struct frame *f, const u8 *buf, size_t len)
{
	size_t at = 0;
	u16 n;

	if (len < GVM_LINK_HEAD || len > GVM_LINK_FRAME_MAX)
		return -EBADMSG;
	f->vcpu = gvm_get_le32(buf);
	f->incarnation = gvm_get_le32(buf + 4);
	f->first = gvm_get_le64(buf + 8);
	f->ack = gvm_get_le64(buf + 16);
	f->count = gvm_get_le16(buf + 24);
	f->flags = buf[26];
	f->records = buf + GVM_LINK_HEAD;
	f->len = len - GVM_LINK_HEAD;
	if (f->flags & ~(GVM_LINK_WANT_ACK | GVM_LINK_BUSY) || buf[27] || gvm_get_le32(buf + 28))
		return -EBADMSG;
	if (!f->first || f->first > NEVER - f->count)
		return -EBADMSG;
	for (n = 0; n < f->count; n++) {
		if (f->len - at < GVM_LINK_RECORD_HEAD)
			return -EBADMSG;
		at += GVM_LINK_RECORD_HEAD + gvm_get_le16(f->records + at + 2);
		if (at > f->len)
			return -EBADMSG;
	}
	return at == f->len ? 0 : -EBADMSG;
}

int gvm_link_peek(const u8 *frame, size_t len, u32 *vcpu, u32 *incarnation)
{
	struct frame f;
	int err = frame_decode(&f, frame, len);

	if (!err) {
		*vcpu = f.vcpu;
		*incarnation = f.incarnation;
	}
	return err;
}

void gvm_link_init(struct gvm_link *l, u32 vcpu, u32 incarnation, const struct gvm_link_ops *ops,
		   void *ctx)
{
	memset(l, 0, sizeof(*l));
	l->ops = ops;
	l->ctx = ctx;
	l->vcpu = vcpu;
	l->incarnation = incarnation;
	l->base = l->sent_seq = l->next_seq = 1;
	l->rto = GVM_RTO_FIRST_US;
}

int gvm_link_push(struct gvm_link *l, u8 type, const u8 *payload, size_t len, u64 *seq)
{
	u8 *at = l->out + l->out_len;

	if (l->dead)
		return -EPIPE;
	if (len > GVM_LINK_PAYLOAD_MAX)
		return -EMSGSIZE;
	if (len + GVM_LINK_RECORD_HEAD > sizeof(l->out) - l->out_len)
		return -EAGAIN;
	at[0] = type;
	at[1] = 0;
	gvm_put_le16(at + 2, len);
	if (len)
		memcpy(at + GVM_LINK_RECORD_HEAD, payload, len);
	l->out_len += GVM_LINK_RECORD_HEAD + len;
	if (seq)
		*seq = l->next_seq;
	l->next_seq++;
	return 0;
}

static u32 record_size(const u8 *record)
{
	return GVM_LINK_RECORD_HEAD + gvm_get_le16(record + 2);
}

/* One frame with the records from out[at] on, whose first is seq; returns where it ends. */
static u32 frame_send(struct gvm_link *l, u32 at, u64 *seq, u8 flags)
{
	u8 buf[GVM_LINK_FRAME_MAX];
	u32 end = at;
	u16 count = 0;

	while (end < l->out_len &&
	       end - at + record_size(l->out + end) <= sizeof(buf) - GVM_LINK_HEAD) {
		end += record_size(l->out + end);
		count++;
	}
	memset(buf, 0, GVM_LINK_HEAD);
	gvm_put_le32(buf, l->vcpu);
	gvm_put_le32(buf + 4, l->incarnation);
	gvm_put_le64(buf + 8, *seq);
	gvm_put_le64(buf + 16, l->received);
	gvm_put_le16(buf + 24, count);
	buf[26] = flags | (l->busy ? GVM_LINK_BUSY : 0);
	memcpy(buf + GVM_LINK_HEAD, l->out + at, end - at);
	*seq += count;
	l->stats.tx_frames++;
	l->ack_due = 0;
	l->ack_now = false;
	l->ops->send(l->ctx, buf, GVM_LINK_HEAD + end - at);
	return end;
}

static void arm(struct gvm_link *l, u64 now)
{
	u32 wait = l->rto;

	if (!l->out_len && l->expecting)
		wait = GVM_RTO_MAX_US; /* it has what it needs: only see that it lives */
	l->deadline = l->out_len || l->expecting ? now + wait : 0;
}

void gvm_link_flush(struct gvm_link *l, u64 now)
{
	bool repeat = l->out_len <= REPEAT_MAX;
	u64 seq = repeat ? l->base : l->sent_seq;
	u32 at = repeat ? 0 : l->sent;

	if (l->dead)
		return;
	if (l->sent == l->out_len) {
		if (l->ack_now)
			frame_send(l, l->out_len, &l->next_seq, 0);
		return;
	}
	if (!l->sample_seq) {
		l->sample_seq = l->next_seq - 1;
		l->sample_at = now;
	}
	while (at < l->out_len)
		at = frame_send(l, at, &seq, 0);
	l->sent = l->out_len;
	l->sent_seq = l->next_seq;
	if (!l->deadline || l->expecting)
		arm(l, now);
}

/* As TCP does it; a sample that was sent twice is none. */
static void rtt_sample(struct gvm_link *l, u64 now)
{
	u32 rtt = min_t(u64, now - l->sample_at, GVM_RTO_MAX_US);
	u32 off;

	if (!l->srtt) {
		l->srtt = rtt;
		l->rttvar = rtt / 2;
	} else {
		off = rtt > l->srtt ? rtt - l->srtt : l->srtt - rtt;
		l->rttvar += ((s32)off - (s32)l->rttvar) / 4;
		l->srtt += ((s32)rtt - (s32)l->srtt) / 8;
	}
	l->sample_seq = 0;
}

static u32 rto_of(const struct gvm_link *l)
{
	u32 rto = l->srtt ? l->srtt + 4 * l->rttvar + GVM_LINK_ACK_US : GVM_RTO_FIRST_US;

	rto = max_t(u32, rto, GVM_RTO_MIN_US);
	return min_t(u32, rto, GVM_RTO_MAX_US);
}

static void acknowledged(struct gvm_link *l, u64 ack, u64 now)
{
	u32 drop = 0;

	if (l->sample_seq && ack >= l->sample_seq)
		rtt_sample(l, now);
	if (ack < l->base)
		return;
	while (l->base <= ack) {
		drop += record_size(l->out + drop);
		l->base++;
	}
	memmove(l->out, l->out + drop, l->out_len - drop);
	l->out_len -= drop;
	l->sent = l->sent > drop ? l->sent - drop : 0;
	if (l->sent_seq < l->base)
		l->sent_seq = l->base;
	l->rto = rto_of(l);
	arm(l, now);
}

static void deliver(struct gvm_link *l, const struct frame *f)
{
	const u8 *at = f->records;
	u64 seq;

	for (seq = f->first; seq < f->first + f->count; seq++, at += record_size(at)) {
		if (seq <= l->received)
			continue;
		l->received = seq;
		l->ops->deliver(l->ctx, seq, at[0], at + GVM_LINK_RECORD_HEAD,
				gvm_get_le16(at + 2));
	}
}

/* What came is acknowledged with the answer if that comes soon; what is odd at once. */
static void records_in(struct gvm_link *l, const struct frame *f, u64 now)
{
	u64 last = f->first + f->count - 1;

	if (f->flags & GVM_LINK_WANT_ACK)
		l->ack_now = true;
	if (!f->count)
		return;
	if (f->first > l->received + 1) {
		l->stats.rx_gaps++;
		l->ack_now = true;
	} else if (last <= l->received) {
		l->stats.rx_doubled++;
		l->ack_now = true;
	} else {
		deliver(l, f);
		if (!l->ack_due)
			l->ack_due = now + GVM_LINK_ACK_US;
	}
}

int gvm_link_rx(struct gvm_link *l, const u8 *frame, size_t len, u64 now)
{
	struct frame f;

	if (frame_decode(&f, frame, len) || f.ack >= l->next_seq) {
		l->stats.rx_bad++;
		return -EBADMSG;
	}
	if (f.vcpu != l->vcpu || f.incarnation != l->incarnation || l->dead) {
		l->stats.rx_stale++;
		return -ESTALE;
	}
	l->stats.rx_frames++;
	l->tries = 0;
	l->peer_busy = f.flags & GVM_LINK_BUSY;
	acknowledged(l, f.ack, now);
	records_in(l, &f, now);
	gvm_link_flush(l, now);
	return 0;
}

/* A full window may take several frames; one of them is enough to be told what is missing. */
static void again(struct gvm_link *l, u64 now)
{
	u64 seq = l->base;

	l->sample_seq = 0;
	if (l->out_len)
		l->stats.retransmits++;
	else
		l->stats.probes++;
	frame_send(l, 0, &seq, GVM_LINK_WANT_ACK);
	l->rto = min_t(u32, l->rto * 2, GVM_RTO_MAX_US);
	arm(l, now);
}

u64 gvm_link_tick(struct gvm_link *l, u64 now)
{
	if (l->dead)
		return NEVER;
	if (l->ack_due && l->ack_due <= now)
		l->ack_now = true;
	if (l->deadline && l->deadline <= now) {
		if (l->tries++ == GVM_RPC_TRIES) {
			l->dead = true;
			l->ops->lost(l->ctx);
			return NEVER;
		}
		again(l, now);
	}
	gvm_link_flush(l, now);
	if (l->ack_due && (!l->deadline || l->ack_due < l->deadline))
		return l->ack_due;
	return l->deadline ? l->deadline : NEVER;
}

void gvm_link_expect(struct gvm_link *l, bool expecting, u64 now)
{
	l->expecting = expecting;
	if (!l->out_len || !l->deadline)
		arm(l, now);
}

void gvm_link_busy(struct gvm_link *l, bool busy)
{
	l->busy = busy;
}
