// SPDX-License-Identifier: GPL-2.0-or-later
/* From the send queue to the kernel: messages for sendmmsg, and what the kernel refuses. */
#define _GNU_SOURCE 1
#include <netinet/udp.h>
#include "net_internal.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define SEND_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL)

/* A place in the pieces of a send. */
struct cursor {
	u32 piece;
	u32 off;
};

static void attach_gso(struct msghdr *m, union tx_control *ctl, u16 seg)
{
	struct cmsghdr *c = &ctl->align;

	m->msg_control = ctl->buf;
	m->msg_controllen = sizeof(ctl->buf);
	c->cmsg_level = SOL_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(seg));
	memcpy(CMSG_DATA(c), &seg, sizeof(seg));
}

static struct cursor seek(const struct gvm_tx *tx, const struct tx_send *s)
{
	struct cursor at = {s->first, s->off};

	while (at.off >= tx->pieces[at.piece].len)
		at = (struct cursor){tx->pieces[at.piece].next, at.off - tx->pieces[at.piece].len};
	return at;
}

static void fill_iov(struct gvm_tx *tx, struct msghdr *m, struct cursor *at, u32 bytes)
{
	struct tx_batch *b = &tx->batch;

	m->msg_iov = &b->iov[b->niov];
	while (bytes) {
		const struct tx_piece *p = &tx->pieces[at->piece];
		u32 n = min_t(u32, bytes, p->len - at->off);

		b->iov[b->niov++] = (struct iovec){(u8 *)p->data + at->off, n};
		bytes -= n;
		at->off += n;
		if (at->off == p->len)
			*at = (struct cursor){p->next, 0};
	}
	m->msg_iovlen = &b->iov[b->niov] - m->msg_iov;
}

/* Adds what is left of a send to the batch; false: the batch is full. */
static bool batch_add(struct gvm_net *net, u32 index)
{
	struct gvm_tx *tx = &net->tx;
	struct tx_send *s = &tx->sends[index];
	struct tx_batch *b = &tx->batch;
	struct cursor at = seek(tx, s);
	bool gso = net->gso && !tx->gso_hold && !s->one_by_one;
	u32 bytes;

	for (u32 off = s->off; off < s->total; off += bytes) {
		struct msghdr *m;

		if (b->nmsgs == GVM_BATCH || b->niov + s->npieces > TX_IOVS)
			return false;
		m = &b->msgs[b->nmsgs].msg_hdr;
		bytes = min_t(u32, gso ? s->total : s->seg, s->total - off);
		*m = (struct msghdr){.msg_name = &s->to, .msg_namelen = sizeof(s->to)};
		fill_iov(tx, m, &at, bytes);
		if (bytes > s->seg)
			attach_gso(m, &b->ctl[b->nmsgs], s->seg);
		b->send[b->nmsgs] = index;
		b->bytes[b->nmsgs++] = bytes;
	}
	return true;
}

static void set_hold(struct gvm_net *net, u32 flushes)
{
	net->tx.gso_hold = flushes;
	__atomic_store_n(&net->stats.gso, net->gso && !flushes, __ATOMIC_RELAXED);
}

/* The path may have no GSO (a device without checksums, a small MTU): try again later. */
static void hold_gso(struct gvm_net *net)
{
	struct gvm_tx *tx = &net->tx;

	STAT_ADD(net->stats.tx_gso_refused, 1);
	set_hold(net, tx->gso_backoff);
	tx->gso_backoff = min_t(u32, tx->gso_backoff * 2, TX_HOLD_MAX);
}

static bool refuses_gso(int err)
{
	return err == EIO || err == EINVAL || err == EMSGSIZE || err == EOPNOTSUPP ||
	       err == ENOPROTOOPT;
}

/* The kernel refused the first message of the batch. */
static void refused(struct gvm_net *net, int err)
{
	struct tx_batch *b = &net->tx.batch;
	struct tx_send *s = &net->tx.sends[b->send[0]];

	if (b->msgs[0].msg_hdr.msg_control && refuses_gso(err)) {
		s->one_by_one = true;
		hold_gso(net);
		return;
	}
	s->off += b->bytes[0];
	STAT_ADD(net->stats.tx_errors, 1);
}

static void sent(struct gvm_net *net, unsigned int n)
{
	struct tx_batch *b = &net->tx.batch;
	u64 bytes = 0, datagrams = 0, gso = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct tx_send *s = &net->tx.sends[b->send[i]];

		s->off += b->bytes[i];
		bytes += b->bytes[i];
		datagrams += (b->bytes[i] + s->seg - 1) / s->seg;
		gso += b->bytes[i] > s->seg;
	}
	if (gso)
		net->tx.gso_backoff = TX_HOLD_MIN;
	STAT_ADD(net->stats.tx_calls, 1);
	STAT_ADD(net->stats.tx_sends, n);
	STAT_ADD(net->stats.tx_bytes, bytes);
	STAT_ADD(net->stats.tx_datagrams, datagrams);
	STAT_ADD(net->stats.tx_gso, gso);
}

