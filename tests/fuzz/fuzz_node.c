// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A live node, home of a VM and agent of the same VM, that is sent arbitrary
 * datagrams: nothing from outside may crash it, hang it, or make it leak.
 *
 * The input is a run of steps. A step's first byte says what happens: raw
 * bytes, a message that is well formed but for what the input puts into it, a
 * fault of the guest, a flush, or time that passes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../master_core/logic_core.h"

#define SELF	 7
#define PAGES	 64
#define BUDGET	 40
#define VM	 1
#define EPOCH	 3
#define LIFETIME 2000 /* executions that one node sees */

struct guest_page {
	u8 *bytes;
	bool pending;
};

static struct {
	struct gvm_node *node;
	struct gvm_route route;
	struct guest_page pages[PAGES];
	u8 lent[(PAGES - 4) * GVM_PAGE_SIZE];
	u64 now, executions;
	s64 packets, tables;
	u32 chance;
} f;

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void *op_alloc(void *ctx, size_t size)
{
	void *p = calloc(1, size);

	(void)ctx;
	f.tables += p != NULL;
	return p;
}

static void op_free(void *ctx, void *p)
{
	(void)ctx;
	f.tables -= p != NULL;
	free(p);
}

static void *op_packet(void *ctx, size_t size, bool atomic)
{
	(void)ctx, (void)atomic;
	if (++f.chance % 97 == 0)
		return NULL;
	f.packets++;
	return malloc(size);
}

static void op_packet_free(void *ctx, void *p)
{
	(void)ctx;
	f.packets -= p != NULL;
	free(p);
}

/* What the node says must itself be well formed. */
static int op_send(void *ctx, void *pkt, size_t len, size_t seg, u32 target)
{
	struct gvm_header h;
	const u8 *part;
	size_t at;

	(void)ctx, (void)target;
	for (at = 0; at < len; at += seg)
		if (gvm_wire_next(&h, &part, (u8 *)pkt + at, min_t(size_t, seg, len - at)) <= 0)
			abort();
	op_packet_free(NULL, pkt);
	return ++f.chance % 31 == 0 ? -ENOBUFS : 0;
}

static void op_log(void *ctx, int level, const char *fmt, ...)
{
	(void)ctx, (void)level, (void)fmt;
}

static u64 op_time(void *ctx)
{
	(void)ctx;
	return f.now;
}

static void *op_page_buffer(void *ctx, u64 page, enum gvm_prot prot)
{
	(void)ctx, (void)prot;
	if (page >= PAGES)
		abort();
	if (!f.pages[page].bytes)
		f.pages[page].bytes = calloc(1, GVM_PAGE_SIZE);
	return f.pages[page].bytes;
}

static int op_page_map(void *ctx, u64 page, enum gvm_prot prot, bool zero)
{
	(void)zero;
	op_page_buffer(ctx, page, prot);
	if (++f.chance % 5)
		return 0;
	f.pages[page].pending = true;
	return GVM_PENDING;
}

static int op_page_protect(void *ctx, const u64 *pages, unsigned int n)
{
	(void)ctx;
	while (n--)
		if (pages[n] >= PAGES)
			abort();
	return 0;
}

static void *op_page_data(void *ctx, u64 page)
{
	return op_page_buffer(ctx, page, GVM_PROT_READ);
}

static void op_page_drop(void *ctx, u64 page)
{
	(void)ctx;
	if (page >= PAGES)
		abort();
	free(f.pages[page].bytes);
	f.pages[page].bytes = NULL;
}

static void op_page_error(void *ctx, u64 page, u32 node, int status)
{
	(void)ctx, (void)page, (void)node, (void)status;
}

static void op_arm(void *ctx, u64 when)
{
	(void)ctx, (void)when;
}

static const struct dsm_driver_ops ops = {.alloc_large_table = op_alloc,
					  .free_large_table = op_free,
					  .alloc_packet = op_packet,
					  .free_packet = op_packet_free,
					  .send_packet = op_send,
					  .log = op_log,
					  .get_time_us = op_time,
					  .page_buffer = op_page_buffer,
					  .page_map = op_page_map,
					  .page_protect = op_page_protect,
					  .page_data = op_page_data,
					  .page_drop = op_page_drop,
					  .page_error = op_page_error,
					  .arm_timer = op_arm};

static void send_message(u16 type, const u8 *body, size_t len, const struct gvm_header *like)
{
	static u8 buf[GVM_MSG_MAX + GVM_MAX_FRAGS * GVM_HEADER_SIZE];
	struct gvm_header h = *like;
	size_t seg, total, at;

	h.magic = GVM_MAGIC;
	h.version = GVM_VERSION;
	h.msg_type = type;
	h.slave_id = SELF;
	total = gvm_wire_build(buf, &h, body, len, NULL, 0, &seg);
	for (at = 0; at < total; at += seg)
		gvm_node_rx(f.node, buf + at, min_t(size_t, seg, total - at));
}

static void open_vm(void)
{
	struct gvm_vm_body b = {
		.ram_pages = PAGES, .reserve_pages = 50, .home_boot = 99, .client_boot = 1};
	struct gvm_header h = {.src_id = GVM_MAX_SLAVES, .vm_id = VM, .epoch = EPOCH};
	u8 body[GVM_VM_BODY];

	gvm_vm_body_encode(body, &b);
	send_message(MSG_VM_OPEN, body, sizeof(body), &h);
}

