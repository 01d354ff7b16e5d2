// SPDX-License-Identifier: GPL-2.0-or-later
/* Taking access away: write protection, and pages that leave the memory object. */
#include <fcntl.h>
#include <stdlib.h>

#include "pager_internal.h"

#define PROTECT_BATCH 64

/* Mostly sorted already, and short. */
static void sort_pages(u64 *pages, unsigned int n)
{
	unsigned int i, j;

	for (i = 1; i < n; i++) {
		u64 page = pages[i];

		for (j = i; j && pages[j - 1] > page; j--)
			pages[j] = pages[j - 1];
		pages[j] = page;
	}
}

static unsigned int run_length(const u64 *pages, unsigned int n)
{
	unsigned int i = 1;

	while (i < n && pages[i] == pages[i - 1] + 1)
		i++;
	return i;
}

static int protect_run(struct gvm_pager *p, u64 first, unsigned int n)
{
	int err = 0, i;
	u64 addr;

	for (i = 0; i < GVM_PAGER_CLIENTS; i++) {
		struct pager_client *c = &p->clients[i];
		int e;

		if (!pager_client_addr(c, first, n, &addr))
			continue;
		e = gvm_uffd_protect(c->uffd, addr, (u64)n << GVM_PAGE_SHIFT);
		if (e && e != -ESRCH && e != -ENOENT) {
			pager_complain(p, c, "write-protect pages", e);
			err = e;
		}
	}
	return err;
}

static int protect_sorted(struct gvm_pager *p, const u64 *pages, unsigned int n)
{
	unsigned int at = 0, run;
	int err = 0, e;

	pthread_rwlock_rdlock(&p->clients_lock);
	while (at < n) {
		run = run_length(pages + at, n - at);
		e = protect_run(p, pages[at], run);
		err = e ? e : err;
		pager_count(p, protect_calls, 1);
		at += run;
	}
	pthread_rwlock_unlock(&p->clients_lock);
	pager_count(p, protects, n);
	return err;
}

int gvm_pager_protect(struct gvm_pager *p, const u64 *pages, unsigned int n)
{
	u64 batch[PROTECT_BATCH];
	int err = 0, e;

	while (n) {
		unsigned int now = n < PROTECT_BATCH ? n : PROTECT_BATCH;

		memcpy(batch, pages, now * sizeof(*batch));
		sort_pages(batch, now);
		e = protect_sorted(p, batch, now);
		err = e ? e : err;
		pages += now;
		n -= now;
	}
	return err;
}

static u64 bit_of(u64 page)
{
	return 1ULL << (page % 64);
}

bool pager_is_dropping(struct gvm_pager *p, u64 page)
{
	return __atomic_load_n(&p->drops.bitmap[page / 64], __ATOMIC_ACQUIRE) & bit_of(page);
}

/* A guest that went on seeing a page which others may write would be wrong without a sign of it. */
static void punch(struct gvm_pager *p, u64 first, unsigned int n)
{
	int err;

	do {
		err = fallocate(p->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				(off_t)(first << GVM_PAGE_SHIFT), (off_t)n << GVM_PAGE_SHIFT);
	} while (err && errno == EINTR);
	if (!err)
		return;
	gvm_logf(p->cfg.log, GVM_LOG_ERR, "cannot take pages out of the guest's memory: %s",
		 strerror(errno));
	abort();
}

/* Who waits for the page faults again, and finds it gone. */
static void wake_page(struct gvm_pager *p, u64 page)
{
	u64 addr;
	int i;

	for (i = 0; i < GVM_PAGER_CLIENTS; i++)
		if (pager_client_addr(&p->clients[i], page, 1, &addr))
			gvm_uffd_wake(p->clients[i].uffd, addr, GVM_PAGE_SIZE);
}

/* With the lock of the drops held. */
static void settle(struct gvm_pager *p)
{
	struct pager_drops *d = &p->drops;
	unsigned int n = d->count, at = 0, run, i;

	sort_pages(d->pages, n);
	pthread_rwlock_rdlock(&p->clients_lock);
	while (at < n) {
		run = run_length(d->pages + at, n - at);
		punch(p, d->pages[at], run);
		pager_count(p, punch_calls, 1);
		at += run;
	}
	for (i = 0; i < n; i++)
		if (gvm_fault_pending(p->faults, d->pages[i]))
			wake_page(p, d->pages[i]);
	pthread_rwlock_unlock(&p->clients_lock);
	for (i = 0; i < n; i++)
		__atomic_fetch_and(&d->bitmap[d->pages[i] / 64], ~bit_of(d->pages[i]),
				   __ATOMIC_RELEASE);
	pager_count(p, drops, n);
	__atomic_store_n(&d->count, 0, __ATOMIC_RELEASE);
}

void gvm_pager_settle(struct gvm_pager *p)
{
	if (!__atomic_load_n(&p->drops.count, __ATOMIC_ACQUIRE))
		return;
	pthread_mutex_lock(&p->drops.lock);
	settle(p);
	pthread_mutex_unlock(&p->drops.lock);
}

void gvm_pager_drop(struct gvm_pager *p, u64 page)
{
	struct pager_drops *d = &p->drops;

	gvm_bounce_put(&p->bounces, page);
	pthread_mutex_lock(&d->lock);
	if (!pager_is_dropping(p, page)) {
		__atomic_fetch_or(&d->bitmap[page / 64], bit_of(page), __ATOMIC_RELEASE);
		d->pages[d->count] = page;
		__atomic_store_n(&d->count, d->count + 1, __ATOMIC_RELEASE);
		if (d->count == GVM_DROPS_MAX)
			settle(p);
	}
	pthread_mutex_unlock(&d->lock);
}
