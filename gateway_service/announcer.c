// SPDX-License-Identifier: GPL-2.0-or-later
#include "announcer.h"

#include <arpa/inet.h>

static struct gw_announced *place(struct gw_announcer *a, u32 slave, u32 client)
{
	u64 key = ((u64)slave << 32 | client) * 0x9e3779b97f4a7c15ULL;

	return &a->place[key >> (64 - GW_ANNOUNCE_BITS)];
}

static bool is_loopback(gw_addr_t a)
{
	return ntohl((u32)(a >> 16)) >> 24 == 127;
}

static bool is_due(const struct gw_announced *p, const struct gw_announced *now)
{
	u64 age = now->when_us - p->when_us;

	if (!p->when_us)
		return true;
	if (p->slave != now->slave || p->client != now->client)
		return age >= GW_ANNOUNCE_MIN_US;
	return p->addr != now->addr || p->generation != now->generation ||
	       age >= GW_ANNOUNCE_PERIOD_US;
}

bool gw_announce_due(struct gw_announcer *a, const struct gw_node *slave, u32 client,
		     gw_addr_t addr, u64 now_us)
{
	struct gw_announced *p = place(a, slave->id, client);
	struct gw_announced now = {
		.slave = slave->id,
		.client = client,
		.generation = __atomic_load_n(&slave->generation, __ATOMIC_RELAXED),
		.addr = addr,
		.when_us = now_us,
	};
	gw_addr_t slave_addr = __atomic_load_n(&slave->addr, __ATOMIC_RELAXED);

	if (!is_due(p, &now) || (is_loopback(addr) && !is_loopback(slave_addr)))
		return false;
	*p = now;
	return true;
}
