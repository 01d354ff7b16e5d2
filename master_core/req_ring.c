// SPDX-License-Identifier: GPL-2.0-or-later
#include "req_ring.h"

#include <stdlib.h>
#include <time.h>

#define SLOTS (1U << GVM_REQ_SLOTS_SHIFT)

struct req_slot {
	pthread_mutex_t lock;
	pthread_cond_t done;
	u64 generation; /* odd while given out */
	int status;
	void *rx_buffer;
};

struct gvm_req_ring {
	pthread_mutex_t lock; /* of the ring of free slots */
	u32 head, count;
	u32 *free;
	struct req_slot *slots;
	u32 ready; /* slots below it are initialised: they are touched when first used */
};

struct gvm_req_ring *gvm_req_ring_create(void)
{
	struct gvm_req_ring *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->free = calloc(SLOTS, sizeof(*r->free));
	r->slots = calloc(SLOTS, sizeof(*r->slots));
	if (!r->free || !r->slots) {
		free(r->free);
		free(r->slots);
		free(r);
		return NULL;
	}
	pthread_mutex_init(&r->lock, NULL);
	return r;
}

void gvm_req_ring_destroy(struct gvm_req_ring *r)
{
	u32 i;

	if (!r)
		return;
	for (i = 0; i < r->ready; i++) {
		pthread_mutex_destroy(&r->slots[i].lock);
		pthread_cond_destroy(&r->slots[i].done);
	}
	pthread_mutex_destroy(&r->lock);
	free(r->free);
	free(r->slots);
	free(r);
}

static void slot_init(struct req_slot *s)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->done, &attr);
	pthread_condattr_destroy(&attr);
}

/* The slot that was free the longest, so that generations advance slowly. */
static struct req_slot *take_slot(struct gvm_req_ring *r)
{
	struct req_slot *s = NULL;

	pthread_mutex_lock(&r->lock);
	if (r->ready < SLOTS) {
		s = &r->slots[r->ready++];
		slot_init(s);
	} else if (r->count) {
		s = &r->slots[r->free[r->head]];
		r->head = (r->head + 1) % SLOTS;
		r->count--;
	}
	pthread_mutex_unlock(&r->lock);
	return s;
}

u64 gvm_req_ring_alloc(struct gvm_req_ring *r, void *rx_buffer)
{
	struct req_slot *s = take_slot(r);
	u64 id;

	if (!s)
		return GVM_REQ_NONE;
	pthread_mutex_lock(&s->lock);
	s->generation++;
	s->rx_buffer = rx_buffer;
	__atomic_store_n(&s->status, 0, __ATOMIC_RELEASE);
	id = s->generation << GVM_REQ_SLOTS_SHIFT | (u64)(s - r->slots);
	pthread_mutex_unlock(&s->lock);
	return id;
}

/* The slot of id, locked; NULL if id is not given out. */
static struct req_slot *lock_slot(struct gvm_req_ring *r, u64 id)
{
	u32 index = (u32)id & (SLOTS - 1);
	struct req_slot *s = &r->slots[index];
	u32 ready;

	pthread_mutex_lock(&r->lock);
	ready = r->ready;
	pthread_mutex_unlock(&r->lock);
	if (index >= ready)
		return NULL;
	pthread_mutex_lock(&s->lock);
	if (s->generation == id >> GVM_REQ_SLOTS_SHIFT && s->generation & 1)
		return s;
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

void gvm_req_ring_free(struct gvm_req_ring *r, u64 id)
{
	struct req_slot *s = lock_slot(r, id);

	if (!s)
		return;
	s->generation++;
	s->rx_buffer = NULL;
	pthread_mutex_unlock(&s->lock);
	pthread_mutex_lock(&r->lock);
	r->free[(r->head + r->count++) % SLOTS] = (u32)(s - r->slots);
	pthread_mutex_unlock(&r->lock);
}

void gvm_req_ring_complete(struct gvm_req_ring *r, u64 id, int status)
{
	struct req_slot *s = lock_slot(r, id);

	if (!s)
		return;
	__atomic_store_n(&s->status, status, __ATOMIC_RELEASE);
	pthread_cond_broadcast(&s->done);
	pthread_mutex_unlock(&s->lock);
}

/* The caller holds id, so the slot is not given to another meanwhile. */
int gvm_req_ring_status(struct gvm_req_ring *r, u64 id)
{
	struct req_slot *s = &r->slots[(u32)id & (SLOTS - 1)];

	return __atomic_load_n(&s->status, __ATOMIC_ACQUIRE);
}

static struct timespec deadline_in(u64 us)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += (time_t)(us / 1000000);
	t.tv_nsec += (long)(us % 1000000) * 1000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	return t;
}

void gvm_req_ring_wait(struct gvm_req_ring *r, u64 id, u64 timeout_us)
{
	struct timespec until = deadline_in(timeout_us);
	struct req_slot *s = lock_slot(r, id);
	int err = 0;

	if (!s)
		return;
	while (!s->status && !err)
		err = pthread_cond_timedwait(&s->done, &s->lock, &until);
	pthread_mutex_unlock(&s->lock);
}
