/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The directory: one transaction a page at a time. A transaction collects what
 * other nodes hold (TXN_COLLECT), grants (TXN_GRANT), and is closed by the
 * requester's acknowledgement; requests that come meanwhile wait in order.
 */
#include "home.h"
#include "peer.h"
#include "rpc.h"

static void txn_run(struct gvm_node *n, struct gvm_home_vm *vm, struct gvm_dir_shard *s,
		    struct gvm_txn *t);

static struct gvm_txn *txn_find(struct gvm_dir_shard *s, u64 page)
{
	struct gvm_txn *t = s->txns;

	while (t && t->page != page)
		t = t->next;
	return t;
}

static void answer(struct gvm_node *n, const struct gvm_header *to, u64 page, u32 version, u8 flags,
		   int status)
{
	struct gvm_page_body b = {
		.page = page, .version = version, .flags = flags, .status = (s16)status};

	gvm_send_page(n, to, MSG_MEM_ACK, &b, NULL);
}

static u32 owner_of(const struct gvm_dir_entry *e)
{
	return e->state == DIR_OWNED ? copyset_next(&e->holders, 0) : GVM_NO_NODE;
}

static void set_uncached(struct gvm_node *n, struct gvm_dir_entry *e)
{
	copyset_free(&e->holders, n->ops, n->ctx);
	copyset_init(&e->holders);
	e->state = DIR_UNCACHED;
}

static void set_owner(struct gvm_node *n, struct gvm_dir_entry *e, u32 owner)
{
	set_uncached(n, e);
	/* One id stands inline: no memory, no failure. */
	copyset_add(&e->holders, owner, n->ops, n->ctx);
	e->state = DIR_OWNED;
}

/* Sees that there is a frame for the page's bytes. -ENOSPC: none, nothing has changed. */
static int store_prepare(struct gvm_node *n, struct gvm_home_vm *vm, struct gvm_dir_entry *e,
			 const struct gvm_page_body *b)
{
	if ((b->flags & GVM_PF_ZERO) || e->frame)
		return 0;
	e->frame = gvm_frame_alloc(&n->home->frames);
	if (!e->frame) {
		gvm_stat_inc(n, home_full);
		return GVM_EFULL;
	}
	memset(gvm_frame_ptr(&n->home->frames, e->frame), 0, GVM_PAGE_SIZE);
	__atomic_fetch_add(&vm->stored_pages, 1, __ATOMIC_RELAXED);
	gvm_stat_inc(n, stored_pages);
	return 0;
}

/* After store_prepare. */
static void store(struct gvm_node *n, struct gvm_home_vm *vm, struct gvm_dir_entry *e,
		  const struct gvm_page_body *b, const u8 *data)
{
	struct gvm_frames *f = &n->home->frames;

	if (!(b->flags & GVM_PF_ZERO)) {
		memcpy(gvm_frame_ptr(f, e->frame), data, GVM_PAGE_SIZE);
	} else if (e->frame) {
		gvm_frame_free(n, f, e->frame);
		e->frame = 0;
		__atomic_fetch_sub(&vm->stored_pages, 1, __ATOMIC_RELAXED);
		gvm_stat_add(n, stored_pages, (u64)-1);
	}
}

/* Ends the transaction that is at the head and starts the next waiter's. */
static void txn_end(struct gvm_node *n, struct gvm_home_vm *vm, struct gvm_dir_shard *s,
		    struct gvm_txn *t)
{
	struct gvm_waiter *w = t->waiters;

	if (w) {
		t->waiters = w->next;
		if (!t->waiters)
			t->tail = &t->waiters;
		t->from = w->from;
		t->ask = w->ask;
		t->cursor = t->pending = 0;
		t->status = 0;
		t->grant_id = 0;
		t->phase = TXN_COLLECT;
		gvm_table_free(n, w);
		txn_run(n, vm, s, t);
		return;
	}
	for (struct gvm_txn **at = &s->txns; *at; at = &(*at)->next) {
		if (*at == t) {
			*at = t->next;
			break;
		}
	}
	gvm_table_free(n, t);
}

