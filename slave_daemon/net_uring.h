/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Batched UDP for slaves, masters and gateways: recvmmsg/sendmmsg with
 * UDP_GRO/UDP_SEGMENT where the kernel has them.
 *
 * A gvm_net is one socket with one owner thread: unless a function says
 * otherwise only that thread may call it. Nothing here blocks (but for
 * gvm_net_wait), keeps state for a peer, or starts a thread.
 *
 * The owner's loop:
 *
 *	gvm_net_wait(net, spin_us, timeout_us) or its own epoll on gvm_net_fd()
 *	do {
 *		n = gvm_net_recv(net, handler, ctx);	the handler queues answers
 *		gvm_net_flush(net);
 *	} while (n == GVM_BATCH);
 *
 * While gvm_net_flush() returns more than 0 the socket buffer is full: wait for
 * EPOLLOUT too and flush again.
 */
#ifndef GVM_NET_URING_H
#define GVM_NET_URING_H

#include <netinet/in.h>
#include "../common_include/giantvm_protocol.h"

struct gvm_net;

/*
 * Packet memory: power-of-two classes up to GVM_PKT_MAX bytes, at most
 * max_bytes in all. Freed packets are kept for the next.
 */
#define GVM_PKT_MAX (8192 - 32)
struct gvm_pkt_pool;
struct gvm_pkt_pool *gvm_pkt_pool_create(size_t max_bytes); /* NULL: no memory */
/* Every packet must have been freed and every gvm_net that uses it closed. */
void gvm_pkt_pool_destroy(struct gvm_pkt_pool *pool);
/* Any thread. NULL: larger than GVM_PKT_MAX, or the bound is reached, or no memory. */
void *gvm_pkt_alloc(struct gvm_pkt_pool *pool, size_t size);
void gvm_pkt_free(struct gvm_pkt_pool *pool, void *pkt);
/* The same through the net's own cache, without a lock. Owner thread. */
void *gvm_net_pkt_alloc(struct gvm_net *net, size_t size);
void gvm_net_pkt_free(struct gvm_net *net, void *pkt);

/* Flags of gvm_net_open. */
#define GVM_NET_GRO	0x1 /* ask for UDP_GRO; received runs are split before the handler */
#define GVM_NET_NO_GSO	0x2 /* never use UDP_SEGMENT */
#define GVM_NET_NO_PACK 0x4 /* never put two messages into one datagram */
#define GVM_NET_STEER	0x8 /* n > 1: choose the socket by the low bits of the first req_id */

struct gvm_net_config {
	struct sockaddr_in bind;   /* port 0: any, the same for all n sockets */
	unsigned int flags;	   /* GVM_NET_* */
	struct gvm_pkt_pool *pool; /* where packets handed to gvm_net_send come from */
	size_t sockbuf;		   /* bytes of each socket buffer to ask for, 0: 8 MiB */
	unsigned int tx_max;	   /* packets queued at most, 0: 4096 */
};

/*
 * Opens n sockets on one address, one for each thread (SO_REUSEPORT if n > 1),
 * into nets[0..n). The address must be free: no other process of the same user
 * can join. With GVM_NET_STEER the datagrams of one message meet on one socket
 * as long as they travel together; that is for speed only, receivers must bear
 * fragments that meet on different threads. Returns 0 or a negative errno
 * (-EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -ENOMEM, ...), then nothing is open.
 */
int gvm_net_open(struct gvm_net **nets, unsigned int n, const struct gvm_net_config *cfg);
/* Frees what is still queued. NULL is allowed. */
void gvm_net_close(struct gvm_net *net);
int gvm_net_fd(const struct gvm_net *net);
/* The address it is bound to, with the port the kernel chose. Any thread. */
void gvm_net_addr(const struct gvm_net *net, struct sockaddr_in *out);

/* datagram is valid until the next gvm_net_recv of this net. */
typedef void (*gvm_net_rx_fn)(void *ctx, const u8 *datagram, size_t len,
			      const struct sockaddr_in *from);

/*
 * One recvmmsg of up to GVM_BATCH buffers, each split into its datagrams, each
 * handed to fn. Returns the number of buffers: GVM_BATCH means there may be
 * more, less that the queue was drained; 0: nothing there; a negative errno
 * only for what cannot pass (-EBADF, -ENOMEM ...).
 */
int gvm_net_recv(struct gvm_net *net, gvm_net_rx_fn fn, void *ctx);

/*
 * Queues a packet from the pool, len bytes in datagrams of seg bytes of which
 * the last may be shorter (seg 0: one datagram). Takes pkt over, also when it
 * fails. Order is kept between packets to one address. Small whole messages to
 * one address share a datagram, runs of equal datagrams share a send.
 * 0, -ENOBUFS (queue full: dropped and counted), -EMSGSIZE.
 */
int gvm_net_send(struct gvm_net *net, void *pkt, size_t len, size_t seg,
		 const struct sockaddr_in *to);
/*
 * The same without copying, for bytes that stay valid until the next
 * gvm_net_flush returns, such as a datagram in a receive handler.
 */
int gvm_net_send_ref(struct gvm_net *net, const void *data, size_t len, size_t seg,
		     const struct sockaddr_in *to);
/* Sends what is queued. Returns the packets that remain because the socket buffer is full. */
unsigned int gvm_net_flush(struct gvm_net *net);
/* Packets queued. */
unsigned int gvm_net_queued(const struct gvm_net *net);

/*
 * Sends at once, past the queue. Any thread, any net of the process. Copies
 * nothing, keeps nothing. 0 or a negative errno (-EAGAIN: socket buffer full).
 */
int gvm_net_send_now(struct gvm_net *net, const void *data, size_t len, size_t seg,
		     const struct sockaddr_in *to);

/*
 * Waits until there is something to receive (or room to send what remains
 * queued): polls for spin_us without sleeping, then sleeps. timeout_us in all,
 * negative: for ever. 1 ready, 0 timeout or signal, or a negative errno.
 */
int gvm_net_wait(struct gvm_net *net, unsigned int spin_us, s64 timeout_us);

struct gvm_net_stats {
	u64 rx_calls, rx_buffers, rx_datagrams, rx_bytes;
	u64 rx_truncated; /* longer than GVM_RX_MAX: dropped */
	u64 rx_errors;	  /* errors of the receive call that passed */
	u64 rx_overflow;  /* dropped by the kernel: receive buffer full */
	u64 tx_calls, tx_sends, tx_datagrams, tx_bytes, tx_packets;
	u64 tx_packed;	    /* packets that share a datagram with one before */
	u64 tx_gso;	    /* sends of more than one datagram */
	u64 tx_gso_refused; /* of those, sent again one by one */
	u64 tx_full;	    /* dropped: queue full or no memory to keep it */
	u64 tx_errors;	    /* dropped: refused by the kernel */
	u64 tx_again;	    /* socket buffer full, kept */
	u64 rcvbuf, sndbuf; /* granted, in bytes as the kernel counts them */
	u64 gso, gro;	    /* 1: in use */
};

/* Any thread; every counter is right, their sum is not a snapshot. */
void gvm_net_stats(const struct gvm_net *net, struct gvm_net_stats *out);

#endif
