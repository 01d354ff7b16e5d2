// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The send queue: pieces for one address are joined into sends while they are
 * queued. net_flush.c hands the sends to the kernel.
 */
#define _GNU_SOURCE 1
#include <stdlib.h>
#include "net_internal.h"

int gvm_tx_init(struct gvm_net *net, u32 max)
{
	struct gvm_tx *tx = &net->tx;

	tx->max = max;
	tx->pieces = calloc(max, sizeof(*tx->pieces));
	tx->sends = calloc(max, sizeof(*tx->sends));
	tx->free_piece = TX_NONE;
	tx->gso_backoff = TX_HOLD_MIN;
	net->stats.gso = net->gso;
	memset(tx->latest, 0xff, sizeof(tx->latest));
	return tx->pieces && tx->sends ? 0 : -ENOMEM;
}

u32 gvm_tx_piece_get(struct gvm_tx *tx)
{
	u32 i = tx->free_piece;

	if (i != TX_NONE)
		tx->free_piece = tx->pieces[i].next;
	else if (tx->high < tx->max)
		i = tx->high++;
	if (i != TX_NONE)
		tx->npieces++;
	return i;
}

void gvm_tx_pieces_put(struct gvm_net *net, struct tx_send *s)
{
	struct gvm_tx *tx = &net->tx;
	u32 next;

	for (u32 i = s->first; i != TX_NONE; i = next) {
		next = tx->pieces[i].next;
		gvm_net_pkt_free(net, tx->pieces[i].pkt);
		tx->pieces[i].next = tx->free_piece;
		tx->free_piece = i;
		tx->npieces--;
	}
}

void gvm_tx_free(struct gvm_net *net)
{
	for (u32 i = 0; i < net->tx.nsends; i++)
		gvm_tx_pieces_put(net, &net->tx.sends[i]);
	free(net->tx.pieces);
	free(net->tx.sends);
}

static bool same_addr(const struct sockaddr_in *a, const struct sockaddr_in *b)
{
	return a->sin_addr.s_addr == b->sin_addr.s_addr && a->sin_port == b->sin_port;
}

static u32 *latest_of(struct gvm_tx *tx, const struct sockaddr_in *to)
{
	u64 key = ((u64)to->sin_addr.s_addr << 16 | to->sin_port) * 0x9e3779b97f4a7c15ULL;

	return &tx->latest[key >> (64 - TX_HASH_BITS)];
}

/*
 * The send to this address that was begun last, which is the only one that may
 * still grow. An entry left from before the last flush cannot match: beginning
 * the send it now names wrote the entry anew.
 */
static struct tx_send *open_send(struct gvm_tx *tx, const struct sockaddr_in *to)
{
	u32 i = *latest_of(tx, to);

	if (i >= tx->nsends || !same_addr(&tx->sends[i].to, to))
		return NULL;
	return &tx->sends[i];
}

/* A fragment comes first in its datagram, since receivers may be chosen by that. */
static bool packs(const struct gvm_net *net, const struct tx_send *s, const u8 *data, u32 len)
{
	u32 limit = s->nseg == 1 ? GVM_DATAGRAM_MAX : s->seg;

	return !(net->flags & GVM_NET_NO_PACK) && s->last_len + len <= limit &&
	       len >= GVM_HEADER_SIZE && !data[offsetof(struct gvm_header, is_frag)];
}

static u32 count_segs(u32 len, u32 seg)
{
	return (len + seg - 1) / seg;
}

/* Accounts for len more bytes in s if they may join it. */
static bool join(struct gvm_net *net, struct tx_send *s, const u8 *data, u32 len, u32 seg)
{
	u32 n = count_segs(len, seg);

	if (s->npieces == TX_PIECES_MAX || s->total + len > TX_BYTES_MAX)
		return false;
	if (n == 1 && packs(net, s, data, len)) {
		s->last_len += len;
		if (s->nseg == 1)
			s->seg = s->last_len;
		STAT_ADD(net->stats.tx_packed, 1);
	} else if (net->gso && s->last_len == s->seg && s->nseg + n <= TX_SEGS_MAX &&
		   (n == 1 ? len <= s->seg : seg == s->seg)) {
		s->nseg += n;
		s->last_len = len - (n - 1) * seg;
	} else {
		return false;
	}
	s->total += len;
	return true;
}

static struct tx_send *begin(struct gvm_tx *tx, const struct sockaddr_in *to, u32 len, u32 seg)
{
	struct tx_send *s = &tx->sends[tx->nsends];

	*latest_of(tx, to) = tx->nsends++;
	s->to = *to;
	s->to.sin_family = AF_INET;
	s->first = s->last = TX_NONE;
	s->npieces = s->off = 0;
	s->total = len;
	s->seg = seg;
	s->nseg = count_segs(len, seg);
	s->last_len = len - (s->nseg - 1) * seg;
	s->one_by_one = false;
	return s;
}

static void add_piece(struct gvm_tx *tx, struct tx_send *s, u32 i)
{
	tx->pieces[i].next = TX_NONE;
	if (s->last == TX_NONE)
		s->first = i;
	else
		tx->pieces[s->last].next = i;
	s->last = i;
	s->npieces++;
}

/* Borrowed bytes that follow borrowed bytes make one piece. */
static bool grow_piece(struct gvm_tx *tx, struct tx_send *s, const u8 *data, u32 len)
{
	struct tx_piece *p = &tx->pieces[s->last];

	if (p->pkt || p->data + p->len != data)
		return false;
	p->len += len;
	return true;
}

static int queue(struct gvm_net *net, const u8 *data, size_t len, size_t seg, void *pkt,
		 const struct sockaddr_in *to)
{
	struct gvm_tx *tx = &net->tx;
	struct tx_send *s;
	u32 i;

	if (!seg || seg > len)
		seg = len;
	if (!len || len > TX_BYTES_MAX || count_segs(len, seg) > TX_SEGS_MAX)
		return -EMSGSIZE;
	if (tx->npieces == tx->max && gvm_net_flush(net) == tx->max)
		return -ENOBUFS;
	s = open_send(tx, to);
	if (s && !join(net, s, data, len, seg))
		s = NULL;
	if (s && !pkt && grow_piece(tx, s, data, len))
		return 0;
	if (!s)
		s = begin(tx, to, len, seg);
	i = gvm_tx_piece_get(tx);
	tx->pieces[i] = (struct tx_piece){.data = data, .len = len, .pkt = pkt};
	add_piece(tx, s, i);
	return 0;
}

static int count_queued(struct gvm_net *net, int err)
{
	if (!err)
		STAT_ADD(net->stats.tx_packets, 1);
	else if (err == -ENOBUFS)
		STAT_ADD(net->stats.tx_full, 1);
	else
		STAT_ADD(net->stats.tx_errors, 1);
	return err;
}

int gvm_net_send(struct gvm_net *net, void *pkt, size_t len, size_t seg,
		 const struct sockaddr_in *to)
{
	int err = queue(net, pkt, len, seg, pkt, to);

	if (err)
		gvm_net_pkt_free(net, pkt);
	return count_queued(net, err);
}

int gvm_net_send_ref(struct gvm_net *net, const void *data, size_t len, size_t seg,
		     const struct sockaddr_in *to)
{
	return count_queued(net, queue(net, data, len, seg, NULL, to));
}

unsigned int gvm_net_queued(const struct gvm_net *net)
{
	return net->tx.npieces;
}
