// SPDX-License-Identifier: GPL-2.0-or-later
/* The VMs of this host: created by id, used by open files, gone with the last of them. */
#include <linux/cred.h>
#include <linux/delay.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>
#include <linux/random.h>

#include "kernel_internal.h"

#define MAGIC		  0x47564d46
#define FLUSH_PATIENCE_US 15000000 /* without a page coming home */
#define FLUSH_POLL_US	  500

DEFINE_MUTEX(gvm_vms_lock);
static LIST_HEAD(vms);	       /* in order of id */
static struct vfsmount *mount; /* of the inodes whose mappings the VMs are */

/* The list. */

static struct gvm_vm *find_from(u32 from)
{
	struct gvm_vm *vm;

	list_for_each_entry(vm, &vms, list) if (vm->id >= from) return vm;
	return NULL;
}

static struct gvm_vm *find(u32 id)
{
	struct gvm_vm *vm = find_from(id);

	return vm && vm->id == id ? vm : NULL;
}

struct gvm_vm *gvm_vm_next(u32 from)
{
	struct gvm_vm *vm;

	mutex_lock(&gvm_vms_lock);
	vm = find_from(from);
	if (vm)
		kref_get(&vm->ref);
	mutex_unlock(&gvm_vms_lock);
	return vm;
}

struct gvm_vm *gvm_vm_get(u32 id)
{
	struct gvm_vm *vm = gvm_vm_next(id);

	if (!vm || vm->id == id)
		return vm;
	gvm_vm_put(vm);
	return NULL;
}

void gvm_vms_try_each(void (*fn)(struct gvm_vm *vm, void *arg), void *arg)
{
	struct gvm_vm *vm;

	if (!mutex_trylock(&gvm_vms_lock))
		return;
	list_for_each_entry(vm, &vms, list) fn(vm, arg);
	mutex_unlock(&gvm_vms_lock);
}

bool gvm_vm_running(const struct gvm_vm *vm)
{
	return READ_ONCE(vm->state) == GVM_STATE_RUNNING;
}

/* Its memory, once nobody knows of it. */

static void vm_free(struct gvm_vm *vm)
{
	if (vm->node) {
		gvm_route_free(&vm->route, &gvm_kernel_ops, vm);
		gvm_node_destroy(vm->node);
	}
	gvm_net_destroy(vm->net);
	gvm_ids_destroy(vm->ids);
	gvm_roster_free(vm);
	xa_destroy(&vm->pages);
	xa_destroy(&vm->errors);
	vfree(vm->gateways);
	if (vm->inode)
		iput(vm->inode);
	kvfree(vm);
}

static void vm_release(struct kref *ref)
{
	vm_free(container_of(ref, struct gvm_vm, ref));
}

void gvm_vm_put(struct gvm_vm *vm)
{
	kref_put(&vm->ref, vm_release);
}

/* Its end. */

/* Guests cannot write any more; progress comes with the answers of the homes. */
static void write_home(struct gvm_vm *vm)
{
	u64 left = gvm_agent_flush(vm->node, false), best = left, since = gvm_now_us();

	while (left && gvm_now_us() - since < FLUSH_PATIENCE_US) {
		gvm_net_flush(vm->net);
		usleep_range(FLUSH_POLL_US, 2 * FLUSH_POLL_US);
		left = gvm_agent_flush(vm->node, false);
		if (left < best) {
			best = left;
			since = gvm_now_us();
		}
	}
	if (left)
		pr_err("giantvm: VM %u: %llu pages could not be written home\n", vm->id,
		       (unsigned long long)left);
}

static void stop_works(struct gvm_vm *vm)
{
	cancel_delayed_work_sync(&vm->retry_work);
	cancel_work_sync(&vm->shrink_work);
	cancel_delayed_work_sync(&vm->grow_work);
	cancel_delayed_work_sync(&vm->register_work);
}

