/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Read copies are held under a lease. A home takes a copy from a silent node
 * after GVM_LEASE_US and a margin; a node that has had no answer from a home
 * for GVM_LEASE_US has given those copies up by then. Modified pages need no
 * lease: a home never gives away what a silent node may have written.
 */
#include "agent.h"
#include "peer.h"
#include "rpc.h"

#define CHECK_US (GVM_LEASE_US / 8)
#define RENEW_US (GVM_LEASE_US / 4)

/* The home's place among the members, which are sorted by id. */
static u32 member_of(const struct gvm_route *r, u32 home)
{
	u32 low = 0, high = r->nmembers;

	while (low + 1 < high) {
		u32 mid = low + (high - low) / 2;

		if (r->members[mid].id <= home)
			low = mid;
		else
			high = mid;
	}
	return low;
}

static struct gvm_lease *lease_of(struct gvm_node *n, u64 page)
{
	struct gvm_agent *a = n->agent;

	return &a->leases[member_of(&a->route, gvm_page_home(n, page))];
}

void gvm_lease_begin(struct gvm_node *n, struct gvm_page *p)
{
	struct gvm_agent *a = n->agent;

	if (p->leased)
		return;
	p->leased = 1;
	lease_of(n, p->page)->copies++;
	if (a->lease_due != (u64)-1)
		return;
	a->lease_due = n->ops->get_time_us(n->ctx) + CHECK_US;
	n->ops->arm_timer(n->ctx, a->lease_due);
}

void gvm_lease_end(struct gvm_node *n, struct gvm_page *p)
{
	if (!p->leased)
		return;
	p->leased = 0;
	lease_of(n, p->page)->copies--;
}

static void renewed(struct gvm_node *n, struct gvm_req *q, int status)
{
	struct gvm_agent *a = n->agent;

	(void)status;
	gvm_lock(&a->lock);
	if (a->attached && q->page < a->route.nmembers && a->leases[q->page].req_id == q->id)
		a->leases[q->page].req_id = 0;
	gvm_unlock(&a->lock);
}

static void renew(struct gvm_node *n, u32 member)
{
	struct gvm_agent *a = n->agent;
	struct gvm_lease *l = &a->leases[member];
	u8 body[GVM_REGISTER_BODY];
	struct gvm_register_body b = {.boot_id = n->cfg.boot_id, .slave_bits = GVM_SLAVE_BITS};
	struct gvm_req_params p = {.target = a->route.members[member].id,
				   .vm_id = a->vm_id,
				   .epoch = a->route.epoch,
				   .type = MSG_PING,
				   .body = body,
				   .body_len = sizeof(body),
				   .page = member,
				   .done = renewed};

	if (l->req_id)
		return;
	gvm_register_encode(body, &b);
	l->req_id = gvm_req_start(n, &p);
}

static void give_up(struct gvm_node *n, struct gvm_page *p)
{
	bool waits = p->flags & AP_WAIT;

	gvm_req_cancel(n, p->req_id);
	p->req_id = 0;
	n->ops->page_drop(n->ctx, p->page);
	if (!waits) {
		gvm_page_forget(n, p);
		return;
	}
	gvm_lease_end(n, p);
	p->state = PAGE_FILL;
	gvm_page_request(n, p);
}

/* Every read copy of that home's pages goes; one that is just being mapped, the next time. */
static void fence(struct gvm_node *n, u32 home)
{
	struct gvm_agent *a = n->agent;
	u32 next, count = a->resident.count;

	for (u32 i = a->resident.head; i && count; i = next, count--) {
		struct gvm_page *p = gvm_list_at(a, i);

		next = p->next;
		if (!p->leased || (p->flags & AP_MAPPING) || gvm_page_home(n, p->page) != home)
			continue;
		gvm_stat_inc(n, fenced);
		give_up(n, p);
	}
}

void gvm_agent_free_leases(struct gvm_node *n)
{
	struct gvm_agent *a = n->agent;

	for (u32 i = 0; a->leases && i < a->route.nmembers; i++)
		gvm_req_cancel(n, a->leases[i].req_id);
	gvm_table_free(n, a->leases);
	a->leases = NULL;
	a->lease_due = (u64)-1;
}

u64 gvm_lease_tick(struct gvm_node *n, u64 now)
{
	struct gvm_agent *a = n->agent;
	bool any = false;

	if (a->lease_due > now)
		return a->lease_due;
	for (u32 i = 0; i < a->route.nmembers; i++) {
		u32 home = a->route.members[i].id;
		u64 age;

		if (!a->leases[i].copies)
			continue;
		any = true;
		age = now - gvm_peer_answered(n, home);
		if (age > GVM_LEASE_US)
			fence(n, home);
		else if (age > RENEW_US)
			renew(n, i);
	}
	a->lease_due = any ? now + CHECK_US : (u64)-1;
	return a->lease_due;
}
