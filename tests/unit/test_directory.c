// SPDX-License-Identifier: GPL-2.0-or-later
/* The home: VMs come and go, memory runs out, homes and agents restart. */
#include "world.h"

static struct gvm_vm_body open_body(struct sim_host *from, struct sim_host *home, u64 reserve)
{
	return (struct gvm_vm_body){.ram_pages = from->vm->ram_pages,
				    .reserve_pages = reserve,
				    .home_boot = home->cfg.boot_id,
				    .client_boot = from->cfg.boot_id};
}

static void flush(struct world *w, struct sim_host *h)
{
	while (gvm_agent_flush(h->node, true))
		world_run(w, 100);
}

static void open_is_idempotent(void **state)
{
	struct sim_config cfg = world_config(1, 1);
	struct world *w = world_create_closed(&cfg);
	struct sim_host *a = world_agent(w, 0), *home = world_home(w, 0);
	struct gvm_vm_body b = open_body(a, home, 10);

	(void)state;
	assert_int_equal(world_vm_call(a, home, MSG_VM_OPEN, &b), 0);
	assert_int_equal(world_vm_call(a, home, MSG_VM_OPEN, &b), 0);
	assert_int_equal(world_stats(home).reserved_pages, 10);
	assert_int_equal(world_vm_call(a, home, MSG_VM_CLOSE, &b), 0);
	assert_int_equal(world_vm_call(a, home, MSG_VM_CLOSE, &b), 0);
	assert_int_equal(world_stats(home).reserved_pages, 0);
	world_destroy(w);
}

static void open_refusals(void **state)
{
	struct sim_config cfg = world_config(1, 2);
	struct world *w = world_create_closed(&cfg);
	struct sim_host *a = world_agent(w, 0), *other = world_agent(w, 1),
			*home = world_home(w, 0);
	struct gvm_vm_body b = open_body(a, home, 1000);

	(void)state;
	/* More than is lent: refused, with what there is. */
	assert_int_equal(world_vm_call(a, home, MSG_VM_OPEN, &b), -ENOSPC);
	assert_int_equal(b.reserve_pages, home->cfg.lent_pages);
	b = open_body(a, home, 1);
	b.home_boot ^= 1;
	assert_int_equal(world_vm_call(a, home, MSG_VM_OPEN, &b), GVM_ESTALE);
	b = open_body(a, home, 1);
	b.flags = GVM_VM_ADOPT;
	assert_int_equal(world_vm_call(a, home, MSG_VM_OPEN, &b), -ENOENT);
	b = open_body(a, home, 1);
	assert_int_equal(world_vm_call(a, home, MSG_VM_OPEN, &b), 0);
	/* Another client may neither take it nor close it. */
	b = open_body(other, home, 1);
	assert_int_equal(world_vm_call(other, home, MSG_VM_OPEN, &b), -EBUSY);
	b = open_body(other, home, 1);
	assert_int_equal(world_vm_call(other, home, MSG_VM_CLOSE, &b), -EPERM);
	assert_int_equal(world_stats(home).reserved_pages, 1);
	world_destroy(w);
}

/* A client that starts anew gets fresh pages; what the old one had is free again. */
static void client_restarts(void **state)
{
	struct sim_config cfg = world_config(1, 1);
	struct world *w = world_create(&cfg);
	struct sim_host *a = world_agent(w, 0), *home = world_home(w, 0);
	struct gvm_vm_body b;

	(void)state;
	assert_true(world_write(a, 3));
	flush(w, a);
	assert_int_equal(world_stats(home).stored_pages, 1);
	a->cfg.boot_id++;
	b = open_body(a, home, 64);
	assert_int_equal(world_vm_call(a, home, MSG_VM_OPEN, &b), 0);
	assert_int_equal(world_stats(home).stored_pages, 0);
	assert_int_equal(world_stats(home).touched_pages, 0);
	assert_int_equal(world_stats(home).reserved_pages, 64);
	/* A late copy of what the old one asked changes nothing. */
	b.client_boot--;
	b.reserve_pages = 32;
	assert_int_equal(world_vm_call(a, home, MSG_VM_OPEN, &b), GVM_ESTALE);
	assert_int_equal(world_stats(home).reserved_pages, 64);
	world_destroy(w);
}

static void keep_and_adopt(void **state)
{
	struct sim_config cfg = world_config(1, 1);
	struct world *w = world_create(&cfg);
	struct sim_host *a = world_agent(w, 0), *home = world_home(w, 0);
	struct gvm_vm_body b;
	u64 page;

	(void)state;
	for (page = 0; page < 20; page++)
		assert_true(world_write(a, page));
	flush(w, a);
	b = open_body(a, home, 0);
	b.flags = GVM_VM_KEEP;
	assert_int_equal(world_vm_call(a, home, MSG_VM_CLOSE, &b), 0);
	b = open_body(a, home, 0);
	b.flags = GVM_VM_KEEP;
	assert_int_equal(world_vm_call(a, home, MSG_VM_CLOSE, &b), 0);
	assert_int_equal(world_stats(home).stored_pages, 20);
	a->cfg.boot_id++;
	b = open_body(a, home, 0);
	b.flags = GVM_VM_ADOPT;
	b.ram_pages++;
	assert_int_equal(world_vm_call(a, home, MSG_VM_OPEN, &b), GVM_ESTALE);
	b.ram_pages--;
	assert_int_equal(world_vm_call(a, home, MSG_VM_OPEN, &b), 0);
	for (page = 0; page < 20; page++)
		assert_true(world_read(a, page));
	world_destroy(w);
}

