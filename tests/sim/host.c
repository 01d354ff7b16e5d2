// SPDX-License-Identifier: GPL-2.0-or-later
/* A node's backend: pages in plain memory, a clock of its own, the network below. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim.h"

static void host_arm(struct sim_host *h, u64 host_time);

static void *op_table_alloc(void *ctx, size_t size)
{
	struct sim_host *h = ctx;
	void *p;

	/* What a node needs to begin with it gets. */
	if (h->node && h->sim->running && sim_chance(h->sim, h->sim->cfg.nomem_ppm))
		return NULL;
	p = calloc(1, size);
	h->tables += p != NULL;
	return p;
}

static void op_table_free(void *ctx, void *ptr)
{
	struct sim_host *h = ctx;

	h->tables -= ptr != NULL;
	free(ptr);
}

static void *op_packet_alloc(void *ctx, size_t size, bool atomic)
{
	struct sim_host *h = ctx;
	void *p;

	(void)atomic;
	if (sim_chance(h->sim, h->sim->cfg.nomem_ppm))
		return NULL;
	p = malloc(size);
	h->packets += p != NULL;
	return p;
}

static void op_packet_free(void *ctx, void *pkt)
{
	struct sim_host *h = ctx;

	h->packets -= pkt != NULL;
	free(pkt);
}

static int op_gateway(void *ctx, u32 gw_id, u32 ip, u16 port)
{
	(void)ctx, (void)gw_id, (void)ip, (void)port;
	return 0;
}

static int op_send(void *ctx, void *pkt, size_t len, size_t seg, u32 target)
{
	struct sim_host *h = ctx;
	size_t at;

	if (!seg || !len)
		sim_fail(h->sim, "node %u sends %zu bytes in parts of %zu", h->cfg.id, len, seg);
	for (at = 0; seg && at < len; at += seg)
		sim_net_send(h->sim, h->cfg.id, target, (u8 *)pkt + at,
			     min_t(size_t, seg, len - at));
	h->packets--;
	free(pkt);
	return 0;
}

static u64 op_time(void *ctx)
{
	struct sim_host *h = ctx;

	return h->sim->now + h->clock_skew;
}

static u64 op_since(void *ctx, u64 start)
{
	return op_time(ctx) - start;
}

static int op_fault(void *ctx, u64 gpa, void *page_buffer, bool write)
{
	struct sim_host *h = ctx;
	u64 page = gpa >> GVM_PAGE_SHIFT, limit = h->sim->now + 10000000;
	struct sim_page *p = &h->pages[page];
	enum gvm_prot need = write ? GVM_PROT_WRITE : GVM_PROT_READ;

	gvm_agent_fault(h->node, page, write);
	while (p->prot < need)
		if (!sim_step(h->sim, limit))
			return -EIO;
	if (page_buffer)
		memcpy(page_buffer, p->bytes, GVM_PAGE_SIZE);
	return 0;
}