/* The VM is dead: from here on no access begins to wait. One thread. */
static void teardown(struct gvm_vm *vm, bool keep)
{
	gvm_waits_wake_all(vm, -ENODEV);
	gvm_pages_unmap_all(vm);
	/* Others go on with what was written here. */
	if ((keep || vm->vm_flags & GVM_VM_JOIN) && vm->homes_open)
		write_home(vm);
	gvm_agent_detach(vm->node);
	gvm_homes_close(vm, keep ? GVM_VM_KEEP : 0);
	gvm_pump_stop(vm);
	stop_works(vm);
	cancel_work_sync(&vm->rx_work);
	gvm_net_close(vm->net);
	gvm_pages_free(vm);
	mutex_lock(&gvm_vms_lock);
	list_del(&vm->list);
	mutex_unlock(&gvm_vms_lock);
	pr_info("giantvm: VM %u closed\n", vm->id);
	gvm_vm_put(vm);
}

static void close_work(struct work_struct *work)
{
	struct gvm_vm *vm = container_of(work, struct gvm_vm, close_work);

	teardown(vm, vm->keep);
}

/* With gvm_vms_lock. The list's reference is the worker's from here on. */
static void kill_locked(struct gvm_vm *vm, bool keep)
{
	WRITE_ONCE(vm->state, GVM_STATE_DEAD);
	smp_mb(); /* the state, before the waiters are looked for */
	vm->keep = keep;
	queue_work(gvm_slow_wq, &vm->close_work);
}

int gvm_vm_destroy(u32 id, u32 flags)
{
	struct gvm_vm *vm;
	int err = 0;

	if (flags & ~(GVM_VM_FORCE | GVM_VM_HOMES_KEEP))
		return -EINVAL;
	mutex_lock(&gvm_vms_lock);
	vm = find(id);
	if (!vm)
		err = -ENOENT;
	else if (vm->state == GVM_STATE_DEAD || vm->state == GVM_STATE_STARTING ||
		 (vm->users && !(flags & GVM_VM_FORCE)))
		err = -EBUSY;
	if (!err) {
		kref_get(&vm->ref);
		kill_locked(vm, flags & GVM_VM_HOMES_KEEP);
	}
	mutex_unlock(&gvm_vms_lock);
	if (err)
		return err;
	flush_work(&vm->close_work);
	gvm_vm_put(vm);
	return 0;
}

void gvm_vms_destroy_all(void)
{
	struct gvm_vm *vm;

	mutex_lock(&gvm_vms_lock);
	list_for_each_entry(vm, &vms, list) if (vm->state != GVM_STATE_DEAD) kill_locked(vm, false);
	mutex_unlock(&gvm_vms_lock);
	flush_workqueue(gvm_slow_wq);
}

/* Its users. */

static bool may_use(const struct gvm_vm *vm)
{
	return vm->uid_any || uid_eq(current_fsuid(), vm->uid) || capable(CAP_SYS_ADMIN);
}

static struct gvm_vm *find_default(void)
{
	struct gvm_vm *vm;

	list_for_each_entry(vm, &vms, list) if ((vm->flags & GVM_VMF_DEFAULT) &&
						gvm_vm_running(vm)) return vm;
	return NULL;
}

/* Of any of them: a default one that cannot be had is none. */
struct gvm_vm *gvm_vm_use(u32 id, bool any, int *err)
{
	struct gvm_vm *vm;

	*err = 0;
	mutex_lock(&gvm_vms_lock);
	vm = any ? find_default() : find(id);
	if (!vm)
		*err = -ENOENT;
	else if (!gvm_vm_running(vm))
		*err = -ENODEV;
	else if (!may_use(vm))
		*err = -EACCES;
	if (*err) {
		vm = NULL;
	} else {
		kref_get(&vm->ref);
		vm->users++;
	}
	mutex_unlock(&gvm_vms_lock);
	return vm;
}

void gvm_vm_unuse(struct gvm_vm *vm)
{
	mutex_lock(&gvm_vms_lock);
	if (!--vm->users && !(vm->flags & GVM_VMF_STAY) && vm->state != GVM_STATE_DEAD)
		kill_locked(vm, false);
	mutex_unlock(&gvm_vms_lock);
	gvm_vm_put(vm);
}

/* Its beginning. */