static void txn_fail(struct gvm_node *n, struct gvm_home_vm *vm, struct gvm_dir_shard *s,
		     struct gvm_txn *t, int status)
{
	struct gvm_page_body b = {.page = t->page, .status = (s16)status, .aux = t->culprit};

	gvm_send_page(n, &t->from, MSG_MEM_ACK, &b, NULL);
	txn_end(n, vm, s, t);
}

/* The grant is mapped: the requester now holds the page. A reader is counted since it was sent. */
static void settle_grant(struct gvm_node *n, struct gvm_dir_entry *e, const struct gvm_txn *t)
{
	if (t->mode != GVM_MODE_READ)
		set_owner(n, e, t->from.src_id);
}

/*
 * Refused: the requester holds nothing and waits for nothing. An owner that says
 * so has dropped the page after it wrote it home.
 */
static void unsettle_grant(struct gvm_node *n, struct gvm_dir_entry *e, const struct gvm_txn *t)
{
	u32 src = t->from.src_id;

	if (owner_of(e) == src)
		set_uncached(n, e);
	else if (e->state == DIR_SHARED)
		copyset_del(&e->holders, src, n->ops, n->ctx);
	if (e->state == DIR_SHARED && !copyset_count(&e->holders))
		set_uncached(n, e);
}

static void grant_timeout(struct gvm_node *n, struct gvm_req *q, int status)
{
	struct gvm_home_vm *vm = gvm_home_vm_get(n, q->vm_id);
	struct gvm_dir_shard *s;
	struct gvm_dir_entry *e;
	struct gvm_txn *t;

	(void)status;
	if (!vm)
		return;
	gvm_log(n, GVM_LOG_WARN, "node %u does not acknowledge the grant of page %llu of VM %u",
		q->target, (unsigned long long)q->page, q->vm_id);
	s = gvm_dir_shard_of(vm, q->page);
	gvm_lock(&s->lock);
	t = txn_find(s, q->page);
	e = gvm_dir_find(s, q->page);
	if (t && e && t->phase == TXN_GRANT && t->grant_id == q->id) {
		/* It may have the page: from here on it counts as a holder. */
		settle_grant(n, e, t);
		txn_end(n, vm, s, t);
	}
	gvm_unlock(&s->lock);
	gvm_home_vm_put(n, vm);
}

static u8 grant_mode(const struct gvm_dir_entry *e, const struct gvm_txn *t)
{
	if (t->ask.mode == GVM_MODE_WRITE)
		return GVM_MODE_WRITE;
	return e->state == DIR_SHARED ? GVM_MODE_READ : GVM_MODE_EXCL;
}

static void txn_grant(struct gvm_node *n, struct gvm_home_vm *vm, struct gvm_dir_shard *s,
		      struct gvm_txn *t, struct gvm_dir_entry *e)
{
	bool has = e->state == DIR_SHARED && (t->ask.flags & GVM_PF_HAVE) &&
		   copyset_has(&e->holders, t->from.src_id);
	u8 body[GVM_PAGE_BODY];
	struct gvm_page_body b = {.page = t->page};
	struct gvm_req_params p = {.target = t->from.src_id,
				   .vm_id = vm->vm_id,
				   .epoch = vm->epoch,
				   .type = MSG_MEM_ACK,
				   .body = body,
				   .body_len = sizeof(body),
				   .page = t->page,
				   .wire_id = t->from.req_id,
				   .put_handle = true,
				   .done = grant_timeout};

