/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The home takes a page back: invalidation, or downgrade to a read copy. Bytes
 * that are newer than the home's travel as a request of our own, so they are
 * sent until the home says it has them.
 */
#include "agent.h"
#include "rpc.h"

static struct gvm_return *return_find(struct gvm_agent *a, u64 page)
{
	struct gvm_return *r = a->returns;

	while (r && r->page != page)
		r = r->next;
	return r;
}

static void return_free(struct gvm_node *n, struct gvm_return *r)
{
	for (struct gvm_return **at = &n->agent->returns; *at; at = &(*at)->next) {
		if (*at == r) {
			*at = r->next;
			break;
		}
	}
	if (r->data)
		n->ops->free_packet(n->ctx, r->data);
	gvm_table_free(n, r);
}

void gvm_agent_free_returns(struct gvm_node *n)
{
	while (n->agent->returns) {
		gvm_req_cancel(n, n->agent->returns->req_id);
		return_free(n, n->agent->returns);
	}
}

bool gvm_agent_returning(struct gvm_node *n, u64 page)
{
	return return_find(n->agent, page) != NULL;
}

static void return_done(struct gvm_node *n, struct gvm_req *q, int status);

/* When the ring is full a tick tries again. */
static bool return_send(struct gvm_node *n, struct gvm_return *r)
{
	struct gvm_agent *a = n->agent;
	u8 body[GVM_PAGE_BODY];
	struct gvm_page_body b = {.page = r->page,
				  .version = r->version,
				  .mode = r->mode,
				  .flags = r->data ? GVM_PF_DATA : GVM_PF_ZERO,
				  .aux = r->handle};
	struct gvm_req_params q = {.target = gvm_page_home(n, r->page),
				   .vm_id = a->vm_id,
				   .epoch = a->route.epoch,
				   .type = MSG_INV_ACK,
				   .body = body,
				   .body_len = sizeof(body),
				   .data = r->data,
				   .page = r->page,
				   .done = return_done};

	gvm_page_body_encode(body, &b);
	r->req_id = gvm_req_start(n, &q);
	return r->req_id;
}

/* Who waits for the page can ask for it now. */
static void return_end(struct gvm_node *n, struct gvm_return *r)
{
	struct gvm_page *p = gvm_page_find(n->agent, r->page);

	return_free(n, r);
	if (p && !p->req_id && !(p->flags & AP_DEFERRED) &&
	    (p->state == PAGE_FILL || p->state == PAGE_UPGRADE))
		gvm_page_request(n, p);
}

/* A home that is not heard may be heard again: these are the only bytes there are. */
static void return_done(struct gvm_node *n, struct gvm_req *q, int status)
{
	struct gvm_agent *a = n->agent;
	struct gvm_page_body b;
	struct gvm_return *r;

	gvm_lock(&a->lock);
	r = return_find(a, q->page);
	if (!r || r->req_id != q->id)
		goto out;
	if (!status)
		status = gvm_page_body_decode(&b, q->reply, q->reply_len) ? -EPROTO : b.status;
	if (status == -EIO || status == -EPROTO) {
		gvm_log(n, GVM_LOG_WARN, "slave %u does not take page %llu back: trying on",
			q->target, (unsigned long long)q->page);
		if (!return_send(n, r))
			n->ops->arm_timer(n->ctx, n->ops->get_time_us(n->ctx) + GVM_RTO_MAX_US);
		goto out;
	}
	if (status)
		n->ops->page_error(n->ctx, q->page, q->target, status);
	return_end(n, r);
out:
	gvm_unlock(&a->lock);
}

u64 gvm_agent_tick_returns(struct gvm_node *n, u64 now)
{
	u64 next = (u64)-1;

	for (struct gvm_return *r = n->agent->returns; r; r = r->next)
		if (!r->req_id && !return_send(n, r))
			next = now + GVM_RTO_MAX_US;
	return next;
}

/* Copies the page's bytes, which stand still, and starts sending them home. */
static bool return_start(struct gvm_node *n, struct gvm_page *p, u8 mode, u32 handle)
{
	struct gvm_agent *a = n->agent;
	const u8 *data = n->ops->page_data(n->ctx, p->page);
	struct gvm_return *r = gvm_table_alloc(n, sizeof(*r));

	if (!r)
		return false;
	r->page = p->page;
	r->version = p->version;
	r->mode = mode;
	r->handle = handle;
	if (!gvm_bytes_are_zero(data)) {
		r->data = n->ops->alloc_packet(n->ctx, GVM_PAGE_SIZE, true);
		if (!r->data)
			goto fail;
		memcpy(r->data, data, GVM_PAGE_SIZE);
	}
	if (!return_send(n, r))
		goto fail;
	r->next = a->returns;
	a->returns = r;
	return true;
fail:
	if (r->data)
		n->ops->free_packet(n->ctx, r->data);
	gvm_table_free(n, r);
	return false;
}

static void ack_clean(struct gvm_node *n, const struct gvm_header *h, const struct gvm_page_body *b,
		      u8 mode)
{
	struct gvm_page_body ack = {
		.page = b->page, .version = b->version, .mode = mode, .aux = b->aux};

	gvm_send_page(n, h, MSG_INV_ACK, &ack, NULL);
}

