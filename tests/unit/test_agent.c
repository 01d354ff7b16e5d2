// SPDX-License-Identifier: GPL-2.0-or-later
/* Agent and home together: what crosses the wire, and what becomes of a page. */
#include "world.h"

static struct world *start(u32 homes, u32 agents)
{
	struct sim_config cfg = world_config(homes, agents);

	return world_create(&cfg);
}

/* Nobody wrote it: no payload on the wire, no memory at the home. */
static void zero_pages_cost_nothing(void **state)
{
	struct world *w = start(1, 1);
	struct sim_host *a = world_agent(w, 0);
	u64 page;

	(void)state;
	for (page = 0; page < 64; page++)
		assert_true(world_read(a, page));
	assert_int_equal(w->traffic.payload, 0);
	assert_int_equal(world_stats(world_home(w, 0)).stored_pages, 0);
	assert_int_equal(world_stats(a).pages_in_zero, 64);
	while (gvm_agent_flush(a->node, true))
		world_run(w, 100);
	assert_int_equal(w->traffic.payload, 0);
	assert_int_equal(world_stats(world_home(w, 0)).stored_pages, 0);
	world_destroy(w);
}

/* A page that becomes all zero again gives its memory back. */
static void zero_write_back_frees(void **state)
{
	struct sim_config cfg = world_config(1, 1);
	struct sim_host *a;
	struct world *w;

	(void)state;
	w = world_create(&cfg);
	a = world_agent(w, 0);
	assert_true(world_write(a, 5));
	while (gvm_agent_flush(a->node, true))
		world_run(w, 100);
	assert_int_equal(world_stats(world_home(w, 0)).stored_pages, 1);
	assert_int_equal(w->traffic.payload, GVM_PAGE_SIZE);
	w->sim.cfg.blank_ppm = 1000000;
	assert_true(world_write(a, 5));
	while (gvm_agent_flush(a->node, true))
		world_run(w, 100);
	assert_int_equal(world_stats(world_home(w, 0)).stored_pages, 0);
	assert_int_equal(world_stats(a).writebacks_zero, 1);
	world_destroy(w);
}

/* One fault is one request, one grant, one acknowledgement, and nothing is repeated. */
static void a_fault_is_three_messages(void **state)
{
	struct world *w = start(1, 1);

	(void)state;
	assert_true(world_write(world_agent(w, 0), 9));
	world_run(w, 1000000);
	assert_int_equal(w->traffic.messages[MSG_MEM_READ], 1);
	assert_int_equal(w->traffic.messages[MSG_MEM_ACK], 1);
	assert_int_equal(w->traffic.messages[MSG_GRANT_ACK], 1);
	assert_int_equal(w->traffic.datagrams, 3);
	assert_int_equal(world_stats(world_agent(w, 0)).retransmits, 0);
	assert_int_equal(world_stats(world_home(w, 0)).retransmits, 0);
	assert_int_equal(gvm_agent_state(world_agent(w, 0)->node, 9), 'M');
	world_destroy(w);
}

/* The sole reader gets it exclusively: its first write is nobody else's business. */
static void private_memory_costs_one_fault(void **state)
{
	struct world *w = start(1, 1);
	struct sim_host *a = world_agent(w, 0);

	(void)state;
	assert_true(world_read(a, 9));
	world_run(w, 10000);
	world_forget_traffic(w);
	assert_true(world_write(a, 9));
	assert_int_equal(w->traffic.datagrams, 0);
	world_destroy(w);
}

static void a_write_reaches_the_other(void **state)
{
	struct world *w = start(1, 2);
	struct sim_host *a = world_agent(w, 0), *b = world_agent(w, 1);

	(void)state;
	/* The checker compares every byte of every access with the latest write. */
	assert_true(world_write(a, 3));
	assert_true(world_read(b, 3));
	assert_int_equal(gvm_agent_state(a->node, 3), 'S');
	assert_int_equal(gvm_agent_state(b->node, 3), 'S');
	assert_true(world_write(b, 3));
	assert_int_equal(gvm_agent_state(a->node, 3), 'I');
	assert_int_equal(gvm_agent_state(b->node, 3), 'M');
	assert_true(world_read(a, 3));
	world_destroy(w);
}

/* An upgrade of a shared page moves no bytes. */
static void upgrade_has_no_payload(void **state)
{
	struct world *w = start(1, 3);
	u32 i;

	(void)state;
	assert_true(world_write(world_agent(w, 0), 3));
	for (i = 0; i < 3; i++)
		assert_true(world_read(world_agent(w, i), 3));
	world_run(w, 1000);
	world_forget_traffic(w);
	assert_true(world_write(world_agent(w, 1), 3));
	world_run(w, 1000);
	assert_int_equal(w->traffic.payload, 0);
	assert_int_equal(w->traffic.messages[MSG_COPYSET_UPDATE], 2);
	assert_int_equal(w->traffic.messages[MSG_INV_ACK], 2);
	assert_int_equal(world_stats(world_agent(w, 1)).upgrades, 1);
	world_destroy(w);
}

