// SPDX-License-Identifier: GPL-2.0-or-later
/* What must hold at every instant, and what must hold when nothing is under way any more. */
#include <stdio.h>

#include "sim.h"

/* One writer, or any number of readers. */
void sim_check_map(struct sim_host *h, u64 page, enum gvm_prot prot)
{
	struct sim *s = h->sim;
	u32 i;

	for (i = 0; i < s->nhosts; i++) {
		struct sim_host *o = s->hosts[i];
		enum gvm_prot held;

		if (o == h || o->vm != h->vm || !o->pages)
			continue;
		held = o->pages[page].prot;
		if (held == GVM_PROT_WRITE || (prot == GVM_PROT_WRITE && held != GVM_PROT_NONE))
			sim_fail(s, "VM %u page %llu: node %u may %s while node %u may %s",
				 h->vm->id, (unsigned long long)page, h->cfg.id,
				 prot == GVM_PROT_WRITE ? "write" : "read", o->cfg.id,
				 held == GVM_PROT_WRITE ? "write" : "read");
	}
}

void sim_check_bytes(struct sim_host *h, u64 page, const u8 *bytes)
{
	const u8 *truth = h->vm->bytes + (page << GVM_PAGE_SHIFT);
	u32 at = 0;

	if (memcmp(bytes, truth, GVM_PAGE_SIZE) == 0)
		return;
	while (bytes[at] == truth[at])
		at++;
	sim_fail(h->sim, "VM %u page %llu at node %u: byte %u is %02x, the latest write left %02x",
		 h->vm->id, (unsigned long long)page, h->cfg.id, at, bytes[at], truth[at]);
}

static u64 host_held(const struct sim_host *h)
{
	u64 held = 0;
	u32 i;

	for (i = 0; h->pages && i < h->vm->ram_pages; i++)
		held += h->pages[i].bytes != NULL;
	return held;
}

static void check_agent(struct sim_host *h)
{
	struct gvm_node_stats st;
	u64 held = host_held(h), next;

	gvm_node_stats(h->node, &st);
	if (st.resident_pages != held)
		sim_fail(h->sim, "node %u counts %llu resident pages and holds %llu", h->cfg.id,
			 (unsigned long long)st.resident_pages, (unsigned long long)held);
	if (held > h->cfg.budget_pages)
		sim_fail(h->sim, "node %u holds %llu pages, its budget is %llu", h->cfg.id,
			 (unsigned long long)held, (unsigned long long)h->cfg.budget_pages);
	next = gvm_node_tick(h->node);
	if (next != SIM_NEVER)
		sim_fail(h->sim, "node %u is quiet but wants its timer", h->cfg.id);
}

static bool blank(const u8 *page)
{
	return page[0] == 0 && memcmp(page, page + 1, GVM_PAGE_SIZE - 1) == 0;
}

/* How much of all VMs lives at this home: directory entries and bytes. */
static void home_due(struct sim *s, u32 id, u64 *touched, u64 *stored)
{
	u32 i, page;

	*touched = *stored = 0;
	for (i = 0; i < s->cfg.vms; i++)
		for (page = 0; page < s->vms[i].ram_pages; page++) {
			if (gvm_route_home(&s->vms[i].route, page) != id)
				continue;
			*touched += 1;
			*stored += !blank(s->vms[i].bytes + ((u64)page << GVM_PAGE_SHIFT));
		}
}

/* After every page went home: what is stored is what is not zero, and no more. */
static void check_home(struct sim_host *h)
{
	struct gvm_node_stats st;
	u64 touched, stored, next;

	gvm_node_stats(h->node, &st);
	home_due(h->sim, h->cfg.id, &touched, &stored);
	if (st.touched_pages > touched)
		sim_fail(h->sim, "home %u has %llu directory entries for %llu pages", h->cfg.id,
			 (unsigned long long)st.touched_pages, (unsigned long long)touched);
	if (!h->sim->expect_loss && st.stored_pages != stored)
		sim_fail(h->sim, "home %u stores %llu pages, %llu are not zero", h->cfg.id,
			 (unsigned long long)st.stored_pages, (unsigned long long)stored);
	next = gvm_node_tick(h->node);
	if (next != SIM_NEVER)
		sim_fail(h->sim, "home %u is quiet but wants its timer", h->cfg.id);
}

void sim_check_quiet(struct sim *s)
{
	u32 i;

	for (i = 0; i < s->nhosts; i++) {
		struct sim_host *h = s->hosts[i];

		if (!h->node)
			continue;
		if (h->vm)
			check_agent(h);
		if (h->cfg.lent_pages)
			check_home(h);
	}
}
