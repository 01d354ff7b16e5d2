// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The pages of a VM that are here: what the agent decides is done to them, and
 * to every mapping of them. All of it in process context, by one thread at a time
 * (the agent's lock), but gvm_pages_buffer, which comes with a spinlock held.
 */
#include <linux/jiffies.h>
#include <linux/mm.h>

#include "kernel_internal.h"

#define STATUS_BITS   12
#define RECENT_MS     1000 /* an access right after a failure fails at once */
#define RETRY_MS      200
#define RETRY_SOON_MS 5
#define RETRY_BATCH   256

/* The tags of an xarray are 0, 1 and 3; with 2 an entry would be its own. */
static void *entry_make(struct page *p, enum gvm_prot prot)
{
	return xa_tag_pointer(p, prot == GVM_PROT_WRITE ? 3 : prot);
}

static struct page *entry_page(void *entry)
{
	return xa_untag_pointer(entry);
}

static enum gvm_prot entry_prot(void *entry)
{
	return xa_pointer_tag(entry) == 3 ? GVM_PROT_WRITE : xa_pointer_tag(entry);
}

struct page *gvm_pages_held(struct gvm_vm *vm, u64 page, enum gvm_prot want, enum gvm_prot *prot)
{
	void *entry = xa_load(&vm->pages, page);

	if (!entry || entry_prot(entry) < want)
		return NULL;
	if (prot)
		*prot = entry_prot(entry);
	return entry_page(entry);
}

static void unmap(struct gvm_vm *vm, u64 page, u64 n)
{
	gvm_count(vm, unmap_calls);
	unmap_mapping_range(vm->inode->i_mapping, (loff_t)page << PAGE_SHIFT,
			    (loff_t)n << PAGE_SHIFT, 1);
}

/* The bytes of a page that nobody can see yet. With the RPC's lock held. */
void *gvm_pages_buffer(void *ctx, u64 page, enum gvm_prot prot)
{
	struct gvm_vm *vm = ctx;
	void *entry = xa_load(&vm->pages, page);
	struct page *p;

	if (entry)
		return page_address(entry_page(entry));
	p = alloc_page(GFP_ATOMIC | __GFP_NOWARN);
	if (!p)
		goto fail;
	if (xa_is_err(xa_store(&vm->pages, page, entry_make(p, GVM_PROT_NONE),
			       GFP_ATOMIC | __GFP_NOWARN))) {
		__free_page(p);
		goto fail;
	}
	return page_address(p);
fail:
	gvm_count(vm, buffer_failures);
	return NULL;
}

/* A page of zeroes that no bytes came for. */
static void *entry_zero(struct gvm_vm *vm, u64 page)
{
	struct page *p = alloc_page(GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN);

	if (!p)
		return NULL;
	if (!xa_is_err(xa_store(&vm->pages, page, entry_make(p, GVM_PROT_NONE), GFP_KERNEL)))
		return entry_make(p, GVM_PROT_NONE);
	__free_page(p);
	return NULL;
}

/* Whoever maps it from now on finds this protection; who was faster has been unmapped. */
static void lower(struct gvm_vm *vm, const u64 *pages, unsigned int n, enum gvm_prot prot)
{
	unsigned int i, run;
	void *entry;

	down_write(&vm->map_sem);
	for (i = 0; i < n; i++) {
		entry = xa_load(&vm->pages, pages[i]);
		if (entry)
			xa_store(&vm->pages, pages[i], entry_make(entry_page(entry), prot),
				 GFP_KERNEL);
	}
	up_write(&vm->map_sem);
	for (i = 0; i < n; i += run) {
		for (run = 1; i + run < n && pages[i + run] == pages[i] + run; run++)
			;
		unmap(vm, pages[i], run);
	}
}

int gvm_pages_map(void *ctx, u64 page, enum gvm_prot prot, bool zero)
{
	struct gvm_vm *vm = ctx;
	void *entry = xa_load(&vm->pages, page);

	if (!entry && zero)
		entry = entry_zero(vm, page);
	else if (entry && zero && entry_prot(entry) == GVM_PROT_NONE)
		clear_page(page_address(entry_page(entry)));
	if (!entry)
		return -ENOMEM;
	if (prot < entry_prot(entry))
		lower(vm, &page, 1, prot);
	else if (prot > entry_prot(entry))
		xa_store(&vm->pages, page, entry_make(entry_page(entry), prot), GFP_KERNEL);
	if (!xa_empty(&vm->errors))
		xa_erase(&vm->errors, page);
	return gvm_waits_wake(vm, page, prot == GVM_PROT_WRITE, 1) ? GVM_PENDING : 0;
}

int gvm_pages_protect(void *ctx, const u64 *pages, unsigned int n)
{
	gvm_count_n((struct gvm_vm *)ctx, pages_protected, n);
	lower(ctx, pages, n, GVM_PROT_READ);
	return 0;
}

void *gvm_pages_data(void *ctx, u64 page)
{
	struct gvm_vm *vm = ctx;
	void *entry = xa_load(&vm->pages, page);

	return entry ? page_address(entry_page(entry)) : NULL;
}

void gvm_pages_drop(void *ctx, u64 page)
{
	struct gvm_vm *vm = ctx;
	void *entry;

	if (!xa_empty(&vm->errors))
		xa_erase(&vm->errors, page);
	down_write(&vm->map_sem);
	entry = xa_erase(&vm->pages, page);
	up_write(&vm->map_sem);
	if (!entry)
		return;
	if (entry_prot(entry) != GVM_PROT_NONE)
		unmap(vm, page, 1);
	gvm_count(vm, pages_dropped);
	put_page(entry_page(entry));
}

void gvm_pages_unmap_all(struct gvm_vm *vm)
{
	/* Who found the VM running maps under map_sem; the next one does not find it so. */
	down_write(&vm->map_sem);
	up_write(&vm->map_sem);
	unmap(vm, 0, vm->ram_pages);
}

void gvm_pages_free(struct gvm_vm *vm)
{
	unsigned long page;
	void *entry;

	gvm_pages_unmap_all(vm);
	xa_for_each(&vm->pages, page, entry)
	{
		xa_erase(&vm->pages, page);
		put_page(entry_page(entry));
		cond_resched();
	}
	xa_destroy(&vm->pages);
	xa_destroy(&vm->errors);
}

/* Pages that nobody can supply. */

static bool is_transient(int status)
{
	return status == -EAGAIN || status == -ENOMEM || status == GVM_EBUSY;
}

static bool is_loss(int status)
{
	return status == GVM_ELOST || status == GVM_ESTALE;
}

static void *error_make(int status)
{
	unsigned long code = (unsigned long)-status & ((1UL << STATUS_BITS) - 1);

	return xa_mk_value((jiffies & (LONG_MAX >> STATUS_BITS)) << STATUS_BITS | code);
}

static int error_status(void *entry)
{
	return -(int)(xa_to_value(entry) & ((1UL << STATUS_BITS) - 1));
}

static unsigned long error_age(void *entry)
{
	return (jiffies - (xa_to_value(entry) >> STATUS_BITS)) & (LONG_MAX >> STATUS_BITS);
}

int gvm_pages_recent_error(struct gvm_vm *vm, u64 page)
{
	void *entry = xa_empty(&vm->errors) ? NULL : xa_load(&vm->errors, page);
	int status = entry ? error_status(entry) : 0;

	if (!status || is_transient(status))
		return 0;
	if (!is_loss(status) && error_age(entry) > msecs_to_jiffies(RECENT_MS))
		return 0;
	return status;
}

static const char *what(int status)
{
	if (is_loss(status))
		return "has lost it";
	return status == -EIO || status == -EHOSTDOWN ? "does not answer" : "cannot give it";
}

void gvm_pages_error(void *ctx, u64 page, u32 node, int status)
{
	struct gvm_vm *vm = ctx;
	void *old = xa_load(&vm->errors, page);
	bool transient = is_transient(status);

	xa_store(&vm->errors, page, error_make(status), GFP_KERNEL);
	if (transient)
		mod_delayed_work(gvm_slow_wq, &vm->retry_work, msecs_to_jiffies(RETRY_SOON_MS));
	else if (!is_loss(status))
		queue_delayed_work(gvm_slow_wq, &vm->retry_work, msecs_to_jiffies(RETRY_MS));
	if (transient)
		return;
	if (!old || is_transient(error_status(old)))
		pr_err_ratelimited("giantvm: VM %u, page %llu: %s %u %s (error %d)\n", vm->id,
				   (unsigned long long)page,
				   node < GVM_MAX_SLAVES ? "slave" : "node", node, what(status),
				   -status);
	gvm_waits_wake(vm, page, true, status);
}

/* Asks again for what is not lost for good. */
void gvm_pages_retry(struct work_struct *work)
{
	struct gvm_vm *vm = container_of(to_delayed_work(work), struct gvm_vm, retry_work);
	unsigned int soon = 0, later = 0, n = 0;
	unsigned long page;
	void *entry;

	xa_for_each(&vm->errors, page, entry)
	{
		if (test_bit(GVM_STOPPING, &vm->flags_now) || !gvm_vm_running(vm))
			return;
		if (is_loss(error_status(entry)))
			continue;
		if (is_transient(error_status(entry)))
			soon++;
		else
			later++;
		if (gvm_agent_state(vm->node, page) == 'I') {
			/* The agent had no room to remember it: the access comes again. */
			xa_erase(&vm->errors, page);
			gvm_waits_wake(vm, page, true, -EAGAIN);
		} else {
			gvm_agent_retry(vm->node, page);
		}
		if (++n % RETRY_BATCH == 0)
			gvm_net_flush(vm->net);
		cond_resched();
	}
	gvm_net_flush(vm->net);
	if (soon || later)
		queue_delayed_work(gvm_slow_wq, &vm->retry_work,
				   msecs_to_jiffies(soon ? RETRY_SOON_MS : RETRY_MS));
}
