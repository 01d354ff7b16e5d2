/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small simulated cluster without chance, for scenarios: a network that
 * delays every datagram by 10 us and loses only what a test's filter takes.
 */
#ifndef GVM_UNIT_WORLD_H
#define GVM_UNIT_WORLD_H

#include "../sim/sim.h"
#include "test.h"

#define CLIENT GVM_MAX_SLAVES /* the first agent's id; the next ones follow */

/* What went over the wire: a counter per message type. */
struct traffic {
	u64 messages[MSG_TYPE_COUNT];
	u64 datagrams, payload; /* bytes of page data */
	u32 drop_to;		/* datagrams to this node are lost; GVM_NO_NODE: none */
	u16 drop_type;		/* messages of this type are lost; MSG_TYPE_COUNT: none */
	u32 drop_count;		/* the next so many datagrams are lost */
	u32 drop_part;		/* the next fragment of this number is lost; 0: none */
	u64 times[128];		/* when the first datagrams of watch_type were sent */
	u16 watch_type;
	u32 nwatched;
	u8 last[GVM_DATAGRAM_MAX];
	size_t last_len;
};

struct world {
	struct sim sim;
	struct traffic traffic;
};

struct sim_config world_config(u32 homes, u32 agents);
struct world *world_create(const struct sim_config *cfg); /* the VM is open */
struct world *world_create_closed(const struct sim_config *cfg);
void world_destroy(struct world *w); /* fails the test if the checker has complained */

struct sim_host *world_home(struct world *w, u32 i);
struct sim_host *world_agent(struct world *w, u32 i);
void world_forget_traffic(struct world *w);
void world_run(struct world *w, u64 us);
/* A page that lives at this home. */
u64 world_page_at(struct world *w, const struct sim_host *home, u32 nth);
/* An access by an agent's vCPU, until it has happened; false: not within a simulated minute. */
bool world_read(struct sim_host *agent, u64 page);
bool world_write(struct sim_host *agent, u64 page);
struct gvm_node_stats world_stats(const struct sim_host *h);
/* A request about the VM, by gvm_rpc_call from this host: the answer's status, or an errno. */
int world_vm_call(struct sim_host *from, struct sim_host *home, u16 type, struct gvm_vm_body *b);

#endif
