// SPDX-License-Identifier: GPL-2.0-or-later
/* A run from beginning to end. */
#include "sim.h"

#define SECOND	      1000000ULL
#define EVENTS_LIMIT  5000000ULL
#define LATENCY_LIMIT (GVM_REQ_SLOTS_SHIFT < 8 ? 200000 : 50000) /* a small ring is slow */

/* Names a vCPU that waits, and how its agent sees the page. */
static void fail_waiting(struct sim *s, const char *what)
{
	u32 i, k;

	for (i = 0; i < s->nhosts; i++) {
		struct sim_host *h = s->hosts[i];

		for (k = 0; h->node && k < h->nvcpus; k++) {
			struct sim_vcpu *v = &h->vcpus[k];

			if (v->waiting && !v->lost)
				sim_fail(s,
					 "%s: node %u waits to %s page %llu since %llu us ('%c')",
					 what, h->cfg.id, v->write ? "write" : "read",
					 (unsigned long long)v->page, (unsigned long long)v->since,
					 gvm_agent_state(h->node, v->page));
		}
	}
	sim_fail(s, "%s: it does not end", what);
}

bool sim_run_until(struct sim *s, bool (*done)(struct sim *s), u64 limit_us, const char *what)
{
	u64 limit = s->now + limit_us;

	while (!s->failed && !done(s))
		if (s->counts.events > EVENTS_LIMIT || !sim_step(s, limit))
			fail_waiting(s, what);
	return !s->failed;
}

static bool run_for(struct sim *s, u64 us)
{
	u64 limit = s->now + us;

	while (!s->failed && sim_step(s, limit))
		;
	s->now = limit;
	return !s->failed;
}

static bool opened(struct sim *s)
{
	return s->opening == 0;
}

static bool served(struct sim *s)
{
	return s->running == 0;
}

/* The first agent of each VM opens it. */
bool sim_open_all(struct sim *s)
{
	u32 i;

	for (i = 0; i < s->nhosts; i++) {
		struct sim_host *h = s->hosts[i];

		if (h->cfg.id < GVM_MAX_SLAVES || (h->cfg.id - GVM_MAX_SLAVES) % 1000)
			continue;
		if (sim_open_start(h, 0))
			sim_fail(s, "no memory to open VM %u", h->vm->id);
	}
	return sim_run_until(s, opened, 60 * SECOND, "opening the VMs");
}

static u64 flush_once(struct sim *s, bool drop)
{
	u64 left = 0;
	u32 i;

	for (i = 0; i < s->nhosts; i++)
		if (s->hosts[i]->node && s->hosts[i]->vm)
			left += gvm_agent_flush(s->hosts[i]->node, drop);
	return left;
}

static void fail_flush(struct sim *s)
{
	u32 i, page;

	for (i = 0; i < s->nhosts; i++) {
		struct sim_host *h = s->hosts[i];

		for (page = 0; h->vm && page < h->vm->ram_pages; page++) {
			char c = gvm_agent_state(h->node, page);

			if (c != 'I' && c != 'S' && c != 'E')
				sim_fail(s, "the flush does not end: node %u page %u is '%c'",
					 h->cfg.id, page, c);
		}
	}
	sim_fail(s, "the flush does not end");
}

bool sim_flush_all(struct sim *s, bool drop)
{
	u64 limit = s->now + 120 * SECOND;

	while (!s->failed && flush_once(s, drop)) {
		run_for(s, 1000);
		if (s->now > limit)
			fail_flush(s);
	}
	return !s->failed;
}

static bool audit_vm(struct sim *s, struct sim_vm *vm)
{
	struct sim_host *h = sim_add_agent(s, vm, SIM_AUDITOR + vm->id);
	u32 page;

	if (!h || sim_guest_start(h, 1, 0))
		return false;
	for (page = 0; page < vm->ram_pages && !s->failed; page++) {
		sim_guest_access(&h->vcpus[0], page, false);
		sim_run_until(s, served, 120 * SECOND, "reading every page back");
	}
	return !s->failed;
}

