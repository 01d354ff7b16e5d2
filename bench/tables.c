// SPDX-License-Identifier: GPL-2.0-or-later
#include "tables.h"

#include <malloc.h>
#include <stdlib.h>
#include <time.h>

#define MALLOC_HEAD sizeof(size_t)

/* The size asked for stands in the block's last bytes, where it moves no alignment. */
static void *counted_alloc(void *ctx, size_t size)
{
	struct counted *c = ctx;
	size_t *p = calloc(1, size + sizeof(size));
	size_t room;

	if (!p)
		return NULL;
	room = malloc_usable_size(p);
	memcpy((u8 *)p + room - sizeof(size), &size, sizeof(size));
	c->asked += size;
	c->taken += room - sizeof(size) + MALLOC_HEAD;
	c->blocks++;
	return p;
}

static void counted_free(void *ctx, void *ptr)
{
	struct counted *c = ctx;
	size_t room = malloc_usable_size(ptr), size;

	memcpy(&size, (u8 *)ptr + room - sizeof(size), sizeof(size));
	c->asked -= size;
	c->taken -= room - sizeof(size) + MALLOC_HEAD;
	c->blocks--;
	free(ptr);
}

const struct dsm_driver_ops counted_ops = {.alloc_large_table = counted_alloc,
					   .free_large_table = counted_free};

u64 cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (u64)t.tv_sec * 1000000000 + (u64)t.tv_nsec;
}

u64 chance(u64 x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}
