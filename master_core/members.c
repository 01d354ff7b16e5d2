// SPDX-License-Identifier: GPL-2.0-or-later
#include "members.h"

#include <stdlib.h>

#define CALL_THREADS 16
#define SLOTS	     (1U << GVM_SLAVE_BITS)

u32 gvm_members_alive(struct gvm_roster *r, u64 now)
{
	struct gvm_roster_entry e;
	u32 from = 0, n = 0;

	while (gvm_roster_next(r, from, &e)) {
		n += gvm_roster_alive(&e, now);
		from = e.id + 1;
	}
	return n;
}

int gvm_members_collect(struct gvm_members *m, struct gvm_roster *r, u64 now)
{
	u32 alive = gvm_members_alive(r, now), from = 0;
	struct gvm_roster_entry e;

	memset(m, 0, sizeof(*m));
	m->list = calloc(alive + 1, sizeof(*m->list));
	m->room = calloc(alive + 1, sizeof(*m->room));
	if (!m->list || !m->room) {
		gvm_members_free(m);
		return -ENOMEM;
	}
	for (; m->count < alive && gvm_roster_next(r, from, &e); from = e.id + 1) {
		if (!gvm_roster_alive(&e, now))
			continue;
		m->lent_pages += e.lent_pages;
		m->free_pages += e.free_pages;
		m->list[m->count] = (struct gvm_member){.id = e.id, .boot_id = e.boot_id};
		m->room[m->count++] = e.free_pages;
	}
	return 0;
}

void gvm_members_free(struct gvm_members *m)
{
	free(m->list);
	free(m->room);
	memset(m, 0, sizeof(*m));
}

struct call_set {
	struct gvm_node *node;
	u16 type;
	u32 vm_id, epoch;
	struct gvm_vm_call *calls;
	u32 count;
	u32 next; /* atomic */
};

static void call_one(const struct call_set *s, struct gvm_vm_call *c)
{
	u8 body[GVM_VM_BODY], reply[GVM_VM_BODY];
	int len;

	gvm_vm_body_encode(body, &c->body);
	len = gvm_rpc_call(s->node, c->target, s->type, s->vm_id, s->epoch, body, sizeof(body),
			   reply, sizeof(reply));
	if (len < 0)
		c->status = len;
	else if (gvm_vm_body_decode(&c->body, reply, (size_t)len))
		c->status = -EPROTO;
	else
		c->status = c->body.status;
}

static void *call_some(void *arg)
{
	struct call_set *s = arg;
	u32 i;

	while ((i = __atomic_fetch_add(&s->next, 1, __ATOMIC_RELAXED)) < s->count)
		call_one(s, &s->calls[i]);
	return NULL;
}

void gvm_vm_calls(struct gvm_node *n, u16 type, u32 vm_id, u32 epoch, struct gvm_vm_call *calls,
		  u32 count)
{
	struct call_set s = {n, type, vm_id, epoch, calls, count, 0};
	pthread_t threads[CALL_THREADS];
	u32 started = 0;

	/* This thread works too, so that it goes on when no other can be had. */
	while (started < CALL_THREADS && started + 1 < count &&
	       !pthread_create(&threads[started], NULL, call_some, &s))
		started++;
	call_some(&s);
	while (started)
		pthread_join(threads[--started], NULL);
}

/* How much of the RAM one slot stands for. */
static u64 slot_pages(u32 slot, u64 ram_pages, u32 stripe_shift)
{
	u64 stripe = 1ULL << stripe_shift, round = (u64)SLOTS << stripe_shift;
	u64 first = (u64)slot << stripe_shift, pages = ram_pages / round * stripe;
	u64 rest = ram_pages % round;

	if (rest > first)
		pages += rest - first < stripe ? rest - first : stripe;
	return pages;
}

/*
 * Deals out the slots by rank, since each member owns a run of ranks: member i
 * takes them until those up to it have their part of the RAM together, or, if
 * greedy, until it is full.
 */
static int deal(struct gvm_members *m, u64 ram_pages, u32 stripe_shift, u64 *shares, bool greedy)
{
	u64 room = m->room[0], dealt = 0, half = (1ULL << stripe_shift) / 2;
	u32 rank, i = 0;

	for (rank = 0; rank < m->count; rank++)
		shares[rank] = m->list[rank].weight = 0;
	for (rank = 0; rank < SLOTS; rank++) {
		u64 pages = slot_pages(gvm_route_slot(rank), ram_pages, stripe_shift);

		while (pages && i + 1 < m->count &&
		       (shares[i] + pages > m->room[i] ||
			(!greedy &&
			 dealt + pages >
				 (unsigned __int128)ram_pages * room / m->free_pages + half)))
			room += m->room[++i];
		if (shares[i] + pages > m->room[i])
			return -ENOSPC;
		m->list[i].weight++;
		shares[i] += pages;
		dealt += pages;
	}
	return 0;
}

/* Who has no share is no member; slots it got stand for no RAM and go to its neighbour. */
static void leave_out_empty(struct gvm_members *m, u64 *shares)
{
	u32 i, kept = 0, spare = 0;

	for (i = 0; i < m->count; i++) {
		if (shares[i]) {
			m->list[kept] = m->list[i];
			m->list[kept].weight += spare;
			m->room[kept] = m->room[i];
			shares[kept++] = shares[i];
			spare = 0;
		} else if (kept) {
			m->list[kept - 1].weight += m->list[i].weight;
		} else {
			spare += m->list[i].weight;
		}
	}
	m->count = kept;
}

int gvm_members_place(struct gvm_members *m, u64 ram_pages, u32 stripe_shift, u64 *shares)
{
	if (!m->count || m->free_pages < ram_pages ||
	    (deal(m, ram_pages, stripe_shift, shares, false) &&
	     deal(m, ram_pages, stripe_shift, shares, true)))
		return -ENOSPC;
	leave_out_empty(m, shares);
	return 0;
}
