// SPDX-License-Identifier: GPL-2.0-or-later
#include "world.h"

#define MINUTE 60000000ULL

struct sim_config world_config(u32 homes, u32 agents)
{
	return (struct sim_config){
		.seed = 4711,
		.homes = homes,
		.agents = agents,
		.vms = 1,
		.vcpus = 1,
		.ram_pages = 64,
		.budget_pages = 64,
		.residence_us = 50,
		.delay_us = 10,
		.think_us = 60,
		.trace_page = -1,
		.verbose = getenv("GVM_VERBOSE") != NULL,
	};
}

static void watch(struct sim *s, struct traffic *t, const struct gvm_header *h)
{
	t->messages[h->msg_type] += h->frag_seq == 0;
	if (h->msg_type == t->watch_type && h->frag_seq == 0 && t->nwatched < ARRAY_SIZE(t->times))
		t->times[t->nwatched++] = s->now;
	if (h->length == GVM_MSG_MAX)
		t->payload += gvm_frag_length(h) - (h->frag_seq ? 0 : GVM_PAGE_BODY);
}

/* The simulator's filter: counts, keeps the last datagram, and says whether it goes out. */
static bool filter(struct sim *s, u32 from, u32 to, const u8 *data, size_t len)
{
	struct traffic *t = s->filter_arg;
	struct gvm_header h;
	const u8 *part;
	bool keep = to != t->drop_to;
	int used;

	(void)from;
	t->datagrams++;
	t->last_len = min_t(size_t, len, sizeof(t->last));
	memcpy(t->last, data, t->last_len);
	while ((used = gvm_wire_next(&h, &part, data, len)) > 0) {
		watch(s, t, &h);
		keep = keep && h.msg_type != t->drop_type;
		if (t->drop_part && h.frag_seq == t->drop_part) {
			t->drop_part = 0;
			keep = false;
		}
		data += used;
		len -= used;
	}
	if (keep && t->drop_count) {
		t->drop_count--;
		keep = false;
	}
	return keep;
}

void world_forget_traffic(struct world *w)
{
	memset(&w->traffic, 0, sizeof(w->traffic));
	w->traffic.drop_to = GVM_NO_NODE;
	w->traffic.drop_type = MSG_TYPE_COUNT;
	w->traffic.watch_type = MSG_TYPE_COUNT;
}

struct world *world_create_closed(const struct sim_config *cfg)
{
	struct world *w = calloc(1, sizeof(*w));
	u32 i;

	assert_non_null(w);
	assert_int_equal(sim_create(&w->sim, cfg), 0);
	world_forget_traffic(w);
	w->sim.filter = filter;
	w->sim.filter_arg = &w->traffic;
	for (i = 0; i < cfg->agents; i++)
		assert_int_equal(sim_guest_start(world_agent(w, i), 1, 0), 0);
	return w;
}

struct world *world_create(const struct sim_config *cfg)
{
	struct world *w = world_create_closed(cfg);

	assert_true(sim_open_all(&w->sim));
	world_forget_traffic(w);
	return w;
}

void world_destroy(struct world *w)
{
	sim_destroy(&w->sim);
	if (w->sim.failed)
		fail_msg("%s", w->sim.reason);
	free(w);
}

struct sim_host *world_home(struct world *w, u32 i)
{
	return w->sim.hosts[i];
}

struct sim_host *world_agent(struct world *w, u32 i)
{
	return w->sim.hosts[w->sim.cfg.homes + i];
}

void world_run(struct world *w, u64 us)
{
	u64 until = w->sim.now + us;

	while (sim_step(&w->sim, until))
		;
	w->sim.now = until;
}

u64 world_page_at(struct world *w, const struct sim_host *home, u32 nth)
{
	struct sim_vm *vm = &w->sim.vms[0];
	u64 page;

	for (page = 0; page < vm->ram_pages; page++)
		if (gvm_route_home(&vm->route, page) == home->cfg.id && nth-- == 0)
			return page;
	fail_msg("home %u has too few pages", home->cfg.id);
	return 0;
}

static bool access_page(struct sim_host *h, u64 page, bool write)
{
	struct sim *s = h->sim;
	u64 until = s->now + MINUTE;

	sim_guest_access(&h->vcpus[0], page, write);
	while (s->running && !s->failed && sim_step(s, until))
		;
	return !s->running && !s->failed && !h->vcpus[0].lost;
}

bool world_read(struct sim_host *h, u64 page)
{
	return access_page(h, page, false);
}

bool world_write(struct sim_host *h, u64 page)
{
	return access_page(h, page, true);
}

struct gvm_node_stats world_stats(const struct sim_host *h)
{
	struct gvm_node_stats st;

	gvm_node_stats(h->node, &st);
	return st;
}

int world_vm_call(struct sim_host *from, struct sim_host *home, u16 type, struct gvm_vm_body *b)
{
	struct sim_vm *vm = from->vm;
	u8 body[GVM_VM_BODY], reply[GVM_VM_BODY];
	int n;

	gvm_vm_body_encode(body, b);
	n = gvm_rpc_call(from->node, home->cfg.id, type, vm->id, vm->route.epoch, body,
			 sizeof(body), reply, sizeof(reply));
	if (n < 0)
		return n;
	assert_int_equal(gvm_vm_body_decode(b, reply, n), 0);
	return b->status;
}
