// SPDX-License-Identifier: GPL-2.0-or-later
#include "bounce.h"

#include <stdlib.h>

void gvm_bounces_init(struct gvm_bounces *b)
{
	memset(b, 0, sizeof(*b));
	pthread_mutex_init(&b->lock, NULL);
}

static void free_list(struct gvm_bounce *e)
{
	while (e) {
		struct gvm_bounce *next = e->next;

		free(e);
		e = next;
	}
}

void gvm_bounces_destroy(struct gvm_bounces *b)
{
	int i;

	for (i = 0; i < GVM_BOUNCE_BUCKETS; i++)
		free_list(b->buckets[i]);
	free_list(b->spare);
	pthread_mutex_destroy(&b->lock);
}

static struct gvm_bounce **find(struct gvm_bounces *b, u64 page)
{
	struct gvm_bounce **at = &b->buckets[page % GVM_BOUNCE_BUCKETS];

	while (*at && (*at)->page != page)
		at = &(*at)->next;
	return at;
}

u8 *gvm_bounce_get(struct gvm_bounces *b, u64 page)
{
	struct gvm_bounce **at, *e;

	pthread_mutex_lock(&b->lock);
	at = find(b, page);
	e = *at;
	if (!e) {
		e = b->spare;
		if (e) {
			b->spare = e->next;
			b->nspare--;
		} else {
			e = malloc(sizeof(*e));
		}
		if (e) {
			e->page = page;
			e->next = NULL;
			*at = e;
			__atomic_fetch_add(&b->count, 1, __ATOMIC_SEQ_CST);
		}
	}
	pthread_mutex_unlock(&b->lock);
	return e ? e->bytes : NULL;
}

struct gvm_bounce *gvm_bounce_take(struct gvm_bounces *b, u64 page)
{
	struct gvm_bounce **at, *e;

	if (!__atomic_load_n(&b->count, __ATOMIC_SEQ_CST))
		return NULL;
	pthread_mutex_lock(&b->lock);
	at = find(b, page);
	e = *at;
	if (e) {
		*at = e->next;
		__atomic_fetch_sub(&b->count, 1, __ATOMIC_SEQ_CST);
	}
	pthread_mutex_unlock(&b->lock);
	return e;
}

void gvm_bounce_put(struct gvm_bounces *b, struct gvm_bounce *e)
{
	if (!e)
		return;
	pthread_mutex_lock(&b->lock);
	if (b->nspare < GVM_BOUNCE_SPARE) {
		e->next = b->spare;
		b->spare = e;
		b->nspare++;
		e = NULL;
	}
	pthread_mutex_unlock(&b->lock);
	free(e);
}
