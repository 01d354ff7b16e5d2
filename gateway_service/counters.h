/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a gateway counts: one line a counter, its name in the status is its name here. */
#ifndef GVM_GATEWAY_COUNTERS_H
#define GVM_GATEWAY_COUNTERS_H

#include "../common_include/platform_defs.h"

#define GW_COUNTERS(X)                                                                             \
	X(rx_datagrams)                                                                            \
	X(rx_messages)                                                                             \
	X(to_slave)	  /* messages */                                                           \
	X(to_client)	  /* messages */                                                           \
	X(whole)	  /* datagrams forwarded as they came */                                   \
	X(split)	  /* datagrams whose messages went to several nodes */                     \
	X(aggregated)	  /* messages through a slave's buffer */                                  \
	X(flush_full)	  /* buffers sent because the next message did not fit */                  \
	X(flush_ordered)  /* because a long message follows */                                     \
	X(flush_drained)  /* because nothing more had come */                                      \
	X(flush_deadline) /* because it was time */                                                \
	X(registered)	  /* registrations accepted that changed something */                      \
	X(refused_exists) /* a live node has that id */                                            \
	X(refused_range)  /* not an id of this gateway */                                          \
	X(refused_bits)	  /* built for another GVM_SLAVE_BITS */                                   \
	X(refused_full)	  /* no room for another client */                                         \
	X(nodes_queries)                                                                           \
	X(pings)                                                                                   \
	X(announced)	      /* addresses of clients told to slaves */                            \
	X(drop_truncated)     /* shorter than its header says */                                   \
	X(drop_magic)	      /* not of this protocol */                                           \
	X(drop_version)	      /* another version of the protocol */                                \
	X(drop_malformed)     /* a header field out of its range */                                \
	X(drop_overlong)      /* bytes behind the last message */                                  \
	X(drop_body)	      /* a message to the gateway with a wrong body */                     \
	X(drop_unexpected)    /* a message to the gateway of a type it does not serve */           \
	X(drop_forged)	      /* a message only a gateway may send, or to none but a gateway */    \
	X(drop_unregistered)  /* its sender is not known */                                        \
	X(drop_wrong_address) /* its sender is registered from another address */                  \
	X(drop_not_mine)      /* to a slave of another gateway */                                  \
	X(drop_slave_unknown) /* to a slave whose address is not known yet */                      \
	X(drop_client_unknown)                                                                     \
	X(drop_queue_full) /* send queue full */                                                   \
	X(drop_no_memory)

enum gw_counter {
#define GW_ENUM(name) GW_##name,
	GW_COUNTERS(GW_ENUM)
#undef GW_ENUM
		GW_COUNTER_COUNT
};

/* Written by one thread, read by any. */
struct gw_counters {
	u64 value[GW_COUNTER_COUNT];
};

static inline void gw_count(struct gw_counters *c, enum gw_counter which, u64 n)
{
	__atomic_store_n(&c->value[which], c->value[which] + n, __ATOMIC_RELAXED);
}

static inline u64 gw_counter_read(const struct gw_counters *c, enum gw_counter which)
{
	return __atomic_load_n(&c->value[which], __ATOMIC_RELAXED);
}

#endif
