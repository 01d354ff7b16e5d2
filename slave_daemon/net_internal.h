/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What net_uring.c, net_tx.c and net_pool.c share; nobody else includes it. */
#ifndef GVM_NET_INTERNAL_H
#define GVM_NET_INTERNAL_H

#include <sys/socket.h>
#include "net_uring.h"

/* One writer, readers in any thread. */
#define STAT_ADD(counter, n) __atomic_store_n(&(counter), (counter) + (u64)(n), __ATOMIC_RELAXED)

#define TX_NONE	      UINT32_MAX
#define TX_HASH_BITS  10
#define TX_IOVS	      1024  /* also the most the kernel takes for one message */
#define TX_PIECES_MAX 512   /* of one send */
#define TX_SEGS_MAX   64    /* UDP_MAX_SEGMENTS of older kernels */
#define TX_BYTES_MAX  65507 /* payload of the largest IPv4 datagram */
/* Flushes without UDP_SEGMENT after the kernel refused one. */
#define TX_HOLD_MIN 64
#define TX_HOLD_MAX 65536

/* Bytes of a send: a packet of the pool, or borrowed until the next flush. */
struct tx_piece {
	const u8 *data;
	u32 len;
	u32 next;
	void *pkt; /* what to free, NULL: borrowed */
};

/*
 * Bytes for one address that leave in one call of the kernel: datagrams of
 * seg bytes but the last. While nseg is 1 the datagram may still grow and
 * seg is its length.
 */
struct tx_send {
	struct sockaddr_in to;
	u32 first, last; /* pieces */
	u32 npieces;
	u32 total;
	u32 off; /* bytes that have left */
	u32 seg, nseg, last_len;
	bool one_by_one; /* UDP_SEGMENT was refused */
};

union tx_control {
	struct cmsghdr align;
	char buf[CMSG_SPACE(sizeof(u16))];
};

struct tx_batch {
	struct mmsghdr msgs[GVM_BATCH];
	struct iovec iov[TX_IOVS];
	union tx_control ctl[GVM_BATCH];
	u32 send[GVM_BATCH]; /* which send, and how many bytes of it */
	u32 bytes[GVM_BATCH];
	unsigned int nmsgs, niov;
};

struct gvm_tx {
	struct tx_piece *pieces;
	struct tx_send *sends;
	u32 max;	/* of both */
	u32 free_piece; /* a list through next; above high nothing was used yet */
	u32 high;
	u32 npieces, nsends;
	u32 latest[1 << TX_HASH_BITS]; /* by address: the send that was begun last */
	struct tx_batch batch;
	u32 gso_hold;	 /* flushes without UDP_SEGMENT still to come */
	u32 gso_backoff; /* length of the next hold */
};

union rx_control {
	struct cmsghdr align;
	char buf[CMSG_SPACE(sizeof(int))];
};

struct gvm_rx {
	struct mmsghdr msgs[GVM_BATCH];
	struct iovec iov[GVM_BATCH];
	struct sockaddr_in from[GVM_BATCH];
	union rx_control ctl[GVM_BATCH];
	u8 *buffers; /* GVM_BATCH of GVM_RX_MAX each */
};

/* Free packets of each class, threaded through themselves. */
#define PKT_CLASS_SHIFT 7 /* the smallest: 128 bytes */
#define PKT_CLASSES	7 /* to 8 KiB */
struct pkt_header {
	struct pkt_header *next;
	u32 cls;
	u32 mark;
};
struct pkt_cache {
	struct pkt_header *head[PKT_CLASSES];
	unsigned int count[PKT_CLASSES];
};

struct gvm_net {
	int fd;
	unsigned int flags;
	bool gso; /* the kernel has UDP_SEGMENT and it is not switched off */
	bool gro;
	struct sockaddr_in addr;
	struct gvm_pkt_pool *pool;
	struct pkt_cache cache;
	struct gvm_rx rx;
	struct gvm_tx tx;
	struct gvm_net_stats stats;
	/* gvm_net_send_now, from any thread */
	u64 now_sends, now_bytes, now_errors;
};

int gvm_tx_init(struct gvm_net *net, u32 max);
void gvm_tx_free(struct gvm_net *net);
u32 gvm_tx_piece_get(struct gvm_tx *tx); /* TX_NONE: none left */
void gvm_tx_pieces_put(struct gvm_net *net, struct tx_send *s);
void gvm_pkt_cache_drain(struct gvm_pkt_pool *pool, struct pkt_cache *cache);

#endif
