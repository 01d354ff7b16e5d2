// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The same upgrades in the simulator's virtual time, where nothing but the protocol
 * takes time: coherence_sim. 1 ms a hop, no chance; the nodes run the same logic.
 * Prints `sim NAME VALUE UNIT SAMPLES` lines; ends with status 1 when 15 sharers
 * cost more than 1.1 times what one costs.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../tests/sim/sim.h"
#include "touch.h"

#define HOP_US	     1000
#define SETTLE_US    20000
#define ACCESS_LIMIT 60000000ULL
#define ROUNDS	     10
#define LIMIT	     1.1
#define PAGE	     3

static const u32 sharers[] = {1, 3, 15, 100, 900};

static void run_for(struct sim *s, u64 us)
{
	u64 until = s->now + us;

	while (sim_step(s, until))
		;
	s->now = until;
}

/* Microseconds until the access has happened. */
static u64 access_page(struct sim_host *h, bool write)
{
	struct sim *s = h->sim;
	u64 start = s->now;

	sim_guest_access(&h->vcpus[0], PAGE, write);
	while (s->running && !s->failed && sim_step(s, start + ACCESS_LIMIT))
		;
	if (s->running || s->failed)
		die("an access does not end: %s", s->reason);
	return s->now - start;
}

static void start(struct sim *s, u32 agents)
{
	struct sim_config cfg = {.seed = 4711,
				 .homes = 1,
				 .agents = agents,
				 .vms = 1,
				 .vcpus = 1,
				 .ram_pages = 64,
				 .budget_pages = 64,
				 .residence_us = 200,
				 .delay_us = HOP_US,
				 .think_us = 60,
				 .trace_page = -1};
	u32 i;

	if (sim_create(s, &cfg))
		die("%s", s->reason);
	for (i = 0; i < agents; i++)
		if (sim_guest_start(s->hosts[1 + i], 1, 0))
			die("no memory for %u nodes", agents);
	if (!sim_open_all(s))
		die("%s", s->reason);
}

/* n nodes beside the writer hold a copy; every one is asked once. The mean of ROUNDS. */
static double upgrade(u32 n)
{
	struct sim s;
	u64 sum = 0;
	u32 i, k;

	start(&s, n + 1);
	for (k = 0; k < ROUNDS; k++) {
		for (i = 0; i <= n; i++)
			access_page(s.hosts[1 + i], false);
		run_for(&s, SETTLE_US);
		if (gvm_agent_state(s.hosts[1]->node, PAGE) != 'S')
			die("the page is not shared");
		sum += access_page(s.hosts[1], true);
		run_for(&s, SETTLE_US);
		for (i = 1; i <= n; i++)
			if (gvm_agent_state(s.hosts[1 + i]->node, PAGE) != 'I')
				die("node %u still has a copy", i);
	}
	sim_destroy(&s);
	if (s.failed)
		die("%s", s.reason);
	return (double)sum / ROUNDS;
}

int main(void)
{
	double us[ARRAY_SIZE(sharers)];
	bool ok = true;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sharers); i++) {
		us[i] = upgrade(sharers[i]);
		printf("sim upgrade_%u_p50 %.1f us %d\n", sharers[i], us[i], ROUNDS);
		if (sharers[i] == 15)
			ok = us[i] <= us[0] * LIMIT;
	}
	return ok ? 0 : 1;
}