static void birth(void)
{
	struct gvm_member home = {.id = SELF, .weight = 1, .boot_id = 99};
	struct gvm_node_config cfg = {.id = SELF,
				      .boot_id = 99,
				      .lent_base = f.lent,
				      .lent_pages = sizeof(f.lent) / GVM_PAGE_SIZE,
				      .budget_pages = BUDGET,
				      .prefetch_max = 4,
				      .residence_us = 20,
				      .ack_delay_us = 10};

	if (gvm_route_build(&f.route, &home, 1, EPOCH, 2, &ops, NULL))
		abort();
	f.node = gvm_node_create(&cfg, &ops, NULL);
	if (!f.node || gvm_agent_attach(f.node, VM, PAGES, &f.route))
		abort();
	open_vm();
}

static void death(void)
{
	u64 page;

	gvm_node_destroy(f.node);
	gvm_route_free(&f.route, &ops, NULL);
	f.node = NULL;
	for (page = 0; page < PAGES; page++)
		op_page_drop(NULL, page);
	memset(f.pages, 0, sizeof(f.pages));
	if (f.packets || f.tables) {
		fprintf(stderr, "left behind: %lld packets, %lld tables\n", (long long)f.packets,
			(long long)f.tables);
		abort();
	}
}

/* At most n bytes of what is left of the input. */
static size_t take(const u8 **data, size_t *size, size_t n, u8 *out)
{
	n = min_t(size_t, n, *size);
	memcpy(out, *data, n);
	*data += n;
	*size -= n;
	return n;
}

/* A page message whose fields the input chooses among those that get far. */
static void page_message(const u8 **data, size_t *size)
{
	static const u16 types[] = {MSG_MEM_READ, MSG_MEM_WRITE, MSG_MEM_ACK, MSG_COPYSET_UPDATE,
				    MSG_INV_ACK,  MSG_GRANT_ACK, MSG_VM_OPEN, MSG_VM_CLOSE,
				    MSG_VM_STAT,  MSG_PING};
	static u8 body[GVM_MSG_MAX];
	u8 c[12] = {0};
	struct gvm_header h = {.vm_id = VM, .epoch = EPOCH};
	struct gvm_page_body b = {0};
	size_t len = GVM_PAGE_BODY;

	take(data, size, sizeof(c), c);
	h.src_id = c[1] & 1 ? SELF : GVM_MAX_SLAVES + c[1] % 40;
	h.req_id = (u64)(1 + c[2] % 4) << GVM_REQ_SLOTS_SHIFT | c[3] % 32;
	h.flags = c[4] & GVM_FLAG_RESP;
	h.epoch += c[4] >> 7;
	b.page = c[5] % (PAGES + 1);
	b.version = c[6] % 16;
	b.mode = c[7] % 4 | (c[7] & 0x70);
	b.flags = c[8] & 0x3f;
	if (b.flags & GVM_PF_DATA)
		b.flags &= ~GVM_PF_ZERO;
	b.status = c[9] & 7 ? 0 : -(s16)(c[9] >> 3);
	b.aux = (u32)(1 + c[10] % 4) << GVM_REQ_SLOTS_SHIFT | c[11] % 32;
	gvm_page_body_encode(body, &b);
	if (b.flags & GVM_PF_DATA)
		len = GVM_MSG_MAX;
	if (c[0] % ARRAY_SIZE(types) >= 6)
		len = c[0] % ARRAY_SIZE(types) == 9 ? GVM_REGISTER_BODY : GVM_VM_BODY;
	if (len == GVM_VM_BODY || len == GVM_REGISTER_BODY)
		take(data, size, len, body);
	send_message(types[c[0] % ARRAY_SIZE(types)], body, len, &h);
}

static void finish_mappings(void)
{
	u64 page;

	for (page = 0; page < PAGES; page++) {
		if (!f.pages[page].pending)
			continue;
		f.pages[page].pending = false;
		gvm_agent_mapped(f.node, page);
	}
}

static void raw(const u8 **data, size_t *size, u8 n)
{
	size_t len = min_t(size_t, *size, (size_t)n * 8);
	u8 *copy = malloc(len ? len : 1);

	if (!copy)
		return;
	take(data, size, len, copy);
	gvm_node_rx(f.node, copy, len);
	free(copy);
}

static void step(const u8 **data, size_t *size)
{
	u8 c[2] = {0};

	take(data, size, sizeof(c), c);
	switch (c[0] % 8) {
	case 0:
		raw(data, size, c[1]);
		break;
	case 1:
		gvm_agent_fault(f.node, c[1] % (PAGES + 1), c[1] & 0x80);
		break;
	case 2:
		f.now += 1ULL << (c[1] % 20);
		gvm_node_tick(f.node);
		break;
	case 3:
		gvm_node_flush(f.node);
		finish_mappings();
		if (c[1] % 16 == 0)
			gvm_agent_flush(f.node, c[1] & 0x80);
		gvm_agent_retry(f.node, c[1] % PAGES);
		break;
	default:
		page_message(data, size);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u32 steps = 24;

	if (!f.node)
		birth();
	while (size && steps--)
		step(&data, &size);
	if (++f.executions % LIFETIME == 0)
		death();
	return 0;
}
