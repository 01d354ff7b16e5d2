// SPDX-License-Identifier: GPL-2.0-or-later
/* Who there is: homes that lend memory, VMs whose pages live there, agents with guests. */
#include <stdlib.h>

#include "sim.h"

/* Tables that belong to no host. */
static void *plain_alloc(void *ctx, size_t size)
{
	(void)ctx;
	return calloc(1, size);
}

static void plain_free(void *ctx, void *ptr)
{
	(void)ctx;
	free(ptr);
}

static const struct dsm_driver_ops plain_ops = {.alloc_large_table = plain_alloc,
						.free_large_table = plain_free};

static int add_host(struct sim *s, const struct gvm_node_config *cfg, struct sim_host **out)
{
	struct sim_host **hosts = realloc(s->hosts, (s->nhosts + 1) * sizeof(*hosts));

	if (!hosts)
		return -ENOMEM;
	s->hosts = hosts;
	*out = sim_host_create(s, cfg);
	if (!*out)
		return -ENOMEM;
	hosts[s->nhosts++] = *out;
	return 0;
}

static struct gvm_node_config agent_config(struct sim *s, u32 id)
{
	return (struct gvm_node_config){
		.id = id,
		.budget_pages = s->cfg.budget_pages,
		.prefetch_max = s->cfg.prefetch_max,
		.residence_us = s->cfg.residence_us,
		.ack_delay_us = s->cfg.ack_delay_us,
	};
}

struct sim_host *sim_add_agent(struct sim *s, struct sim_vm *vm, u32 id)
{
	struct gvm_node_config cfg = agent_config(s, id);
	struct sim_host *h;

	if (add_host(s, &cfg, &h) || sim_host_attach(h, vm)) {
		sim_fail(s, "no memory for agent %u", id);
		return NULL;
	}
	return h;
}

static int compare_ids(const void *a, const void *b)
{
	const struct gvm_member *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

/* Distinct random slave ids, ascending, with random weights. */
static void draw_members(struct sim *s, struct gvm_member *m, u32 n)
{
	u32 i, k;

	for (i = 0; i < n; i++) {
		do {
			m[i].id = sim_below(s, GVM_MAX_SLAVES);
			for (k = 0; k < i && m[k].id != m[i].id; k++)
				;
		} while (k < i);
		m[i].weight = 1 + sim_below(s, 4);
		m[i].boot_id = 0;
	}
	qsort(m, n, sizeof(*m), compare_ids);
}

static int create_vm(struct sim *s, struct sim_vm *vm, u32 id, const struct gvm_member *members)
{
	vm->id = id;
	vm->ram_pages = s->cfg.ram_pages;
	vm->bytes = calloc(vm->ram_pages, GVM_PAGE_SIZE);
	vm->written = calloc(vm->ram_pages, sizeof(*vm->written));
	vm->lost = calloc(vm->ram_pages, sizeof(*vm->lost));
	if (!vm->bytes || !vm->written || !vm->lost)
		return -ENOMEM;
	return gvm_route_build(&vm->route, members, s->cfg.homes, 1 + id, s->cfg.stripe_shift,
			       &plain_ops, NULL);
}

/* A home lends what the VMs reserve at it, often not a page more. */
static int create_home(struct sim *s, struct gvm_member *m)
{
	struct gvm_node_config cfg = {.id = m->id};
	struct sim_host *h;
	u32 i;
	int err;

	if (sim_chance(s, s->cfg.colocate_ppm))
		cfg = agent_config(s, m->id);
	cfg.lent_pages = sim_chance(s, 500000) ? 1 : sim_below(s, 8) + 1;
	for (i = 0; i < s->cfg.vms; i++)
		cfg.lent_pages += gvm_route_share(&s->vms[i].route, m->id, s->cfg.ram_pages);
	err = add_host(s, &cfg, &h);
	if (!err)
		m->boot_id = h->cfg.boot_id;
	return err;
}

/* A home that has room for a guest and none yet. */
static struct sim_host *idle_home(struct sim *s)
{
	u32 i;

	for (i = 0; i < s->cfg.homes; i++)
		if (s->hosts[i]->cfg.budget_pages && !s->hosts[i]->vm)
			return s->hosts[i];
	return NULL;
}

/* The first agent of a VM is a client of its own: it opens the VM. */
static int create_agents(struct sim *s, u32 vm)
{
	u32 i;

	for (i = 0; i < s->cfg.agents; i++) {
		struct sim_host *home = i ? idle_home(s) : NULL;
		int err = 0;

		if (home)
			err = sim_host_attach(home, &s->vms[vm]);
		else if (!sim_add_agent(s, &s->vms[vm], GVM_MAX_SLAVES + vm * 1000 + i))
			err = -ENOMEM;
		if (err)
			return err;
	}
	return 0;
}

static int create_all(struct sim *s, struct gvm_member *members)
{
	u32 i, k;
	int err = 0;

	draw_members(s, members, s->cfg.homes);
	for (i = 0; i < s->cfg.vms && !err; i++)
		err = create_vm(s, &s->vms[i], i + 1, members);
	for (i = 0; i < s->cfg.homes && !err; i++)
		err = create_home(s, &members[i]);
	for (i = 0; i < s->cfg.vms && !err; i++) {
		for (k = 0; k < s->cfg.homes; k++)
			s->vms[i].route.members[k].boot_id = members[k].boot_id;
		err = create_agents(s, i);
	}
	return err;
}

int sim_create(struct sim *s, const struct sim_config *cfg)
{
	struct gvm_member *members = calloc(cfg->homes, sizeof(*members));
	int err = -ENOMEM;

	memset(s, 0, sizeof(*s));
	s->cfg = *cfg;
	s->rng = cfg->seed;
	s->vms = calloc(cfg->vms, sizeof(*s->vms));
	if (members && s->vms && !sim_queue_create(s))
		err = create_all(s, members);
	if (err)
		sim_fail(s, "the simulated nodes could not be created (%d)", err);
	free(members);
	return err;
}

void sim_destroy(struct sim *s)
{
	u32 i;

	for (i = 0; i < s->nhosts; i++)
		sim_host_stop(s->hosts[i]);
	s->draining = true;
	while (s->queue && sim_step(s, SIM_NEVER))
		;
	for (i = 0; i < s->nhosts; i++)
		sim_host_destroy(s->hosts[i]);
	for (i = 0; s->vms && i < s->cfg.vms; i++) {
		gvm_route_free(&s->vms[i].route, &plain_ops, NULL);
		free(s->vms[i].bytes);
		free(s->vms[i].written);
		free(s->vms[i].lost);
	}
	sim_queue_destroy(s);
	free(s->hosts);
	free(s->vms);
}
