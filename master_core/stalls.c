// SPDX-License-Identifier: GPL-2.0-or-later
#include "stalls.h"

#include <stdlib.h>

#define STALLED_PERIOD_MS   200
#define TRANSIENT_PERIOD_MS 5

struct record {
	struct gvm_stall stall;
	bool told;
};

struct gvm_stalls {
	pthread_mutex_t lock;
	void (*wake)(void *ctx);
	void *ctx;
	struct record *records;
	unsigned int count; /* atomic: read without the lock */
	unsigned int room;
	unsigned int told; /* of those, how many were news and are no loss */
	bool was_told;
	bool lost; /* something is: nothing clears that */
};

struct gvm_stalls *gvm_stalls_create(void (*wake)(void *ctx), void *ctx)
{
	struct gvm_stalls *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	s->wake = wake;
	s->ctx = ctx;
	return s;
}

void gvm_stalls_destroy(struct gvm_stalls *s)
{
	if (!s)
		return;
	pthread_mutex_destroy(&s->lock);
	free(s->records);
	free(s);
}

bool gvm_stall_is_transient(int status)
{
	return status == -EAGAIN || status == -ENOMEM || status == GVM_EBUSY;
}

bool gvm_stall_is_loss(int status)
{
	return status == GVM_ELOST || status == GVM_ESTALE;
}

static struct record *find(struct gvm_stalls *s, u64 page)
{
	unsigned int i;

	for (i = 0; i < s->count; i++)
		if (s->records[i].stall.page == page)
			return &s->records[i];
	return NULL;
}

/* With the lock held. NULL without memory: then the guest's access waits unannounced. */
static struct record *append(struct gvm_stalls *s)
{
	unsigned int room = s->room ? 2 * s->room : 16;
	struct record *r;

	if (s->count == s->room) {
		r = realloc(s->records, room * sizeof(*r));
		if (!r)
			return NULL;
		s->records = r;
		s->room = room;
	}
	r = &s->records[s->count];
	memset(r, 0, sizeof(*r));
	__atomic_store_n(&s->count, s->count + 1, __ATOMIC_RELEASE);
	return r;
}

void gvm_stalls_add(struct gvm_stalls *s, u64 page, u32 node, int status)
{
	struct record *r;
	bool news = false;

	pthread_mutex_lock(&s->lock);
	r = find(s, page);
	if (!r)
		r = append(s);
	if (r && (!r->told || gvm_stall_is_loss(status) != gvm_stall_is_loss(r->stall.status))) {
		if (r->told && !gvm_stall_is_loss(r->stall.status))
			s->told--;
		r->stall = (struct gvm_stall){page, node, status};
		r->told = false;
		s->lost |= gvm_stall_is_loss(status);
		news = true;
	}
	pthread_mutex_unlock(&s->lock);
	if (news)
		s->wake(s->ctx);
}

void gvm_stalls_resolve(struct gvm_stalls *s, u64 page)
{
	struct record *r;

	if (!__atomic_load_n(&s->count, __ATOMIC_ACQUIRE))
		return;
	pthread_mutex_lock(&s->lock);
	r = find(s, page);
	if (r) {
		if (r->told && !gvm_stall_is_loss(r->stall.status))
			s->told--;
		*r = s->records[s->count - 1];
		__atomic_store_n(&s->count, s->count - 1, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&s->lock);
	if (r)
		s->wake(s->ctx);
}

/* With the lock held. One page stands for all those of its node that have the same trouble. */
static bool is_known(const struct gvm_stalls *s, const struct record *r)
{
	bool loss = gvm_stall_is_loss(r->stall.status);
	unsigned int i;

	for (i = 0; i < s->count; i++) {
		const struct record *o = &s->records[i];

		if (o != r && o->told && o->stall.node == r->stall.node &&
		    gvm_stall_is_loss(o->stall.status) == loss)
			return true;
	}
	return false;
}

bool gvm_stalls_news(struct gvm_stalls *s, struct gvm_stall *out)
{
	unsigned int i;
	bool found = false;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < s->count && !found; i++) {
		struct record *r = &s->records[i];

		if (r->told || gvm_stall_is_transient(r->stall.status))
			continue;
		found = !is_known(s, r);
		r->told = true;
		*out = r->stall;
		if (!gvm_stall_is_loss(r->stall.status)) {
			s->told++;
			s->was_told = true;
		}
	}
	pthread_mutex_unlock(&s->lock);
	return found;
}

bool gvm_stalls_cleared(struct gvm_stalls *s)
{
	bool cleared;

	pthread_mutex_lock(&s->lock);
	cleared = s->was_told && !s->told && !s->lost;
	if (cleared)
		s->was_told = false;
	pthread_mutex_unlock(&s->lock);
	return cleared;
}

unsigned int gvm_stalls_retry(struct gvm_stalls *s, unsigned int *cursor, u64 *pages,
			      unsigned int max)
{
	unsigned int n = 0;

	pthread_mutex_lock(&s->lock);
	for (; *cursor < s->count && n < max; (*cursor)++)
		if (!gvm_stall_is_loss(s->records[*cursor].stall.status))
			pages[n++] = s->records[*cursor].stall.page;
	pthread_mutex_unlock(&s->lock);
	return n;
}

int gvm_stalls_period_ms(struct gvm_stalls *s)
{
	int period = -1;
	unsigned int i;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < s->count; i++) {
		int status = s->records[i].stall.status;

		if (gvm_stall_is_transient(status))
			period = TRANSIENT_PERIOD_MS;
		else if (!gvm_stall_is_loss(status) && period < 0)
			period = STALLED_PERIOD_MS;
	}
	pthread_mutex_unlock(&s->lock);
	return period;
}

unsigned int gvm_stalls_count(struct gvm_stalls *s)
{
	return __atomic_load_n(&s->count, __ATOMIC_ACQUIRE);
}

void gvm_stalls_clear(struct gvm_stalls *s)
{
	pthread_mutex_lock(&s->lock);
	__atomic_store_n(&s->count, 0, __ATOMIC_RELEASE);
	s->told = 0;
	s->was_told = s->lost = false;
	pthread_mutex_unlock(&s->lock);
}
