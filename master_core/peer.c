/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "peer.h"

#define CHUNK 1024

struct gvm_peers {
	struct gvm_peer **chunks[GVM_MAX_NODES / CHUNK + 1];
};

int gvm_peers_create(struct gvm_node *n)
{
	n->peers = gvm_table_alloc(n, sizeof(*n->peers));
	return n->peers ? 0 : -ENOMEM;
}

static void free_chunk(struct gvm_node *n, struct gvm_peer **chunk)
{
	for (u32 i = 0; i < CHUNK; i++)
		gvm_table_free(n, chunk[i]);
	gvm_table_free(n, chunk);
}

void gvm_peers_destroy(struct gvm_node *n)
{
	if (!n->peers)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(n->peers->chunks); i++)
		if (n->peers->chunks[i])
			free_chunk(n, n->peers->chunks[i]);
	gvm_table_free(n, n->peers);
	n->peers = NULL;
}

struct gvm_peer *gvm_peer_get(struct gvm_node *n, u32 id)
{
	struct gvm_peer ***chunk, *p;

	if (id > GVM_MAX_NODES)
		return NULL;
	chunk = &n->peers->chunks[id / CHUNK];
	if (!*chunk) {
		struct gvm_peer **fresh = gvm_table_alloc(n, CHUNK * sizeof(*fresh));

		if (!fresh)
			return NULL;
		__atomic_store_n(chunk, fresh, __ATOMIC_RELEASE);
	}
	p = (*chunk)[id % CHUNK];
	if (!p) {
		p = gvm_table_alloc(n, sizeof(*p));
		if (!p)
			return NULL;
		p->window = GVM_WINDOW_START;
		p->tail = &p->head;
		__atomic_store_n(&(*chunk)[id % CHUNK], p, __ATOMIC_RELEASE);
	}
	return p;
}

/* Without the lock, for every message. */
static struct gvm_peer *peer_find(struct gvm_node *n, u32 id)
{
	struct gvm_peer **chunk = NULL;

	if (id <= GVM_MAX_NODES)
		chunk = __atomic_load_n(&n->peers->chunks[id / CHUNK], __ATOMIC_ACQUIRE);
	return chunk ? __atomic_load_n(&chunk[id % CHUNK], __ATOMIC_ACQUIRE) : NULL;
}

void gvm_peer_heard_now(struct gvm_node *n, u32 id)
{
	struct gvm_peer *p = peer_find(n, id);

	if (p)
		__atomic_store_n(&p->heard, n->ops->get_time_us(n->ctx), __ATOMIC_RELAXED);
}

u64 gvm_peer_heard(struct gvm_node *n, u32 id)
{
	struct gvm_peer *p = peer_find(n, id);

	return p ? __atomic_load_n(&p->heard, __ATOMIC_RELAXED) : 0;
}

u64 gvm_peer_answered(struct gvm_node *n, u32 id)
{
	struct gvm_peer *p = peer_find(n, id);

	return p ? __atomic_load_n(&p->answered, __ATOMIC_RELAXED) : 0;
}

u64 gvm_peer_rto(const struct gvm_peer *p, u32 tries)
{
	u64 t = GVM_RTO_FIRST_US;

	if (p && p->srtt)
		t = min_t(u64, max_t(u64, p->srtt + 4 * p->rttvar, GVM_RTO_MIN_US),
			  GVM_RTO_FIRST_US);
	return min_t(u64, t << min_t(u32, tries, 16), GVM_RTO_MAX_US);
}

/*
 * An answer that took long stood in a queue: fewer under way make it no slower,
 * and keep the round trip below the first retransmission.
 */
static void window_adapt(struct gvm_peer *p, u64 rtt_us)
{
	if (rtt_us > GVM_WINDOW_DELAY_US) {
		p->window = max_t(u32, p->window - 1, GVM_WINDOW_MIN);
		p->credit = 0;
		return;
	}
	if (++p->credit < p->window)
		return;
	p->credit = 0;
	p->window = min_t(u32, p->window + 1, GVM_WINDOW_MAX);
}

/* Once for all that was under way when the loss happened. */
void gvm_peer_lost(struct gvm_peer *p, u64 first_sent, u64 now)
{
	if (first_sent < p->last_cut)
		return;
	p->window = max_t(u32, p->window / 2, GVM_WINDOW_MIN);
	p->credit = 0;
	p->last_cut = now;
}

/* Jacobson's estimate; only answers to first transmissions count (Karn). */
static void rtt_sample(struct gvm_peer *p, u32 us)
{
	s32 err = (s32)us - (s32)p->srtt;

	if (!p->srtt) {
		p->srtt = max_t(u32, us, 1);
		p->rttvar = us / 2;
		return;
	}
	p->srtt = max_t(s32, (s32)p->srtt + err / 8, 1);
	p->rttvar = (s32)p->rttvar + ((err < 0 ? -err : err) - (s32)p->rttvar) / 4;
}

void gvm_peer_sample(struct gvm_peer *p, u64 us)
{
	rtt_sample(p, (u32)min_t(u64, us, 1000000));
	window_adapt(p, us);
}
