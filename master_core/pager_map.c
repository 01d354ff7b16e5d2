// SPDX-License-Identifier: GPL-2.0-or-later
/* Making pages visible, neighbours in one call. */
#include <stdlib.h>

#include "pager_internal.h"
#include "workers.h"

#define MAP_BATCH 64

enum map_how {
	MAP_CACHED,  /* the bytes are in the memory object */
	MAP_BOUNCE,  /* they are in a bounce buffer: see bounce.h */
	MAP_ZERO,    /* there are none */
	MAP_RAISE,   /* only the protection changes */
	MAP_REFRESH, /* read-only and mapped: whoever waits tries again */
};

struct plan {
	u64 page;
	u8 prot;
	u8 how;
	bool escalate;	/* only write access gets it mapped for everybody */
	bool installed; /* at least one client has it */
	const u8 *bounce;
	struct gvm_faults faults;
};

int gvm_map_list_add(struct gvm_map_list *l, u64 page, enum gvm_prot prot, bool zero)
{
	struct gvm_map_request *r;
	unsigned int room;

	if (l->count == l->room) {
		room = l->room ? 2 * l->room : MAP_BATCH;
		r = realloc(l->requests, room * sizeof(*r));
		if (!r)
			return -ENOMEM;
		l->requests = r;
		l->room = room;
	}
	l->requests[l->count++] = (struct gvm_map_request){page, (u8)prot, zero};
	return 0;
}

/* Stable; mostly sorted already. */
static void sort_requests(struct gvm_map_request *r, unsigned int n)
{
	unsigned int i, j;

	for (i = 1; i < n; i++) {
		struct gvm_map_request q = r[i];

		for (j = i; j && r[j - 1].page > q.page; j--)
			r[j] = r[j - 1];
		r[j] = q;
	}
}

static u8 choose(const struct gvm_pager *p, const struct plan *pl, bool zero)
{
	if (pl->bounce)
		return MAP_BOUNCE;
	if (zero)
		return MAP_ZERO;
	if (pl->prot == GVM_PROT_WRITE)
		return pl->faults.hints == (GVM_FAULT_WP | GVM_FAULT_WRITE) ? MAP_RAISE
									    : MAP_CACHED;
	return p->can_continue_wp ? MAP_CACHED : MAP_REFRESH;
}

static void make_plan(struct gvm_pager *p, struct plan *pl, const struct gvm_map_request *r)
{
	memset(pl, 0, sizeof(*pl));
	pl->page = r->page;
	pl->prot = r->prot;
	if (r->zero && pager_is_dropping(p, r->page))
		gvm_pager_settle(p);
	gvm_fault_take(p->faults, r->page, &pl->faults);
	pl->bounce = gvm_bounce_find(&p->bounces, r->page);
	pl->how = choose(p, pl, r->zero);
	pl->escalate =
		pl->how == MAP_REFRESH && pl->faults.hints & (GVM_FAULT_MINOR | GVM_FAULT_MISSING);
}

/* A page that nobody waits for is mapped for every client. */
static bool concerns(const struct plan *pl, int client)
{
	return !pl->faults.clients || pl->faults.clients & (1U << client);
}

static unsigned int run_length(const struct plan *pl, unsigned int n, int client)
{
	unsigned int i = 1;

	while (i < n && i < GVM_PAGER_RUN && pl[i].page == pl[i - 1].page + 1 &&
	       pl[i].how == pl->how && pl[i].prot == pl->prot && concerns(&pl[i], client) &&
	       (pl->how != MAP_BOUNCE || pl[i].bounce == pl[i - 1].bounce + GVM_PAGE_SIZE))
		i++;
	return i;
}

static int fill_run(struct gvm_pager *p, const struct pager_client *c, struct plan *pl,
		    unsigned int n, u64 addr)
{
	struct gvm_uffd_fill f = {
		.wp = pl->prot == GVM_PROT_READ,
		.can_continue_wp = p->can_continue_wp,
		.addr = addr,
		.len = (u64)n << GVM_PAGE_SHIFT,
	};
	int err;

	switch (pl->how) {
	case MAP_BOUNCE:
		f.how = GVM_FILL_COPY;
		f.src = pl->bounce;
		break;
	case MAP_ZERO:
		f.how = f.wp ? GVM_FILL_COPY : GVM_FILL_ZERO;
		f.src = p->zeroes;
		break;
	default:
		f.how = GVM_FILL_CACHED;
		break;
	}
	err = gvm_uffd_fill(c->uffd, &f);
	while (f.blocked && n--)
		pl[n].escalate = true;
	return err;
}

