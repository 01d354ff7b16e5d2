// SPDX-License-Identifier: GPL-2.0-or-later
/* Packet memory: classes of powers of two, a locked pool and a cache for each net. */
#define _GNU_SOURCE 1
#include <stdlib.h>
#include "net_internal.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

#define PKT_LIVE 0x6c697665U
#define PKT_FREE 0x66726565U
/* A cache holds at most this many of a cls and trades half of them at a time. */
#define CACHE_MAX 64

struct gvm_pkt_pool {
	gvm_lock_t lock;
	size_t max_bytes;
	size_t bytes; /* from malloc, free or not */
	struct pkt_cache free;
};

static size_t class_size(unsigned int cls)
{
	return (size_t)1 << (PKT_CLASS_SHIFT + cls);
}

static int class_of(size_t size)
{
	int cls = 0;

	if (size > GVM_PKT_MAX)
		return -1;
	while (class_size(cls) < size + sizeof(struct pkt_header))
		cls++;
	return cls;
}

static void push(struct pkt_cache *c, struct pkt_header *h)
{
	h->next = c->head[h->cls];
	c->head[h->cls] = h;
	c->count[h->cls]++;
}

static struct pkt_header *pop(struct pkt_cache *c, int cls)
{
	struct pkt_header *h = c->head[cls];

	if (h) {
		c->head[cls] = h->next;
		c->count[cls]--;
	}
	return h;
}

static void *hand_out(struct pkt_header *h)
{
	h->mark = PKT_LIVE;
	UNPOISON(h + 1, class_size(h->cls) - sizeof(*h));
	return h + 1;
}

/* A packet freed twice would be handed out twice: stop where it happens. */
static struct pkt_header *take_back(void *pkt)
{
	struct pkt_header *h = (struct pkt_header *)pkt - 1;

	if (h->mark != PKT_LIVE)
		abort();
	h->mark = PKT_FREE;
	POISON(h + 1, class_size(h->cls) - sizeof(*h));
	return h;
}

static void release(struct gvm_pkt_pool *pool, int cls)
{
	struct pkt_header *h = pop(&pool->free, cls);

	pool->bytes -= class_size(cls);
	UNPOISON(h + 1, class_size(cls) - sizeof(*h));
	free(h);
}

/* Makes room under the bound with free packets of other classes. Lock held. */
static bool make_room(struct gvm_pkt_pool *pool, size_t need)
{
	for (int cls = PKT_CLASSES - 1; cls >= 0; cls--)
		while (pool->bytes + need > pool->max_bytes && pool->free.head[cls])
			release(pool, cls);
	return pool->bytes + need <= pool->max_bytes;
}

static struct pkt_header *get_locked(struct gvm_pkt_pool *pool, int cls)
{
	struct pkt_header *h = pop(&pool->free, cls);

	if (h || !make_room(pool, class_size(cls)))
		return h;
	h = malloc(class_size(cls));
	if (!h)
		return NULL;
	pool->bytes += class_size(cls);
	h->cls = cls;
	h->mark = PKT_FREE;
	POISON(h + 1, class_size(cls) - sizeof(*h));
	return h;
}

struct gvm_pkt_pool *gvm_pkt_pool_create(size_t max_bytes)
{
	struct gvm_pkt_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	gvm_lock_init(&pool->lock);
	pool->max_bytes = max_bytes;
	return pool;
}

void gvm_pkt_pool_destroy(struct gvm_pkt_pool *pool)
{
	if (!pool)
		return;
	for (int cls = 0; cls < PKT_CLASSES; cls++)
		while (pool->free.head[cls])
			release(pool, cls);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

void *gvm_pkt_alloc(struct gvm_pkt_pool *pool, size_t size)
{
	struct pkt_header *h;
	int cls = class_of(size);

	if (cls < 0)
		return NULL;
	gvm_lock(&pool->lock);
	h = get_locked(pool, cls);
	gvm_unlock(&pool->lock);
	return h ? hand_out(h) : NULL;
}

void gvm_pkt_free(struct gvm_pkt_pool *pool, void *pkt)
{
	struct pkt_header *h;

	if (!pkt)
		return;
	h = take_back(pkt);
	gvm_lock(&pool->lock);
	push(&pool->free, h);
	gvm_unlock(&pool->lock);
}

void *gvm_net_pkt_alloc(struct gvm_net *net, size_t size)
{
	int cls = class_of(size);
	struct gvm_pkt_pool *pool = net->pool;
	struct pkt_header *h;

	if (cls < 0 || !pool)
		return NULL;
	h = pop(&net->cache, cls);
	if (h)
		return hand_out(h);
	gvm_lock(&pool->lock);
	h = get_locked(pool, cls);
	while (pool->free.head[cls] && net->cache.count[cls] < CACHE_MAX / 2)
		push(&net->cache, pop(&pool->free, cls));
	gvm_unlock(&pool->lock);
	return h ? hand_out(h) : NULL;
}

void gvm_net_pkt_free(struct gvm_net *net, void *pkt)
{
	struct pkt_header *h;

	if (!pkt)
		return;
	h = take_back(pkt);
	push(&net->cache, h);
	if (net->cache.count[h->cls] <= CACHE_MAX)
		return;
	gvm_lock(&net->pool->lock);
	while (net->cache.count[h->cls] > CACHE_MAX / 2)
		push(&net->pool->free, pop(&net->cache, h->cls));
	gvm_unlock(&net->pool->lock);
}

void gvm_pkt_cache_drain(struct gvm_pkt_pool *pool, struct pkt_cache *cache)
{
	if (!pool)
		return;
	gvm_lock(&pool->lock);
	for (int cls = 0; cls < PKT_CLASSES; cls++)
		while (cache->head[cls])
			push(&pool->free, pop(cache, cls));
	gvm_unlock(&pool->lock);
}
