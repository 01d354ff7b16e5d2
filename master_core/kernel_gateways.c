// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where the gateways are (the module's, for every VM), a VM's registration with
 * them, and the slaves they tell it of.
 */
#include <linux/errno.h>
#include <linux/jiffies.h>

#include "kernel_internal.h"

#define REGISTER_JIFFIES usecs_to_jiffies(GVM_REGISTER_PERIOD_US)
#define GONE_JIFFIES	 usecs_to_jiffies(GVM_PEER_GONE_US)
#define ASK_JIFFIES	 (HZ / 10)

/* What a gateway has said about a slave. */
struct gvm_roster_node {
	struct gvm_node_record record;
	unsigned long heard; /* jiffies */
};

/* ip << 16 | port, in network byte order; 0: not known. Written whole, read without a lock. */
static u64 *addresses;

int gvm_gateways_init(void)
{
	addresses = vzalloc(array_size(GVM_MAX_GATEWAYS, sizeof(*addresses)));
	return addresses ? 0 : -ENOMEM;
}

void gvm_gateways_exit(void)
{
	vfree(addresses);
}

int gvm_gateway_set(void *ctx, u32 gw_id, u32 ip, u16 port)
{
	if (gw_id >= GVM_MAX_GATEWAYS)
		return -ERANGE;
	WRITE_ONCE(addresses[gw_id], port ? (u64)ip << 16 | port : 0);
	return 0;
}

static bool load(u32 gw_id, struct sockaddr_in *out)
{
	u64 v = READ_ONCE(addresses[gw_id]);

	*out = (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = (__force __be16)(u16)v,
				    .sin_addr.s_addr = (__force __be32)(u32)(v >> 16)};
	return v;
}

u32 gvm_gateway_next(u32 from, struct sockaddr_in *out)
{
	while (from < GVM_MAX_GATEWAYS && !load(from, out))
		from++;
	return min_t(u32, from, GVM_MAX_GATEWAYS);
}

/* A slave is behind its own gateway, another client behind any. */
bool gvm_gateway_of_node(u32 node, struct sockaddr_in *out)
{
	if (node < GVM_MAX_SLAVES)
		return load(gvm_gateway_of(node), out);
	return node < GVM_MAX_NODES && gvm_gateway_next(0, out) < GVM_MAX_GATEWAYS;
}

/* Going out. */

/* Upper half of our req_ids; the lower is the gateway's id. */
static u64 nonce(const struct gvm_vm *vm)
{
	return vm->boot_id >> 32 << 32;
}

static void send_gateway(struct gvm_vm *vm, u32 gw, u16 type, const u8 *body, size_t len)
{
	struct gvm_header h = {
		.magic = GVM_MAGIC,
		.msg_type = type,
		.version = GVM_VERSION,
		.slave_id = GVM_TO_GATEWAY,
		.src_id = vm->node_id,
		.req_id = nonce(vm) | gw,
	};
	struct sockaddr_in to;
	size_t seg;
	u8 *pkt;

	if (!load(gw, &to))
		return;
	pkt = gvm_packet_alloc(vm, gvm_wire_size(len), false);
	if (!pkt)
		return;
	len = gvm_wire_build(pkt, &h, body, len, NULL, 0, &seg);
	gvm_net_send_to(vm, pkt, len, seg, &to);
}

static void set_accepted(struct gvm_vm *vm, struct gvm_gateway_state *g, bool accepted)
{
	WRITE_ONCE(vm->accepted, vm->accepted + accepted - g->accepted);
	g->accepted = accepted;
}

static void register_one(struct gvm_vm *vm, u32 gw)
{
	struct gvm_register_body b = {.boot_id = vm->boot_id, .slave_bits = GVM_SLAVE_BITS};
	struct gvm_gateway_state *g = &vm->gateways[gw];
	u8 body[GVM_REGISTER_BODY];

	gvm_register_encode(body, &b);
	send_gateway(vm, gw, MSG_REGISTER, body, sizeof(body));
	spin_lock(&vm->roster_lock);
	if (g->accepted && time_after(jiffies, g->heard + GONE_JIFFIES)) {
		set_accepted(vm, g, false);
		pr_warn_ratelimited("giantvm: VM %u: gateway %u does not answer any more\n", vm->id,
				    gw);
	}
	spin_unlock(&vm->roster_lock);
}

void gvm_register_work(struct work_struct *work)
{
	struct gvm_vm *vm = container_of(to_delayed_work(work), struct gvm_vm, register_work);
	struct sockaddr_in to;
	u32 gw;

	for (gw = gvm_gateway_next(0, &to); gw < GVM_MAX_GATEWAYS;
	     gw = gvm_gateway_next(gw + 1, &to))
		register_one(vm, gw);
	gvm_net_flush(vm->net);
	if (!test_bit(GVM_STOPPING, &vm->flags_now))
		queue_delayed_work(gvm_slow_wq, &vm->register_work, REGISTER_JIFFIES);
}

static void query(struct gvm_vm *vm, u32 gw, u32 first)
{
	u8 body[4];

	gvm_put_le32(body, first);
	send_gateway(vm, gw, MSG_NODES_QUERY, body, sizeof(body));
}

static void query_all(struct gvm_vm *vm)
{
	struct sockaddr_in to;
	u32 gw;

	for (gw = gvm_gateway_next(0, &to); gw < GVM_MAX_GATEWAYS;
	     gw = gvm_gateway_next(gw + 1, &to))
		query(vm, gw, gw << GVM_ROUTING_SHIFT);
	gvm_net_flush(vm->net);
}