	t->mode = b.mode = grant_mode(e, t);
	/* A reader that could not be written down could not be recalled. */
	if (t->mode == GVM_MODE_READ && copyset_add(&e->holders, t->from.src_id, n->ops, n->ctx)) {
		txn_fail(n, vm, s, t, -ENOMEM);
		return;
	}
	/* The owner's write-back may be under way: it must still fit what it owns. */
	if (owner_of(e) != t->from.src_id)
		e->version++;
	t->version = b.version = e->version;
	t->phase = TXN_GRANT;
	if (!e->frame)
		b.flags = GVM_PF_ZERO;
	else if (!has)
		b.flags = GVM_PF_DATA;
	if (has)
		b.flags = 0;
	if (e->contended || t->waiters)
		b.flags |= GVM_PF_URGENT;
	if (b.flags & GVM_PF_DATA)
		p.data = gvm_frame_ptr(&n->home->frames, e->frame);
	gvm_page_body_encode(body, &b);
	gvm_stat_inc(n, grants);
	gvm_heat_count(vm, t->page, GVM_HEAT_FAULTS);
	if (has)
		gvm_heat_count(vm, t->page, GVM_HEAT_UPGRADES);
	t->grant_id = gvm_req_start(n, &p);
	if (!t->grant_id)
		txn_fail(n, vm, s, t, -EAGAIN);
}

static void collect_step(struct gvm_node *n, struct gvm_home_vm *vm, struct gvm_dir_shard *s,
			 struct gvm_txn *t, struct gvm_dir_entry *e);

/* A holder has answered, or never will (status). */
static void collect_answer(struct gvm_node *n, struct gvm_home_vm *vm, struct gvm_dir_shard *s,
			   struct gvm_txn *t, struct gvm_dir_entry *e, u32 node, u8 mode,
			   int status)
{
	t->pending--;
	if (status) {
		t->status = status;
		t->culprit = node;
	} else if (mode == GVM_MODE_NONE) {
		copyset_del(&e->holders, node, n->ops, n->ctx);
		if (!copyset_count(&e->holders))
			set_uncached(n, e);
	} else if (e->state == DIR_OWNED) {
		e->state = DIR_SHARED;
	}
	collect_step(n, vm, s, t, e);
}

/* A reader that has been silent for its lease and the margin has given its copy up. */
static bool presumed_fenced(struct gvm_node *n, const struct gvm_dir_entry *e, u32 node)
{
	u64 silent = n->ops->get_time_us(n->ctx) - gvm_peer_heard(n, node);

	if (e->state != DIR_SHARED || silent <= GVM_LEASE_US + GVM_LEASE_MARGIN_US)
		return false;
	gvm_stat_inc(n, presumed_fenced);
	return true;
}

static void update_timeout(struct gvm_node *n, struct gvm_req *q, int status)
{
	struct gvm_home_vm *vm = gvm_home_vm_get(n, q->vm_id);
	struct gvm_dir_shard *s;
	struct gvm_dir_entry *e;
	struct gvm_txn *t;

	if (!vm)
		return;
	gvm_log(n, GVM_LOG_ERR, "node %u does not give up page %llu of VM %u", q->target,
		(unsigned long long)q->page, q->vm_id);
	s = gvm_dir_shard_of(vm, q->page);
	gvm_lock(&s->lock);
	t = txn_find(s, q->page);
	e = gvm_dir_find(s, q->page);
	if (t && e && t->phase == TXN_COLLECT && t->pending) {
		if (presumed_fenced(n, e, q->target))
			collect_answer(n, vm, s, t, e, q->target, GVM_MODE_NONE, 0);
		else
			collect_answer(n, vm, s, t, e, q->target, GVM_MODE_READ, status);
	}
	gvm_unlock(&s->lock);
	gvm_home_vm_put(n, vm);
}

static bool update_send(struct gvm_node *n, struct gvm_home_vm *vm, struct gvm_txn *t,
			struct gvm_dir_entry *e, u32 node, u8 mode)
{
	u8 body[GVM_PAGE_BODY];
	struct gvm_page_body b = {.page = t->page, .version = e->version, .mode = mode};
	struct gvm_req_params p = {.target = node,
				   .vm_id = vm->vm_id,
				   .epoch = vm->epoch,
				   .type = MSG_COPYSET_UPDATE,
				   .body = body,
				   .body_len = sizeof(body),
				   .page = t->page,
				   .put_handle = true,
				   .done = update_timeout};

	gvm_page_body_encode(body, &b);
	if (!gvm_req_start(n, &p))
		return false;
	gvm_stat_inc(n, invalidations_tx);
	gvm_heat_count(vm, t->page, GVM_HEAT_INVALIDATIONS);
	t->pending++;
	return true;
}

