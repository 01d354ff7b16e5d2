/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages that nobody can supply at the moment. They are asked for again until
 * they come; what is lost for good is told apart. The agent reports from under
 * its locks, the main thread does the rest.
 */
#ifndef GIANTVM_STALLS_H
#define GIANTVM_STALLS_H

#include "../common_include/giantvm_protocol.h"

struct gvm_stalls;

struct gvm_stall {
	u64 page;
	u32 node;
	int status;
};

/* wake is called, from any thread, when there is something to do. NULL: no memory. */
struct gvm_stalls *gvm_stalls_create(void (*wake)(void *ctx), void *ctx);
void gvm_stalls_destroy(struct gvm_stalls *s);

/* Reports: a page cannot be had; it has come (or gone) after all. */
void gvm_stalls_add(struct gvm_stalls *s, u64 page, u32 node, int status);
void gvm_stalls_resolve(struct gvm_stalls *s, u64 page);

/* A state of this kind passes by itself soon, and is no news for the guest. */
bool gvm_stall_is_transient(int status);
/* The bytes are gone: asking again is of no use. */
bool gvm_stall_is_loss(int status);

/*
 * What is new since the last call, one after the other; false: nothing more. Of the pages
 * of one node, the first.
 */
bool gvm_stalls_news(struct gvm_stalls *s, struct gvm_stall *out);
/* True once after the last stalled page that was news has come. */
bool gvm_stalls_cleared(struct gvm_stalls *s);
/* Pages to ask for again, at most max of them from *cursor on; 0 at the end. */
unsigned int gvm_stalls_retry(struct gvm_stalls *s, unsigned int *cursor, u64 *pages,
			      unsigned int max);
/* How long to wait before that, in milliseconds; -1: nothing is stalled. */
int gvm_stalls_period_ms(struct gvm_stalls *s);
unsigned int gvm_stalls_count(struct gvm_stalls *s);
/* The VM has gone. */
void gvm_stalls_clear(struct gvm_stalls *s);

#endif