static int check(const struct gvm_ioctl_create *c)
{
	u32 id = c->node_id ? c->node_id : GVM_MAX_SLAVES + c->vm_id;

	if (c->reserved || c->flags & ~(GVM_VMF_DEFAULT | GVM_VMF_STAY | GVM_VMF_INSECURE) ||
	    !c->ram_size || !PAGE_ALIGNED(c->ram_size) || !PAGE_ALIGNED(c->budget) ||
	    c->ram_size > MAX_LFS_FILESIZE || c->budget >> PAGE_SHIFT < GVM_BUDGET_MIN ||
	    c->budget >> PAGE_SHIFT > U32_MAX / 4 || c->prefetch > 4096 ||
	    c->residence_us > USEC_PER_SEC || c->ack_delay_us > USEC_PER_SEC ||
	    id < GVM_MAX_SLAVES || id >= GVM_MAX_NODES || c->vm_id >= GVM_MAX_NODES)
		return -EINVAL;
	if (!ipv4_is_loopback((__force __be32)c->bind_ip) && !(c->flags & GVM_VMF_INSECURE))
		return -EPERM;
	return 0;
}

static void init_fields(struct gvm_vm *vm, const struct gvm_ioctl_create *c)
{
	kref_init(&vm->ref);
	vm->id = c->vm_id;
	vm->node_id = c->node_id ? c->node_id : GVM_MAX_SLAVES + c->vm_id;
	vm->flags = c->flags;
	vm->uid_any = c->uid == GVM_UID_ANY;
	vm->uid = make_kuid(current_user_ns(), vm->uid_any ? 0 : c->uid);
	vm->bind_ip = (__force __be32)c->bind_ip;
	vm->ram_pages = c->ram_size >> PAGE_SHIFT;
	vm->budget_pages = c->budget >> PAGE_SHIFT;
	get_random_bytes(&vm->boot_id, sizeof(vm->boot_id));
	vm->client_boot = (u64)ktime_to_us(ktime_get_real()) << 8 | (get_random_u32() & 0xff);
	xa_init(&vm->pages);
	xa_init(&vm->errors);
	xa_init(&vm->roster);
	init_rwsem(&vm->map_sem);
	spin_lock_init(&vm->wait_lock);
	spin_lock_init(&vm->roster_lock);
	mutex_init(&vm->roster_mutex);
	init_waitqueue_head(&vm->roster_wait);
	INIT_WORK(&vm->close_work, close_work);
	INIT_WORK(&vm->shrink_work, gvm_shrink_work);
	INIT_DELAYED_WORK(&vm->grow_work, gvm_grow_work);
	INIT_DELAYED_WORK(&vm->retry_work, gvm_pages_retry);
	INIT_DELAYED_WORK(&vm->register_work, gvm_register_work);
	gvm_pump_init(vm);
}

static int init_parts(struct gvm_vm *vm, const struct gvm_ioctl_create *c)
{
	struct gvm_node_config cfg = {
		.id = vm->node_id,
		.boot_id = vm->boot_id,
		.budget_pages = vm->budget_pages,
		.prefetch_max = c->prefetch,
		.residence_us = c->residence_us,
		.ack_delay_us = c->ack_delay_us,
	};

	vm->gateways = vzalloc(array_size(GVM_MAX_GATEWAYS, sizeof(*vm->gateways)));
	vm->ids = gvm_ids_create();
	vm->inode = alloc_anon_inode(mount->mnt_sb);
	if (IS_ERR(vm->inode))
		vm->inode = NULL;
	if (!vm->gateways || !vm->ids || !vm->inode)
		return -ENOMEM;
	vm->node = gvm_node_create(&cfg, &gvm_kernel_ops, vm);
	if (!vm->node)
		return -ENOMEM;
	return gvm_net_create(vm, vm->bind_ip, (__force __be16)c->bind_port);
}

/* -EEXIST: there is one, or it is still being closed. */
static int list_vm(struct gvm_vm *vm)
{
	struct gvm_vm *next;
	int err = 0;

	mutex_lock(&gvm_vms_lock);
	next = find_from(vm->id);
	if (next && next->id == vm->id)
		err = -EEXIST;
	else
		list_add_tail(&vm->list, next ? &next->list : &vms);
	mutex_unlock(&gvm_vms_lock);
	return err;
}

