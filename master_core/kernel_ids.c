// SPDX-License-Identifier: GPL-2.0-or-later
/* Request ids of blocking calls: generation | slot, from a ring, so that an id comes back late. */
#include "kernel_internal.h"

#define SLOTS (1U << GVM_REQ_SLOTS_SHIFT)

struct id_slot {
	u64 generation; /* odd while given out */
	void *rx_buffer;
	int status;
};

struct gvm_ids {
	spinlock_t lock;
	u32 head, count;
	u32 *free; /* ring of free slots */
	struct id_slot *slots;
	wait_queue_head_t wait;
};

struct gvm_ids *gvm_ids_create(void)
{
	struct gvm_ids *r = kzalloc(sizeof(*r), GFP_KERNEL);
	u32 i;

	if (!r)
		return NULL;
	r->free = vzalloc(array_size(SLOTS, sizeof(*r->free)));
	r->slots = vzalloc(array_size(SLOTS, sizeof(*r->slots)));
	if (!r->free || !r->slots) {
		gvm_ids_destroy(r);
		return NULL;
	}
	for (i = 0; i < SLOTS; i++)
		r->free[i] = i;
	r->count = SLOTS;
	spin_lock_init(&r->lock);
	init_waitqueue_head(&r->wait);
	return r;
}

void gvm_ids_destroy(struct gvm_ids *r)
{
	if (!r)
		return;
	vfree(r->free);
	vfree(r->slots);
	kfree(r);
}

u64 gvm_ids_alloc(struct gvm_ids *r, void *rx_buffer)
{
	unsigned long flags;
	struct id_slot *s;
	u64 id = (u64)-1;

	spin_lock_irqsave(&r->lock, flags);
	if (r->count) {
		s = &r->slots[r->free[r->head]];
		r->head = (r->head + 1) % SLOTS;
		r->count--;
		s->generation++;
		s->rx_buffer = rx_buffer;
		WRITE_ONCE(s->status, 0);
		id = s->generation << GVM_REQ_SLOTS_SHIFT | (u64)(s - r->slots);
	}
	spin_unlock_irqrestore(&r->lock, flags);
	return id;
}

/* The slot of an id that is given out, or NULL. */
static struct id_slot *slot_of(struct gvm_ids *r, u64 id)
{
	struct id_slot *s = &r->slots[id & (SLOTS - 1)];

	return s->generation == id >> GVM_REQ_SLOTS_SHIFT && s->generation & 1 ? s : NULL;
}

void gvm_ids_free(struct gvm_ids *r, u64 id)
{
	unsigned long flags;
	struct id_slot *s;

	spin_lock_irqsave(&r->lock, flags);
	s = slot_of(r, id);
	if (s) {
		s->generation++;
		s->rx_buffer = NULL;
		r->free[(r->head + r->count++) % SLOTS] = (u32)(s - r->slots);
	}
	spin_unlock_irqrestore(&r->lock, flags);
}

/* The caller holds id, so the slot is not another's meanwhile. What came before is seen. */
int gvm_ids_status(struct gvm_ids *r, u64 id)
{
	return smp_load_acquire(&r->slots[id & (SLOTS - 1)].status);
}

void gvm_ids_complete(struct gvm_ids *r, u64 id, int status)
{
	unsigned long flags;
	struct id_slot *s;

	spin_lock_irqsave(&r->lock, flags);
	s = slot_of(r, id);
	if (s)
		smp_store_release(&s->status, status);
	spin_unlock_irqrestore(&r->lock, flags);
	wake_up_all(&r->wait);
}

void gvm_ids_wait(struct gvm_ids *r, u64 id, u64 timeout_us)
{
	wait_event_timeout(r->wait, gvm_ids_status(r, id), usecs_to_jiffies(timeout_us) + 1);
}