/*
 * Asks every holder that stands in the way, in parallel as far as the request
 * ring reaches; grants when none is left.
 */
static void collect_step(struct gvm_node *n, struct gvm_home_vm *vm, struct gvm_dir_shard *s,
			 struct gvm_txn *t, struct gvm_dir_entry *e)
{
	bool write = t->ask.mode == GVM_MODE_WRITE;
	u32 id;

	if (write || e->state == DIR_OWNED) {
		for (id = copyset_next(&e->holders, t->cursor); id != GVM_NO_NODE && !t->status;
		     id = copyset_next(&e->holders, id + 1)) {
			if (id != t->from.src_id &&
			    !update_send(n, vm, t, e, id, write ? GVM_MODE_NONE : GVM_MODE_READ))
				break;
			t->cursor = id + 1;
		}
		/* Nothing under way to continue from: the ring is full of others' requests. */
		if (id != GVM_NO_NODE && !t->pending && !t->status)
			t->status = -EAGAIN;
	}
	if (t->pending)
		return;
	if (t->status)
		txn_fail(n, vm, s, t, t->status == -EIO ? -EHOSTDOWN : t->status);
	else
		txn_grant(n, vm, s, t, e);
}

static bool must_collect(const struct gvm_dir_entry *e, const struct gvm_txn *t)
{
	if (e->state == DIR_OWNED)
		return owner_of(e) != t->from.src_id;
	return e->state == DIR_SHARED && t->ask.mode == GVM_MODE_WRITE &&
	       copyset_count(&e->holders) > copyset_has(&e->holders, t->from.src_id);
}

static void txn_run(struct gvm_node *n, struct gvm_home_vm *vm, struct gvm_dir_shard *s,
		    struct gvm_txn *t)
{
	struct gvm_dir_entry *e = gvm_dir_get(n, s, t->page);

	if (!e) {
		txn_fail(n, vm, s, t, -ENOMEM);
		return;
	}
	t->phase = TXN_COLLECT;
	if (!must_collect(e, t)) {
		txn_grant(n, vm, s, t, e);
		return;
	}
	e->contended = 1;
	if (t->ask.flags & GVM_PF_PREFETCH) {
		txn_fail(n, vm, s, t, GVM_EBUSY);
		return;
	}
	gvm_stat_inc(n, transfers);
	gvm_heat_transfer(vm, t->page);
	collect_step(n, vm, s, t, e);
}

static bool same_request(const struct gvm_header *a, const struct gvm_header *b)
{
	return a->src_id == b->src_id && a->req_id == b->req_id;
}

/* A page that is busy: repeat the grant, say that it is under way, or queue. */
static void read_busy(struct gvm_node *n, struct gvm_txn *t, const struct gvm_header *h,
		      const struct gvm_page_body *b)
{
	struct gvm_waiter *w;

	if (same_request(&t->from, h)) {
		if (t->phase == TXN_GRANT)
			gvm_req_resend(n, t->grant_id, (u8)(7 & ~(b->mode >> 4)));
		else
			answer(n, h, b->page, 0, 0, -EINPROGRESS);
		return;
	}
	if (b->flags & GVM_PF_PREFETCH) {
		answer(n, h, b->page, 0, 0, GVM_EBUSY);
		return;
	}
	for (w = t->waiters; w; w = w->next) {
		if (same_request(&w->from, h)) {
			answer(n, h, b->page, 0, 0, -EINPROGRESS);
			return;
		}
	}
	w = gvm_table_alloc(n, sizeof(*w));
	if (!w)
		return;
	w->from = *h;
	w->ask = *b;
	w->ask.mode &= GVM_MODE_MASK;
	*t->tail = w;
	t->tail = &w->next;
}

static void read_start(struct gvm_node *n, struct gvm_home_vm *vm, struct gvm_dir_shard *s,
		       const struct gvm_header *h, const struct gvm_page_body *b)
{
	struct gvm_txn *t = gvm_table_alloc(n, sizeof(*t));

	if (!t)
		return;
	t->page = b->page;
	t->from = *h;
	t->ask = *b;
	t->ask.mode &= GVM_MODE_MASK;
	t->tail = &t->waiters;
	t->next = s->txns;
	s->txns = t;
	txn_run(n, vm, s, t);
}