static void op_log(void *ctx, int level, const char *fmt, ...)
{
	struct sim_host *h = ctx;
	char line[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	sim_trace(h->sim, "log %u level %d: %s", h->cfg.id, level, line);
}

static bool op_atomic(void *ctx)
{
	(void)ctx;
	return false;
}

static void op_nothing(void *ctx)
{
	(void)ctx;
}

static struct sim_request *request(struct sim_host *h, u64 id)
{
	struct sim_request *r = &h->requests[id % SIM_REQUESTS];

	return r->used && r->generation == (u32)(id / SIM_REQUESTS) ? r : NULL;
}

static u64 op_req_alloc(void *ctx, void *rx_buffer)
{
	struct sim_host *h = ctx;
	u32 i;

	for (i = 0; i < SIM_REQUESTS && h->requests[i].used; i++)
		;
	if (i == SIM_REQUESTS)
		return (u64)-1;
	h->requests[i].used = true;
	h->requests[i].status = 0;
	h->requests[i].buffer = rx_buffer;
	return (u64)++h->requests[i].generation * SIM_REQUESTS + i;
}

static void op_req_free(void *ctx, u64 id)
{
	struct sim_request *r = request(ctx, id);

	if (r)
		r->used = false;
}

static int op_req_status(void *ctx, u64 id)
{
	struct sim_request *r = request(ctx, id);

	return r ? r->status : -EINVAL;
}

static void op_req_complete(void *ctx, u64 id, int status)
{
	struct sim_request *r = request(ctx, id);

	if (r)
		r->status = status ? status : 1;
}

static void op_req_wait(void *ctx, u64 id, u64 timeout_us)
{
	struct sim_host *h = ctx;
	u64 limit = h->sim->now + timeout_us;

	while (op_req_status(ctx, id) == 0)
		if (!sim_step(h->sim, limit)) {
			h->sim->now = max_t(u64, h->sim->now, limit);
			return;
		}
}

static void op_discard(void *ctx, void *ptr, size_t len)
{
	(void)ctx;
	memset(ptr, 0x5a, len);
}

static void op_arm(void *ctx, u64 when)
{
	host_arm(ctx, when);
}

const struct dsm_driver_ops sim_ops = {
	.alloc_large_table = op_table_alloc,
	.free_large_table = op_table_free,
	.alloc_packet = op_packet_alloc,
	.free_packet = op_packet_free,
	.set_gateway_ip = op_gateway,
	.send_packet = op_send,
	.handle_page_fault = op_fault,
	.log = op_log,
	.is_atomic_context = op_atomic,
	.touch_watchdog = op_nothing,
	.alloc_req_id = op_req_alloc,
	.free_req_id = op_req_free,
	.get_time_us = op_time,
	.time_diff_us = op_since,
	.check_req_status = op_req_status,
	.cpu_relax = op_nothing,
	.complete_req = op_req_complete,
	.wait_req = op_req_wait,
	.page_buffer = sim_page_buffer,
	.page_map = sim_page_map,
	.page_protect = sim_page_protect,
	.page_data = sim_page_data,
	.page_drop = sim_page_drop,
	.page_error = sim_page_error,
	.discard = op_discard,
	.arm_timer = op_arm,
};

static void host_tick(struct sim *s, void *who, u64 what)
{
	struct sim_host *h = who;
	u64 next;

	if (!h->node || h->incarnation != (u32)what || h->tick_at > s->now)
		return;
	h->tick_at = SIM_NEVER;
	next = gvm_node_tick(h->node);
	if (next != SIM_NEVER)
		host_arm(h, next);
}

/* Timers are late by a little, as timers are. */
static void host_arm(struct sim_host *h, u64 host_time)
{
	struct sim *s = h->sim;
	s64 ahead = (s64)(host_time - op_time(h));
	u64 delay = ahead > 0 ? (u64)ahead : 1;

	if (host_time == SIM_NEVER || s->now + delay >= h->tick_at)
		return;
	h->tick_at = s->now + delay;
	sim_at(s, delay + sim_below(s, 20), host_tick, h, h->incarnation);
}

static void host_flush(struct sim *s, void *who, u64 what)
{
	struct sim_host *h = who;

	(void)s;
	if (!h->node || h->incarnation != (u32)what)
		return;
	h->flush_armed = false;
	gvm_node_flush(h->node);
}

/* Datagrams that come close together are one batch: one flush after them. */
void sim_host_receive(struct sim_host *h, const u8 *data, size_t len)
{
	struct gvm_header hdr;
	const u8 *at = data, *part;
	size_t left = len;
	int used;

	while ((used = gvm_wire_next(&hdr, &part, at, left)) > 0) {
		if (hdr.msg_type == MSG_VM_ACK && hdr.slave_id == h->cfg.id && !hdr.is_frag)
			sim_open_answer(h, &hdr, part);
		at += used;
		left -= used;
	}
	gvm_node_rx(h->node, data, len);
	if (!h->flush_armed) {
		h->flush_armed = true;
		sim_at(h->sim, sim_below(h->sim, 4), host_flush, h, h->incarnation);
	}
}

static int host_boot(struct sim_host *h)
{
	h->incarnation++;
	h->tick_at = SIM_NEVER;
	h->flush_armed = false;
	h->cfg.boot_id = sim_random(h->sim) | 1;
	h->node = gvm_node_create(&h->cfg, &sim_ops, h);
	return h->node ? 0 : -ENOMEM;
}

struct sim_host *sim_host_create(struct sim *s, const struct gvm_node_config *cfg)
{
	struct sim_host *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->sim = s;
	h->cfg = *cfg;
	h->clock_skew = sim_below(s, 1ULL << 40);
	if (cfg->lent_pages)
		h->cfg.lent_base = malloc(cfg->lent_pages << GVM_PAGE_SHIFT);
	if ((cfg->lent_pages && !h->cfg.lent_base) || host_boot(h)) {
		free(h->cfg.lent_base);
		free(h);
		return NULL;
	}
	return h;
}

int sim_host_attach(struct sim_host *h, struct sim_vm *vm)
{
	h->vm = vm;
	h->pages = calloc(vm->ram_pages, sizeof(*h->pages));
	if (!h->pages)
		return -ENOMEM;
	return gvm_agent_attach(h->node, vm->id, vm->ram_pages, &vm->route);
}

static void collect_stats(struct sim_host *h)
{
	struct sim_counts *c = &h->sim->counts;
	struct gvm_node_stats st;

	gvm_node_stats(h->node, &st);
	c->prefetches += st.prefetches;
	c->evictions += st.evictions;
	c->fenced += st.fenced;
	c->presumed_fenced += st.presumed_fenced;
}

void sim_host_stop(struct sim_host *h)
{
	if (!h->node)
		return;
	collect_stats(h);
	gvm_node_destroy(h->node);
	h->node = NULL;
	h->incarnation++;
	if (h->packets || h->tables)
		sim_fail(h->sim, "node %u leaves %lld packets and %lld tables behind", h->cfg.id,
			 (long long)h->packets, (long long)h->tables);
}

int sim_host_restart(struct sim_host *h)
{
	sim_host_stop(h);
	sim_trace(h->sim, "restart %u", h->cfg.id);
	return host_boot(h);
}

void sim_host_destroy(struct sim_host *h)
{
	u32 i;

	if (!h)
		return;
	sim_host_stop(h);
	for (i = 0; h->pages && i < h->vm->ram_pages; i++) {
		free(h->pages[i].bytes);
		free(h->pages[i].fill);
	}
	free(h->pages);
	free(h->vcpus);
	free(h->openings);
	free(h->cfg.lent_base);
	free(h);
}
