// SPDX-License-Identifier: GPL-2.0-or-later
/* The operations of dsm_driver_ops in user space. */
#include <stdlib.h>
#include <sys/mman.h>

#include "user_internal.h"

#define TX_HIGH_WATER 1024 /* packets queued: sent before the turn ends */

/* Memory. */

static void *op_alloc_large_table(void *ctx, size_t size)
{
	(void)ctx;
	return calloc(1, size); /* large ones are mapped and stay untouched */
}

static void op_free_large_table(void *ctx, void *ptr)
{
	(void)ctx;
	free(ptr);
}

static void *op_alloc_packet(void *ctx, size_t size, bool atomic)
{
	struct gvm_backend *b = ctx;
	struct gvm_worker *w = gvm_worker_current(b->workers);

	(void)atomic;
	return w ? gvm_net_pkt_alloc(gvm_worker_net(w), size) : gvm_pkt_alloc(b->pool, size);
}

static void op_free_packet(void *ctx, void *pkt)
{
	struct gvm_backend *b = ctx;
	struct gvm_worker *w = gvm_worker_current(b->workers);

	if (w)
		gvm_net_pkt_free(gvm_worker_net(w), pkt);
	else
		gvm_pkt_free(b->pool, pkt);
}

static void op_discard(void *ctx, void *ptr, size_t len)
{
	struct gvm_backend *b = ctx;

	if (madvise(ptr, len, MADV_REMOVE))
		gvm_logf(b->cfg.log, GVM_LOG_WARN, "cannot give memory back: %s", strerror(errno));
}

/* Sending. */

static int op_set_gateway_ip(void *ctx, u32 gw_id, u32 ip, u16 port)
{
	struct gvm_backend *b = ctx;

	return gvm_addresses_set_gateway(b->addresses, gw_id, ip, port);
}

/* A worker's packets go out at the end of its turn, those of other threads at once. */
static int send_to(struct gvm_backend *b, void *pkt, size_t len, size_t seg,
		   const struct sockaddr_in *to)
{
	struct gvm_worker *w = gvm_worker_current(b->workers);
	int err;

	if (w) {
		err = gvm_net_send(gvm_worker_net(w), pkt, len, seg, to);
		if (gvm_net_queued(gvm_worker_net(w)) >= TX_HIGH_WATER)
			gvm_worker_flush(w);
		return err;
	}
	backend_settle(b);
	err = gvm_net_send_now(b->nets[0], pkt, len, seg, to);
	gvm_pkt_free(b->pool, pkt);
	return err;
}

static int op_send_packet(void *ctx, void *pkt, size_t len, size_t seg, u32 target_id)
{
	struct gvm_backend *b = ctx;
	struct sockaddr_in to;

	if (gvm_addresses_lookup(b->addresses, target_id, &to))
		return send_to(b, pkt, len, seg, &to);
	backend_count(&b->tx_no_route);
	op_free_packet(b, pkt);
	return -ENETUNREACH;
}

void backend_send_gateway(void *ctx, u32 gw_id, u16 type, u64 req_id, const u8 *body, size_t len)
{
	struct gvm_backend *b = ctx;
	struct gvm_header h = {
		.magic = GVM_MAGIC,
		.msg_type = type,
		.version = GVM_VERSION,
		.slave_id = GVM_TO_GATEWAY,
		.src_id = b->cfg.node.id,
		.req_id = req_id,
	};
	struct sockaddr_in to;
	size_t seg;
	u8 *pkt;

	if (!gvm_addresses_gateway(b->addresses, gw_id, &to))
		return;
	pkt = op_alloc_packet(b, gvm_wire_size(len), true);
	if (!pkt)
		return;
	len = gvm_wire_build(pkt, &h, body, len, NULL, 0, &seg);
	send_to(b, pkt, len, seg, &to);
}

/* Waiting, time, log. */

static void op_log(void *ctx, int level, const char *fmt, ...)
{
	struct gvm_backend *b = ctx;
	va_list ap;

	va_start(ap, fmt);
	gvm_vlog(b->cfg.log, level, fmt, ap);
	va_end(ap);
}

static bool op_is_atomic_context(void *ctx)
{
	(void)ctx;
	return false;
}

/* User space has no watchdog that a long turn would wake. */
static void op_touch_watchdog(void *ctx)
{
	(void)ctx;
}

static u64 op_alloc_req_id(void *ctx, void *rx_buffer)
{
	struct gvm_backend *b = ctx;

	return gvm_req_ring_alloc(b->ring, rx_buffer);
}

static void op_free_req_id(void *ctx, u64 req_id)
{
	struct gvm_backend *b = ctx;

	gvm_req_ring_free(b->ring, req_id);
}

static u64 op_get_time_us(void *ctx)
{
	(void)ctx;
	return gvm_now_us();
}

static u64 op_time_diff_us(void *ctx, u64 start)
{
	(void)ctx;
	return gvm_now_us() - start;
}

static int op_check_req_status(void *ctx, u64 req_id)
{
	struct gvm_backend *b = ctx;

	return gvm_req_ring_status(b->ring, req_id);
}

static void op_cpu_relax(void *ctx)
{
	(void)ctx;
	__builtin_ia32_pause();
}