/* The VM of a message, or NULL after an answer that says what is wrong with it. */
static struct gvm_home_vm *vm_for(struct gvm_node *n, const struct gvm_header *h,
				  const struct gvm_page_body *b)
{
	struct gvm_home_vm *vm = n->home ? gvm_home_vm_get(n, h->vm_id) : NULL;
	int status = GVM_ELOST;

	if (vm && vm->epoch == h->epoch && b->page < vm->ram_pages)
		return vm;
	if (vm) {
		status = vm->epoch != h->epoch ? GVM_ESTALE : -ERANGE;
		gvm_home_vm_put(n, vm);
	}
	gvm_stat_inc(n, home_refused);
	answer(n, h, b->page, 0, h->msg_type == MSG_MEM_READ ? 0 : GVM_PF_WRITTEN, status);
	return NULL;
}

void gvm_home_read(struct gvm_node *n, const struct gvm_header *h, const struct gvm_page_body *b)
{
	u8 mode = b->mode & GVM_MODE_MASK;
	struct gvm_home_vm *vm;
	struct gvm_dir_shard *s;
	struct gvm_txn *t;

	if (mode != GVM_MODE_READ && mode != GVM_MODE_WRITE) {
		gvm_stat_inc(n, rx_bad);
		return;
	}
	vm = vm_for(n, h, b);
	if (!vm)
		return;
	s = gvm_dir_shard_of(vm, b->page);
	gvm_lock(&s->lock);
	t = txn_find(s, b->page);
	if (t)
		read_busy(n, t, h, b);
	else
		read_start(n, vm, s, h, b);
	gvm_unlock(&s->lock);
	gvm_home_vm_put(n, vm);
}

/* What the home says to a write; its version, if the sender still owns the page. */
static int write_apply(struct gvm_node *n, struct gvm_home_vm *vm, struct gvm_dir_entry *e,
		       const struct gvm_header *h, const struct gvm_page_body *b, const u8 *data)
{
	int err;

	if (owner_of(e) != h->src_id)
		return GVM_ESTALE;
	/* Repeated: its answer was lost. */
	if (e->version == b->version + 1)
		return 0;
	if (e->version != b->version)
		return GVM_ESTALE;
	err = store_prepare(n, vm, e, b);
	if (!err) {
		store(n, vm, e, b, data);
		e->version++;
		gvm_stat_inc(n, writebacks);
	}
	return err;
}

/* Who sends a version's bytes home has been granted it: the acknowledgement was lost. */
static bool grant_is_moot(const struct gvm_txn *t, const struct gvm_header *h,
			  const struct gvm_page_body *b)
{
	return t->phase == TXN_GRANT && t->from.src_id == h->src_id && t->version == b->version &&
	       (b->flags & (GVM_PF_DATA | GVM_PF_ZERO));
}

void gvm_home_write(struct gvm_node *n, const struct gvm_header *h, const struct gvm_page_body *b,
		    const u8 *data)
{
	struct gvm_home_vm *vm;
	struct gvm_dir_shard *s;
	struct gvm_dir_entry *e;
	struct gvm_txn *t;
	int status = GVM_ESTALE;
	u32 version = 0;

	if (!(b->flags & (GVM_PF_DATA | GVM_PF_ZERO))) {
		gvm_stat_inc(n, rx_bad);
		return;
	}
	vm = vm_for(n, h, b);
	if (!vm)
		return;
	s = gvm_dir_shard_of(vm, b->page);
	gvm_lock(&s->lock);
	e = gvm_dir_find(s, b->page);
	t = txn_find(s, b->page);
	if (e && t && grant_is_moot(t, h, b)) {
		gvm_req_cancel(n, t->grant_id);
		settle_grant(n, e, t);
	} else {
		t = NULL;
	}
	if (e) {
		status = write_apply(n, vm, e, h, b, data);
		version = e->version;
	}
	if (t)
		txn_end(n, vm, s, t);
	gvm_unlock(&s->lock);
	answer(n, h, b->page, version, GVM_PF_WRITTEN, status);
	gvm_home_vm_put(n, vm);
}

