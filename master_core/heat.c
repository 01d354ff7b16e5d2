/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sharing made visible: what each range of a VM's RAM costs, and which pages go
 * to and fro most. The hottest pages are kept by the space-saving algorithm: a
 * page that is not on the list takes the place and the count of the coolest, so
 * a count is never too low, and at most its error too high.
 */
#include "home.h"

void gvm_heat_init(struct gvm_heat *h)
{
	memset(h, 0, sizeof(*h));
	gvm_lock_init(&h->lock);
}

void gvm_heat_count(struct gvm_home_vm *vm, u64 page, enum gvm_heat_kind kind)
{
	u64 range = page * GVM_HEAT_RANGES / vm->ram_pages;

	__atomic_fetch_add(&vm->heat.ranges[range].n[kind], 1, __ATOMIC_RELAXED);
}

void gvm_heat_transfer(struct gvm_home_vm *vm, u64 page)
{
	struct gvm_heat *h = &vm->heat;
	struct gvm_hot_page *p = h->hot, *cool = h->hot;

	gvm_heat_count(vm, page, GVM_HEAT_TRANSFERS);
	gvm_lock(&h->lock);
	while (p < h->hot + GVM_HEAT_PAGES && (!p->count || p->page != page)) {
		if (p->count < cool->count)
			cool = p;
		p++;
	}
	if (p == h->hot + GVM_HEAT_PAGES) {
		p = cool;
		p->page = page;
		p->error = p->count;
	}
	p->count++;
	gvm_unlock(&h->lock);
}

/* Insertion sort: the list is short. */
static u32 collect_hot(struct gvm_heat *h, struct gvm_hot_page *out)
{
	u32 n = 0;

	gvm_lock(&h->lock);
	for (u32 i = 0; i < GVM_HEAT_PAGES; i++) {
		struct gvm_hot_page p = h->hot[i];
		u32 at = n;

		if (!p.count)
			continue;
		for (; at && out[at - 1].count < p.count; at--)
			out[at] = out[at - 1];
		out[at] = p;
		n++;
	}
	gvm_unlock(&h->lock);
	return n;
}

int gvm_home_heat(struct gvm_node *n, u32 vm_id, struct gvm_heat_report *out)
{
	struct gvm_home_vm *vm = n->home ? gvm_home_vm_get(n, vm_id) : NULL;

	if (!vm)
		return -ENOENT;
	out->ram_pages = vm->ram_pages;
	for (u32 r = 0; r < GVM_HEAT_RANGES; r++)
		for (u32 k = 0; k < GVM_HEAT_KINDS; k++)
			out->ranges[r].n[k] =
				__atomic_load_n(&vm->heat.ranges[r].n[k], __ATOMIC_RELAXED);
	out->nhot = collect_hot(&vm->heat, out->hot);
	gvm_home_vm_put(n, vm);
	return 0;
}
