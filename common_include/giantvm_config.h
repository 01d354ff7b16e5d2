/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The only place where a limit of scale is written. Nothing here sizes a
 * static array: tables of these sizes are allocated at run time.
 */
#ifndef GIANTVM_CONFIG_H
#define GIANTVM_CONFIG_H

#ifndef GVM_SLAVE_BITS
#define GVM_SLAVE_BITS 17
#endif

#ifndef GVM_ROUTING_SHIFT
#define GVM_ROUTING_SHIFT (GVM_SLAVE_BITS < 8 ? GVM_SLAVE_BITS : 8)
#endif

/* Node ids below GVM_MAX_SLAVES are slaves, ids from there up are clients. */
#define GVM_MAX_SLAVES   (1U << GVM_SLAVE_BITS)
#define GVM_MAX_GATEWAYS (GVM_MAX_SLAVES >> GVM_ROUTING_SHIFT)
#define GVM_NODE_ID_BITS 21
#define GVM_MAX_NODES    ((1U << GVM_NODE_ID_BITS) - 1)
#define GVM_NO_NODE      GVM_MAX_NODES

#if GVM_SLAVE_BITS < 1 || GVM_SLAVE_BITS > 20
#error "GVM_SLAVE_BITS must be 1 to 20"
#endif

/* Pages and stripes. A stripe of the guest's RAM has one home. */
#define GVM_PAGE_SHIFT   12
#define GVM_PAGE_SIZE    (1U << GVM_PAGE_SHIFT)
#define GVM_STRIPE_SHIFT 9 /* default: 512 pages, 2 MiB */

/* Defaults of settings; each one is an option of the programs. */
#define GVM_DEFAULT_MASTER_PORT 8000
#define GVM_DEFAULT_PORT        9000
#define GVM_BATCH               64 /* datagrams a recvmmsg or sendmmsg call */

/* Reliable RPC, in microseconds and tries. */
#define GVM_RTO_MIN_US      1800
#define GVM_RTO_FIRST_US    2000
#define GVM_RTO_MAX_US      100000
#define GVM_RPC_TRIES       50
#ifndef GVM_REQ_SLOTS_SHIFT
#define GVM_REQ_SLOTS_SHIFT 12 /* requests in flight at a node: 4096 */
#endif

/* Requests in flight to one peer: start, least and most. */
#define GVM_WINDOW_START 64
#define GVM_WINDOW_MIN   8
#define GVM_WINDOW_MAX   256
#define GVM_WINDOW_DELAY_US 1000 /* the window shrinks when answers take longer */

/*
 * Read copies are given up after so long without an answer from their home, and
 * taken from a silent node after so long and the margin.
 */
#define GVM_LEASE_US	    3000000
#define GVM_LEASE_MARGIN_US 1000000

/* Registration: sent every period, a peer is gone when not heard for this long. */
#define GVM_REGISTER_PERIOD_US 250000
#define GVM_PEER_GONE_US       1500000

#endif
