// SPDX-License-Identifier: GPL-2.0-or-later
/* What a seed means: how many nodes, how bad the network is, what the guests do. */
#include "sim.h"

static u32 pick(struct sim *s, const u32 *values, u32 n)
{
	return values[sim_below(s, n)];
}

#define PICK(s, ...)                                                                               \
	pick(s, (const u32[]){__VA_ARGS__}, sizeof((const u32[]){__VA_ARGS__}) / sizeof(u32))

static void draw_size(struct sim *s, struct sim_config *c)
{
	c->homes = 1 + sim_below(s, 4);
	c->vms = sim_chance(s, 200000) ? 2 : 1;
	c->agents = PICK(s, 1, 1, 2, 2, 3, 4);
	c->colocate_ppm = PICK(s, 0, 0, 500000);
	c->vcpus = 1 + sim_below(s, 3);
	c->accesses = 1 + (200 + sim_below(s, 600)) / (c->vms * c->agents * c->vcpus);
	c->ram_pages = 24 + sim_below(s, 120);
	c->hot_pages = 1 + sim_below(s, 6);
	c->budget_pages = 8 + sim_below(s, c->ram_pages / 2);
	/* Prefetch needs some room in the budget. */
	if (sim_chance(s, 200000)) {
		c->ram_pages += 300 + sim_below(s, 300);
		c->budget_pages += 64 + sim_below(s, 200);
	}
	c->prefetch_max = PICK(s, 0, 4, 16, 32);
	c->stripe_shift = sim_below(s, 5);
	c->residence_us = PICK(s, 50, 100, 500);
	c->ack_delay_us = PICK(s, 0, 20, 100);
}

static void draw_guest(struct sim *s, struct sim_config *c)
{
	c->hot_ppm = PICK(s, 0, 200000, 500000, 900000);
	c->write_ppm = PICK(s, 0, 100000, 300000, 500000, 900000);
	c->scan_ppm = PICK(s, 0, 100000, 500000);
	c->blank_ppm = PICK(s, 0, 50000, 300000);
	c->spurious_ppm = PICK(s, 0, 10000);
	c->think_us = PICK(s, 60, 60, 60, 400000);
	c->pending_ppm = PICK(s, 0, 300000, 1000000);
	c->slow_thread_ppm = PICK(s, 0, 20000);
	c->flush_ppm = PICK(s, 0, 0, 1000000);
	c->nomem_ppm = PICK(s, 0, 0, 2000, 20000);
}

static void draw_network(struct sim *s, struct sim_config *c)
{
	c->loss_ppm = PICK(s, 0, 10000, 50000, 150000);
	c->duplicate_ppm = PICK(s, 0, 20000, 200000);
	c->late_ppm = PICK(s, 0, 20000, 100000);
	c->late_us = PICK(s, 300, 3000, 30000, 500000);
	c->mangle_ppm = PICK(s, 0, 10000, 50000);
	c->join_ppm = PICK(s, 0, 300000);
	c->delay_us = 5 + sim_below(s, 60);
	c->jitter_us = PICK(s, 0, 20, 200);
	c->cut_every_us = PICK(s, 0, 0, 20000, 100000);
	c->cut_us = PICK(s, 10000, 100000, 8000000, 16000000);
	c->home_crash_us = sim_chance(s, 60000) ? 1 + sim_below(s, 30000) : 0;
}

/* A network without faults: what is slow there is the protocol's own doing. */
static void calm(struct sim_config *c)
{
	c->loss_ppm = c->duplicate_ppm = c->late_ppm = c->mangle_ppm = c->nomem_ppm = 0;
	c->cut_every_us = c->home_crash_us = 0;
}

void sim_config_draw(struct sim_config *cfg, u64 seed)
{
	struct sim s = {.rng = seed * 0x2545f4914f6cdd1dULL + 1};

	memset(cfg, 0, sizeof(*cfg));
	cfg->seed = seed;
	cfg->trace_page = -1;
	draw_size(&s, cfg);
	draw_guest(&s, cfg);
	draw_network(&s, cfg);
	if (sim_chance(&s, 100000))
		calm(cfg);
}