static void map_run(struct gvm_pager *p, struct pager_client *c, struct plan *pl, unsigned int n)
{
	u64 len = (u64)n << GVM_PAGE_SHIFT, addr;
	int err;

	if (!pager_client_addr(c, pl->page, n, &addr))
		return;
	if (pl->how == MAP_RAISE)
		err = gvm_uffd_unprotect(c->uffd, addr, len);
	else if (pl->how == MAP_REFRESH)
		err = gvm_uffd_wake(c->uffd, addr, len);
	else
		err = fill_run(p, c, pl, n, addr);
	pager_count(p, map_calls, 1);
	if (err)
		pager_complain(p, c, "map pages", err);
	/* Which of them failed, and so have their bytes nowhere else, only one by one tells. */
	if (err && pl->how == MAP_BOUNCE && n > 1)
		while (n--)
			map_run(p, c, pl + n, 1);
	else
		while (!err && n--)
			pl[n].installed = true;
}

static void map_for_client(struct gvm_pager *p, int client, struct plan *plans, unsigned int n)
{
	unsigned int at = 0, run;

	while (at < n) {
		if (!concerns(&plans[at], client)) {
			at++;
			continue;
		}
		run = run_length(plans + at, n - at, client);
		map_run(p, &p->clients[client], plans + at, run);
		at += run;
	}
}

/* Who wants to write waits on while the page can only be read. */
static void tell_waiters(struct gvm_pager *p, struct plan *pl)
{
	struct gvm_fault_waiter *w = pl->faults.waiters, *next;

	for (; w; w = next) {
		next = w->next;
		if (w->write && pl->prot != GVM_PROT_WRITE && !gvm_fault_wait(p->faults, w))
			continue;
		w->done(w, 0, pager_page(p, pl->page));
	}
}

static void finish(struct gvm_pager *p, struct plan *plans, unsigned int n)
{
	u64 now = gvm_now_us();
	unsigned int i;

	for (i = 0; i < n; i++) {
		struct plan *pl = &plans[i];

		if (pl->faults.since_us)
			gvm_histogram_add(&p->cfg.totals->latency, now - pl->faults.since_us);
		/* Nobody took the copy, so nobody sees the page: it may be filled piece by piece.
		 */
		if (pl->bounce && !pl->installed)
			memcpy(pager_page(p, pl->page), pl->bounce, GVM_PAGE_SIZE);
		if (pl->bounce)
			gvm_bounce_put(&p->bounces, pl->page);
		tell_waiters(p, pl);
	}
	pager_count(p, maps, n);
}

static void map_plans(struct gvm_pager *p, struct plan *plans, unsigned int n)
{
	int i;

	pthread_rwlock_rdlock(&p->clients_lock);
	for (i = 0; i < GVM_PAGER_CLIENTS; i++)
		if (p->clients[i].used)
			map_for_client(p, i, plans, n);
	pthread_rwlock_unlock(&p->clients_lock);
	finish(p, plans, n);
}

/*
 * A fault that came while the page was being mapped may have found the agent
 * content and its access not yet mapped: it is put to the agent once more.
 */
static void tell_agent(struct gvm_pager *p, const struct plan *pl)
{
	u8 hints;

	gvm_agent_mapped(p->cfg.node, pl->page);
	hints = gvm_fault_pending(p->faults, pl->page);
	if (pl->escalate || hints)
		gvm_agent_fault(p->cfg.node, pl->page, pl->escalate || hints & GVM_FAULT_WRITE);
}

void gvm_pager_map(struct gvm_pager *p, struct gvm_map_list *l)
{
	struct plan plans[MAP_BATCH];
	unsigned int at, n, i;

	sort_requests(l->requests, l->count);
	for (at = 0; at < l->count; at += n) {
		n = l->count - at < MAP_BATCH ? l->count - at : MAP_BATCH;
		for (i = 0; i < n; i++)
			make_plan(p, &plans[i], &l->requests[at + i]);
		map_plans(p, plans, n);
		for (i = 0; i < n; i++)
			tell_agent(p, &plans[i]);
	}
	l->count = 0;
}

void gvm_pager_map_now(struct gvm_pager *p, u64 page, enum gvm_prot prot, bool zero)
{
	struct gvm_map_request r = {page, (u8)prot, zero};
	struct plan pl;

	make_plan(p, &pl, &r);
	map_plans(p, &pl, 1);
}
