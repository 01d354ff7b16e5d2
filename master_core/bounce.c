// SPDX-License-Identifier: GPL-2.0-or-later
#include "bounce.h"

#include <stdlib.h>
#include <sys/mman.h>

#define ARENA_SIZE ((size_t)GVM_BOUNCE_SLOTS << GVM_PAGE_SHIFT)

int gvm_bounces_init(struct gvm_bounces *b)
{
	void *arena = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	b->arena = arena == MAP_FAILED ? NULL : arena;
	b->owner = calloc(GVM_BOUNCE_SLOTS, sizeof(*b->owner));
	return b->arena && b->owner ? 0 : -ENOMEM;
}

void gvm_bounces_destroy(struct gvm_bounces *b)
{
	if (b->arena)
		munmap(b->arena, ARENA_SIZE);
	free(b->owner);
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

u8 *gvm_bounce_get(struct gvm_bounces *b, u64 page)
{
	unsigned int slot = slot_of(page);
	u64 owner = 0;

	if (!__atomic_compare_exchange_n(&b->owner[slot], &owner, page + 1, false, __ATOMIC_ACQUIRE,
					 __ATOMIC_RELAXED) &&
	    owner != page + 1)
		return NULL;
	return buffer(b, slot);
}

u8 *gvm_bounce_find(struct gvm_bounces *b, u64 page)
{
	unsigned int slot = slot_of(page);

	return __atomic_load_n(&b->owner[slot], __ATOMIC_ACQUIRE) == page + 1 ? buffer(b, slot)
									      : NULL;
}

void gvm_bounce_put(struct gvm_bounces *b, u64 page)
{
	u64 owner = page + 1;

	__atomic_compare_exchange_n(&b->owner[slot_of(page)], &owner, 0, false, __ATOMIC_RELEASE,
				    __ATOMIC_RELAXED);
}