bool sim_audit(struct sim *s)
{
	u32 i;

	s->auditing = true;
	for (i = 0; i < s->cfg.vms; i++)
		if (!audit_vm(s, &s->vms[i]))
			return false;
	return true;
}

static void flush_midway(struct sim *s, void *who, u64 what)
{
	(void)who;
	(void)what;
	if (s->draining || !s->running || !sim_chance(s, s->cfg.flush_ppm))
		return;
	flush_once(s, sim_chance(s, 300000));
	sim_at(s, 500 + sim_below(s, 20000), flush_midway, NULL, 0);
}

/* A home that has no guest of its own loses its memory and starts anew. */
static void crash_home(struct sim *s, void *who, u64 what)
{
	struct sim_host *h = s->hosts[sim_below(s, s->cfg.homes)];
	u32 i, page;

	(void)who;
	(void)what;
	if (s->draining || h->vm || !s->running)
		return;
	s->expect_loss = true;
	for (i = 0; i < s->cfg.vms; i++)
		for (page = 0; page < s->vms[i].ram_pages; page++)
			if (gvm_route_home(&s->vms[i].route, page) == h->cfg.id)
				s->vms[i].lost[page] = true;
	if (sim_host_restart(h))
		sim_fail(s, "no memory to restart home %u", h->cfg.id);
}

static void start_guests(struct sim *s)
{
	u32 i;

	for (i = 0; i < s->nhosts; i++)
		if (s->hosts[i]->vm && sim_guest_start(s->hosts[i], s->cfg.vcpus, s->cfg.accesses))
			sim_fail(s, "no memory for the vCPUs of node %u", s->hosts[i]->cfg.id);
	s->cutting = true;
	if (s->cfg.cut_every_us)
		sim_net_cut(s);
	if (s->cfg.home_crash_us)
		sim_at(s, s->cfg.home_crash_us, crash_home, NULL, 0);
	sim_at(s, 1000, flush_midway, NULL, 0);
}

/* Nothing is lost or held up: then nobody waits for a retransmission's longest back-off. */
static void check_latency(struct sim *s)
{
	const struct sim_config *c = &s->cfg;

	if (c->loss_ppm || c->mangle_ppm || c->nomem_ppm || c->cut_every_us || c->home_crash_us ||
	    c->late_ppm)
		return;
	if (s->counts.longest_us > LATENCY_LIMIT)
		sim_fail(s, "an access took %llu us on a network without loss",
			 (unsigned long long)s->counts.longest_us);
}

/* With a home lost, guests stop for good; until then nobody may have read anything wrong. */
static bool work(struct sim *s)
{
	u64 limit = s->now + 60 * SECOND;

	start_guests(s);
	while (!s->failed && s->running && s->counts.events < EVENTS_LIMIT && sim_step(s, limit))
		;
	sim_net_heal(s);
	if (s->expect_loss)
		return !s->failed;
	limit = 120 * SECOND + (u64)s->cfg.accesses * s->cfg.think_us;
	if (!sim_run_until(s, served, limit, "serving every fault"))
		return false;
	check_latency(s);
	return !s->failed;
}

/* Nothing is on its way any more when the last duplicate has arrived. */
static void settle(struct sim *s)
{
	run_for(s, 10 * SECOND + 20ULL * s->cfg.late_us);
}

bool sim_run(struct sim *s)
{
	if (s->failed || !sim_open_all(s) || !work(s))
		return false;
	if (s->expect_loss)
		return true;
	if (!sim_flush_all(s, true))
		return false;
	settle(s);
	if (!sim_audit(s) || !sim_flush_all(s, true))
		return false;
	settle(s);
	if (!s->failed)
		sim_check_quiet(s);
	return !s->failed;
}
