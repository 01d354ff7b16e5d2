// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What runs on the agents: vCPUs that read and write few hot pages and many cold
 * ones. An access happens at one instant of virtual time; one that finds no
 * right to its page waits until the page is mapped and then tries again.
 */
#include <stdlib.h>

#include "sim.h"

static void vcpu_try(struct sim *s, struct sim_vcpu *v);

static void vcpu_next(struct sim *s, void *who, u64 what)
{
	struct sim_vcpu *v = who;
	u32 pages = v->host->vm->ram_pages;

	(void)what;
	if (s->draining)
		return;
	if (v->left == 0) {
		s->running--;
		return;
	}
	v->left--;
	v->since = s->now;
	v->write = sim_chance(s, s->cfg.write_ppm);
	if (v->scan_left) {
		v->scan_left--;
		v->page = (v->page + 1) % pages;
	} else if (sim_chance(s, s->cfg.hot_ppm)) {
		v->page = sim_below(s, min_t(u32, s->cfg.hot_pages, pages));
	} else {
		v->page = sim_below(s, pages);
		if (sim_chance(s, s->cfg.scan_ppm))
			v->scan_left = 4 + sim_below(s, 24);
	}
	vcpu_try(s, v);
}

static void write_page(struct sim *s, u8 *bytes, u8 *truth)
{
	u64 stamp = sim_random(s), at = sim_below(s, GVM_PAGE_SIZE / 8) * 8;

	if (sim_chance(s, s->cfg.blank_ppm)) {
		memset(bytes, 0, GVM_PAGE_SIZE);
		memset(truth, 0, GVM_PAGE_SIZE);
		return;
	}
	memcpy(bytes + at, &stamp, sizeof(stamp));
	memcpy(truth + at, &stamp, sizeof(stamp));
}

/* Every access reads the whole page first: also a write must begin from the latest bytes. */
static void vcpu_access(struct sim *s, struct sim_vcpu *v)
{
	struct sim_page *p = &v->host->pages[v->page];
	struct sim_vm *vm = v->host->vm;

	sim_check_bytes(v->host, v->page, p->bytes);
	if (s->now - v->since > 20000)
		sim_trace(s, "slow access node %u page %llu since %llu", v->host->cfg.id,
			  (unsigned long long)v->page, (unsigned long long)v->since);
	s->counts.longest_us = max_t(u64, s->counts.longest_us, s->now - v->since);
	if (v->write) {
		vm->written[v->page] = true;
		write_page(s, p->bytes, vm->bytes + (v->page << GVM_PAGE_SHIFT));
		s->counts.writes++;
	} else {
		s->counts.reads++;
	}
	s->counts.accesses++;
}

static bool vcpu_allowed(const struct sim_vcpu *v)
{
	const struct sim_page *p = &v->host->pages[v->page];

	return p->prot == GVM_PROT_WRITE || (p->prot == GVM_PROT_READ && !v->write);
}

static void vcpu_try(struct sim *s, struct sim_vcpu *v)
{
	if (vcpu_allowed(v) && !sim_chance(s, s->cfg.spurious_ppm)) {
		vcpu_access(s, v);
		sim_at(s, 1 + sim_below(s, s->cfg.think_us), vcpu_next, v, 0);
		return;
	}
	/* Also a fault that was raised before the page came and is told after it. */
	v->waiting = true;
	s->counts.faults++;
	gvm_agent_fault(v->host->node, v->page, v->write);
}

static void vcpu_resumed(struct sim *s, void *who, u64 what)
{
	struct sim_vcpu *v = who;

	(void)what;
	if (!s->draining)
		vcpu_try(s, v);
}

/* A thread that is woken runs after a moment; the page may be gone by then. */
void sim_guest_wake(struct sim_host *h, u64 page)
{
	struct sim *s = h->sim;
	u32 i;

	for (i = 0; i < h->nvcpus; i++) {
		struct sim_vcpu *v = &h->vcpus[i];
		u64 delay = 1 + sim_below(s, 10);

		if (!v->waiting || v->page != page)
			continue;
		v->waiting = false;
		if (v->lost) {
			v->lost = false;
			s->running++;
		}
		if (sim_chance(s, s->cfg.slow_thread_ppm))
			delay += sim_below(s, 2000);
		sim_at(s, delay, vcpu_resumed, v, 0);
	}
}

void sim_guest_lost(struct sim_host *h, u64 page)
{
	u32 i;

	for (i = 0; i < h->nvcpus; i++) {
		struct sim_vcpu *v = &h->vcpus[i];

		if (v->waiting && v->page == page && !v->lost) {
			v->lost = true;
			h->sim->running--;
		}
	}
}

void sim_guest_access(struct sim_vcpu *v, u64 page, bool write)
{
	struct sim *s = v->host->sim;

	v->page = page;
	v->write = write;
	v->since = s->now;
	v->left = 0;
	s->running++;
	vcpu_try(s, v);
}

int sim_guest_start(struct sim_host *h, u32 nvcpus, u32 accesses)
{
	struct sim *s = h->sim;
	u32 i;

	h->vcpus = calloc(nvcpus, sizeof(*h->vcpus));
	if (!h->vcpus)
		return -ENOMEM;
	h->nvcpus = nvcpus;
	for (i = 0; i < nvcpus; i++) {
		h->vcpus[i].host = h;
		h->vcpus[i].left = accesses;
		if (!accesses)
			continue;
		s->running++;
		sim_at(s, sim_below(s, 100), vcpu_next, &h->vcpus[i], 0);
	}
	return 0;
}
