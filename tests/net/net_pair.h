/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two sockets of the batched UDP layer over loopback. sendmmsg is wrapped by
 * the linker, so that a test can play a kernel that refuses or has no room.
 */
#ifndef GVM_NET_PAIR_H
#define GVM_NET_PAIR_H

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "../../slave_daemon/net_uring.h"

#define PAGE_MSG  4308 /* three fragments of 1436 */
#define PAGE_SEG  1436
#define SMALL_MSG 84
#define POOL	  (32UL << 20)

/* What the wrapped sendmmsg does in place of the kernel. */
struct kernel_play {
	int refuse_gso;	  /* errno for a first message with UDP_SEGMENT */
	int refuse_calls; /* so many calls fail with refuse_err */
	int refuse_err;
	unsigned int most; /* messages taken in a call, 0: all */
};
extern struct kernel_play play;

struct pair {
	struct gvm_pkt_pool *pool;
	struct gvm_net *a, *b;
	struct sockaddr_in to; /* b's */
};

/* What arrived, message by message: its req_id says which it was. */
struct seen {
	unsigned int datagrams, messages, longest;
	u32 value[4096];
	bool bad;
};
struct gvm_net_config config(struct gvm_pkt_pool *pool, unsigned int flags);
void pair_open(struct pair *p, unsigned int flags, unsigned int tx_max);
void pair_close(struct pair *p);

/* A message whose header carries value as req_id and whose bytes follow from it. */
void fill(u8 *buf, u32 value, size_t body_len, size_t *len, size_t *seg);
void send_value(struct pair *p, u32 value, size_t body_len);
void on_datagram(void *ctx, const u8 *d, size_t len, const struct sockaddr_in *from);
void drain(struct gvm_net *net, struct seen *s);
void assert_in_order(const struct seen *s, unsigned int n, unsigned int parts);

#endif
