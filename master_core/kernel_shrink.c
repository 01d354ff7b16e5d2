// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * When the host is short of memory it asks for pages back: a VM's budget is
 * lowered, so that its agent writes them home and drops them, and is raised
 * again after a while. Reclaim itself takes no lock of a VM and waits for nothing.
 */
#include <linux/delay.h>

#include "kernel_internal.h"

#define GROW_AFTER_MS 10000
#define LEAST_PART    8 /* of the budget stays */
#define ROUNDS_MAX    2000
#define ROUND_US      500

static struct shrinker *shrinker;

static u64 least(const struct gvm_vm *vm)
{
	return max_t(u64, vm->budget_pages / LEAST_PART, GVM_BUDGET_MIN);
}

static u64 resident(struct gvm_vm *vm)
{
	return __atomic_load_n(&vm->node->stats.resident_pages, __ATOMIC_RELAXED);
}

static u64 spare(struct gvm_vm *vm)
{
	u64 have = gvm_vm_running(vm) ? resident(vm) : 0;

	return have > least(vm) ? have - least(vm) : 0;
}

static void add_spare(struct gvm_vm *vm, void *sum)
{
	*(u64 *)sum += spare(vm);
}

static unsigned long count_pages(struct shrinker *s, struct shrink_control *sc)
{
	u64 n = 0;

	gvm_vms_try_each(add_spare, &n);
	return n ? n : SHRINK_EMPTY;
}

static void ask_for(struct gvm_vm *vm, void *left)
{
	u64 *want = left, part = min_t(u64, *want, spare(vm));

	if (!part)
		return;
	*want -= part;
	atomic_long_add((long)part, &vm->shrink_want);
	queue_work(gvm_slow_wq, &vm->shrink_work);
}

/* They go later: what is dirty has to be written home first. */
static unsigned long scan_pages(struct shrinker *s, struct shrink_control *sc)
{
	u64 want = sc->nr_to_scan;

	gvm_vms_try_each(ask_for, &want);
	return want < sc->nr_to_scan ? 0 : SHRINK_STOP;
}

void gvm_shrink_work(struct work_struct *work)
{
	struct gvm_vm *vm = container_of(work, struct gvm_vm, shrink_work);
	u64 want = (u64)atomic_long_xchg(&vm->shrink_want, 0), have = resident(vm);
	u64 target = max_t(u64, have > want ? have - want : 0, least(vm));
	unsigned int round;

	if (!gvm_vm_running(vm) || target >= have)
		return;
	gvm_count_n(vm, shrunk, have - target);
	for (round = 0; round < ROUNDS_MAX && resident(vm) > target; round++) {
		if (!gvm_vm_running(vm))
			return;
		gvm_agent_set_budget(vm->node, target);
		gvm_net_flush(vm->net);
		usleep_range(ROUND_US, 2 * ROUND_US);
	}
	mod_delayed_work(gvm_slow_wq, &vm->grow_work, msecs_to_jiffies(GROW_AFTER_MS));
}

void gvm_grow_work(struct work_struct *work)
{
	struct gvm_vm *vm = container_of(to_delayed_work(work), struct gvm_vm, grow_work);

	gvm_agent_set_budget(vm->node, vm->budget_pages);
	gvm_net_flush(vm->net);
}

int gvm_shrinker_init(void)
{
	shrinker = gvm_shrinker_register(count_pages, scan_pages);
	return shrinker ? 0 : -ENOMEM;
}

void gvm_shrinker_exit(void)
{
	gvm_shrinker_unregister(shrinker);
}