/*
 * The bytes an owner sends before it gives up the page, or keeps a read copy of
 * it. They are stored also when nobody waits for them any more: once the home
 * says it has them, nobody else does.
 */
static int inv_store(struct gvm_node *n, struct gvm_home_vm *vm, struct gvm_dir_entry *e,
		     const struct gvm_header *h, const struct gvm_page_body *b, const u8 *data)
{
	if (!(b->flags & (GVM_PF_DATA | GVM_PF_ZERO)) || owner_of(e) != h->src_id ||
	    e->version != b->version)
		return 0;
	if (store_prepare(n, vm, e, b))
		return GVM_EFULL;
	store(n, vm, e, b, data);
	/* A late duplicate must not undo what is stored after it. */
	e->version++;
	return 0;
}

/* -ENOSPC: ask again, nothing has changed. */
static int inv_apply(struct gvm_node *n, struct gvm_home_vm *vm, struct gvm_dir_shard *s,
		     const struct gvm_header *h, const struct gvm_page_body *b, const u8 *data)
{
	struct gvm_txn *t = txn_find(s, b->page);
	struct gvm_dir_entry *e = gvm_dir_find(s, b->page);
	int err;

	if (!e)
		return 0;
	if (t && grant_is_moot(t, h, b)) {
		gvm_req_cancel(n, t->grant_id);
		settle_grant(n, e, t);
		err = inv_store(n, vm, e, h, b, data);
		txn_end(n, vm, s, t);
		return err;
	}
	err = inv_store(n, vm, e, h, b, data);
	if (err)
		return err;
	if (!t || t->phase != TXN_COLLECT || !t->pending ||
	    (b->mode == GVM_MODE_READ && t->ask.mode != GVM_MODE_READ))
		return 0;
	if (gvm_rpc_take(n, b->aux, h, b->page, MSG_COPYSET_UPDATE))
		collect_answer(n, vm, s, t, e, h->src_id, b->mode, 0);
	return 0;
}

void gvm_home_inv_ack(struct gvm_node *n, const struct gvm_header *h, const struct gvm_page_body *b,
		      const u8 *data)
{
	struct gvm_home_vm *vm;
	struct gvm_dir_shard *s;
	int status;

	if (b->mode > GVM_MODE_READ) {
		gvm_stat_inc(n, rx_bad);
		return;
	}
	vm = vm_for(n, h, b);
	if (!vm)
		return;
	s = gvm_dir_shard_of(vm, b->page);
	gvm_lock(&s->lock);
	status = inv_apply(n, vm, s, h, b, data);
	gvm_unlock(&s->lock);
	/* Bytes are kept, and sent again, by their sender until the home says it has them. */
	if ((b->flags & (GVM_PF_DATA | GVM_PF_ZERO)) && !status)
		answer(n, h, b->page, b->version, GVM_PF_WRITTEN, 0);
	gvm_home_vm_put(n, vm);
}

void gvm_home_grant_ack(struct gvm_node *n, const struct gvm_header *h,
			const struct gvm_page_body *b)
{
	struct gvm_home_vm *vm = n->home ? gvm_home_vm_get(n, h->vm_id) : NULL;
	struct gvm_dir_shard *s;
	struct gvm_dir_entry *e;
	struct gvm_txn *t;

	if (!vm)
		return;
	s = gvm_dir_shard_of(vm, b->page);
	gvm_lock(&s->lock);
	t = txn_find(s, b->page);
	e = gvm_dir_find(s, b->page);
	if (t && e && t->phase == TXN_GRANT && t->version == b->version &&
	    t->from.src_id == h->src_id && t->from.req_id == h->req_id &&
	    gvm_rpc_take(n, b->aux, h, b->page, MSG_MEM_ACK)) {
		if (b->status)
			unsettle_grant(n, e, t);
		else
			settle_grant(n, e, t);
		txn_end(n, vm, s, t);
	}
	gvm_unlock(&s->lock);
	gvm_home_vm_put(n, vm);
}