static void the_budget_holds(void **state)
{
	struct sim_config cfg = world_config(2, 1);
	struct sim_host *a;
	struct world *w;
	u64 page;

	(void)state;
	cfg.budget_pages = 8;
	w = world_create(&cfg);
	a = world_agent(w, 0);
	for (page = 0; page < 64; page++) {
		assert_true(world_write(a, page));
		assert_true(a->held <= 8);
	}
	for (page = 0; page < 64; page++)
		assert_true(world_read(a, page));
	assert_true(world_stats(a).evictions >= 2 * 64 - 8);
	assert_int_equal(world_stats(world_home(w, 0)).stored_pages +
				 world_stats(world_home(w, 1)).stored_pages,
			 64);
	world_destroy(w);
}

/* A read once the stream is known asks for what comes next before it is touched. */
static void sequential_reads_are_foreseen(void **state)
{
	struct sim_config cfg = world_config(1, 1);
	struct sim_host *a;
	struct world *w;
	u64 page;

	(void)state;
	cfg.ram_pages = 1024;
	cfg.budget_pages = 1024;
	cfg.prefetch_max = 32;
	w = world_create(&cfg);
	a = world_agent(w, 0);
	for (page = 0; page < 512; page++) {
		assert_true(world_read(a, page));
		world_run(w, 200);
	}
	assert_true(world_stats(a).prefetches >= 400);
	assert_true(world_stats(a).faults_read <= 128);
	world_destroy(w);
}

static void random_reads_are_not(void **state)
{
	struct sim_config cfg = world_config(1, 1);
	struct sim_host *a;
	struct world *w;
	u64 seed = 5;
	u32 i;

	(void)state;
	cfg.ram_pages = 4096;
	cfg.budget_pages = 4096;
	cfg.prefetch_max = 32;
	w = world_create(&cfg);
	a = world_agent(w, 0);
	for (i = 0; i < 300; i++)
		assert_true(world_read(a, test_random(&seed) % 4096));
	assert_true(world_stats(a).prefetches <= 60);
	world_destroy(w);
}

/* A lost fragment is made good, whichever side repeats first, and not by floods. */
static void lost_fragment(void **state)
{
	struct world *w = start(1, 2);

	(void)state;
	assert_true(world_write(world_agent(w, 0), 3));
	while (gvm_agent_flush(world_agent(w, 0)->node, true))
		world_run(w, 100);
	world_forget_traffic(w);
	w->traffic.drop_part = 1;
	assert_true(world_read(world_agent(w, 1), 3));
	world_run(w, 1000000);
	assert_in_range(w->traffic.payload, GVM_PAGE_SIZE + GVM_FRAG_MAX, 3 * GVM_PAGE_SIZE);
	world_forget_traffic(w);
	/* The same on the way home. */
	assert_true(world_write(world_agent(w, 1), 3));
	w->traffic.drop_part = 2;
	assert_true(world_read(world_agent(w, 0), 3));
	world_run(w, 1000000);
	assert_true(w->traffic.payload <= 3 * GVM_PAGE_SIZE);
	world_destroy(w);
}

static void out_of_range(void **state)
{
	struct world *w = start(1, 1);
	struct sim_host *a = world_agent(w, 0);

	(void)state;
	assert_int_equal(gvm_agent_state(a->node, 63), 'I');
	assert_int_equal(gvm_agent_attach(a->node, 2, 64, &w->sim.vms[0].route), -EBUSY);
	assert_int_equal(gvm_agent_attach(world_home(w, 0)->node, 2, 64, &w->sim.vms[0].route),
			 -EINVAL);
	gvm_agent_detach(a->node);
	assert_int_equal(gvm_agent_state(a->node, 3), 'I');
	assert_int_equal(world_stats(a).resident_pages, 0);
	world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zero_pages_cost_nothing),
		cmocka_unit_test(zero_write_back_frees),
		cmocka_unit_test(a_fault_is_three_messages),
		cmocka_unit_test(private_memory_costs_one_fault),
		cmocka_unit_test(a_write_reaches_the_other),
		cmocka_unit_test(upgrade_has_no_payload),
		cmocka_unit_test(the_budget_holds),
		cmocka_unit_test(sequential_reads_are_foreseen),
		cmocka_unit_test(random_reads_are_not),
		cmocka_unit_test(lost_fragment),
		cmocka_unit_test(out_of_range),
	};

	return cmocka_run_group_tests_name("agent", tests, NULL, NULL);
}
