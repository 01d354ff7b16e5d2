/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vCPU's link between the node that runs it and its master: a stream of
 * records each way. A record is delivered exactly once and in order, however
 * messages are lost, doubled or reordered, and is kept until it has been
 * acknowledged; what has been delivered is not asked for again, so that a slow
 * answer is not mistaken for a dead peer.
 *
 * A frame is the body of a MSG_VCPU_EXIT (towards the master) or a
 * MSG_VCPU_EVENT (towards the executor) and always fits one datagram. Free of
 * I/O and of locks: one caller at a time, times in microseconds.
 */
#ifndef GVM_VCPU_LINK_H
#define GVM_VCPU_LINK_H

#include "../common_include/giantvm_protocol.h"

#define GVM_LINK_FRAME_MAX   GVM_FRAG_MAX
#define GVM_LINK_HEAD	     32
#define GVM_LINK_RECORD_HEAD 4
#define GVM_LINK_PAYLOAD_MAX (GVM_LINK_FRAME_MAX - GVM_LINK_HEAD - GVM_LINK_RECORD_HEAD)
#define GVM_LINK_WINDOW	     8192 /* bytes of records not acknowledged */
#define GVM_LINK_ACK_US	     500  /* how long an acknowledgement may wait for company */
static_assert(GVM_LINK_ACK_US < GVM_RTO_MIN_US, "acknowledged before it is sent again");

#define GVM_LINK_WANT_ACK 0x1
#define GVM_LINK_BUSY	  0x2 /* what you asked for has come and is being worked on */

struct gvm_link_ops {
	void (*send)(void *ctx, const u8 *frame, size_t len);
	/* May push records, but not call rx or tick. */
	void (*deliver)(void *ctx, u64 seq, u8 type, const u8 *payload, size_t len);
	/* Nothing has been heard in GVM_RPC_TRIES tries. Once; the link is dead from then on. */
	void (*lost)(void *ctx);
};

struct gvm_link_stats {
	u64 tx_frames, rx_frames, retransmits, probes;
	u64 rx_bad, rx_stale, rx_gaps, rx_doubled;
};

struct gvm_link {
	const struct gvm_link_ops *ops;
	void *ctx;
	u32 vcpu;
	u32 incarnation; /* of the vCPU's placement: frames of another one are dropped */

	/* Sending: out holds the records from seq base on; [0, sent) has been sent once. */
	u8 out[GVM_LINK_WINDOW];
	u32 out_len, sent;
	u64 base, sent_seq, next_seq;
	u64 deadline; /* 0: nothing to send again */
	u64 sample_seq, sample_at;
	u32 rto, srtt, rttvar;
	u32 tries;
	bool expecting, dead;

	/* Receiving. */
	u64 received; /* every record up to this one was delivered */
	u64 ack_due;  /* 0: none owed */
	bool ack_now, busy;
	bool peer_busy; /* as of the last frame */

	struct gvm_link_stats stats;
};

void gvm_link_init(struct gvm_link *l, u32 vcpu, u32 incarnation, const struct gvm_link_ops *ops,
		   void *ctx);

/*
 * Appends a record; it goes out with the next flush. -EMSGSIZE, -EAGAIN when the
 * window is full (flush, and try again after a frame came in), -EPIPE when the
 * link is dead. *seq (may be NULL): its number, from 1 on.
 */
int gvm_link_push(struct gvm_link *l, u8 type, const u8 *payload, size_t len, u64 *seq);
/* Sends what is new, with the acknowledgement. */
void gvm_link_flush(struct gvm_link *l, u64 now);
/*
 * A frame came in. Delivers, then flushes. 0, -EBADMSG for what is no frame, -ESTALE
 * for one of another vCPU or incarnation; nothing has changed then.
 */
int gvm_link_rx(struct gvm_link *l, const u8 *frame, size_t len, u64 now);
/* Handles what is due. When it wants to be called next, or (u64)-1. */
u64 gvm_link_tick(struct gvm_link *l, u64 now);

/* An answer is due from the peer: it is probed until it comes. */
void gvm_link_expect(struct gvm_link *l, bool expecting, u64 now);
/* An answer is due from here: said in every frame. */
void gvm_link_busy(struct gvm_link *l, bool busy);

/* Whose frame is it? 0 or -EBADMSG. */
int gvm_link_peek(const u8 *frame, size_t len, u32 *vcpu, u32 *incarnation);

#endif
