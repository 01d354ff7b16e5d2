/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The VMs whose pages live at this home: open, adopt, close, count. */
#include "home.h"
#include "rpc.h"

int gvm_home_create(struct gvm_node *n)
{
	struct gvm_home *home;

	if (!n->cfg.lent_pages)
		return 0;
	home = gvm_table_alloc(n, sizeof(*home));
	if (!home)
		return -ENOMEM;
	gvm_lock_init(&home->lock);
	n->home = home;
	home->reasm = gvm_reasm_create(n);
	if (!home->reasm)
		return -ENOMEM;
	return gvm_frames_init(n, &home->frames, n->cfg.lent_base, n->cfg.lent_pages);
}

static void free_entry(struct gvm_node *n, struct gvm_home_vm *vm, struct gvm_dir_entry *e)
{
	if (e->frame) {
		gvm_frame_free(n, &n->home->frames, e->frame);
		gvm_stat_add(n, stored_pages, (u64)-1);
		vm->stored_pages--;
	}
	copyset_free(&e->holders, n->ops, n->ctx);
}

static void free_txns(struct gvm_node *n, struct gvm_dir_shard *s)
{
	while (s->txns) {
		struct gvm_txn *t = s->txns;

		s->txns = t->next;
		if (t->grant_id)
			gvm_req_cancel(n, t->grant_id);
		while (t->waiters) {
			struct gvm_waiter *w = t->waiters;

			t->waiters = w->next;
			gvm_table_free(n, w);
		}
		gvm_table_free(n, t);
	}
}

static void vm_free(struct gvm_node *n, struct gvm_home_vm *vm)
{
	for (u32 i = 0; i < GVM_DIR_SHARDS; i++) {
		struct gvm_dir_shard *s = &vm->shards[i];

		gvm_lock(&s->lock);
		free_txns(n, s);
		gvm_dir_for_each(s, free_entry, n, vm);
		gvm_dir_free(n, s);
		gvm_unlock(&s->lock);
	}
	gvm_lock(&n->home->lock);
	n->home->frames.reserved -= vm->reserve_pages;
	gvm_unlock(&n->home->lock);
	gvm_stat_add(n, reserved_pages, -vm->reserve_pages);
	gvm_table_free(n, vm);
}

static struct gvm_home_vm *vm_find(struct gvm_home *home, u32 vm_id)
{
	struct gvm_home_vm *vm = home->vms;

	while (vm && vm->vm_id != vm_id)
		vm = vm->next;
	return vm;
}

struct gvm_home_vm *gvm_home_vm_get(struct gvm_node *n, u32 vm_id)
{
	struct gvm_home_vm *vm;

	gvm_lock(&n->home->lock);
	vm = vm_find(n->home, vm_id);
	if (vm)
		vm->refs++;
	gvm_unlock(&n->home->lock);
	return vm;
}

void gvm_home_vm_put(struct gvm_node *n, struct gvm_home_vm *vm)
{
	bool last;

	gvm_lock(&n->home->lock);
	last = --vm->refs == 0;
	gvm_unlock(&n->home->lock);
	if (last)
		vm_free(n, vm);
}

/* Off the list; its memory goes with the last reference. With the lock held. */
static struct gvm_home_vm *vm_unlink(struct gvm_home *home, u32 vm_id)
{
	for (struct gvm_home_vm **at = &home->vms; *at; at = &(*at)->next) {
		struct gvm_home_vm *vm = *at;

		if (vm->vm_id == vm_id) {
			*at = vm->next;
			vm->dead = true;
			return vm;
		}
	}
	return NULL;
}

void gvm_home_destroy(struct gvm_node *n)
{
	struct gvm_home *home = n->home;

	if (!home)
		return;
	while (home->vms)
		gvm_home_vm_put(n, vm_unlink(home, home->vms->vm_id));
	gvm_frames_free_all(n, &home->frames);
	gvm_reasm_destroy(n, home->reasm);
	gvm_table_free(n, home);
	n->home = NULL;
}

/* Its client wrote every page home before it left. */
static void settle_entry(struct gvm_node *n, struct gvm_home_vm *vm, struct gvm_dir_entry *e)
{
	(void)vm;
	copyset_free(&e->holders, n->ops, n->ctx);
	copyset_init(&e->holders);
	e->state = DIR_UNCACHED;
}

static void vm_settle(struct gvm_node *n, struct gvm_home_vm *vm)
{
	for (u32 i = 0; i < GVM_DIR_SHARDS; i++) {
		struct gvm_dir_shard *s = &vm->shards[i];

		gvm_lock(&s->lock);
		free_txns(n, s);
		gvm_dir_for_each(s, settle_entry, n, vm);
		gvm_unlock(&s->lock);
	}
}

static struct gvm_home_vm *vm_new(struct gvm_node *n, const struct gvm_header *h,
				  const struct gvm_vm_body *b)
{
	struct gvm_home_vm *vm = gvm_table_alloc(n, sizeof(*vm));

	if (!vm)
		return NULL;
	for (u32 i = 0; i < GVM_DIR_SHARDS; i++)
		gvm_lock_init(&vm->shards[i].lock);
	gvm_heat_init(&vm->heat);
	vm->refs = 1;
	vm->vm_id = h->vm_id;
	vm->epoch = h->epoch;
	vm->client = h->src_id;
	vm->client_boot = b->client_boot;
	vm->ram_pages = b->ram_pages;
	vm->reserve_pages = b->reserve_pages;
	return vm;
}

