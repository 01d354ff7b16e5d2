// SPDX-License-Identifier: GPL-2.0-or-later
#include "master.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MIB_PAGES	  (1U << (20 - GVM_PAGE_SHIFT))
#define FLUSH_POLL_MS	  1
#define FLUSH_PATIENCE_US 15000000 /* without a page coming home */
#define ROOM_POLL_MS	  50
#define ROOM_PATIENCE_US  (8 * GVM_REGISTER_PERIOD_US)

static unsigned long long mib(u64 pages)
{
	return (pages + MIB_PAGES - 1) / MIB_PAGES;
}

void gvm_master_wake(struct gvm_master *m)
{
	u64 one = 1;

	if (write(m->wake, &one, sizeof(one)) < 0)
		return; /* the counter is full: it will wake */
}

/* What a home's answer to VM_OPEN means. */
static void open_sentence(const struct gvm_master *m, const struct gvm_vm_call *c, u64 share,
			  char *s)
{
	switch (c->status) {
	case -ENOSPC:
		snprintf(s, GVM_SENTENCE_MAX,
			 "slave %u has only %llu MiB left for the %llu MiB of its share", c->target,
			 mib(c->body.reserve_pages), mib(share));
		break;
	case -EBUSY:
		snprintf(s, GVM_SENTENCE_MAX, "VM id %u is in use by another master at slave %u",
			 m->opt.vm_id, c->target);
		break;
	case -ENOENT:
		snprintf(s, GVM_SENTENCE_MAX, "slave %u keeps no pages of VM %u", c->target,
			 m->opt.vm_id);
		break;
	case GVM_ESTALE:
		snprintf(s, GVM_SENTENCE_MAX,
			 "slave %u is not the one that was asked for: it has restarted%s",
			 c->target, m->adopt ? ", and what it kept is lost" : "");
		break;
	case -EIO:
		snprintf(s, GVM_SENTENCE_MAX, "slave %u does not answer", c->target);
		break;
	default:
		snprintf(s, GVM_SENTENCE_MAX, "slave %u refuses the VM: %s", c->target,
			 strerror(-c->status));
	}
}

/* What this master asks of the homes beyond opening and closing. */
static u32 open_flags(const struct gvm_master *m)
{
	return m->opt.join_path ? GVM_VM_JOIN : m->adopt ? GVM_VM_ADOPT : 0;
}

static u32 close_flags(const struct gvm_master *m, u32 flags)
{
	return m->opt.join_path ? GVM_VM_JOIN : flags;
}

static struct gvm_vm_call *make_calls(const struct master_vm *vm, const struct gvm_member *members,
				      u32 n, u32 flags)
{
	struct gvm_vm_call *calls = calloc(n, sizeof(*calls));
	u32 i;

	for (i = 0; calls && i < n; i++) {
		calls[i].target = members[i].id;
		calls[i].body = (struct gvm_vm_body){
			.ram_pages = vm->ram_pages,
			.home_boot = members[i].boot_id,
			.client_boot = vm->client_boot,
			.flags = flags,
		};
	}
	return calls;
}

static int close_at_homes(struct gvm_master *m, const struct master_vm *vm, u32 flags)
{
	const struct gvm_route *r = &vm->route;
	struct gvm_vm_call *calls = make_calls(vm, r->members, r->nmembers, close_flags(m, flags));
	int err = 0;
	u32 i;

	if (!calls)
		return -ENOMEM;
	gvm_vm_calls(gvm_backend_node(m->backend), MSG_VM_CLOSE, m->opt.vm_id, vm->epoch, calls,
		     r->nmembers);
	for (i = 0; i < r->nmembers; i++) {
		if (!calls[i].status)
			continue;
		err = calls[i].status;
		gvm_logf(&m->log, GVM_LOG_WARN, "slave %u does not close VM %u: %s",
			 calls[i].target, m->opt.vm_id, strerror(-calls[i].status));
	}
	free(calls);
	return err;
}

/* Only those that opened it; a home that did not answer gives up the rest when it is asked again.
 */
static void undo_open(struct gvm_master *m, const struct master_vm *vm, struct gvm_vm_call *calls)
{
	u32 i, n = 0;

	for (i = 0; i < vm->route.nmembers; i++) {
		if (calls[i].status)
			continue;
		calls[n] = calls[i];
		calls[n++].body.flags = close_flags(m, m->adopt ? GVM_VM_KEEP : 0);
	}
	gvm_vm_calls(gvm_backend_node(m->backend), MSG_VM_CLOSE, m->opt.vm_id, vm->epoch, calls, n);
}

