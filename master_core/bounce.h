/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Buffers outside the memory object, for pages that the kernel can map
 * read-only only by copying them in (before Linux 6.12).
 */
#ifndef GIANTVM_BOUNCE_H
#define GIANTVM_BOUNCE_H

#include "../common_include/giantvm_config.h"
#include "../common_include/platform_defs.h"

struct gvm_bounce {
	struct gvm_bounce *next;
	u64 page;
	u8 bytes[GVM_PAGE_SIZE];
};

#define GVM_BOUNCE_BUCKETS 512
#define GVM_BOUNCE_SPARE   64

struct gvm_bounces {
	pthread_mutex_t lock;
	u64 count;
	struct gvm_bounce *buckets[GVM_BOUNCE_BUCKETS];
	struct gvm_bounce *spare;
	unsigned int nspare;
};

void gvm_bounces_init(struct gvm_bounces *b);
void gvm_bounces_destroy(struct gvm_bounces *b);
/* The buffer of a page, a new one if it has none; NULL when out of memory. */
u8 *gvm_bounce_get(struct gvm_bounces *b, u64 page);
/* Takes the buffer of page out; NULL when it has none. Give it back with gvm_bounce_put. */
struct gvm_bounce *gvm_bounce_take(struct gvm_bounces *b, u64 page);
void gvm_bounce_put(struct gvm_bounces *b, struct gvm_bounce *e);

#endif