/* One sendmmsg; false: the socket buffer is full. */
static bool transmit(struct gvm_net *net)
{
	struct tx_batch *b = &net->tx.batch;
	int n = sendmmsg(net->fd, b->msgs, b->nmsgs, SEND_FLAGS);

	if (n >= 0) {
		sent(net, n);
	} else if (errno == EAGAIN || errno == ENOBUFS) {
		STAT_ADD(net->stats.tx_again, 1);
		return false;
	} else if (errno != EINTR) {
		refused(net, errno);
	}
	return true;
}

/* Makes a borrowed piece our own, in several pieces if it is long. */
static bool own_piece(struct gvm_net *net, struct tx_send *s, struct tx_piece *p)
{
	struct gvm_tx *tx = &net->tx;
	void *copy;

	if (p->len > GVM_PKT_MAX) {
		u32 rest = gvm_tx_piece_get(tx);

		if (rest == TX_NONE)
			return false;
		tx->pieces[rest] = (struct tx_piece){.data = p->data + GVM_PKT_MAX,
						     .len = p->len - GVM_PKT_MAX,
						     .next = p->next};
		p->len = GVM_PKT_MAX;
		p->next = rest;
		s->npieces++;
	}
	copy = gvm_net_pkt_alloc(net, p->len);
	if (!copy)
		return false;
	p->data = p->pkt = memcpy(copy, p->data, p->len);
	return true;
}

static bool own_send(struct gvm_net *net, struct tx_send *s)
{
	struct tx_piece *pieces = net->tx.pieces;

	for (u32 i = s->first; i != TX_NONE; i = pieces[i].next)
		if (!pieces[i].pkt && !own_piece(net, s, &pieces[i]))
			return false;
	return true;
}

/* Keeps the sends from first on for the next flush; they grow no more. */
static void keep(struct gvm_net *net, u32 first)
{
	struct gvm_tx *tx = &net->tx;
	u32 kept = 0;

	for (u32 i = first; i < tx->nsends; i++) {
		struct tx_send *s = &tx->sends[i];

		if (own_send(net, s)) {
			tx->sends[kept++] = *s;
		} else {
			STAT_ADD(net->stats.tx_full, s->npieces);
			gvm_tx_pieces_put(net, s);
		}
	}
	tx->nsends = kept;
	memset(tx->latest, 0xff, sizeof(tx->latest));
}

unsigned int gvm_net_flush(struct gvm_net *net)
{
	struct gvm_tx *tx = &net->tx;
	u32 head = 0;
	bool room = true;

	if (!tx->nsends)
		return 0;
	if (tx->gso_hold)
		set_hold(net, tx->gso_hold - 1);
	while (room && head < tx->nsends) {
		tx->batch.nmsgs = tx->batch.niov = 0;
		for (u32 i = head; i < tx->nsends && batch_add(net, i); i++)
			;
		room = transmit(net);
		while (head < tx->nsends && tx->sends[head].off == tx->sends[head].total)
			gvm_tx_pieces_put(net, &tx->sends[head++]);
	}
	if (head < tx->nsends) {
		keep(net, head);
	} else {
		tx->nsends = tx->high = 0;
		tx->free_piece = TX_NONE;
	}
	return tx->npieces;
}

static int send_one(struct gvm_net *net, const u8 *data, size_t len, size_t seg,
		    const struct sockaddr_in *to)
{
	struct iovec iov = {(u8 *)data, len};
	union tx_control ctl;
	struct msghdr m = {.msg_name = (void *)to,
			   .msg_namelen = sizeof(*to),
			   .msg_iov = &iov,
			   .msg_iovlen = 1};

	if (len > seg)
		attach_gso(&m, &ctl, seg);
	return sendmsg(net->fd, &m, SEND_FLAGS) < 0 ? -errno : 0;
}

int gvm_net_send_now(struct gvm_net *net, const void *data, size_t len, size_t seg,
		     const struct sockaddr_in *to)
{
	const u8 *p = data;
	size_t off, n;
	int err = -EINVAL;

	if (!seg || seg > len)
		seg = len;
	if (seg < len && net->gso)
		err = send_one(net, p, len, seg, to);
	if (err && (seg == len || !net->gso || refuses_gso(-err)))
		for (off = 0, err = 0; !err && off < len; off += n) {
			n = min_t(size_t, seg, len - off);
			err = send_one(net, p + off, n, n, to);
		}
	__atomic_fetch_add(err ? &net->now_errors : &net->now_sends, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&net->now_bytes, err ? 0 : len, __ATOMIC_RELAXED);
	return err;
}
