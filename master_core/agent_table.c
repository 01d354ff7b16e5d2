/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The pages an agent knows of: a hash over a pool that never moves, and lists in order of arrival.
 */
#include "agent.h"

static u32 index_of(const struct gvm_agent *a, const struct gvm_page *p)
{
	return (u32)(p - a->pool);
}

static u32 *bucket(struct gvm_agent *a, u64 page)
{
	return &a->buckets[gvm_hash_page(page) & a->bucket_mask];
}

struct gvm_page *gvm_page_find(struct gvm_agent *a, u64 page)
{
	u32 i = *bucket(a, page);

	while (i && a->pool[i].page != page)
		i = a->pool[i].hash_next;
	return gvm_list_at(a, i);
}

struct gvm_page *gvm_page_new(struct gvm_agent *a, u64 page)
{
	u32 i = a->free_list;
	struct gvm_page *p;

	if (i)
		a->free_list = a->pool[i].hash_next;
	else if (a->pool_used + 1 < a->pool_size)
		i = ++a->pool_used;
	else
		return NULL;
	p = &a->pool[i];
	memset(p, 0, sizeof(*p));
	p->page = page;
	p->grant_home = GVM_NO_NODE;
	p->hash_next = *bucket(a, page);
	*bucket(a, page) = i;
	return p;
}

void gvm_page_free(struct gvm_agent *a, struct gvm_page *p)
{
	u32 i = index_of(a, p), *at = bucket(a, p->page);

	while (*at != i)
		at = &a->pool[*at].hash_next;
	*at = p->hash_next;
	p->hash_next = a->free_list;
	a->free_list = i;
}

void gvm_list_add(struct gvm_agent *a, struct gvm_list *l, struct gvm_page *p)
{
	u32 i = index_of(a, p);

	p->next = 0;
	p->prev = l->tail;
	if (l->tail)
		a->pool[l->tail].next = i;
	else
		l->head = i;
	l->tail = i;
	l->count++;
}

void gvm_list_del(struct gvm_agent *a, struct gvm_list *l, struct gvm_page *p)
{
	if (p->prev)
		a->pool[p->prev].next = p->next;
	else
		l->head = p->next;
	if (p->next)
		a->pool[p->next].prev = p->prev;
	else
		l->tail = p->prev;
	p->prev = p->next = 0;
	l->count--;
}