/* With the home's lock held. */
static int vm_create(struct gvm_node *n, const struct gvm_header *h, struct gvm_vm_body *b)
{
	struct gvm_home *home = n->home;
	u64 left = home->frames.total - home->frames.reserved;
	struct gvm_home_vm *vm;

	if (b->reserve_pages > left) {
		b->reserve_pages = left;
		gvm_stat_inc(n, home_refused);
		return -ENOSPC;
	}
	vm = vm_new(n, h, b);
	if (!vm)
		return -ENOMEM;
	home->frames.reserved += vm->reserve_pages;
	gvm_stat_add(n, reserved_pages, vm->reserve_pages);
	vm->next = home->vms;
	home->vms = vm;
	return 0;
}

/* -EAGAIN: an older VM stands in the way and has been taken off; drop it and come again. */
static int vm_open_locked(struct gvm_node *n, const struct gvm_header *h, struct gvm_vm_body *b,
			  struct gvm_home_vm **old)
{
	struct gvm_home_vm *vm = vm_find(n->home, h->vm_id);

	if (b->home_boot != n->cfg.boot_id)
		return GVM_ESTALE;
	if (b->flags & GVM_VM_JOIN) {
		if (!vm || vm->kept)
			return -ENOENT;
		return vm->epoch == h->epoch && vm->ram_pages == b->ram_pages ? 0 : GVM_ESTALE;
	}
	if (vm && vm->client == h->src_id && vm->client_boot == b->client_boot && !vm->kept)
		return vm->epoch == h->epoch && vm->ram_pages == b->ram_pages ? 0 : -EBUSY;
	if (b->flags & GVM_VM_ADOPT) {
		if (!vm || !vm->kept)
			return -ENOENT;
		if (vm->epoch != h->epoch || vm->ram_pages != b->ram_pages)
			return GVM_ESTALE;
		vm->client = h->src_id;
		vm->client_boot = b->client_boot;
		vm->kept = false;
		return 0;
	}
	if (!vm)
		return vm_create(n, h, b);
	if (vm->client != h->src_id)
		return -EBUSY;
	/* A late copy of what it asked for an earlier VM. */
	if (b->client_boot < vm->client_boot)
		return GVM_ESTALE;
	*old = vm_unlink(n->home, h->vm_id);
	return -EAGAIN;
}

static int vm_open(struct gvm_node *n, const struct gvm_header *h, struct gvm_vm_body *b)
{
	struct gvm_home_vm *old = NULL;
	int err;

	do {
		if (old)
			gvm_home_vm_put(n, old);
		gvm_lock(&n->home->lock);
		err = vm_open_locked(n, h, b, &old);
		gvm_unlock(&n->home->lock);
	} while (err == -EAGAIN);
	return err;
}

/* A close that was repeated finds nothing and is right all the same. */
static int vm_close(struct gvm_node *n, const struct gvm_header *h, const struct gvm_vm_body *b)
{
	struct gvm_home_vm *vm;

	gvm_lock(&n->home->lock);
	vm = vm_find(n->home, h->vm_id);
	if (!vm || (b->flags & GVM_VM_JOIN) || vm->client != h->src_id ||
	    vm->client_boot != b->client_boot) {
		gvm_unlock(&n->home->lock);
		return vm && !(b->flags & GVM_VM_JOIN) ? -EPERM : 0;
	}
	if (b->flags & GVM_VM_KEEP) {
		bool again = vm->kept;

		vm->kept = true;
		vm->refs++;
		gvm_unlock(&n->home->lock);
		if (!again)
			vm_settle(n, vm);
	} else {
		vm_unlink(n->home, h->vm_id);
		gvm_unlock(&n->home->lock);
	}
	gvm_home_vm_put(n, vm);
	return 0;
}

static int vm_stat(struct gvm_node *n, const struct gvm_header *h, struct gvm_vm_body *b)
{
	struct gvm_home_vm *vm = gvm_home_vm_get(n, h->vm_id);

	if (!vm)
		return -ENOENT;
	b->reserve_pages = vm->reserve_pages;
	b->stored_pages = __atomic_load_n(&vm->stored_pages, __ATOMIC_RELAXED);
	b->touched_pages = 0;
	for (u32 i = 0; i < GVM_DIR_SHARDS; i++) {
		struct gvm_dir_shard *s = &vm->shards[i];

		gvm_lock(&s->lock);
		b->touched_pages += s->count;
		gvm_unlock(&s->lock);
	}
	gvm_home_vm_put(n, vm);
	return 0;
}

void gvm_home_rx_vm(struct gvm_node *n, const struct gvm_header *h, const u8 *body, size_t len)
{
	struct gvm_vm_body b;
	u8 out[GVM_VM_BODY];

	if (gvm_vm_body_decode(&b, body, len)) {
		gvm_stat_inc(n, rx_bad);
		return;
	}
	switch (h->msg_type) {
	case MSG_VM_OPEN:
		b.status = vm_open(n, h, &b);
		break;
	case MSG_VM_CLOSE:
		b.status = vm_close(n, h, &b);
		break;
	default:
		b.status = vm_stat(n, h, &b);
		break;
	}
	gvm_vm_body_encode(out, &b);
	gvm_send(n, h->src_id, MSG_VM_ACK, h->req_id, h->vm_id, h->epoch, 0, out, sizeof(out),
		 NULL);
}
