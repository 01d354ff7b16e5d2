// SPDX-License-Identifier: GPL-2.0-or-later
/* Opening and closing a VM at its homes: all of them asked at once. */
#include "kernel_internal.h"
#include "rpc.h"

#define AT_ONCE 256 /* requests under way */

struct home_calls;

struct home_call {
	struct home_calls *all;
	u32 target;
	int status;
	struct gvm_vm_body body;
};

struct home_calls {
	struct gvm_vm *vm;
	u32 count;
	atomic_t pending;
	wait_queue_head_t wait;
	struct home_call call[];
};

static struct home_calls *calls_new(struct gvm_vm *vm, const struct gvm_member *m, u32 n, u32 flags)
{
	struct home_calls *c = kvzalloc(struct_size(c, call, n), GFP_KERNEL);
	u32 i;

	if (!c)
		return NULL;
	c->vm = vm;
	c->count = n;
	init_waitqueue_head(&c->wait);
	for (i = 0; i < n; i++) {
		c->call[i].all = c;
		c->call[i].target = m[i].id;
		c->call[i].body = (struct gvm_vm_body){
			.ram_pages = vm->ram_pages,
			.home_boot = m[i].boot_id,
			.client_boot = vm->client_boot,
			.flags = flags,
		};
	}
	return c;
}

static void call_done(struct gvm_node *n, struct gvm_req *q, int status)
{
	struct home_call *c = q->arg;
	struct home_calls *all = c->all;

	if (!status && gvm_vm_body_decode(&c->body, q->reply, q->reply_len))
		status = -EPROTO;
	c->status = status ? status : c->body.status;
	/* The waiter frees it all once it is awake. */
	spin_lock(&all->wait.lock);
	atomic_dec(&all->pending);
	wake_up_all_locked(&all->wait);
	spin_unlock(&all->wait.lock);
}

static void call_start(struct home_call *c, u16 type)
{
	struct gvm_vm *vm = c->all->vm;
	u8 body[GVM_VM_BODY];
	struct gvm_req_params p = {.target = c->target,
				   .vm_id = vm->id,
				   .epoch = vm->epoch,
				   .type = type,
				   .body = body,
				   .body_len = sizeof(body),
				   .done = call_done,
				   .arg = c};

	gvm_vm_body_encode(body, &c->body);
	atomic_inc(&c->all->pending);
	if (!gvm_req_start(vm->node, &p)) {
		c->status = -EBUSY;
		atomic_dec(&c->all->pending);
	}
}

/* Bounded: every request ends, by its answer or after its last try. */
static void calls_run(struct home_calls *c, u16 type)
{
	u32 i;

	for (i = 0; i < c->count; i++) {
		wait_event(c->wait, atomic_read(&c->pending) < AT_ONCE);
		call_start(&c->call[i], type);
		if (i % 32 == 31)
			gvm_net_flush(c->vm->net);
	}
	gvm_net_flush(c->vm->net);
	wait_event(c->wait, !atomic_read(&c->pending));
	/* The last call_done has let go of it. */
	spin_lock(&c->wait.lock);
	spin_unlock(&c->wait.lock);
}

/* Only those that opened it; a home that did not answer gives up the rest when it is asked again.
 */
static void undo_open(struct gvm_vm *vm, struct home_calls *c)
{
	u32 i, n = 0;

	for (i = 0; i < c->count; i++) {
		if (c->call[i].status)
			continue;
		c->call[n] = c->call[i];
		c->call[n++].body.flags = vm->vm_flags == GVM_VM_ADOPT ? GVM_VM_KEEP : vm->vm_flags;
	}
	c->count = n;
	calls_run(c, MSG_VM_CLOSE);
}

static const char *open_error(int status)
{
	switch (status) {
	case -ENOSPC:
		return "has no room left for its share";
	case -EBUSY:
		return "holds a VM of this id for another client";
	case -ENOENT:
		return "keeps no pages of it";
	case GVM_ESTALE:
		return "is not the one that was asked for: it has restarted";
	case -EIO:
		return "does not answer";
	default:
		return "refuses it";
	}
}

int gvm_homes_open(struct gvm_vm *vm, struct gvm_ioctl_start *s,
		   const struct gvm_ioctl_member *members)
{
	const struct gvm_route *r = &vm->route;
	struct home_calls *c = calls_new(vm, r->members, r->nmembers, vm->vm_flags);
	int err = 0;
	u32 i;

	if (!c)
		return -ENOMEM;
	for (i = 0; i < c->count; i++)
		c->call[i].body.reserve_pages = members[i].reserve_pages;
	calls_run(c, MSG_VM_OPEN);
	for (i = 0; i < c->count && !err; i++) {
		err = c->call[i].status;
		s->failed = c->call[i].target;
	}
	if (err) {
		pr_warn("giantvm: VM %u cannot be opened: slave %u %s (error %d)\n", vm->id,
			s->failed, open_error(err), -err);
		undo_open(vm, c);
	}
	vm->homes_open = !err;
	kvfree(c);
	return err;
}

void gvm_homes_close(struct gvm_vm *vm, u32 flags)
{
	const struct gvm_route *r = &vm->route;
	struct home_calls *c;
	u32 i;

	if (!vm->homes_open)
		return;
	vm->homes_open = false;
	c = calls_new(vm, r->members, r->nmembers, flags | (vm->vm_flags & GVM_VM_JOIN));
	if (!c)
		return;
	calls_run(c, MSG_VM_CLOSE);
	for (i = 0; i < c->count; i++)
		if (c->call[i].status)
			pr_warn_ratelimited("giantvm: slave %u does not close VM %u (error %d)\n",
					    c->call[i].target, vm->id, -c->call[i].status);
	kvfree(c);
}
