/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Remembers which slave was told which client's address, so that it is told
 * when it must be and seldom again. One for each thread, of fixed size: pairs
 * that fall into one place take turns at a bounded rate.
 */
#ifndef GVM_ANNOUNCER_H
#define GVM_ANNOUNCER_H

#include "node_table.h"

#define GW_ANNOUNCE_PERIOD_US 1000000 /* an announcement may be lost */
#define GW_ANNOUNCE_MIN_US    1000    /* pairs that share a place wait this long */
#define GW_ANNOUNCE_BITS      10

struct gw_announced {
	u32 slave, client;
	u32 generation; /* of the slave */
	gw_addr_t addr; /* of the client */
	u64 when_us;
};

struct gw_announcer {
	struct gw_announced place[1 << GW_ANNOUNCE_BITS];
};

/*
 * Whether slave is to be told now that client is at addr; if so it counts as
 * told. A slave on another host cannot reach a loopback address.
 */
bool gw_announce_due(struct gw_announcer *a, const struct gw_node *slave, u32 client,
		     gw_addr_t addr, u64 now_us);

#endif
