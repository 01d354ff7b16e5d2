// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Accesses to pages that are not mapped, or not for writing. A page that is held
 * is mapped at once; else the access waits, killable, with the mmap_lock dropped
 * where it may, and maps the page itself before its grant is acknowledged.
 */
#include <linux/sched/clock.h>
#include <linux/sched/signal.h>

#include "kernel_internal.h"

#define AHEAD	 15 /* neighbours that are held are mapped along */
#define AGAIN_MS 2

/* Where an access is; mm may be another process's (KVM, ptrace). */
struct place {
	struct gvm_vm *vm;
	struct vm_area_struct *vma;
	unsigned long addr;
	u64 page;
	bool write;
	bool upgrade; /* mapped read-only there */
};

/* Waits. */

static struct hlist_head *bucket(struct gvm_vm *vm, u64 page)
{
	return &vm->waits[gvm_hash(page) % GVM_WAIT_BUCKETS];
}

static void wait_add(struct gvm_vm *vm, struct gvm_wait *w)
{
	spin_lock(&vm->wait_lock);
	hlist_add_head(&w->node, bucket(vm, w->page));
	spin_unlock(&vm->wait_lock);
}

/* The access goes on, or gives up. Once nobody else has yet to map the page, it counts as mapped.
 */
static void wait_end(struct gvm_vm *vm, struct gvm_wait *w)
{
	struct gvm_wait *o;
	bool last;

	spin_lock(&vm->wait_lock);
	hlist_del(&w->node);
	last = w->status == 1;
	hlist_for_each_entry(o, bucket(vm, w->page), node) last =
		last && !(o->page == w->page && o->status == 1);
	spin_unlock(&vm->wait_lock);
	if (!last)
		return;
	gvm_agent_mapped(vm->node, w->page);
	gvm_net_flush(vm->net);
}

unsigned int gvm_waits_wake(struct gvm_vm *vm, u64 page, bool write, int status)
{
	unsigned int n = 0;
	struct gvm_wait *w;

	spin_lock(&vm->wait_lock);
	hlist_for_each_entry(w, bucket(vm, page), node)
	{
		if (w->page != page || w->status || (w->write && !write))
			continue;
		WRITE_ONCE(w->status, status);
		wake_up_process(w->task);
		n++;
	}
	spin_unlock(&vm->wait_lock);
	return n;
}

void gvm_waits_wake_all(struct gvm_vm *vm, int status)
{
	struct gvm_wait *w;
	unsigned int i;

	spin_lock(&vm->wait_lock);
	for (i = 0; i < GVM_WAIT_BUCKETS; i++) {
		hlist_for_each_entry(w, &vm->waits[i], node)
		{
			if (w->status)
				continue;
			WRITE_ONCE(w->status, status);
			wake_up_process(w->task);
		}
	}
	spin_unlock(&vm->wait_lock);
}

/* An answer that comes within a wake-up's time is worth looking out for. */
static void poll(struct gvm_vm *vm, struct gvm_wait *w)
{
	u64 until = local_clock() + (u64)gvm_spin_us * NSEC_PER_USEC;

	if (!gvm_spin_us)
		return;
	atomic_inc(&vm->pollers);
	while (!READ_ONCE(w->status) && !need_resched() && local_clock() < until) {
		if (gvm_pump_pending(vm))
			gvm_pump(vm, &w->status);
		else
			cpu_relax();
	}
	atomic_dec(&vm->pollers);
	smp_mb__after_atomic(); /* pairs with gvm_pump_kick: what came is seen here or there */
}

static void sleep_until_woken(struct gvm_vm *vm, struct gvm_wait *w)
{
	DEFINE_WAIT(entry);

	poll(vm, w);
	while (!READ_ONCE(w->status) && !fatal_signal_pending(current)) {
		prepare_to_wait_exclusive(&vm->rx_wait, &entry, TASK_KILLABLE);
		if (READ_ONCE(w->status) || fatal_signal_pending(current))
			break;
		if (gvm_pump_pending(vm)) {
			__set_current_state(TASK_RUNNING);
			gvm_pump(vm, &w->status);
			continue;
		}
		schedule();
	}
	finish_wait(&vm->rx_wait, &entry);
	/* A wake-up meant for whoever pumps may have been spent on this access. */
	if (gvm_pump_pending(vm))
		gvm_pump_kick(vm);
}