int gvm_vm_create(const struct gvm_ioctl_create *c)
{
	int err = check(c);
	struct gvm_vm *vm;

	if (err)
		return err;
	vm = kvzalloc(sizeof(*vm), GFP_KERNEL);
	if (!vm)
		return -ENOMEM;
	init_fields(vm, c);
	err = uid_valid(vm->uid) ? init_parts(vm, c) : -EINVAL;
	if (!err)
		err = list_vm(vm);
	if (err) {
		if (vm->net)
			gvm_net_close(vm->net);
		gvm_pump_stop(vm);
		gvm_vm_put(vm);
		return err;
	}
	queue_delayed_work(gvm_slow_wq, &vm->register_work, 0);
	return 0;
}

static int set_state(struct gvm_vm *vm, u32 from, u32 to)
{
	int err = 0;

	mutex_lock(&gvm_vms_lock);
	if (vm->state == from)
		WRITE_ONCE(vm->state, to);
	else
		err = -EBUSY;
	mutex_unlock(&gvm_vms_lock);
	return err;
}

static int build_route(struct gvm_vm *vm, const struct gvm_ioctl_start *s,
		       const struct gvm_ioctl_member *members)
{
	struct gvm_member *m = kvcalloc(s->nmembers, sizeof(*m), GFP_KERNEL);
	u32 i;
	int err;

	if (!m)
		return -ENOMEM;
	for (i = 0; i < s->nmembers; i++)
		m[i] = (struct gvm_member){.id = members[i].id,
					   .weight = members[i].weight,
					   .boot_id = members[i].boot_id};
	err = gvm_route_build(&vm->route, m, s->nmembers, s->epoch, s->stripe_shift,
			      &gvm_kernel_ops, vm);
	kvfree(m);
	return err;
}

static int start(struct gvm_vm *vm, struct gvm_ioctl_start *s,
		 const struct gvm_ioctl_member *members)
{
	int err = build_route(vm, s, members);

	if (err)
		return err;
	vm->epoch = s->epoch;
	vm->vm_flags = s->flags;
	err = gvm_homes_open(vm, s, members);
	if (!err) {
		err = gvm_agent_attach(vm->node, vm->id, vm->ram_pages, &vm->route);
		if (err)
			gvm_homes_close(vm, s->flags & GVM_VM_ADOPT ? GVM_VM_KEEP : 0);
	}
	if (err)
		gvm_route_free(&vm->route, &gvm_kernel_ops, vm);
	return err;
}

int gvm_vm_start(struct gvm_vm *vm, struct gvm_ioctl_start *s,
		 const struct gvm_ioctl_member *members)
{
	int err;

	if (s->flags & ~(GVM_VM_ADOPT | GVM_VM_JOIN) || s->reserved || !s->epoch)
		return -EINVAL;
	err = set_state(vm, GVM_STATE_CREATED, GVM_STATE_STARTING);
	if (err)
		return err;
	err = start(vm, s, members);
	set_state(vm, GVM_STATE_STARTING, err ? GVM_STATE_CREATED : GVM_STATE_RUNNING);
	if (!err)
		pr_info("giantvm: VM %u %s: %llu MiB at %u slaves%s\n", vm->id,
			s->flags & GVM_VM_ADOPT ? "continues" : "opened",
			(unsigned long long)(vm->ram_pages >> (20 - PAGE_SHIFT)), s->nmembers,
			vm->flags & GVM_VMF_INSECURE ? " (insecure)" : "");
	return err;
}

/* The module's. */

static int init_fs_context(struct fs_context *fc)
{
	return init_pseudo(fc, MAGIC) ? 0 : -ENOMEM;
}

/* No owner: a VM that nobody uses does not keep the module. */
static struct file_system_type fs_type = {
	.name = "giantvm",
	.init_fs_context = init_fs_context,
	.kill_sb = kill_anon_super,
};

int gvm_vms_init(void)
{
	mount = kern_mount(&fs_type);
	return PTR_ERR_OR_ZERO(mount);
}

void gvm_vms_exit(void)
{
	kern_unmount(mount);
}
