// SPDX-License-Identifier: GPL-2.0-or-later
/* MSG_VM_OPEN to every home of a VM, sent again until each has answered. */
#include <stdlib.h>

#include "sim.h"

/* Request ids that no ring gives out: generations count from 1 in 52 bits. */
#define OPEN_ID	   (0xfffULL << 52)
#define OPEN_TRIES 500

struct sim_opening {
	struct sim_host *client;
	struct gvm_member home;
	u32 flags;
	u32 tries;
	bool done;
};

static void send_open(struct sim *s, struct sim_opening *o)
{
	struct sim_vm *vm = o->client->vm;
	struct gvm_vm_body b = {.ram_pages = vm->ram_pages, .flags = o->flags};
	struct gvm_header h = {.magic = GVM_MAGIC, .version = GVM_VERSION, .msg_type = MSG_VM_OPEN};
	u8 body[GVM_VM_BODY], datagram[GVM_HEADER_SIZE + GVM_VM_BODY];
	size_t seg, len;

	b.reserve_pages = gvm_route_share(&vm->route, o->home.id, vm->ram_pages);
	b.home_boot = o->home.boot_id;
	b.client_boot = o->client->cfg.boot_id;
	gvm_vm_body_encode(body, &b);
	h.slave_id = o->home.id;
	h.src_id = o->client->cfg.id;
	h.req_id = OPEN_ID | o->home.id;
	h.vm_id = vm->id;
	h.epoch = vm->route.epoch;
	len = gvm_wire_build(datagram, &h, body, sizeof(body), NULL, 0, &seg);
	sim_net_send(s, h.src_id, h.slave_id, datagram, len);
}

static void open_again(struct sim *s, void *who, u64 what)
{
	struct sim_opening *o = who;

	(void)what;
	if (o->done || s->draining) {
		free(o);
		return;
	}
	if (++o->tries > OPEN_TRIES) {
		sim_fail(s, "home %u never answers VM_OPEN", o->home.id);
		free(o);
		return;
	}
	send_open(s, o);
	sim_at(s, 5000, open_again, o, 0);
}

int sim_open_start(struct sim_host *client, u32 flags)
{
	struct sim *s = client->sim;
	u32 i;

	if (!client->openings)
		client->openings = calloc(client->vm->route.nmembers, sizeof(*client->openings));
	if (!client->openings)
		return -ENOMEM;
	for (i = 0; i < client->vm->route.nmembers; i++) {
		struct sim_opening *o = calloc(1, sizeof(*o));

		if (!o)
			return -ENOMEM;
		o->client = client;
		o->home = client->vm->route.members[i];
		o->flags = flags;
		s->opening++;
		client->openings[i] = o;
		open_again(s, o, 0);
	}
	return 0;
}

void sim_open_answer(struct sim_host *client, const struct gvm_header *h, const u8 *body)
{
	struct sim *s = client->sim;
	struct gvm_vm_body b;
	u32 i;

	if ((h->req_id & OPEN_ID) != OPEN_ID || gvm_vm_body_decode(&b, body, h->length))
		return;
	if (!client->openings)
		return;
	for (i = 0; i < client->vm->route.nmembers; i++)
		if (client->vm->route.members[i].id == h->src_id)
			break;
	if (i == client->vm->route.nmembers || !client->openings[i])
		return;
	if (b.status)
		sim_fail(s, "home %u refuses VM %u: %d", h->src_id, h->vm_id, b.status);
	client->openings[i]->done = true;
	client->openings[i] = NULL;
	s->opening--;
}
