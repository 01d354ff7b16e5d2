/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the pager share: pager.c, pager_map.c, pager_drop.c. */
#ifndef GIANTVM_PAGER_INTERNAL_H
#define GIANTVM_PAGER_INTERNAL_H

#include "bounce.h"
#include "pager.h"
#include "uffd.h"

#define GVM_PAGER_RUN 64 /* pages that are filled from the area of zeroes in one call */

struct pager_client {
	bool used;
	bool complained; /* the log has said that its userfaultfd fails */
	int uffd;
	u64 base, size;
};

/*
 * Pages that the agent has given up and that are still visible. Nothing is
 * sent, and none of them is filled anew, before they have been punched out.
 */
struct pager_drops {
	pthread_mutex_t lock;
	unsigned int count; /* atomic: read without the lock */
	u64 pages[GVM_DROPS_MAX];
	u64 *bitmap; /* a bit a page */
};

struct gvm_pager {
	struct gvm_pager_config cfg;
	int memfd;
	u8 *base;
	const u8 *zeroes;
	bool can_continue_wp;
	bool probed;
	pthread_rwlock_t clients_lock;
	struct pager_client clients[GVM_PAGER_CLIENTS];
	struct gvm_fault_table *faults;
	struct gvm_bounces bounces;
	struct pager_drops drops;
};

#define pager_count(p, field, n) __atomic_fetch_add(&(p)->cfg.totals->field, (n), __ATOMIC_RELAXED)

static inline u8 *pager_page(const struct gvm_pager *p, u64 page)
{
	return p->base + (page << GVM_PAGE_SHIFT);
}

/* Whether pages [first, first + n) lie in the client's mapping; *addr: where. */
static inline bool pager_client_addr(const struct pager_client *c, u64 first, u64 n, u64 *addr)
{
	u64 off = first << GVM_PAGE_SHIFT;

	*addr = c->base + off;
	return c->used && off + (n << GVM_PAGE_SHIFT) <= c->size;
}

/* Says once what is wrong with a client's userfaultfd; one that has gone or unmaps is none. */
void pager_complain(struct gvm_pager *p, struct pager_client *c, const char *what, int err);

/* Whether page is dropped and still visible. */
bool pager_is_dropping(struct gvm_pager *p, u64 page);

#endif
