/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The budget: pages leave in the order they came, clean ones at once, others once they are home. */
#include "agent.h"
#include "rpc.h"

#define BATCH	       64
#define MAX_WRITEBACKS 256

bool gvm_bytes_are_zero(const u8 *data)
{
	/* The page equals itself shifted by eight bytes, and the first eight are zero. */
	return !gvm_get_le64(data) && !memcmp(data, data + 8, GVM_PAGE_SIZE - 8);
}

static void write_done(struct gvm_node *n, struct gvm_req *q, int status);

static bool write_start(struct gvm_node *n, struct gvm_page *p)
{
	struct gvm_agent *a = n->agent;
	const u8 *data = n->ops->page_data(n->ctx, p->page);
	bool zero = gvm_bytes_are_zero(data);
	u8 body[GVM_PAGE_BODY];
	struct gvm_page_body b = {
		.page = p->page, .version = p->version, .flags = zero ? GVM_PF_ZERO : GVM_PF_DATA};
	struct gvm_req_params r = {.target = gvm_page_home(n, p->page),
				   .vm_id = a->vm_id,
				   .epoch = a->route.epoch,
				   .type = MSG_MEM_WRITE,
				   .body = body,
				   .body_len = sizeof(body),
				   .data = zero ? NULL : data,
				   .page = p->page,
				   .windowed = true,
				   .done = write_done};

	gvm_page_body_encode(body, &b);
	p->req_id = gvm_req_start(n, &r);
	if (!p->req_id)
		return false;
	gvm_stat_inc(n, writebacks);
	if (zero)
		gvm_stat_inc(n, writebacks_zero);
	return true;
}

void gvm_agent_write_back(struct gvm_node *n, struct gvm_page **pages, u32 count, bool drop)
{
	struct gvm_agent *a = n->agent;
	u64 ids[BATCH] = {0};

	for (u32 i = 0; i < count; i++)
		ids[i] = pages[i]->page;
	if (!count || n->ops->page_protect(n->ctx, ids, count))
		return;
	for (u32 i = 0; i < count; i++) {
		struct gvm_page *p = pages[i];

		if (!write_start(n, p)) {
			gvm_page_map(n, p, GVM_PROT_WRITE, false);
			continue;
		}
		p->state = PAGE_WRITEBACK;
		p->flags = (p->flags & ~AP_DROP) | (drop ? AP_DROP : 0);
		a->writebacks++;
	}
}

void gvm_agent_resume_write(struct gvm_node *n, struct gvm_page *p)
{
	if (!p->req_id && !write_start(n, p))
		gvm_page_fail(n, p, -EAGAIN);
}

static void written(struct gvm_node *n, struct gvm_page *p, u32 version)
{
	p->version = version;
	p->state = PAGE_EXCLUSIVE;
	if (p->flags & AP_WAIT_WRITE) {
		p->state = PAGE_MODIFIED;
		gvm_page_map(n, p, GVM_PROT_WRITE, false);
	} else if ((p->flags & AP_DROP) && !(p->flags & AP_MAPPING)) {
		gvm_stat_inc(n, evictions);
		n->ops->page_drop(n->ctx, p->page);
		gvm_page_forget(n, p);
	}
}

/*
 * It may be home or not: another copy of the request may be stored yet. Until
 * that is known the bytes must not change, and the same are sent again: now, or
 * when the backend tries again.
 */
static void write_failed(struct gvm_node *n, struct gvm_page *p, int status)
{
	p->flags |= AP_DROP;
	gvm_page_fail(n, p, status);
	if (status == -EIO)
		write_start(n, p);
}

static void write_done(struct gvm_node *n, struct gvm_req *q, int status)
{
	struct gvm_agent *a = n->agent;
	struct gvm_page_body b, sent;
	struct gvm_page *p;

	gvm_lock(&a->lock);
	p = a->attached ? gvm_page_find(a, q->page) : NULL;
	if (!p || p->req_id != q->id)
		goto out;
	p->req_id = 0;
	if (!status && (gvm_page_body_decode(&b, q->reply, q->reply_len) || b.page != p->page))
		status = -EPROTO;
	if (!status)
		status = b.status;
	gvm_page_body_decode(&sent, q->body, GVM_PAGE_BODY);
	/* A version adopted on the way: the same bytes again under the new one. */
	if (status == GVM_ESTALE && sent.version != p->version && write_start(n, p))
		goto out;
	if (status) {
		write_failed(n, p, status);
		goto out;
	}
	a->writebacks--;
	written(n, p, b.version);
	gvm_agent_run_deferred(n);
	gvm_agent_make_room(n);
out:
	gvm_unlock(&a->lock);
}

static bool evictable(const struct gvm_page *p)
{
	return !(p->flags & (AP_WAIT | AP_MAPPING)) &&
	       (p->state == PAGE_SHARED || p->state == PAGE_EXCLUSIVE || p->state == PAGE_MODIFIED);
}

/* How many pages have to go beyond those that are going. */
static u64 excess(struct gvm_node *n)
{
	struct gvm_agent *a = n->agent;
	u64 kept = a->resident.count - a->writebacks + a->deferred.count;
	u64 room = n->cfg.budget_pages - a->reserve;

	return kept > room ? kept - room : 0;
}

void gvm_agent_make_room(struct gvm_node *n)
{
	struct gvm_agent *a = n->agent;
	struct gvm_page *dirty[BATCH];
	u32 count = 0, next;
	u64 want = min_t(u64, excess(n), BATCH);
	u32 scan = 4 * BATCH;

	/* In batches: taking write access away costs a third each when several go. */
	if (!want || (want < BATCH / 4 && a->resident.count + want < n->cfg.budget_pages &&
		      n->cfg.budget_pages > 4 * BATCH))
		return;
	for (u32 i = a->resident.head; i && want && scan; i = next, scan--) {
		struct gvm_page *p = gvm_list_at(a, i);

		next = p->next;
		if (!evictable(p))
			continue;
		if (p->state == PAGE_MODIFIED) {
			if (a->writebacks + count >= MAX_WRITEBACKS)
				break;
			dirty[count++] = p;
		} else {
			gvm_stat_inc(n, evictions);
			n->ops->page_drop(n->ctx, p->page);
			gvm_page_forget(n, p);
		}
		want--;
	}
	if (count)
		gvm_agent_write_back(n, dirty, count, true);
	if (a->deferred.count)
		gvm_agent_run_deferred(n);
}

u64 gvm_agent_flush(struct gvm_node *n, bool drop)
{
	struct gvm_agent *a = n->agent;
	u64 left = 0;
	u32 next, count;

	gvm_lock(&a->lock);
	/* Once each: a page that cannot be sent now goes to the list's end. */
	count = a->attached ? a->resident.count : 0;
	for (u32 i = count ? a->resident.head : 0; i && count; i = next, count--) {
		struct gvm_page *p = gvm_list_at(a, i);

		next = p->next;
		if (p->state == PAGE_MODIFIED && !(p->flags & (AP_WAIT | AP_MAPPING)) &&
		    a->writebacks < MAX_WRITEBACKS) {
			gvm_agent_write_back(n, &p, 1, drop);
		} else if (drop && evictable(p) && p->state != PAGE_MODIFIED) {
			n->ops->page_drop(n->ctx, p->page);
			gvm_page_forget(n, p);
			continue;
		}
		left += p->state != PAGE_SHARED && p->state != PAGE_EXCLUSIVE;
	}
	gvm_unlock(&a->lock);
	return left;
}