static void op_complete_req(void *ctx, u64 req_id, int status)
{
	struct gvm_backend *b = ctx;

	gvm_req_ring_complete(b->ring, req_id, status);
}

static void op_wait_req(void *ctx, u64 req_id, u64 timeout_us)
{
	struct gvm_backend *b = ctx;

	gvm_req_ring_wait(b->ring, req_id, timeout_us);
}

static void op_arm_timer(void *ctx, u64 when_us)
{
	struct gvm_backend *b = ctx;

	gvm_workers_arm(b->workers, when_us);
}

/* Pages. */

static void *op_page_buffer(void *ctx, u64 page, enum gvm_prot prot)
{
	struct gvm_pager *p = backend_pager(ctx);

	(void)prot;
	return p ? gvm_pager_buffer(p, page) : NULL;
}

static int share_map(struct gvm_backend *b, u64 page, enum gvm_prot prot, bool zero)
{
	int err;

	pthread_mutex_lock(&b->shared.lock);
	err = gvm_map_list_add(&b->shared.list, page, prot, zero);
	__atomic_store_n(&b->shared.count, b->shared.list.count, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&b->shared.lock);
	if (!err)
		gvm_workers_arm(b->workers, gvm_now_us());
	return err;
}

/* Put on a list, so that neighbours go together and no lock of the logic is held meanwhile. */
static int op_page_map(void *ctx, u64 page, enum gvm_prot prot, bool zero)
{
	struct gvm_backend *b = ctx;
	struct gvm_worker *w = gvm_worker_current(b->workers);
	struct gvm_pager *p = backend_pager(b);
	int err;

	if (!p)
		return -EINVAL;
	gvm_stalls_resolve(b->stalls, page);
	err = w ? gvm_map_list_add(&b->maps[gvm_worker_index(w)], page, prot, zero)
		: share_map(b, page, prot, zero);
	if (!err)
		return GVM_PENDING;
	gvm_pager_map_now(p, page, prot, zero);
	return 0;
}

static int op_page_protect(void *ctx, const u64 *pages, unsigned int n)
{
	struct gvm_pager *p = backend_pager(ctx);

	return p ? gvm_pager_protect(p, pages, n) : -EINVAL;
}

static void *op_page_data(void *ctx, u64 page)
{
	struct gvm_pager *p = backend_pager(ctx);

	return p ? gvm_pager_data(p, page) : NULL;
}

static void op_page_drop(void *ctx, u64 page)
{
	struct gvm_backend *b = ctx;
	struct gvm_pager *p = backend_pager(b);

	if (!p)
		return;
	gvm_stalls_resolve(b->stalls, page);
	gvm_pager_drop(p, page);
}

static void op_page_error(void *ctx, u64 page, u32 node, int status)
{
	struct gvm_backend *b = ctx;
	struct gvm_pager *p = backend_pager(b);

	gvm_stalls_add(b->stalls, page, node, status);
	if (p && !gvm_stall_is_transient(status))
		gvm_pager_fail(p, page, status);
}

/* A caller of handle_page_fault: it sleeps until the page is there, and takes a copy. */
struct blocked {
	struct gvm_fault_waiter waiter;
	struct gvm_backend *backend;
	u64 req_id;
	void *page_buffer;
};

static void unblock(struct gvm_fault_waiter *w, int status, const u8 *bytes)
{
	struct blocked *k = w->context;

	if (!status && k->page_buffer)
		memcpy(k->page_buffer, bytes, GVM_PAGE_SIZE);
	gvm_req_ring_complete(k->backend->ring, k->req_id, status ? status : 1);
}

static int op_handle_page_fault(void *ctx, u64 gpa, void *page_buffer, bool write)
{
	struct gvm_backend *b = ctx;
	struct gvm_pager *p = backend_pager(b);
	struct blocked k = {
		.waiter = {.page = gpa >> GVM_PAGE_SHIFT, .write = write, .done = unblock},
		.backend = b,
		.page_buffer = page_buffer,
	};
	int status;

	if (!p)
		return -EINVAL;
	k.req_id = gvm_req_ring_alloc(b->ring, page_buffer);
	if (k.req_id == GVM_REQ_NONE)
		return -EBUSY;
	k.waiter.context = &k;
	status = gvm_pager_wait(p, &k.waiter);
	while (!status) {
		gvm_req_ring_wait(b->ring, k.req_id, GVM_RTO_MAX_US);
		status = gvm_req_ring_status(b->ring, k.req_id);
	}
	gvm_req_ring_free(b->ring, k.req_id);
	return status > 0 ? 0 : status;
}

const struct dsm_driver_ops gvm_user_ops = {
	.alloc_large_table = op_alloc_large_table,
	.free_large_table = op_free_large_table,
	.alloc_packet = op_alloc_packet,
	.free_packet = op_free_packet,
	.set_gateway_ip = op_set_gateway_ip,
	.send_packet = op_send_packet,
	.handle_page_fault = op_handle_page_fault,
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
	.page_buffer = op_page_buffer,
	.page_map = op_page_map,
	.page_protect = op_page_protect,
	.page_data = op_page_data,
	.page_drop = op_page_drop,
	.page_error = op_page_error,
	.discard = op_discard,
	.arm_timer = op_arm_timer,
};
