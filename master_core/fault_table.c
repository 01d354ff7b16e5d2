// SPDX-License-Identifier: GPL-2.0-or-later
#include "fault_table.h"

#include <stdlib.h>

#include "uffd.h"

#define SHARDS	64
#define BUCKETS 64

struct entry {
	struct entry *next;
	u64 page;
	struct gvm_faults f;
};

struct shard {
	pthread_mutex_t lock;
	struct entry *buckets[BUCKETS];
	struct entry *spare;
};

struct gvm_fault_table {
	u64 count; /* of entries, so that an empty table costs a load */
	struct shard shards[SHARDS];
};

static u64 mix(u64 page)
{
	return page * 0x9e3779b97f4a7c15ULL;
}

static struct shard *shard_of(struct gvm_fault_table *t, u64 page)
{
	return &t->shards[mix(page) >> 58];
}

static struct entry **find(struct shard *s, u64 page)
{
	struct entry **e = &s->buckets[(mix(page) >> 32) % BUCKETS];

	while (*e && (*e)->page != page)
		e = &(*e)->next;
	return e;
}

struct gvm_fault_table *gvm_fault_table_create(void)
{
	struct gvm_fault_table *t = calloc(1, sizeof(*t));
	int i;

	if (!t)
		return NULL;
	for (i = 0; i < SHARDS; i++)
		pthread_mutex_init(&t->shards[i].lock, NULL);
	return t;
}

static void free_list(struct entry *e)
{
	while (e) {
		struct entry *next = e->next;

		free(e);
		e = next;
	}
}

void gvm_fault_table_destroy(struct gvm_fault_table *t)
{
	int i, b;

	if (!t)
		return;
	for (i = 0; i < SHARDS; i++) {
		for (b = 0; b < BUCKETS; b++)
			free_list(t->shards[i].buckets[b]);
		free_list(t->shards[i].spare);
		pthread_mutex_destroy(&t->shards[i].lock);
	}
	free(t);
}

/* With the shard's lock held. */
static struct entry *get(struct gvm_fault_table *t, struct shard *s, u64 page)
{
	struct entry **at = find(s, page), *e = *at;

	if (e)
		return e;
	e = s->spare;
	if (e)
		s->spare = e->next;
	else
		e = malloc(sizeof(*e));
	if (!e)
		return NULL;
	memset(e, 0, sizeof(*e));
	e->page = page;
	*at = e;
	__atomic_fetch_add(&t->count, 1, __ATOMIC_SEQ_CST);
	return e;
}

static void put(struct gvm_fault_table *t, struct shard *s, struct entry **at)
{
	struct entry *e = *at;

	*at = e->next;
	e->next = s->spare;
	s->spare = e;
	__atomic_fetch_sub(&t->count, 1, __ATOMIC_SEQ_CST);
}

void gvm_fault_add(struct gvm_fault_table *t, u64 page, unsigned int client, u8 hints, u64 now)
{
	struct shard *s = shard_of(t, page);
	struct entry *e;

	pthread_mutex_lock(&s->lock);
	e = get(t, s, page);
	if (e) {
		if (!e->f.since_us)
			e->f.since_us = now;
		e->f.clients |= 1U << client;
		e->f.hints |= hints;
	}
	pthread_mutex_unlock(&s->lock);
}

int gvm_fault_wait(struct gvm_fault_table *t, struct gvm_fault_waiter *w)
{
	struct shard *s = shard_of(t, w->page);
	struct entry *e;

	pthread_mutex_lock(&s->lock);
	e = get(t, s, w->page);
	if (e) {
		e->f.hints |= w->write ? GVM_FAULT_WRITE : 0;
		w->next = e->f.waiters;
		e->f.waiters = w;
	}
	pthread_mutex_unlock(&s->lock);
	return e ? 0 : -ENOMEM;
}

static bool empty(struct gvm_fault_table *t)
{
	return !__atomic_load_n(&t->count, __ATOMIC_SEQ_CST);
}

void gvm_fault_take(struct gvm_fault_table *t, u64 page, struct gvm_faults *out)
{
	struct shard *s = shard_of(t, page);
	struct entry **at;

	memset(out, 0, sizeof(*out));
	if (empty(t))
		return;
	pthread_mutex_lock(&s->lock);
	at = find(s, page);
	if (*at) {
		*out = (*at)->f;
		put(t, s, at);
	}
	pthread_mutex_unlock(&s->lock);
}

struct gvm_fault_waiter *gvm_fault_take_waiters(struct gvm_fault_table *t, u64 page)
{
	struct shard *s = shard_of(t, page);
	struct gvm_fault_waiter *waiters = NULL;
	struct entry **at;

	if (empty(t))
		return NULL;
	pthread_mutex_lock(&s->lock);
	at = find(s, page);
	if (*at) {
		waiters = (*at)->f.waiters;
		(*at)->f.waiters = NULL;
		if (!(*at)->f.clients)
			put(t, s, at);
	}
	pthread_mutex_unlock(&s->lock);
	return waiters;
}

u8 gvm_fault_pending(struct gvm_fault_table *t, u64 page)
{
	struct shard *s = shard_of(t, page);
	struct entry *e;
	u8 hints = 0;

	if (empty(t))
		return 0;
	pthread_mutex_lock(&s->lock);
	e = *find(s, page);
	if (e)
		hints = e->f.hints | (e->f.clients || e->f.waiters ? GVM_FAULT_MISSING : 0);
	pthread_mutex_unlock(&s->lock);
	return hints;
}

static void forget_in(struct entry *e, unsigned int client, const void *owner,
		      struct gvm_fault_waiter **out)
{
	struct gvm_fault_waiter **at = &e->f.waiters;

	e->f.clients &= ~(1U << client);
	while (*at) {
		struct gvm_fault_waiter *w = *at;

		if (w->owner != owner) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->next = *out;
		*out = w;
	}
}

struct gvm_fault_waiter *gvm_fault_forget(struct gvm_fault_table *t, unsigned int client,
					  const void *owner)
{
	struct gvm_fault_waiter *out = NULL;
	int i, b;

	for (i = 0; i < SHARDS; i++) {
		struct shard *s = &t->shards[i];

		pthread_mutex_lock(&s->lock);
		for (b = 0; b < BUCKETS; b++) {
			struct entry **at = &s->buckets[b];

			while (*at) {
				forget_in(*at, client, owner, &out);
				if (!(*at)->f.clients && !(*at)->f.waiters)
					put(t, s, at);
				else
					at = &(*at)->next;
			}
		}
		pthread_mutex_unlock(&s->lock);
	}
	return out;
}