/* The copy is gone. Who waits for the page asks for it anew. */
static void copy_gone(struct gvm_node *n, struct gvm_page *p, u32 version)
{
	n->ops->page_drop(n->ctx, p->page);
	gvm_lease_end(n, p);
	if (p->state == PAGE_UPGRADE) {
		p->state = PAGE_FILL;
		gvm_page_bar(p, version);
		gvm_req_want_page(n, p->req_id);
	} else if (p->flags & AP_WAIT) {
		p->state = PAGE_FILL;
		gvm_page_request(n, p);
	} else {
		gvm_page_forget(n, p);
	}
}

static void take_clean(struct gvm_node *n, struct gvm_page *p, const struct gvm_header *h,
		       const struct gvm_page_body *b)
{
	if (b->mode == GVM_MODE_NONE) {
		copy_gone(n, p, b->version);
	} else if (p->state == PAGE_EXCLUSIVE) {
		p->state = PAGE_SHARED;
		gvm_lease_begin(n, p);
	}
	ack_clean(n, h, b, b->mode);
}

static void take_dirty(struct gvm_node *n, struct gvm_page *p, const struct gvm_page_body *b)
{
	bool writing = p->state == PAGE_WRITEBACK;

	if (!writing && n->ops->page_protect(n->ctx, &p->page, 1))
		return;
	/* No memory or no request: as it was, the home asks again. */
	if (!return_start(n, p, b->mode, b->aux)) {
		if (!writing)
			gvm_page_map(n, p, GVM_PROT_WRITE, false);
		return;
	}
	if (writing) {
		gvm_req_cancel(n, p->req_id);
		p->req_id = 0;
		n->agent->writebacks--;
	}
	p->state = PAGE_SHARED;
	gvm_lease_begin(n, p);
	if (b->mode == GVM_MODE_NONE) {
		copy_gone(n, p, b->version);
	} else if (p->flags & AP_WAIT_WRITE) {
		p->state = PAGE_UPGRADE;
		gvm_page_request(n, p);
	}
}

/* Parts of an answer that is overtaken by this must not mix with those of the next. */
static void fill_afresh(struct gvm_node *n, struct gvm_page *p)
{
	if (!p->req_id || !gvm_req_partial(n, p->req_id))
		return;
	gvm_req_cancel(n, p->req_id);
	p->req_id = 0;
	n->ops->page_drop(n->ctx, p->page);
	gvm_page_request(n, p);
}

/* Until when the guest may keep what it was just given; now or earlier: no longer. */
static u64 stays_until(struct gvm_node *n, const struct gvm_page *p)
{
	return p->flags & AP_MAPPING ? (u64)-1 : p->mapped_at + n->cfg.residence_us;
}

/*
 * Remembers an update of a page that is too young. A home repeats its updates,
 * so one that finds no place is not lost.
 */
static void put_off(struct gvm_node *n, const struct gvm_header *h, const struct gvm_page_body *b,
		    u64 due)
{
	struct gvm_agent *a = n->agent;
	u32 i = 0;

	while (i < a->nlater && a->later[i].body.page != b->page)
		i++;
	if (i == GVM_LATER_MAX || due == (u64)-1)
		return;
	if (i == a->nlater)
		a->nlater++;
	a->later[i].from = *h;
	a->later[i].body = *b;
	a->later[i].due = due;
	if (due < a->later_due) {
		a->later_due = due;
		n->ops->arm_timer(n->ctx, due);
	}
}

static void update(struct gvm_node *n, const struct gvm_header *h, const struct gvm_page_body *b)
{
	struct gvm_agent *a = n->agent;
	struct gvm_page *p;

	/* The only bytes are under way: an answer without them would lose them. */
	if (return_find(a, b->page))
		return;
	p = gvm_page_find(a, b->page);
	if (!p || p->state == PAGE_ERROR || p->state == PAGE_FILL) {
		if (p && p->state == PAGE_FILL) {
			gvm_page_bar(p, b->version);
			fill_afresh(n, p);
		}
		ack_clean(n, h, b, GVM_MODE_NONE);
	} else if (gvm_version_before(b->version, p->granted)) {
		return;
	} else if (stays_until(n, p) > n->ops->get_time_us(n->ctx)) {
		put_off(n, h, b, stays_until(n, p));
	} else if (p->state == PAGE_MODIFIED || p->state == PAGE_WRITEBACK) {
		take_dirty(n, p, b);
	} else {
		take_clean(n, p, h, b);
	}
	gvm_agent_run_deferred(n);
	/* A write-back that was to make room may have ended without making any. */
	gvm_agent_make_room(n);
}

void gvm_agent_run_later(struct gvm_node *n, u64 now)
{
	struct gvm_agent *a = n->agent;
	struct gvm_later l;
	u32 i = 0;

	if (a->later_due > now)
		return;
	a->later_due = (u64)-1;
	while (i < a->nlater) {
		if (a->later[i].due > now) {
			a->later_due = min_t(u64, a->later_due, a->later[i++].due);
			continue;
		}
		l = a->later[i];
		a->later[i] = a->later[--a->nlater];
		update(n, &l.from, &l.body);
	}
}

void gvm_agent_update(struct gvm_node *n, const struct gvm_header *h, const struct gvm_page_body *b)
{
	struct gvm_agent *a = n->agent;

	gvm_lock(&a->lock);
	if (!a->attached || h->vm_id != a->vm_id || b->page >= a->ram_pages ||
	    h->src_id != gvm_page_home(n, b->page) || b->mode > GVM_MODE_READ) {
		gvm_stat_inc(n, rx_unexpected);
	} else {
		gvm_stat_inc(n, invalidations_rx);
		update(n, h, b);
	}
	gvm_unlock(&a->lock);
}
