// SPDX-License-Identifier: GPL-2.0-or-later
/* Counters and latencies: for the control device, and as text in debugfs. */
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "kernel_internal.h"

#define NAME(name) #name,
static const char *const names[] = {GVM_KERNEL_COUNTERS(NAME)};
static const char *const states[] = {"created", "starting", "running", "dead"};
static struct dentry *dir;

static_assert(GVM_KC_COUNT <= GVM_STAT_COUNTERS, "every counter has its place");

void gvm_stats_latency(struct gvm_vm *vm, u64 us)
{
	u32 i = us ? (u32)ilog2(us) : 0;

	atomic64_inc(&vm->latency[min_t(u32, i, GVM_STAT_LATENCIES - 1)]);
}

static void from_node(struct gvm_vm *vm, u64 *c)
{
	struct gvm_node_stats n;

	gvm_node_stats(vm->node, &n);
#define TAKE(name) c[GVM_KC_##name] = n.name
	TAKE(faults_read);
	TAKE(faults_write);
	TAKE(upgrades);
	TAKE(prefetches);
	TAKE(pages_in);
	TAKE(pages_in_zero);
	TAKE(writebacks);
	TAKE(evictions);
	TAKE(retransmits);
	TAKE(rpc_failures);
	TAKE(rx_bad);
	TAKE(rx_version);
	TAKE(rx_stale_reply);
	TAKE(rx_unexpected);
	TAKE(rx_not_mine);
	TAKE(invalidations_rx);
	TAKE(resident_pages);
#undef TAKE
}

void gvm_stats_fill(struct gvm_vm *vm, struct gvm_ioctl_stat *s)
{
	u32 i;

	*s = (struct gvm_ioctl_stat){
		.version = GVM_IOCTL_VERSION,
		.vm_id = vm->id,
		.node_id = vm->node_id,
		.state = READ_ONCE(vm->state),
		.flags = vm->flags,
		.uid = vm->uid_any ? GVM_UID_ANY : from_kuid_munged(current_user_ns(), vm->uid),
		.bind_ip = (__force u32)vm->bind_ip,
		.bind_port = (__force u16)gvm_net_port(vm->net),
		.epoch = vm->epoch,
		.counters = GVM_KC_COUNT,
		.ram_size = vm->ram_pages << PAGE_SHIFT,
	};
	for (i = 0; i < GVM_KC_COUNT; i++)
		s->counter[i] = (u64)atomic64_read(&vm->counters[i]);
	from_node(vm, s->counter);
	s->counter[GVM_KC_budget_pages] = READ_ONCE(vm->node->cfg.budget_pages);
	s->counter[GVM_KC_users] = READ_ONCE(vm->users);
	s->counter[GVM_KC_gateways_accepted] = READ_ONCE(vm->accepted);
	s->counter[GVM_KC_members] = READ_ONCE(vm->route.nmembers);
	for (i = 0; i < GVM_STAT_LATENCIES; i++)
		s->latency[i] = (u64)atomic64_read(&vm->latency[i]);
}

static void show_vm(struct seq_file *m, const struct gvm_ioctl_stat *s)
{
	u32 i;

	seq_printf(m, "vm %u\nnode %u\nstate %s%s\nram_size %llu\nbind %pI4:%u\n", s->vm_id,
		   s->node_id, states[s->state & 3], s->flags & GVM_VMF_INSECURE ? " insecure" : "",
		   s->ram_size, &s->bind_ip, ntohs((__force __be16)s->bind_port));
	for (i = 0; i < s->counters; i++)
		seq_printf(m, "%s %llu\n", names[i], s->counter[i]);
	for (i = 0; i < GVM_STAT_LATENCIES; i++)
		if (s->latency[i])
			seq_printf(m, "fault_below_us %lu %llu\n", 2UL << i, s->latency[i]);
	seq_putc(m, '\n');
}

static int show_all_show(struct seq_file *m, void *unused)
{
	struct gvm_ioctl_stat *s = kmalloc(sizeof(*s), GFP_KERNEL);
	struct gvm_vm *vm;
	u32 next;

	if (!s)
		return -ENOMEM;
	for (vm = gvm_vm_next(0); vm; vm = gvm_vm_next(next)) {
		next = vm->id + 1;
		gvm_stats_fill(vm, s);
		gvm_vm_put(vm);
		show_vm(m, s);
	}
	kfree(s);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(show_all);

void gvm_debugfs_init(void)
{
	dir = debugfs_create_dir("giantvm", NULL);
	debugfs_create_file("status", 0400, dir, NULL, &show_all_fops);
#ifdef GVM_KERNEL_TEST
	gvm_hooks_init(dir);
#endif
}

void gvm_debugfs_exit(void)
{
	debugfs_remove_recursive(dir);
}
