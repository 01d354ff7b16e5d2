// SPDX-License-Identifier: GPL-2.0-or-later
/* The pages of a host's guest, as unified_driver.h promises them to the logic; breaches fail the
 * run. */
#include <stdlib.h>

#include "sim.h"

static struct sim_page *page_of(struct sim_host *h, u64 page, const char *what)
{
	if (h->vm && page < h->vm->ram_pages)
		return &h->pages[page];
	sim_fail(h->sim, "node %u: %s of page %llu, which its guest does not have", h->cfg.id, what,
		 (unsigned long long)page);
	return NULL;
}

static void hold(struct sim_host *h)
{
	if (++h->held > h->cfg.budget_pages)
		sim_fail(h->sim, "node %u holds %u pages, its budget is %llu", h->cfg.id, h->held,
			 (unsigned long long)h->cfg.budget_pages);
}

/* What the logic forgets to fill must not look like the right bytes. */
void *sim_page_buffer(void *ctx, u64 page, enum gvm_prot prot)
{
	struct sim_host *h = ctx;
	struct sim_page *p = page_of(h, page, "page_buffer");

	(void)prot;
	if (!p || (!p->fill && sim_chance(h->sim, h->sim->cfg.nomem_ppm)))
		return NULL;
	if (p->prot != GVM_PROT_NONE || p->pending)
		sim_fail(h->sim, "node %u fills page %llu, which its guest can see", h->cfg.id,
			 (unsigned long long)page);
	if (!p->fill) {
		p->fill = malloc(GVM_PAGE_SIZE);
		if (p->fill)
			memset(p->fill, 0xa5, GVM_PAGE_SIZE);
		hold(h);
	}
	return p->fill;
}

static void map_now(struct sim_host *h, u64 page, enum gvm_prot prot, bool zero)
{
	struct sim_page *p = &h->pages[page];

	if (!p->bytes) {
		if (zero == (p->fill != NULL))
			sim_fail(h->sim, "node %u maps page %llu %s", h->cfg.id,
				 (unsigned long long)page,
				 zero ? "as zero with a buffer out" : "without its bytes");
		if (!zero && !h->vm->written[page])
			sim_fail(h->sim, "node %u is sent the bytes of page %llu: nobody wrote it",
				 h->cfg.id, (unsigned long long)page);
		if (!p->fill)
			hold(h);
		p->bytes = p->fill ? p->fill : calloc(1, GVM_PAGE_SIZE);
		p->fill = NULL;
	}
	if (prot < p->prot)
		sim_fail(h->sim, "node %u: page_map lowers page %llu from %d to %d", h->cfg.id,
			 (unsigned long long)page, p->prot, prot);
	p->prot = prot;
	sim_check_map(h, page, prot);
	sim_check_bytes(h, page, p->bytes);
	sim_guest_wake(h, page);
}

static void map_later(struct sim *s, void *who, u64 what)
{
	struct sim_host *h = who;
	u64 page = what & 0xffffffff;
	struct sim_page *p;

	(void)s;
	if (h->incarnation != (u32)(what >> 32) || !h->node)
		return;
	p = &h->pages[page];
	if (!p->pending)
		return;
	p->pending = false;
	map_now(h, page, p->pending_prot, p->pending_zero);
	gvm_agent_mapped(h->node, page);
}

int sim_page_map(void *ctx, u64 page, enum gvm_prot prot, bool zero)
{
	struct sim_host *h = ctx;
	struct sim_page *p = page_of(h, page, "page_map");

	if (!p)
		return -EINVAL;
	if (p->pending) {
		sim_fail(h->sim, "node %u maps page %llu, which is being mapped", h->cfg.id,
			 (unsigned long long)page);
		return -EINVAL;
	}
	sim_trace(h->sim, "  map %u page %llu prot %d%s", h->cfg.id, (unsigned long long)page, prot,
		  zero ? " zero" : "");
	if (!sim_chance(h->sim, h->sim->cfg.pending_ppm)) {
		map_now(h, page, prot, zero);
		return 0;
	}
	p->pending = true;
	p->pending_prot = prot;
	p->pending_zero = zero;
	sim_at(h->sim, 1 + sim_below(h->sim, 30), map_later, h, (u64)h->incarnation << 32 | page);
	return GVM_PENDING;
}

int sim_page_protect(void *ctx, const u64 *pages, unsigned int n)
{
	struct sim_host *h = ctx;
	unsigned int i;

	for (i = 0; i < n; i++) {
		struct sim_page *p = page_of(h, pages[i], "page_protect");

		if (!p)
			return -EINVAL;
		sim_trace(h->sim, "  protect %u page %llu", h->cfg.id,
			  (unsigned long long)pages[i]);
		if (p->pending)
			sim_fail(h->sim, "node %u protects page %llu, which is being mapped",
				 h->cfg.id, (unsigned long long)pages[i]);
		p->prot = min_t(u8, p->prot, GVM_PROT_READ);
	}
	return 0;
}

void *sim_page_data(void *ctx, u64 page)
{
	struct sim_host *h = ctx;
	struct sim_page *p = page_of(h, page, "page_data");

	if (!p)
		return NULL;
	if (!p->bytes || p->prot == GVM_PROT_WRITE)
		sim_fail(h->sim, "node %u reads page %llu, which %s", h->cfg.id,
			 (unsigned long long)page,
			 p->bytes ? "its guest may write" : "it does not hold");
	return p->bytes;
}

void sim_page_drop(void *ctx, u64 page)
{
	struct sim_host *h = ctx;
	struct sim_page *p = page_of(h, page, "page_drop");

	if (!p)
		return;
	sim_trace(h->sim, "  drop %u page %llu", h->cfg.id, (unsigned long long)page);
	if (p->pending)
		sim_fail(h->sim, "node %u drops page %llu, which is being mapped", h->cfg.id,
			 (unsigned long long)page);
	h->held -= p->bytes || p->fill;
	free(p->bytes);
	free(p->fill);
	p->bytes = p->fill = NULL;
	p->prot = GVM_PROT_NONE;
}

static void retry_later(struct sim *s, void *who, u64 what)
{
	struct sim_host *h = who;

	(void)s;
	if (h->incarnation != (u32)(what >> 32) || !h->node)
		return;
	h->pages[what & 0xffffffff].retry_armed = false;
	gvm_agent_retry(h->node, what & 0xffffffff);
}

/* The home did not answer: try again. It lost the page: nobody may run on with it. */
void sim_page_error(void *ctx, u64 page, u32 node, int status)
{
	struct sim_host *h = ctx;
	struct sim_page *p = page_of(h, page, "page_error");

	if (!p)
		return;
	h->sim->counts.errors++;
	sim_trace(h->sim, "  error %u page %llu home %u status %d", h->cfg.id,
		  (unsigned long long)page, node, status);
	/* Of a holder that is silent the error names the holder. */
	if (status != -EHOSTDOWN && node != gvm_route_home(&h->vm->route, page))
		sim_fail(h->sim, "node %u: page_error of page %llu names node %u", h->cfg.id,
			 (unsigned long long)page, node);
	if (status == GVM_ELOST || status == GVM_ESTALE) {
		if (!h->vm->lost[page])
			sim_fail(h->sim, "node %u: page %llu is said to be lost (%d)", h->cfg.id,
				 (unsigned long long)page, status);
		sim_guest_lost(h, page);
	} else if (!p->retry_armed) {
		p->retry_armed = true;
		sim_at(h->sim, 1000 + sim_below(h->sim, 100000), retry_later, h,
		       (u64)h->incarnation << 32 | page);
	}
}
