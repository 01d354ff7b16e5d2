// SPDX-License-Identifier: GPL-2.0-or-later
/* Mode A: the operations of dsm_driver_ops in the kernel, and the module. */
#include <linux/module.h>
#include <linux/nmi.h>
#include <linux/preempt.h>

#include "kernel_internal.h"

struct workqueue_struct *gvm_wq, *gvm_slow_wq;
struct kmem_cache *gvm_packets;

unsigned int gvm_spin_us = 20;
module_param_named(spin_us, gvm_spin_us, uint, 0644);
MODULE_PARM_DESC(spin_us, "how long a fault looks out for its page before it sleeps, in us (20)");

/* Some tables grow while the logic holds a spinlock: those are small. */
static void *op_alloc_large_table(void *ctx, size_t size)
{
	if (in_atomic() || irqs_disabled())
		return kzalloc(size, GFP_ATOMIC | __GFP_NOWARN);
	return size > PAGE_SIZE ? vzalloc(size) : kzalloc(size, GFP_KERNEL);
}

static void op_free_large_table(void *ctx, void *ptr)
{
	kvfree(ptr);
}

static void *op_alloc_packet(void *ctx, size_t size, bool atomic)
{
	return gvm_packet_alloc(ctx, size, atomic || in_atomic() || irqs_disabled());
}

static __printf(3, 4) void op_log(void *ctx, int level, const char *fmt, ...)
{
	struct gvm_vm *vm = ctx;
	struct va_format f = {.fmt = fmt};
	va_list ap;

	va_start(ap, fmt);
	f.va = &ap;
	if (level == GVM_LOG_ERR)
		pr_err_ratelimited("giantvm: VM %u: %pV\n", vm->id, &f);
	else if (level == GVM_LOG_WARN)
		pr_warn_ratelimited("giantvm: VM %u: %pV\n", vm->id, &f);
	else if (level == GVM_LOG_INFO)
		pr_info_ratelimited("giantvm: VM %u: %pV\n", vm->id, &f);
	else
		pr_debug("giantvm: VM %u: %pV\n", vm->id, &f);
	va_end(ap);
}

static bool op_is_atomic_context(void *ctx)
{
	return in_atomic() || irqs_disabled();
}

static void op_touch_watchdog(void *ctx)
{
	touch_nmi_watchdog();
}

static u64 op_alloc_req_id(void *ctx, void *rx_buffer)
{
	return gvm_ids_alloc(((struct gvm_vm *)ctx)->ids, rx_buffer);
}

static void op_free_req_id(void *ctx, u64 req_id)
{
	gvm_ids_free(((struct gvm_vm *)ctx)->ids, req_id);
}

static u64 op_get_time_us(void *ctx)
{
	return gvm_now_us();
}

static u64 op_time_diff_us(void *ctx, u64 start)
{
	return gvm_now_us() - start;
}

static int op_check_req_status(void *ctx, u64 req_id)
{
	return gvm_ids_status(((struct gvm_vm *)ctx)->ids, req_id);
}

static void op_cpu_relax(void *ctx)
{
	cpu_relax();
}

static void op_complete_req(void *ctx, u64 req_id, int status)
{
	gvm_ids_complete(((struct gvm_vm *)ctx)->ids, req_id, status);
}

static void op_wait_req(void *ctx, u64 req_id, u64 timeout_us)
{
	struct gvm_vm *vm = ctx;

	gvm_net_flush(vm->net);
	gvm_ids_wait(vm->ids, req_id, timeout_us);
}

const struct dsm_driver_ops gvm_kernel_ops = {
	.alloc_large_table = op_alloc_large_table,
	.free_large_table = op_free_large_table,
	.alloc_packet = op_alloc_packet,
	.free_packet = gvm_packet_free,
	.set_gateway_ip = gvm_gateway_set,
	.send_packet = gvm_net_send,
	.handle_page_fault = gvm_fault_blocking,
	.log = op_log,
	.is_atomic_context = op_is_atomic_context,
	.touch_watchdog = op_touch_watchdog,
	.alloc_req_id = op_alloc_req_id,
	.free_req_id = op_free_req_id,
	.get_time_us = op_get_time_us,
	.time_diff_us = op_time_diff_us,
	.check_req_status = op_check_req_status,
	.cpu_relax = op_cpu_relax,
	.complete_req = op_complete_req,
	.wait_req = op_wait_req,
	.page_buffer = gvm_pages_buffer,
	.page_map = gvm_pages_map,
	.page_protect = gvm_pages_protect,
	.page_data = gvm_pages_data,
	.page_drop = gvm_pages_drop,
	.page_error = gvm_pages_error,
	.arm_timer = gvm_pump_arm,
};

static int init_memory(void)
{
	size_t size = sizeof(struct gvm_packet) + gvm_wire_size(GVM_MSG_MAX);

	gvm_packets = kmem_cache_create("gvm_pkt_v16", size, 0, 0, NULL);
	gvm_wq = alloc_workqueue("giantvm", WQ_UNBOUND | WQ_HIGHPRI | WQ_MEM_RECLAIM, 0);
	gvm_slow_wq = alloc_workqueue("giantvm_slow", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return gvm_packets && gvm_wq && gvm_slow_wq ? 0 : -ENOMEM;
}

static void exit_memory(void)
{
	if (gvm_slow_wq)
		destroy_workqueue(gvm_slow_wq);
	if (gvm_wq)
		destroy_workqueue(gvm_wq);
	kmem_cache_destroy(gvm_packets);
}

static int __init giantvm_init(void)
{
	int err = init_memory();

	if (err)
		goto memory;
	err = gvm_gateways_init();
	if (err)
		goto memory;
	err = gvm_vms_init();
	if (err)
		goto gateways;
	err = gvm_shrinker_init();
	if (err)
		goto vms;
	err = gvm_device_init();
	if (err)
		goto shrinker;
	gvm_debugfs_init();
	return 0;
shrinker:
	gvm_shrinker_exit();
vms:
	gvm_vms_exit();
gateways:
	gvm_gateways_exit();
memory:
	exit_memory();
	return err;
}

/* No file is open: VMs that are still there have no user. */
static void __exit giantvm_exit(void)
{
	gvm_debugfs_exit();
	gvm_device_exit();
	gvm_vms_destroy_all();
	gvm_shrinker_exit();
	gvm_vms_exit();
	gvm_gateways_exit();
	exit_memory();
}

module_init(giantvm_init);
module_exit(giantvm_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("GiantVM Frontier-X: guest memory from many machines");