/* Coming in. */

static void on_register_ack(struct gvm_vm *vm, u32 gw, const u8 *body, size_t len)
{
	struct gvm_gateway_state *g = &vm->gateways[gw];
	struct gvm_register_body b;
	bool news;

	if (gvm_register_decode(&b, body, len) || b.boot_id != vm->boot_id)
		return;
	spin_lock(&vm->roster_lock);
	news = !g->heard || g->status != b.status || g->boot != b.gateway_boot;
	g->heard = jiffies;
	g->status = b.status;
	g->boot = b.gateway_boot;
	set_accepted(vm, g, !b.status);
	vm->refused = b.status;
	spin_unlock(&vm->roster_lock);
	if (news && b.status)
		pr_warn_ratelimited("giantvm: VM %u: gateway %u refuses client id %u: %s\n", vm->id,
				    gw, vm->node_id,
				    b.status == -EEXIST	  ? "another live node has this id"
				    : b.status == -EPROTO ? "it is built with other slave bits"
							  : "it does not serve this id");
	wake_up_all(&vm->roster_wait);
}

static void remember(struct gvm_vm *vm, const struct gvm_node_record *r)
{
	struct gvm_roster_node *e = xa_load(&vm->roster, r->id);

	if (!e) {
		e = kzalloc(sizeof(*e), GFP_KERNEL);
		if (!e)
			return;
		if (xa_is_err(xa_store(&vm->roster, r->id, e, GFP_KERNEL))) {
			kfree(e);
			return;
		}
		WRITE_ONCE(vm->roster_count, vm->roster_count + 1);
	}
	spin_lock(&vm->roster_lock);
	e->record = *r;
	e->heard = jiffies;
	spin_unlock(&vm->roster_lock);
}

static void on_nodes(struct gvm_vm *vm, u32 gw, const u8 *body, size_t len)
{
	struct gvm_node_record *records;
	unsigned int n, i;

	records = kcalloc(GVM_NODES_MAX, sizeof(*records), GFP_KERNEL);
	if (!records || gvm_nodes_decode(records, &n, body, len))
		goto out;
	mutex_lock(&vm->roster_mutex);
	for (i = 0; i < n; i++)
		if (records[i].id < GVM_MAX_SLAVES && gvm_gateway_of(records[i].id) == gw)
			remember(vm, &records[i]);
	mutex_unlock(&vm->roster_mutex);
	if (n == GVM_NODES_MAX)
		query(vm, gw, records[n - 1].id + 1);
	wake_up_all(&vm->roster_wait);
out:
	kfree(records);
}

void gvm_rx_control(struct gvm_vm *vm, const struct gvm_header *h, const u8 *body, __be32 ip,
		    __be16 port)
{
	u32 gw = (u32)h->req_id;
	struct sockaddr_in known;

	gvm_count(vm, rx_control);
	if (h->msg_type == MSG_NODE_ADDR || h->slave_id != vm->node_id || h->is_frag ||
	    gw >= GVM_MAX_GATEWAYS || h->req_id != (nonce(vm) | gw) || !load(gw, &known) ||
	    known.sin_addr.s_addr != ip || known.sin_port != port)
		gvm_count(vm, rx_control_refused);
	else if (h->msg_type == MSG_REGISTER_ACK)
		on_register_ack(vm, gw, body, h->length);
	else
		on_nodes(vm, gw, body, h->length);
}

/* What is known. */

static u32 copy_roster(struct gvm_vm *vm, u32 from, u32 room, struct gvm_ioctl_node *out)
{
	struct gvm_roster_node *e;
	unsigned long id;
	u32 n = 0, age;

	mutex_lock(&vm->roster_mutex);
	xa_for_each_start(&vm->roster, id, e, from)
	{
		age = e->record.age_ms + jiffies_to_msecs(jiffies - e->heard);
		if (age > GVM_PEER_GONE_US / 1000 || !e->record.lent_pages)
			continue;
		if (n == room)
			break;
		out[n++] = (struct gvm_ioctl_node){
			.id = e->record.id,
			.age_ms = age,
			.boot_id = e->record.boot_id,
			.lent_pages = e->record.lent_pages,
			.free_pages = e->record.free_pages,
		};
	}
	mutex_unlock(&vm->roster_mutex);
	return n;
}

/* 0, or -EINTR. */
int gvm_roster_read(struct gvm_vm *vm, struct gvm_ioctl_nodes *q, struct gvm_ioctl_node *out)
{
	unsigned long until = jiffies + msecs_to_jiffies(q->wait_ms);
	u32 room = q->count;

	for (;;) {
		q->count = copy_roster(vm, q->from, room, out);
		q->accepted = READ_ONCE(vm->accepted);
		q->refused = READ_ONCE(vm->refused);
		if ((q->count >= q->min && q->accepted) || q->count == room ||
		    time_after_eq(jiffies, until))
			return 0;
		if (fatal_signal_pending(current) || signal_pending(current))
			return -EINTR;
		query_all(vm);
		schedule_timeout_interruptible(ASK_JIFFIES);
	}
}

void gvm_roster_free(struct gvm_vm *vm)
{
	struct gvm_roster_node *e;
	unsigned long id;

	xa_for_each(&vm->roster, id, e) kfree(e);
	xa_destroy(&vm->roster);
}