static int open_at_homes(struct gvm_master *m, struct master_vm *vm, const u64 *shares, char *s)
{
	const struct gvm_route *r = &vm->route;
	struct gvm_vm_call *calls = make_calls(vm, r->members, r->nmembers, open_flags(m));
	int err = 0;
	u32 i;

	if (!calls) {
		snprintf(s, GVM_SENTENCE_MAX, "the node is out of memory");
		return -ENOMEM;
	}
	for (i = 0; i < r->nmembers; i++)
		calls[i].body.reserve_pages = shares[i];
	gvm_vm_calls(gvm_backend_node(m->backend), MSG_VM_OPEN, m->opt.vm_id, vm->epoch, calls,
		     r->nmembers);
	for (i = 0; i < r->nmembers && !err; i++) {
		err = calls[i].status;
		if (err)
			open_sentence(m, &calls[i], shares[i], s);
	}
	if (err)
		undo_open(m, vm, calls);
	free(calls);
	return err;
}

static void route_free(struct gvm_master *m, struct gvm_route *r)
{
	gvm_route_free(r, &gvm_user_ops, m->backend);
}

static int build_route(struct gvm_master *m, struct master_vm *vm, const struct gvm_member *members,
		       u32 n, u32 stripe_shift)
{
	return gvm_route_build(&vm->route, members, n, vm->epoch, stripe_shift, &gvm_user_ops,
			       m->backend);
}

static int too_little(const struct gvm_master *m, const struct gvm_members *members, u64 ram_pages,
		      char *s)
{
	u32 n = gvm_members_alive(gvm_backend_roster(m->backend), gvm_now_us());

	if (n < m->opt.min_slaves)
		snprintf(s, GVM_SENTENCE_MAX, "%u of at least %u slaves are there", n,
			 m->opt.min_slaves);
	else if (ram_pages > members->lent_pages)
		snprintf(s, GVM_SENTENCE_MAX, "-m needs %llu MiB, the %u slaves lend %llu MiB",
			 mib(ram_pages), n, mib(members->lent_pages));
	else
		snprintf(s, GVM_SENTENCE_MAX,
			 "-m needs %llu MiB, of the %llu MiB that the %u slaves lend %llu MiB are "
			 "free",
			 mib(ram_pages), mib(members->lent_pages), n, mib(members->free_pages));
	return -ENOSPC;
}

/*
 * What the slaves have free is known only as of their last registration: memory
 * that a VM has just left may still count as taken.
 */
static void await_room(struct gvm_master *m, u64 ram_pages)
{
	struct gvm_roster *roster = gvm_backend_roster(m->backend);
	u64 since = gvm_now_us(), now = since;
	struct gvm_members members;

	for (; now - since < ROOM_PATIENCE_US; now = gvm_now_us()) {
		bool settled = gvm_members_collect(&members, roster, now) ||
			       members.free_pages >= ram_pages || members.lent_pages < ram_pages;

		gvm_members_free(&members);
		if (settled)
			return;
		poll(NULL, 0, ROOM_POLL_MS);
	}
}

/* Chooses the homes of a new VM by what the slaves have free. */
static int place(struct gvm_master *m, struct master_vm *vm, u64 **shares, char *s)
{
	struct gvm_roster *roster = gvm_backend_roster(m->backend);
	struct gvm_members members;
	int err;

	await_room(m, vm->ram_pages);
	err = gvm_members_collect(&members, roster, gvm_now_us());
	if (err)
		goto memory;
	*shares = calloc(members.count + 1, sizeof(**shares));
	err = -ENOMEM;
	if (!*shares)
		goto memory;
	if (members.count < m->opt.min_slaves ||
	    gvm_members_place(&members, vm->ram_pages, m->opt.stripe_shift, *shares)) {
		err = too_little(m, &members, vm->ram_pages, s);
		goto out;
	}
	err = build_route(m, vm, members.list, members.count, m->opt.stripe_shift);
	if (!err)
		goto out;
memory:
	snprintf(s, GVM_SENTENCE_MAX, "cannot choose homes for the guest's pages: %s",
		 strerror(-err));
out:
	gvm_members_free(&members);
	return err;
}

static int check_kept(const struct gvm_master *m, const struct gvm_kept *k,
		      const struct master_vm *vm, char *s)
{
	if (m->opt.join_path && k->vm_id != m->opt.vm_id) {
		snprintf(s, GVM_SENTENCE_MAX, "%s is of VM %u, this is a master of VM %u",
			 m->opt.join_path, k->vm_id, m->opt.vm_id);
		return -EINVAL;
	}
	if (!m->opt.join_path && (k->vm_id != m->opt.vm_id || k->node_id != m->opt.node_id)) {
		snprintf(s, GVM_SENTENCE_MAX, "VM %u of node %u was kept, this is VM %u of node %u",
			 k->vm_id, k->node_id, m->opt.vm_id, m->opt.node_id);
		return -EINVAL;
	}
	if (vm->ram_pages && vm->ram_pages != k->ram_pages) {
		snprintf(s, GVM_SENTENCE_MAX, "VM %u has %llu MiB, -m says %llu MiB", k->vm_id,
			 mib(k->ram_pages), mib(vm->ram_pages));
		return -EINVAL;
	}
	return 0;
}