/* Asks for the page and waits. 1: granted; 0: killed; else a negative errno. wait_end ends it. */
static int wait_for(struct gvm_vm *vm, struct gvm_wait *w, u64 page, bool write)
{
	u64 start = gvm_now_us();

	*w = (struct gvm_wait){.task = current, .page = page, .write = write};
	wait_add(vm, w);
	/* After the waiter is on the table: whoever ends the VM wakes it, or it sees the end. */
	smp_mb();
	if (!gvm_vm_running(vm)) {
		WRITE_ONCE(w->status, -ENODEV);
		return -ENODEV;
	}
	gvm_agent_fault(vm->node, page, write);
	gvm_net_flush(vm->net);
	sleep_until_woken(vm, w);
	gvm_stats_latency(vm, gvm_now_us() - start);
	if (!READ_ONCE(w->status))
		gvm_count(vm, faults_killed);
	return READ_ONCE(w->status);
}

/* Mapping. */

static vm_fault_t insert_one(struct vm_area_struct *vma, unsigned long addr, struct page *p,
			     enum gvm_prot prot)
{
	unsigned long flags = vma->vm_flags;

	if (prot != GVM_PROT_WRITE)
		flags &= ~VM_WRITE;
	return vmf_insert_pfn_prot(vma, addr, page_to_pfn(p), vm_get_page_prot(flags));
}

static void insert_ahead(const struct place *at)
{
	unsigned long left = (at->vma->vm_end - at->addr) >> PAGE_SHIFT;
	unsigned int i, n = min_t(unsigned long, AHEAD, left - 1);
	enum gvm_prot prot;
	struct page *p;

	for (i = 1; i <= n; i++) {
		p = gvm_pages_held(at->vm, at->page + i, GVM_PROT_READ, &prot);
		if (!p)
			break;
		if (insert_one(at->vma, at->addr + ((unsigned long)i << PAGE_SHIFT), p, prot) !=
		    VM_FAULT_NOPAGE)
			break;
		gvm_count(at->vm, mapped_ahead);
	}
}

/*
 * Maps the page if it is held for this access; 0: it is not. Under map_sem, so
 * that a page which is being taken away is mapped before that or not at all.
 */
static vm_fault_t insert(const struct place *at)
{
	enum gvm_prot prot;
	vm_fault_t r = 0;
	struct page *p;

	down_read(&at->vm->map_sem);
	p = gvm_vm_running(at->vm)
		    ? gvm_pages_held(at->vm, at->page, at->write ? GVM_PROT_WRITE : GVM_PROT_READ,
				     &prot)
		    : NULL;
	if (p) {
		if (at->upgrade)
			zap_vma_ptes(at->vma, at->addr, PAGE_SIZE);
		r = insert_one(at->vma, at->addr, p, prot);
		gvm_count(at->vm, mapped);
		if (r == VM_FAULT_NOPAGE && !at->upgrade)
			insert_ahead(at);
	}
	up_read(&at->vm->map_sem);
	return r;
}

/* After a wait without the mmap_lock: the same mapping, if it is still there. */
static void insert_again(struct place *at, struct mm_struct *mm, struct file *file)
{
	struct vm_area_struct *vma;

	if (mmap_read_lock_killable(mm))
		return;
	vma = find_vma(mm, at->addr);
	if (vma && vma->vm_start <= at->addr && vma->vm_file == file &&
	    vma->vm_ops == &gvm_vm_ops &&
	    vma->vm_pgoff + ((at->addr - vma->vm_start) >> PAGE_SHIFT) == at->page) {
		at->vma = vma;
		insert(at);
	}
	mmap_read_unlock(mm);
}