/* More nodes of one VM: they join what is open, and their leaving closes nothing. */
static void join_and_leave(void **state)
{
	struct sim_config cfg = world_config(1, 2);
	struct world *w = world_create_closed(&cfg);
	struct sim_host *a = world_agent(w, 0), *b = world_agent(w, 1), *home = world_home(w, 0);
	struct gvm_vm_body first = open_body(a, home, 64), more = open_body(b, home, 0);

	(void)state;
	more.flags = GVM_VM_JOIN;
	assert_int_equal(world_vm_call(b, home, MSG_VM_OPEN, &more), -ENOENT);
	more.status = 0;
	assert_int_equal(world_vm_call(a, home, MSG_VM_OPEN, &first), 0);
	more.ram_pages++;
	assert_int_equal(world_vm_call(b, home, MSG_VM_OPEN, &more), GVM_ESTALE);
	more.ram_pages--;
	assert_int_equal(world_vm_call(b, home, MSG_VM_OPEN, &more), 0);
	assert_int_equal(world_vm_call(b, home, MSG_VM_CLOSE, &more), 0);
	assert_int_equal(world_stats(home).reserved_pages, 64);
	assert_true(world_write(a, 3));
	assert_true(world_read(b, 3));
	world_destroy(w);
}

/* Nobody may take what he did not open: no VM, a wrong epoch, a page beyond its RAM. */
static void faults_without_right(void **state)
{
	struct sim_config cfg = world_config(1, 1);
	struct world *w = world_create_closed(&cfg);
	struct sim_host *a = world_agent(w, 0), *home = world_home(w, 0);
	struct gvm_vm_body b = open_body(a, home, 64);
	u32 i;

	(void)state;
	for (i = 0; i < 64; i++)
		w->sim.vms[0].lost[i] = true; /* an error is what is right here */
	assert_false(world_read(a, 3));
	assert_int_equal(gvm_agent_state(a->node, 3), '!');
	w->sim.vms[0].route.epoch++;
	assert_int_equal(world_vm_call(a, home, MSG_VM_OPEN, &b), 0);
	gvm_agent_retry(a->node, 3);
	world_run(w, 1000);
	assert_int_equal(gvm_agent_state(a->node, 3), '!');
	assert_int_equal(world_stats(home).home_refused, 2);
	world_destroy(w);
}

/* A home that restarts empty says so; it never hands out zeroes for what it lost. */
static void lost_home(void **state)
{
	struct sim_config cfg = world_config(2, 1);
	struct world *w = world_create(&cfg);
	struct sim_host *a = world_agent(w, 0), *dead = world_home(w, 0);
	u64 gone = world_page_at(w, dead, 0), held = world_page_at(w, dead, 1);
	u64 safe = world_page_at(w, world_home(w, 1), 0);
	u32 i;

	(void)state;
	assert_true(world_write(a, gone));
	assert_true(world_write(a, safe));
	flush(w, a);
	assert_true(world_write(a, held));
	for (i = 0; i < 64; i++)
		w->sim.vms[0].lost[i] = gvm_route_home(&w->sim.vms[0].route, i) == dead->cfg.id;
	assert_int_equal(sim_host_restart(dead), 0);
	assert_false(world_read(a, gone));
	assert_int_equal(w->sim.counts.errors, 1);
	a->vcpus[0] = (struct sim_vcpu){.host = a};
	/* What the agent holds, and what lives elsewhere, is not affected. */
	assert_true(world_read(a, held));
	assert_true(world_read(a, safe));
	/* The only bytes of a page are not thrown away because its home is gone. */
	gvm_agent_flush(a->node, true);
	world_run(w, 10000);
	assert_true(world_read(a, held));
	world_destroy(w);
}

