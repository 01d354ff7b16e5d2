// SPDX-License-Identifier: GPL-2.0-or-later
#include "pager.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pager_internal.h"
#include "workers.h"

#define FAULT_BATCH 16

static int open_memory(struct gvm_pager *p)
{
	size_t size = p->cfg.pages << GVM_PAGE_SHIFT;
	void *zeroes;

	p->memfd = memfd_create(p->cfg.name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (p->memfd < 0)
		return -errno;
	/* A client that made it shorter would crash the node. */
	if (ftruncate(p->memfd, (off_t)size) ||
	    fcntl(p->memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return -errno;
	p->base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, p->memfd, 0);
	if (p->base == MAP_FAILED) {
		p->base = NULL;
		return -errno;
	}
	/* A huge page would bring neighbours into being that are not held. */
	if (madvise(p->base, size, MADV_NOHUGEPAGE) && errno != EINVAL)
		return -errno;
	madvise(p->base, size, MADV_DONTDUMP);
	zeroes = mmap(NULL, GVM_PAGER_RUN * GVM_PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	if (zeroes == MAP_FAILED)
		return -errno;
	p->zeroes = zeroes;
	return 0;
}

int gvm_pager_create(struct gvm_pager **out, const struct gvm_pager_config *cfg)
{
	struct gvm_pager *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	p->cfg = *cfg;
	p->memfd = -1;
	pthread_rwlock_init(&p->clients_lock, NULL);
	pthread_mutex_init(&p->drops.lock, NULL);
	p->faults = gvm_fault_table_create();
	p->drops.bitmap = calloc((cfg->pages + 63) / 64, sizeof(u64));
	err = gvm_bounces_init(&p->bounces);
	if (!err)
		err = p->faults && p->drops.bitmap ? open_memory(p) : -ENOMEM;
	if (err)
		gvm_pager_destroy(p);
	else
		*out = p;
	return err;
}

void gvm_pager_destroy(struct gvm_pager *p)
{
	if (!p)
		return;
	if (p->base)
		munmap(p->base, p->cfg.pages << GVM_PAGE_SHIFT);
	if (p->zeroes)
		munmap((void *)p->zeroes, GVM_PAGER_RUN * GVM_PAGE_SIZE);
	if (p->memfd >= 0)
		close(p->memfd);
	gvm_fault_table_destroy(p->faults);
	gvm_bounces_destroy(&p->bounces);
	free(p->drops.bitmap);
	pthread_mutex_destroy(&p->drops.lock);
	pthread_rwlock_destroy(&p->clients_lock);
	free(p);
}

int gvm_pager_memfd(const struct gvm_pager *p)
{
	return p->memfd;
}

void pager_complain(struct gvm_pager *p, struct pager_client *c, const char *what, int err)
{
	if (err == -ESRCH || err == -ENOENT ||
	    __atomic_exchange_n(&c->complained, true, __ATOMIC_RELAXED))
		return;
	gvm_logf(p->cfg.log, GVM_LOG_ERR, "cannot %s through a client's userfaultfd: %s", what,
		 strerror(-err));
}

/* The memory object is still empty, so that any page will do. */
static void probe(struct gvm_pager *p, int uffd, u64 base)
{
	if (p->probed)
		return;
	p->probed = true;
	p->can_continue_wp = !p->cfg.copy_reads && gvm_uffd_can_continue_wp(uffd, base);
}

int gvm_pager_add_client(struct gvm_pager *p, int uffd, u64 base, u64 size)
{
	struct pager_client *c;
	int i;

	if ((base | size) & (GVM_PAGE_SIZE - 1) || !size || size > p->cfg.pages << GVM_PAGE_SHIFT ||
	    base + size < base)
		return -EINVAL;
	probe(p, uffd, base);
	pthread_rwlock_wrlock(&p->clients_lock);
	for (i = 0; i < GVM_PAGER_CLIENTS && p->clients[i].used; i++)
		;
	if (i < GVM_PAGER_CLIENTS) {
		c = &p->clients[i];
		c->uffd = uffd;
		c->base = base;
		c->size = size;
		c->complained = false;
		c->used = true;
	}
	pthread_rwlock_unlock(&p->clients_lock);
	return i < GVM_PAGER_CLIENTS ? i : -EBUSY;
}

static void cancel(struct gvm_fault_waiter *w, int status)
{
	while (w) {
		struct gvm_fault_waiter *next = w->next;

		w->done(w, status, NULL);
		w = next;
	}
}

void gvm_pager_remove_client(struct gvm_pager *p, unsigned int client, const void *owner)
{
	pthread_rwlock_wrlock(&p->clients_lock);
	p->clients[client].used = false;
	pthread_rwlock_unlock(&p->clients_lock);
	cancel(gvm_fault_forget(p->faults, client, owner), -ECANCELED);
}

void gvm_pager_serve(struct gvm_pager *p, unsigned int client)
{
	const struct pager_client *c = &p->clients[client];
	struct gvm_uffd_fault faults[FAULT_BATCH];
	unsigned int n = gvm_uffd_read(c->uffd, faults, FAULT_BATCH), i;
	u64 now = n ? gvm_now_us() : 0;

	for (i = 0; i < n; i++) {
		u64 page = (faults[i].addr - c->base) >> GVM_PAGE_SHIFT;

		if (page >= c->size >> GVM_PAGE_SHIFT)
			continue;
		pager_count(p, faults, 1);
		gvm_fault_add(p->faults, page, client, faults[i].hints, now);
		gvm_agent_fault(p->cfg.node, page, faults[i].hints & GVM_FAULT_WRITE);
	}
}

int gvm_pager_wait(struct gvm_pager *p, struct gvm_fault_waiter *w)
{
	u64 page = w->page;
	bool write = w->write;
	int err = gvm_fault_wait(p->faults, w);

	if (!err)
		gvm_agent_fault(p->cfg.node, page, write);
	return err;
}

void *gvm_pager_buffer(struct gvm_pager *p, u64 page)
{
	u8 *buffer;

	if (pager_is_dropping(p, page))
		gvm_pager_settle(p);
	/*
	 * Put together aside and copied in, a run of neighbours at once: that costs less
	 * than a fault of this process's own on each page of the memory object. Before
	 * 6.12 it is also the only way to make a page readable only.
	 */
	buffer = gvm_bounce_get(&p->bounces, page, !p->can_continue_wp);
	return buffer || !p->can_continue_wp ? buffer : pager_page(p, page);
}

void *gvm_pager_data(struct gvm_pager *p, u64 page)
{
	return pager_page(p, page);
}

void gvm_pager_fail(struct gvm_pager *p, u64 page, int status)
{
	cancel(gvm_fault_take_waiters(p->faults, page), status);
}

u64 gvm_pager_resident(const struct gvm_pager *p)
{
	struct stat st;

	return fstat(p->memfd, &st) ? 0 : (u64)st.st_blocks * 512;
}
