/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where pages are put together before they become visible by being copied in.
 * A page's place follows from its number, neighbours lie next to each other, so
 * that a run of them is one copy.
 */
#ifndef GIANTVM_BOUNCE_H
#define GIANTVM_BOUNCE_H

#include "../common_include/giantvm_config.h"
#include "../common_include/platform_defs.h"

#define GVM_BOUNCE_RUN	 64  /* pages that lie together, if aligned to it */
#define GVM_BOUNCE_SLOTS 256 /* 1 MiB stays in a processor's cache */

struct gvm_bounce_spill; /* a page whose place was taken */

struct gvm_bounces {
	u8 *arena;
	u64 *owner; /* page + 1 of each slot, 0: free */
	pthread_mutex_t lock;
	struct gvm_bounce_spill *spilt;
	u32 nspilt; /* atomic */
};

/* 0 or -ENOMEM. */
int gvm_bounces_init(struct gvm_bounces *b);
void gvm_bounces_destroy(struct gvm_bounces *b);
/*
 * The buffer of a page, its own from now on. NULL when another page has that
 * place and must_have is not set, or without memory.
 */
u8 *gvm_bounce_get(struct gvm_bounces *b, u64 page, bool must_have);
/* The buffer of a page that has one, else NULL. */
u8 *gvm_bounce_find(struct gvm_bounces *b, u64 page);
/* Gives the page's buffer up, if it has one. */
void gvm_bounce_put(struct gvm_bounces *b, u64 page);

#endif