/* The homes of a VM that an earlier master left, or that another master has opened. */
static int recall(struct gvm_master *m, struct master_vm *vm, u64 **shares, char *s)
{
	const char *path = m->opt.join_path ? m->opt.join_path : m->state_path;
	char error[GVM_KEPT_ERROR_MAX];
	struct gvm_kept k;
	int err = gvm_kept_load(path, &k, error);

	if (err) {
		snprintf(s, GVM_SENTENCE_MAX, "%.*s", GVM_SENTENCE_MAX - 1, error);
		return err;
	}
	err = check_kept(m, &k, vm, s);
	if (err)
		goto out;
	vm->ram_pages = k.ram_pages;
	vm->epoch = k.epoch;
	*shares = calloc(k.nmembers, sizeof(**shares));
	err = *shares ? build_route(m, vm, k.members, k.nmembers, k.stripe_shift) : -ENOMEM;
	if (err)
		snprintf(s, GVM_SENTENCE_MAX, "%s: cannot restore the homes: %s", path,
			 strerror(-err));
out:
	gvm_kept_free(&k);
	return err;
}

static int create_pager(struct gvm_master *m, struct master_vm *vm, char *s)
{
	struct gvm_pager_config cfg = {
		.name = m->opt.shm_name,
		.pages = vm->ram_pages,
		.copy_reads = m->opt.copy_reads,
		.node = gvm_backend_node(m->backend),
		.log = &m->log,
		.totals = &m->totals,
	};
	int err = gvm_pager_create(&vm->pager, &cfg);

	if (err)
		snprintf(s, GVM_SENTENCE_MAX, "cannot create %llu MiB of shared memory: %s",
			 mib(vm->ram_pages), strerror(-err));
	return err;
}

static int attach_agent(struct gvm_master *m, struct master_vm *vm, char *s)
{
	int err = gvm_agent_attach(gvm_backend_node(m->backend), m->opt.vm_id, vm->ram_pages,
				   &vm->route);

	if (err)
		snprintf(s, GVM_SENTENCE_MAX, "cannot set up the local copies: %s", strerror(-err));
	return err;
}

static int join_vm(struct gvm_master *m, u64 pages, char *s)
{
	if (m->vm.lost) {
		snprintf(s, GVM_SENTENCE_MAX, "VM %u has lost pages", m->opt.vm_id);
		return -EIO;
	}
	if (!pages || pages == m->vm.ram_pages)
		return 0;
	snprintf(s, GVM_SENTENCE_MAX, "VM %u has %llu MiB, not %llu MiB", m->opt.vm_id,
		 mib(m->vm.ram_pages), mib(pages));
	return -EINVAL;
}

static void set_vm(struct gvm_master *m, const struct master_vm *vm)
{
	pthread_mutex_lock(&m->lock);
	m->vm = *vm;
	pthread_mutex_unlock(&m->lock);
}

/* The pages are this VM's now, and will not be what the file says. */
static void forget_kept(struct gvm_master *m)
{
	m->adopt = false;
	if (unlink(m->state_path) && errno != ENOENT)
		gvm_logf(&m->log, GVM_LOG_WARN, "cannot remove %s: %s", m->state_path,
			 strerror(errno));
}

static int open_vm(struct gvm_master *m, struct master_vm *vm, u64 **shares, char *s)
{
	int err = m->adopt || m->opt.join_path ? recall(m, vm, shares, s) : place(m, vm, shares, s);

	if (!err)
		err = create_pager(m, vm, s);
	if (!err)
		err = open_at_homes(m, vm, *shares, s);
	if (err)
		return err;
	err = attach_agent(m, vm, s);
	if (err)
		close_at_homes(m, vm, m->adopt ? GVM_VM_KEEP : 0);
	return err;
}

/* Where the pages of the VM are, as recall reads it. */
static int save_map(struct gvm_master *m, const struct master_vm *vm, const char *path)
{
	char error[GVM_KEPT_ERROR_MAX];
	struct gvm_kept k = {
		.vm_id = m->opt.vm_id,
		.node_id = m->opt.node_id,
		.ram_pages = vm->ram_pages,
		.epoch = vm->epoch,
		.stripe_shift = vm->route.stripe_shift,
		.nmembers = vm->route.nmembers,
		.members = vm->route.members,
	};
	int err = gvm_kept_save(path, &k, error);

	if (err)
		gvm_logf(&m->log, GVM_LOG_ERR, "%s", error);
	return err;
}