/* An access that may retry: nobody who wants to change the mappings waits for the network. */
static vm_fault_t fault_unlocked(struct place *at)
{
	struct file *file = get_file(at->vma->vm_file);
	struct mm_struct *mm = at->vma->vm_mm;
	struct gvm_wait w;
	int status;

	mmap_read_unlock(mm);
	status = wait_for(at->vm, &w, at->page, at->write);
	if (status == 1)
		insert_again(at, mm, file);
	wait_end(at->vm, &w);
	if (status == -EAGAIN)
		schedule_timeout_killable(msecs_to_jiffies(AGAIN_MS));
	fput(file);
	/* NOPAGE too: a write fault's caller would go on without it. */
	return VM_FAULT_RETRY | VM_FAULT_NOPAGE;
}

static vm_fault_t fault_locked(struct place *at)
{
	struct gvm_wait w;
	vm_fault_t r = 0;
	int status;

	do {
		status = wait_for(at->vm, &w, at->page, at->write);
		if (status == 1)
			r = insert(at);
		wait_end(at->vm, &w);
		if (status == -EAGAIN)
			schedule_timeout_killable(msecs_to_jiffies(AGAIN_MS));
	} while (!r && (status == 1 || status == -EAGAIN) && !fatal_signal_pending(current));
	if (r)
		return r;
	if (status == 0 || fatal_signal_pending(current))
		return VM_FAULT_NOPAGE;
	gvm_count(at->vm, sigbus);
	return VM_FAULT_SIGBUS;
}

/* Nobody waits: the page is asked for, and the caller comes again. */
static vm_fault_t fault_nowait(struct place *at)
{
	gvm_count(at->vm, faults_nowait);
	gvm_agent_fault(at->vm->node, at->page, at->write);
	gvm_net_flush(at->vm->net);
	return VM_FAULT_RETRY | VM_FAULT_NOPAGE;
}

static vm_fault_t serve(struct vm_fault *vmf, bool upgrade)
{
	struct place at = {
		.vm = vmf->vma->vm_private_data,
		.vma = vmf->vma,
		.addr = vmf->address & PAGE_MASK,
		.page = vmf->pgoff,
		.write = upgrade || (vmf->flags & FAULT_FLAG_WRITE),
		.upgrade = upgrade,
	};
	vm_fault_t r;

	gvm_count(at.vm, faults);
	r = insert(&at);
	if (r) {
		gvm_count(at.vm, faults_fast);
		return r;
	}
	if (!gvm_vm_running(at.vm) || gvm_pages_recent_error(at.vm, at.page)) {
		gvm_count(at.vm, sigbus);
		return VM_FAULT_SIGBUS;
	}
	if (!(vmf->flags & FAULT_FLAG_ALLOW_RETRY))
		return fault_locked(&at);
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return fault_nowait(&at);
	return fault_unlocked(&at);
}

static vm_fault_t on_fault(struct vm_fault *vmf)
{
	return serve(vmf, false);
}

static vm_fault_t on_pfn_mkwrite(struct vm_fault *vmf)
{
	return serve(vmf, true);
}

const struct vm_operations_struct gvm_vm_ops = {
	.fault = on_fault,
	.pfn_mkwrite = on_pfn_mkwrite,
};

/* For callers inside the kernel: brings the page in and copies it. */
int gvm_fault_blocking(void *ctx, u64 gpa, void *page_buffer, bool write)
{
	struct gvm_vm *vm = ctx;
	u64 page = gpa >> GVM_PAGE_SHIFT;
	struct gvm_wait w;
	struct page *p;
	int status;

	if (page >= vm->ram_pages)
		return -ERANGE;
	do {
		status = wait_for(vm, &w, page, write);
		if (status == 1 && page_buffer) {
			down_read(&vm->map_sem);
			p = gvm_pages_held(vm, page, GVM_PROT_READ, NULL);
			if (p)
				memcpy(page_buffer, page_address(p), PAGE_SIZE);
			else
				status = -EAGAIN;
			up_read(&vm->map_sem);
		}
		wait_end(vm, &w);
	} while (status == -EAGAIN && !fatal_signal_pending(current));
	return status == 1 ? 0 : status ? status : -EINTR;
}