/* A home with no frame left refuses; the page stays where it is, and goes when there is room. */
static void full_home(void **state)
{
	struct sim_config cfg = world_config(1, 1);
	struct world *w = world_create_closed(&cfg);
	struct sim_host *a = world_agent(w, 0), *home = world_home(w, 0);
	struct gvm_vm_body b = open_body(a, home, 0);
	u64 lent = home->cfg.lent_pages, page;

	(void)state;
	assert_int_equal(world_vm_call(a, home, MSG_VM_OPEN, &b), 0);
	assert_true(lent >= 65);
	/* Another VM takes all but four frames. */
	home->cfg.lent_pages = 4;
	home->cfg.lent_base = realloc(home->cfg.lent_base, 4 * GVM_PAGE_SIZE);
	assert_int_equal(sim_host_restart(home), 0);
	b = open_body(a, home, 4);
	assert_int_equal(world_vm_call(a, home, MSG_VM_OPEN, &b), 0);
	for (page = 0; page < 6; page++)
		assert_true(world_write(a, page));
	gvm_agent_flush(a->node, true);
	world_run(w, 3000);
	assert_int_equal(world_stats(home).stored_pages, 4);
	assert_true(world_stats(home).home_full >= 2);
	for (page = 0; page < 6; page++)
		assert_true(world_read(a, page));
	/* Two pages become zero: their frames go to the two that wait. */
	w->sim.cfg.blank_ppm = 1000000;
	assert_true(world_write(a, 0));
	assert_true(world_write(a, 1));
	while (gvm_agent_flush(a->node, true))
		world_run(w, 1000);
	w->sim.cfg.blank_ppm = 0;
	assert_int_equal(world_stats(home).stored_pages, 4);
	for (page = 0; page < 6; page++)
		assert_true(world_read(a, page));
	world_destroy(w);
}

/* Two VMs with the same page numbers share a home and nothing else. */
static void two_vms(void **state)
{
	struct sim_config cfg = world_config(1, 1);
	struct sim_host *a, *b;
	struct world *w;

	(void)state;
	cfg.vms = 2;
	w = world_create(&cfg);
	a = world_agent(w, 0);
	b = world_agent(w, 1);
	assert_int_equal(b->vm->id, 2);
	assert_int_equal(sim_guest_start(b, 1, 0), 0);
	assert_true(world_write(a, 5));
	assert_true(world_read(b, 5)); /* zero, says the checker */
	assert_true(world_write(b, 5));
	flush(w, a);
	flush(w, b);
	assert_int_equal(world_stats(world_home(w, 0)).stored_pages, 2);
	assert_true(world_read(a, 5));
	assert_true(world_read(b, 5));
	world_destroy(w);
}

/* Every acknowledgement of a grant is lost for a while: the page is granted, the home asks on. */
static void lost_grant_acks(void **state)
{
	struct sim_config cfg = world_config(1, 2);
	struct world *w = world_create(&cfg);

	(void)state;
	w->traffic.drop_type = MSG_GRANT_ACK;
	assert_true(world_write(world_agent(w, 0), 3));
	world_run(w, 50000);
	w->traffic.drop_type = MSG_TYPE_COUNT;
	assert_true(world_write(world_agent(w, 1), 3));
	assert_true(world_read(world_agent(w, 0), 3));
	world_destroy(w);
}

/* A holder that is silent for longer than all tries: an error, then, when it is back, the page. */
static void silent_holder(void **state)
{
	struct sim_config cfg = world_config(1, 2);
	struct world *w = world_create(&cfg);
	struct sim_host *a = world_agent(w, 0), *b = world_agent(w, 1);

	(void)state;
	assert_true(world_write(a, 3));
	world_run(w, 1000);
	w->traffic.drop_to = a->cfg.id;
	sim_guest_access(&b->vcpus[0], 3, false);
	world_run(w, 8000000);
	assert_int_equal(w->sim.running, 1);
	assert_true(w->sim.counts.errors >= 1);
	w->traffic.drop_to = GVM_NO_NODE;
	world_run(w, 6000000);
	assert_int_equal(w->sim.running, 0);
	world_destroy(w);
}

/* 60 readers, then a writer: each reader is asked once, and all at the same time. */
static void many_sharers(void **state)
{
	struct sim_config cfg = world_config(1, 61);
	struct world *w = world_create(&cfg);
	u64 began;
	u32 i;

	(void)state;
	assert_true(world_write(world_agent(w, 0), 3));
	for (i = 0; i < 61; i++)
		assert_true(world_read(world_agent(w, i), 3));
	world_run(w, 1000);
	world_forget_traffic(w);
	began = w->sim.now;
	assert_true(world_write(world_agent(w, 0), 3));
	assert_int_equal(w->traffic.messages[MSG_COPYSET_UPDATE], 60);
	assert_int_equal(w->traffic.messages[MSG_INV_ACK], 60);
	assert_in_range(w->sim.now - began, 40, 100);
	world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_is_idempotent),
		cmocka_unit_test(open_refusals),
		cmocka_unit_test(client_restarts),
		cmocka_unit_test(keep_and_adopt),
		cmocka_unit_test(join_and_leave),
		cmocka_unit_test(faults_without_right),
		cmocka_unit_test(lost_home),
		cmocka_unit_test(full_home),
		cmocka_unit_test(two_vms),
		cmocka_unit_test(lost_grant_acks),
		cmocka_unit_test(silent_holder),
		cmocka_unit_test(many_sharers),
	};

	return cmocka_run_group_tests_name("directory", tests, NULL, NULL);
}
