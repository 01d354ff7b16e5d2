// SPDX-License-Identifier: GPL-2.0-or-later
#include "bounce.h"

#include <stdlib.h>
#include <sys/mman.h>

#define ARENA_SIZE ((size_t)GVM_BOUNCE_SLOTS << GVM_PAGE_SHIFT)

struct gvm_bounce_spill {
	struct gvm_bounce_spill *next;
	u64 page;
	u8 bytes[GVM_PAGE_SIZE];
};

int gvm_bounces_init(struct gvm_bounces *b)
{
	void *arena = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	pthread_mutex_init(&b->lock, NULL);
	b->arena = arena == MAP_FAILED ? NULL : arena;
	b->owner = calloc(GVM_BOUNCE_SLOTS, sizeof(*b->owner));
	return b->arena && b->owner ? 0 : -ENOMEM;
}

void gvm_bounces_destroy(struct gvm_bounces *b)
{
	while (b->spilt) {
		struct gvm_bounce_spill *next = b->spilt->next;

		free(b->spilt);
		b->spilt = next;
	}
	if (b->arena)
		munmap(b->arena, ARENA_SIZE);
	free(b->owner);
	pthread_mutex_destroy(&b->lock);
}

/* Blocks of neighbours are spread, so that no stride meets itself. */
static unsigned int slot_of(u64 page)
{
	u64 block = page / GVM_BOUNCE_RUN * 0x9e3779b97f4a7c15ULL >> 32;

	return (unsigned int)(block * GVM_BOUNCE_RUN + page % GVM_BOUNCE_RUN) % GVM_BOUNCE_SLOTS;
}

static u8 *buffer(const struct gvm_bounces *b, unsigned int slot)
{
	return b->arena + ((size_t)slot << GVM_PAGE_SHIFT);
}

/* With the lock held. Where the pointer to the page's spill is, or to the end of the list. */
static struct gvm_bounce_spill **find_spill(struct gvm_bounces *b, u64 page)
{
	struct gvm_bounce_spill **at = &b->spilt;

	while (*at && (*at)->page != page)
		at = &(*at)->next;
	return at;
}

static u8 *spill(struct gvm_bounces *b, u64 page, bool make)
{
	struct gvm_bounce_spill **at, *s;

	if (!make && !__atomic_load_n(&b->nspilt, __ATOMIC_ACQUIRE))
		return NULL;
	pthread_mutex_lock(&b->lock);
	at = find_spill(b, page);
	s = *at;
	if (!s && make) {
		s = malloc(sizeof(*s));
		if (s) {
			s->next = NULL;
			s->page = page;
			*at = s;
			__atomic_fetch_add(&b->nspilt, 1, __ATOMIC_RELEASE);
		}
	}
	pthread_mutex_unlock(&b->lock);
	return s ? s->bytes : NULL;
}

static void unspill(struct gvm_bounces *b, u64 page)
{
	struct gvm_bounce_spill **at, *s;

	pthread_mutex_lock(&b->lock);
	at = find_spill(b, page);
	s = *at;
	if (s) {
		*at = s->next;
		__atomic_fetch_sub(&b->nspilt, 1, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&b->lock);
	free(s);
}

u8 *gvm_bounce_get(struct gvm_bounces *b, u64 page, bool must_have)
{
	unsigned int slot = slot_of(page);
	u64 owner = 0;
	u8 *spilt = spill(b, page, false);

	if (spilt)
		return spilt;
	if (__atomic_compare_exchange_n(&b->owner[slot], &owner, page + 1, false, __ATOMIC_ACQUIRE,
					__ATOMIC_RELAXED) ||
	    owner == page + 1)
		return buffer(b, slot);
	return must_have ? spill(b, page, true) : NULL;
}

u8 *gvm_bounce_find(struct gvm_bounces *b, u64 page)
{
	unsigned int slot = slot_of(page);

	if (__atomic_load_n(&b->owner[slot], __ATOMIC_ACQUIRE) == page + 1)
		return buffer(b, slot);
	return spill(b, page, false);
}

void gvm_bounce_put(struct gvm_bounces *b, u64 page)
{
	u64 owner = page + 1;

	if (!__atomic_compare_exchange_n(&b->owner[slot_of(page)], &owner, 0, false,
					 __ATOMIC_RELEASE, __ATOMIC_RELAXED) &&
	    __atomic_load_n(&b->nspilt, __ATOMIC_ACQUIRE))
		unspill(b, page);
}