int gvm_master_open_vm(struct gvm_master *m, u64 ram_size, char *s)
{
	struct master_vm vm = {
		.open = true,
		.ram_pages = ram_size >> GVM_PAGE_SHIFT,
		.epoch = (u32)gvm_random_id() | 1,
		.client_boot = gvm_session_id(),
	};
	u64 *shares = NULL;
	int err;

	if (m->vm.open)
		return join_vm(m, vm.ram_pages, s);
	if (!ram_size && !m->adopt && !m->opt.join_path) {
		snprintf(s, GVM_SENTENCE_MAX, "VM %u has no RAM yet that could be joined",
			 m->opt.vm_id);
		return -ENOENT;
	}
	if (ram_size & (GVM_PAGE_SIZE - 1)) {
		snprintf(s, GVM_SENTENCE_MAX, "a RAM size of %llu bytes is not possible",
			 (unsigned long long)ram_size);
		return -EINVAL;
	}
	err = open_vm(m, &vm, &shares, s);
	free(shares);
	if (err) {
		gvm_pager_destroy(vm.pager);
		route_free(m, &vm.route);
		return err;
	}
	gvm_logf(&m->log, GVM_LOG_INFO, "VM %u %s: %llu MiB at %u slaves", m->opt.vm_id,
		 m->opt.join_path ? "joined"
		 : m->adopt	  ? "continues"
				  : "opened",
		 mib(vm.ram_pages), vm.route.nmembers);
	if (m->opt.map_path)
		save_map(m, &vm, m->opt.map_path);
	if (!m->opt.join_path)
		forget_kept(m);
	gvm_backend_set_pager(m->backend, vm.pager);
	set_vm(m, &vm);
	return 0;
}

/* Takes the VM off this node. */
static struct master_vm detach(struct gvm_master *m)
{
	struct master_vm vm = m->vm;

	set_vm(m, &(struct master_vm){0});
	gvm_agent_detach(gvm_backend_node(m->backend));
	gvm_backend_set_pager(m->backend, NULL);
	gvm_stalls_clear(gvm_backend_stalls(m->backend));
	gvm_pager_destroy(vm.pager);
	vm.pager = NULL;
	return vm;
}

/* Progress comes with the answers of the homes, which the workers take in. */
static u64 flush_all(struct gvm_master *m)
{
	struct gvm_node *n = gvm_backend_node(m->backend);
	u64 left = gvm_agent_flush(n, false), least = left, since = gvm_now_us();
	struct pollfd wake = {.fd = m->wake, .events = POLLIN};
	u64 count;

	while (left && gvm_now_us() - since < FLUSH_PATIENCE_US) {
		if (poll(&wake, 1, FLUSH_POLL_MS) > 0 && read(m->wake, &count, sizeof(count)) < 0)
			continue;
		left = gvm_agent_flush(n, false);
		if (left < least) {
			least = left;
			since = gvm_now_us();
		}
	}
	return left;
}

void gvm_master_close_vm(struct gvm_master *m)
{
	struct master_vm vm;

	if (!m->vm.open)
		return;
	/* Others go on with what was written here. */
	if (m->opt.join_path && !m->vm.lost)
		flush_all(m);
	vm = detach(m);
	close_at_homes(m, &vm, 0);
	route_free(m, &vm.route);
	gvm_logf(&m->log, GVM_LOG_INFO, "VM %u closed", m->opt.vm_id);
}

int gvm_master_flush_vm(struct gvm_master *m, u64 *written)
{
	struct gvm_node_stats before, after;
	u64 left;

	*written = 0;
	if (!m->vm.open)
		return 0;
	gvm_node_stats(gvm_backend_node(m->backend), &before);
	left = flush_all(m);
	gvm_node_stats(gvm_backend_node(m->backend), &after);
	*written = after.writebacks - before.writebacks;
	if (left)
		gvm_logf(&m->log, GVM_LOG_ERR, "%llu pages could not be written home",
			 (unsigned long long)left);
	return left ? -EIO : 0;
}

int gvm_master_keep_vm(struct gvm_master *m)
{
	struct master_vm vm;
	int err;

	if (!m->vm.open)
		return 0;
	vm = detach(m);
	err = close_at_homes(m, &vm, GVM_VM_KEEP);
	if (!err && !m->opt.join_path)
		err = save_map(m, &vm, m->state_path);
	route_free(m, &vm.route);
	return err;
}
