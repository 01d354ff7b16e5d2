/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rpc.h"
#include "peer.h"

#define SLOTS	    (1U << GVM_REQ_SLOTS_SHIFT)
#define GENERATIONS ((1U << (32 - GVM_REQ_SLOTS_SHIFT)) - 1)
#define TICK_SHIFT  8 /* a wheel bucket is 256 us */
#define BUCKETS	    512
#define TICK_BATCH  64

struct gvm_rpc {
	gvm_lock_t lock;
	struct gvm_req *reqs, *free_head, *free_tail;
	u32 used;
	struct gvm_req *wheel[BUCKETS];
	u64 bitmap[BUCKETS / 64];
	u64 now_tick;
	u64 armed;
};

int gvm_rpc_create(struct gvm_node *n)
{
	struct gvm_rpc *r = gvm_table_alloc(n, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->reqs = gvm_table_alloc(n, sizeof(*r->reqs) * SLOTS);
	if (!r->reqs) {
		gvm_table_free(n, r);
		return -ENOMEM;
	}
	gvm_lock_init(&r->lock);
	/* The ring: the slot freed longest ago is given out next. */
	for (u32 i = 0; i < SLOTS; i++)
		r->reqs[i].next = i + 1 < SLOTS ? &r->reqs[i + 1] : NULL;
	r->free_head = r->reqs;
	r->free_tail = &r->reqs[SLOTS - 1];
	r->now_tick = n->ops->get_time_us(n->ctx) >> TICK_SHIFT;
	r->armed = (u64)-1;
	n->rpc = r;
	return 0;
}

void gvm_rpc_destroy(struct gvm_node *n)
{
	struct gvm_rpc *r = n->rpc;

	if (!r)
		return;
	gvm_table_free(n, r->reqs);
	gvm_table_free(n, r);
	n->rpc = NULL;
}

/* The wheel. Deadlines are at most GVM_RTO_MAX_US ahead, less than a turn. */
static void wheel_add(struct gvm_node *n, struct gvm_req *q, u64 deadline)
{
	struct gvm_rpc *r = n->rpc;
	u64 tick = deadline >> TICK_SHIFT;
	u32 b;

	if (tick <= r->now_tick)
		tick = r->now_tick + 1;
	b = tick % BUCKETS;
	q->deadline = tick << TICK_SHIFT;
	q->prev = NULL;
	q->next = r->wheel[b];
	if (q->next)
		q->next->prev = q;
	r->wheel[b] = q;
	r->bitmap[b / 64] |= 1ULL << (b % 64);
	if (q->deadline < r->armed) {
		r->armed = q->deadline;
		n->ops->arm_timer(n->ctx, q->deadline);
	}
}

static void wheel_del(struct gvm_rpc *r, struct gvm_req *q)
{
	u32 b = (q->deadline >> TICK_SHIFT) % BUCKETS;

	if (q->next)
		q->next->prev = q->prev;
	if (q->prev)
		q->prev->next = q->next;
	else
		r->wheel[b] = q->next;
	if (!r->wheel[b])
		r->bitmap[b / 64] &= ~(1ULL << (b % 64));
	q->next = q->prev = NULL;
}

static u64 wheel_next(const struct gvm_rpc *r)
{
	u32 start = (r->now_tick + 1) % BUCKETS;

	for (u32 i = 0; i < BUCKETS;) {
		u32 b = (start + i) % BUCKETS;
		u64 word = r->bitmap[b / 64] >> (b % 64);

		if (word) {
			u32 skip = __builtin_ctzll(word);

			if (i + skip < BUCKETS)
				return (r->now_tick + 1 + i + skip) << TICK_SHIFT;
			break;
		}
		i += 64 - b % 64;
	}
	return (u64)-1;
}

/* Packets. */
static void header_fill(struct gvm_node *n, struct gvm_header *h, u32 target, u16 type, u64 req_id,
			u32 vm_id, u32 epoch, u8 flags)
{
	memset(h, 0, sizeof(*h));
	h->magic = GVM_MAGIC;
	h->version = GVM_VERSION;
	h->msg_type = type;
	h->slave_id = target;
	h->src_id = n->cfg.id;
	h->req_id = req_id;
	h->vm_id = vm_id;
	h->epoch = epoch;
	h->flags = flags;
}

static void packet_out(struct gvm_node *n, void *pkt, size_t len, size_t seg, u32 target)
{
	gvm_stat_inc(n, tx_messages);
	if (n->ops->send_packet(n->ctx, pkt, len, seg, target))
		gvm_stat_inc(n, tx_errors);
}

void gvm_send(struct gvm_node *n, u32 target, u16 type, u64 req_id, u32 vm_id, u32 epoch, u8 flags,
	      const u8 *body, size_t body_len, const u8 *data)
{
	size_t data_len = data ? GVM_PAGE_SIZE : 0, len, seg;
	struct gvm_header h;
	u8 *pkt = n->ops->alloc_packet(n->ctx, gvm_wire_size(body_len + data_len), true);

	if (!pkt) {
		gvm_stat_inc(n, tx_errors);
		return;
	}
	header_fill(n, &h, target, type, req_id, vm_id, epoch, flags);
	len = gvm_wire_build(pkt, &h, body, body_len, data, data_len, &seg);
	packet_out(n, pkt, len, seg, target);
}

/* The fragments in need only: each goes out as a packet of its own. */
static void send_parts(struct gvm_node *n, const struct gvm_req *q, u8 need)
{
	size_t len, seg;
	struct gvm_header h;
	u8 *whole = n->ops->alloc_packet(n->ctx, gvm_wire_size(GVM_MSG_MAX), true);

	if (!whole)
		return;
	header_fill(n, &h, q->target, q->type, q->wire_id, q->vm_id, q->epoch, 0);
	len = gvm_wire_build(whole, &h, q->body, q->body_len, q->data, GVM_PAGE_SIZE, &seg);
	for (u32 i = 0; i * seg < len; i++) {
		size_t part = min_t(size_t, seg, len - i * seg);
		u8 *pkt;

		if (!(need & (1U << i)))
			continue;
		pkt = n->ops->alloc_packet(n->ctx, part, true);
		if (!pkt)
			break;
		memcpy(pkt, whole + i * seg, part);
		packet_out(n, pkt, part, part, q->target);
	}
	n->ops->free_packet(n->ctx, whole);
}

/* A repeated MEM_READ says which fragments of the answer it has. */
static void req_send(struct gvm_node *n, struct gvm_req *q)
{
	u8 body[GVM_VM_BODY];

	memcpy(body, q->body, q->body_len);
	if (q->type == MSG_MEM_READ && q->got)
		body[GVM_PAGE_MODE_AT] |= q->got << 4;
	gvm_send(n, q->target, q->type, q->wire_id, q->vm_id, q->epoch, 0, body, q->body_len,
		 q->data);
}

static void req_first_send(struct gvm_node *n, struct gvm_req *q, struct gvm_peer *p)
{
	u64 now = n->ops->get_time_us(n->ctx);

	q->state = GVM_REQ_SENT;
	q->first_sent = now;
	req_send(n, q);
	wheel_add(n, q, now + gvm_peer_rto(p, 0));
}

static void window_open(struct gvm_node *n, struct gvm_peer *p)
{
	while (p->head && p->inflight < p->window) {
		struct gvm_req *q = p->head;

		p->head = q->next;
		if (!p->head)
			p->tail = &p->head;
		q->next = NULL;
		p->inflight++;
		req_first_send(n, q, p);
	}
}

static void window_leave(struct gvm_peer *p, struct gvm_req *q)
{
	struct gvm_req **at = &p->head;

	while (*at && *at != q)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = q->next;
	if (!q->next)
		p->tail = at;
}

/* Takes a request off the wheel or its peer's queue. */
static void req_detach(struct gvm_node *n, struct gvm_req *q)
{
	struct gvm_peer *p = q->windowed ? gvm_peer_get(n, q->target) : NULL;

	if (q->state == GVM_REQ_QUEUED) {
		window_leave(p, q);
	} else if (q->state == GVM_REQ_SENT) {
		wheel_del(n->rpc, q);
		if (p) {
			p->inflight--;
			window_open(n, p);
		}
	}
	q->state = GVM_REQ_DONE;
}

static void req_free(struct gvm_rpc *r, struct gvm_req *q)
{
	q->state = GVM_REQ_FREE;
	q->id = 0;
	q->next = NULL;
	if (r->free_tail)
		r->free_tail->next = q;
	else
		r->free_head = q;
	r->free_tail = q;
	r->used--;
}

static struct gvm_req *req_alloc(struct gvm_rpc *r, bool background)
{
	struct gvm_req *q = r->free_head;

	if (!q || (background && r->used > SLOTS * 3 / 4))
		return NULL;
	r->free_head = q->next;
	if (!r->free_head)
		r->free_tail = NULL;
	r->used++;
	q->generation = q->generation % GENERATIONS + 1;
	q->id = (u64)q->generation << GVM_REQ_SLOTS_SHIFT | (u64)(q - r->reqs);
	q->next = q->prev = NULL;
	q->rx_page = NULL;
	q->got = q->tries = 0;
	q->reply_len = 0;
	return q;
}

static void req_setup(struct gvm_req *q, const struct gvm_req_params *p)
{
	q->target = p->target;
	q->vm_id = p->vm_id;
	q->epoch = p->epoch;
	q->type = p->type;
	q->body_len = p->body_len;
	memcpy(q->body, p->body, p->body_len);
	if (p->put_handle)
		gvm_put_le32(q->body + 16, (u32)q->id);
	q->data = p->data;
	q->page = p->page;
	q->wire_id = p->wire_id ? p->wire_id : q->id;
	q->windowed = p->windowed;
	q->want_page = p->want_page;
	q->done = p->done;
	q->arg = p->arg;
}

u64 gvm_req_start(struct gvm_node *n, const struct gvm_req_params *p)
{
	struct gvm_rpc *r = n->rpc;
	struct gvm_peer *peer;
	struct gvm_req *q;
	u64 id = 0;

	gvm_lock(&r->lock);
	peer = gvm_peer_get(n, p->target);
	q = peer ? req_alloc(r, p->background) : NULL;
	if (!q) {
		gvm_stat_inc(n, req_ring_full);
		goto out;
	}
	req_setup(q, p);
	id = q->id;
	if (!q->windowed) {
		req_first_send(n, q, peer);
	} else if (p->urgent && peer->inflight < 2 * peer->window) {
		peer->inflight++;
		req_first_send(n, q, peer);
	} else {
		q->state = GVM_REQ_QUEUED;
		*peer->tail = q;
		peer->tail = &q->next;
		window_open(n, peer);
	}
out:
	gvm_unlock(&r->lock);
	return id;
}

/* The request with this id that still waits, or NULL. */
static struct gvm_req *req_find(struct gvm_rpc *r, u64 id)
{
	struct gvm_req *q = &r->reqs[id & (SLOTS - 1)];

	if (!id || q->id != id || (q->state != GVM_REQ_SENT && q->state != GVM_REQ_QUEUED))
		return NULL;
	return q;
}

void gvm_req_cancel(struct gvm_node *n, u64 id)
{
	struct gvm_rpc *r = n->rpc;
	struct gvm_req *q;

	gvm_lock(&r->lock);
	q = req_find(r, id);
	if (q) {
		req_detach(n, q);
		req_free(r, q);
	}
	gvm_unlock(&r->lock);
}

void gvm_req_resend(struct gvm_node *n, u64 id, u8 need)
{
	struct gvm_rpc *r = n->rpc;
	struct gvm_req *q;

	gvm_lock(&r->lock);
	q = req_find(r, id);
	if (q) {
		gvm_stat_inc(n, retransmits);
		if (q->data && need && need != 7)
			send_parts(n, q, need);
		else
			req_send(n, q);
	}
	gvm_unlock(&r->lock);
}

void gvm_req_want_page(struct gvm_node *n, u64 id)
{
	struct gvm_req *q;

	gvm_lock(&n->rpc->lock);
	q = req_find(n->rpc, id);
	if (q)
		q->want_page = 1;
	gvm_unlock(&n->rpc->lock);
}

bool gvm_req_partial(struct gvm_node *n, u64 id)
{
	struct gvm_req *q;
	bool partial;

	gvm_lock(&n->rpc->lock);
	q = req_find(n->rpc, id);
	partial = q && q->got;
	gvm_unlock(&n->rpc->lock);
	return partial;
}

/* Copies a fragment to where it belongs. -EINVAL when it does not fit the request. */
static int answer_store(struct gvm_node *n, struct gvm_req *q, const struct gvm_header *h,
			const u8 *part)
{
	u32 off = gvm_frag_offset(h), len = gvm_frag_length(h);
	u32 head = off < GVM_PAGE_BODY ? min_t(u32, GVM_PAGE_BODY - off, len) : 0;

	if (h->length <= sizeof(q->reply)) {
		memcpy(q->reply + off, part, len);
		q->reply_len = h->length;
		return 0;
	}
	if (h->length != GVM_MSG_MAX || q->type != MSG_MEM_READ)
		return -EINVAL;
	if (head)
		memcpy(q->reply + off, part, head);
	q->reply_len = GVM_PAGE_BODY;
	if (!q->want_page)
		return 0;
	if (!q->rx_page)
		q->rx_page = n->ops->page_buffer(n->ctx, q->page, GVM_PROT_WRITE);
	if (!q->rx_page)
		return -ENOMEM;
	memcpy(q->rx_page + off + head - GVM_PAGE_BODY, part + head, len - head);
	return 0;
}

/* "In progress": the home has it and works on it. The count of tries starts again. */
static bool answer_is_progress(const struct gvm_req *q, const struct gvm_header *h, const u8 *part)
{
	struct gvm_page_body b;

	return h->msg_type == MSG_MEM_ACK && h->length == GVM_PAGE_BODY &&
	       !gvm_page_body_decode(&b, part, GVM_PAGE_BODY) && b.status == -EINPROGRESS &&
	       b.page == q->page;
}

static bool answer_matches(const struct gvm_req *q, const struct gvm_header *h)
{
	if (q->target != h->src_id || q->vm_id != h->vm_id || q->wire_id != q->id)
		return false;
	switch (q->type) {
	case MSG_MEM_READ:
	case MSG_MEM_WRITE:
	case MSG_INV_ACK:
		return h->msg_type == MSG_MEM_ACK;
	case MSG_VM_OPEN:
	case MSG_VM_CLOSE:
	case MSG_VM_STAT:
		return h->msg_type == MSG_VM_ACK;
	case MSG_PING:
		return h->msg_type == MSG_PING && (h->flags & GVM_FLAG_RESP);
	default:
		return false;
	}
}

/* With the lock held. The request when this fragment completes its answer. */
static struct gvm_req *answer_take(struct gvm_node *n, struct gvm_req *q,
				   const struct gvm_header *h, const u8 *part)
{
	u8 all = (1U << h->frag_count) - 1, bit = 1U << h->frag_seq;
	struct gvm_peer *p;

	if (answer_is_progress(q, h, part)) {
		q->tries = min_t(u8, q->tries, 5);
		return NULL;
	}
	if ((h->frag_count > 1 && (q->got & bit)) || answer_store(n, q, h, part))
		return NULL;
	q->got |= bit;
	if ((q->got & all) != all)
		return NULL;
	p = gvm_peer_get(n, q->target);
	if (p && !q->tries) {
		u64 us = n->ops->get_time_us(n->ctx) - q->first_sent;

		gvm_peer_sample(p, us);
	}
	if (p && q->first_sent > p->answered)
		__atomic_store_n(&p->answered, q->first_sent, __ATOMIC_RELAXED);
	req_detach(n, q);
	return q;
}

static void req_finish(struct gvm_node *n, struct gvm_req *q, int status)
{
	q->done(n, q, status);
	gvm_lock(&n->rpc->lock);
	req_free(n->rpc, q);
	gvm_unlock(&n->rpc->lock);
}

bool gvm_rpc_answer(struct gvm_node *n, const struct gvm_header *h, const u8 *part)
{
	struct gvm_rpc *r = n->rpc;
	struct gvm_req *q, *whole = NULL;
	bool known;

	gvm_lock(&r->lock);
	q = req_find(r, h->req_id);
	known = q && q->state == GVM_REQ_SENT && answer_matches(q, h);
	if (known)
		whole = answer_take(n, q, h, part);
	gvm_unlock(&r->lock);
	if (whole)
		req_finish(n, whole, 0);
	return known;
}

bool gvm_rpc_take(struct gvm_node *n, u32 handle, const struct gvm_header *h, u64 page, u16 type)
{
	struct gvm_rpc *r = n->rpc;
	struct gvm_req *q = &r->reqs[handle & (SLOTS - 1)];
	bool match;

	gvm_lock(&r->lock);
	match = q->state == GVM_REQ_SENT && (u32)q->id == handle && q->target == h->src_id &&
		q->vm_id == h->vm_id && q->page == page && q->type == type;
	if (match) {
		req_detach(n, q);
		req_free(r, q);
	}
	gvm_unlock(&r->lock);
	return match;
}

/* With the lock held: sends again what is due, or returns it when it has failed. */
static struct gvm_req *tick_one(struct gvm_node *n, struct gvm_req *q, u64 now)
{
	struct gvm_peer *p = gvm_peer_get(n, q->target);

	wheel_del(n->rpc, q);
	if (++q->tries >= GVM_RPC_TRIES) {
		if (q->windowed && p) {
			p->inflight--;
			window_open(n, p);
		}
		q->state = GVM_REQ_DONE;
		return q;
	}
	if (q->tries == 1 && p && q->windowed)
		gvm_peer_lost(p, q->first_sent, now);
	gvm_stat_inc(n, retransmits);
	req_send(n, q);
	wheel_add(n, q, now + gvm_peer_rto(p, q->tries));
	return NULL;
}

static u32 tick_collect(struct gvm_node *n, u64 now, struct gvm_req **failed)
{
	struct gvm_rpc *r = n->rpc;
	u64 tick = now >> TICK_SHIFT;
	u32 count = 0;

	while (r->now_tick < tick) {
		struct gvm_req *q, *next;
		u64 due = wheel_next(r) >> TICK_SHIFT;

		if (due > tick) {
			r->now_tick = tick;
			break;
		}
		r->now_tick = due;
		for (q = r->wheel[due % BUCKETS]; q; q = next) {
			struct gvm_req *f;

			next = q->next;
			/* A turn of the wheel ahead: a clock that jumped. */
			if (q->deadline >> TICK_SHIFT != due)
				continue;
			f = tick_one(n, q, now);
			if (f)
				failed[count++] = f;
			if (count == TICK_BATCH) {
				r->now_tick = due - 1;
				return count;
			}
		}
	}
	return count;
}

u64 gvm_rpc_tick(struct gvm_node *n, u64 now)
{
	struct gvm_rpc *r = n->rpc;
	struct gvm_req *failed[TICK_BATCH];
	u32 count;
	u64 next;

	do {
		gvm_lock(&r->lock);
		count = tick_collect(n, now, failed);
		next = wheel_next(r);
		r->armed = next;
		gvm_unlock(&r->lock);
		for (u32 i = 0; i < count; i++) {
			gvm_stat_inc(n, rpc_failures);
			req_finish(n, failed[i], -EIO);
		}
	} while (count == TICK_BATCH);
	return next;
}
