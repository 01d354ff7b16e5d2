/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent.h"
#include "peer.h"
#include "rpc.h"

#define SPARE_PAGES 4096 /* entries for faults that wait while the budget is full */

int gvm_agent_create(struct gvm_node *n)
{
	struct gvm_agent *a;

	if (!n->cfg.budget_pages)
		return 0;
	a = gvm_table_alloc(n, sizeof(*a));
	if (!a)
		return -ENOMEM;
	gvm_lock_init(&a->lock);
	a->acks_due = a->later_due = a->lease_due = (u64)-1;
	n->agent = a;
	return 0;
}

static void tables_free(struct gvm_node *n, struct gvm_agent *a)
{
	gvm_agent_free_leases(n);
	gvm_table_free(n, a->pool);
	gvm_table_free(n, a->buckets);
	gvm_route_free(&a->route, n->ops, n->ctx);
	a->pool = NULL;
	a->buckets = NULL;
}

void gvm_agent_destroy(struct gvm_node *n)
{
	if (!n->agent)
		return;
	gvm_agent_detach(n);
	gvm_table_free(n, n->agent);
	n->agent = NULL;
}

static int tables_alloc(struct gvm_node *n, struct gvm_agent *a, const struct gvm_route *route)
{
	u64 pages = n->cfg.budget_pages + SPARE_PAGES, buckets = 1024;

	while (buckets < pages)
		buckets *= 2;
	if (buckets > 1U << 31)
		return -EINVAL;
	a->pool_size = (u32)pages + 1;
	a->bucket_mask = (u32)buckets - 1;
	a->pool = gvm_table_alloc(n, a->pool_size * sizeof(*a->pool));
	a->buckets = gvm_table_alloc(n, buckets * sizeof(*a->buckets));
	a->leases = gvm_table_alloc(n, route->nmembers * sizeof(*a->leases));
	if (!a->pool || !a->buckets || !a->leases)
		return -ENOMEM;
	return gvm_route_build(&a->route, route->members, route->nmembers, route->epoch,
			       route->stripe_shift, n->ops, n->ctx);
}

int gvm_agent_attach(struct gvm_node *n, u32 vm_id, u64 ram_pages, const struct gvm_route *route)
{
	struct gvm_agent *a = n->agent;
	int err = -EBUSY;

	if (!a)
		return -EINVAL;
	gvm_lock(&a->lock);
	if (a->attached)
		goto out;
	err = tables_alloc(n, a, route);
	if (err) {
		tables_free(n, a);
		goto out;
	}
	a->vm_id = vm_id;
	a->ram_pages = ram_pages;
	a->pool_used = a->free_list = 0;
	memset(&a->resident, 0, sizeof(a->resident));
	memset(&a->deferred, 0, sizeof(a->deferred));
	a->writebacks = a->nacks = a->nlater = 0;
	a->acks_due = a->later_due = a->lease_due = (u64)-1;
	a->reserve = min_t(u64, n->cfg.budget_pages / 16, 512);
	gvm_prefetch_init(&a->prefetch, min_t(u64, n->cfg.prefetch_max, a->reserve / 2));
	a->attached = true;
out:
	gvm_unlock(&a->lock);
	return err;
}

void gvm_agent_detach(struct gvm_node *n)
{
	struct gvm_agent *a = n->agent;

	gvm_lock(&a->lock);
	if (a->attached) {
		for (u32 i = a->resident.head; i; i = a->pool[i].next)
			gvm_req_cancel(n, a->pool[i].req_id);
		gvm_agent_free_returns(n);
		tables_free(n, a);
		a->attached = false;
		n->stats.resident_pages = 0;
	}
	gvm_unlock(&a->lock);
}

u32 gvm_page_home(struct gvm_node *n, u64 page)
{
	return gvm_route_home(&n->agent->route, page);
}

/*
 * Acknowledgements of grants wait for company: the next request to the same home
 * takes them along. To another they would cost a datagram and a wake-up there.
 */
static void flush_acks(struct gvm_node *n, u32 target)
{
	struct gvm_agent *a = n->agent;
	u32 kept = 0;

	for (u32 i = 0; i < a->nacks; i++) {
		struct gvm_ack *k = &a->acks[i];

		if (target != GVM_NO_NODE && k->target != target)
			a->acks[kept++] = *k;
		else
			gvm_send(n, k->target, MSG_GRANT_ACK, k->req_id, a->vm_id, a->route.epoch,
				 0, k->body, sizeof(k->body), NULL);
	}
	a->nacks = kept;
	if (!kept)
		a->acks_due = (u64)-1;
}

void gvm_agent_flush_acks(struct gvm_node *n)
{
	flush_acks(n, GVM_NO_NODE);
}

static void ack_send(struct gvm_node *n, u32 target, u64 req_id, const struct gvm_page_body *b,
		     bool urgent)
{
	struct gvm_agent *a = n->agent;
	struct gvm_ack *k = &a->acks[a->nacks++];

	k->target = target;
	k->req_id = req_id;
	gvm_page_body_encode(k->body, b);
	if (urgent || a->nacks == GVM_ACKS_MAX || !n->cfg.ack_delay_us) {
		gvm_agent_flush_acks(n);
	} else if (a->nacks == 1) {
		a->acks_due = n->ops->get_time_us(n->ctx) + n->cfg.ack_delay_us;
		n->ops->arm_timer(n->ctx, a->acks_due);
	}
}

static void ack_grant(struct gvm_node *n, struct gvm_page *p)
{
	struct gvm_page_body b = {.page = p->page, .version = p->version, .aux = p->grant_aux};

	if (p->grant_home == GVM_NO_NODE)
		return;
	ack_send(n, p->grant_home, p->grant_req, &b, p->urgent);
	p->grant_home = GVM_NO_NODE;
}

void gvm_page_forget(struct gvm_node *n, struct gvm_page *p)
{
	struct gvm_agent *a = n->agent;

	gvm_lease_end(n, p);
	if (p->counted) {
		gvm_list_del(a, &a->resident, p);
		gvm_stat_add(n, resident_pages, (u64)-1);
	} else if (p->flags & AP_DEFERRED) {
		gvm_list_del(a, &a->deferred, p);
	}
	gvm_page_free(a, p);
}

void gvm_page_fail(struct gvm_node *n, struct gvm_page *p, int status)
{
	gvm_stat_inc(n, fault_errors);
	n->ops->page_error(n->ctx, p->page, gvm_page_home(n, p->page), status);
}

static void fault(struct gvm_node *n, struct gvm_page *p, bool write);

static void mapped(struct gvm_node *n, struct gvm_page *p)
{
	p->flags &= ~AP_MAPPING;
	p->mapped_at = n->ops->get_time_us(n->ctx);
	/* The last to be evicted: the access that waited for it has yet to run. */
	if (p->counted) {
		gvm_list_del(n->agent, &n->agent->resident, p);
		gvm_list_add(n->agent, &n->agent->resident, p);
	}
	/* Whoever came while it was being mapped has been resumed with the others. */
	p->flags &= ~(p->state == PAGE_MODIFIED ? AP_WAIT : AP_WAIT_READ);
	ack_grant(n, p);
	/* Faults that came while it was being mapped: nothing else would resume them. */
	if (p->flags & AP_WAIT)
		fault(n, p, p->flags & AP_WAIT_WRITE);
}

void gvm_page_map(struct gvm_node *n, struct gvm_page *p, enum gvm_prot prot, bool zero)
{
	int r;

	p->flags &= ~(prot == GVM_PROT_WRITE ? AP_WAIT : AP_WAIT_READ);
	r = n->ops->page_map(n->ctx, p->page, prot, zero);
	if (r == GVM_PENDING) {
		p->flags |= AP_MAPPING;
	} else if (r < 0) {
		p->flags |= prot == GVM_PROT_WRITE ? AP_WAIT_WRITE : AP_WAIT_READ;
		gvm_page_fail(n, p, r);
	} else {
		mapped(n, p);
	}
}

void gvm_agent_mapped(struct gvm_node *n, u64 page)
{
	struct gvm_agent *a = n->agent;
	struct gvm_page *p;

	gvm_lock(&a->lock);
	p = a->attached ? gvm_page_find(a, page) : NULL;
	if (p && (p->flags & AP_MAPPING)) {
		mapped(n, p);
		gvm_agent_make_room(n);
	}
	gvm_unlock(&a->lock);
}

static void fill_done(struct gvm_node *n, struct gvm_req *q, int status);

static bool request_start(struct gvm_node *n, struct gvm_page *p)
{
	struct gvm_agent *a = n->agent;
	bool ahead = (p->flags & AP_PREFETCH) && !(p->flags & AP_WAIT);
	bool write = p->flags & (AP_WAIT_WRITE | (ahead ? AP_AHEAD_RW : 0));
	u8 body[GVM_PAGE_BODY];
	struct gvm_page_body b = {.page = p->page,
				  .mode = write ? GVM_MODE_WRITE : GVM_MODE_READ,
				  .flags = ahead ? GVM_PF_PREFETCH : 0};
	struct gvm_req_params r = {.target = gvm_page_home(n, p->page),
				   .vm_id = a->vm_id,
				   .epoch = a->route.epoch,
				   .type = MSG_MEM_READ,
				   .body = body,
				   .body_len = sizeof(body),
				   .page = p->page,
				   .windowed = true,
				   .urgent = !ahead,
				   .want_page = p->state == PAGE_FILL,
				   .background = ahead,
				   .done = fill_done};

	if (p->state == PAGE_UPGRADE) {
		b.flags |= GVM_PF_HAVE;
		b.aux = p->version;
	}
	gvm_page_body_encode(body, &b);
	p->barred = 0;
	p->req_id = gvm_req_start(n, &r);
	if (p->req_id)
		flush_acks(n, r.target);
	return p->req_id;
}

static void defer(struct gvm_node *n, struct gvm_page *p)
{
	struct gvm_agent *a = n->agent;

	if (p->flags & AP_DEFERRED)
		return;
	if (p->counted) {
		gvm_list_del(a, &a->resident, p);
		gvm_stat_add(n, resident_pages, (u64)-1);
		p->counted = 0;
	}
	p->flags |= AP_DEFERRED;
	gvm_list_add(a, &a->deferred, p);
}

void gvm_page_request(struct gvm_node *n, struct gvm_page *p)
{
	struct gvm_agent *a = n->agent;

	if (!p->counted) {
		if (a->resident.count >= n->cfg.budget_pages) {
			defer(n, p);
			return;
		}
		if (p->flags & AP_DEFERRED) {
			gvm_list_del(a, &a->deferred, p);
			p->flags &= ~AP_DEFERRED;
		}
		p->counted = 1;
		gvm_list_add(a, &a->resident, p);
		gvm_stat_inc(n, resident_pages);
	}
	/* Its newest bytes are not home yet: what the home would grant is older. */
	if (gvm_agent_returning(n, p->page))
		return;
	if (request_start(n, p))
		return;
	/* The ring is full. A copy that is held stays counted: the backend tries again. */
	if (p->state == PAGE_UPGRADE) {
		p->state = PAGE_SHARED;
		gvm_page_fail(n, p, -EAGAIN);
	} else if (p->flags & AP_WAIT) {
		defer(n, p);
		n->ops->arm_timer(n->ctx, n->ops->get_time_us(n->ctx) + GVM_RTO_FIRST_US);
	} else {
		gvm_page_forget(n, p);
	}
}

void gvm_agent_run_deferred(struct gvm_node *n)
{
	struct gvm_agent *a = n->agent;

	while (a->deferred.head && a->resident.count < n->cfg.budget_pages) {
		struct gvm_page *p = gvm_list_at(a, a->deferred.head);

		gvm_page_request(n, p);
		if (p->flags & AP_DEFERRED)
			break;
	}
}

/* A grant of a page that is not held. */
static void install(struct gvm_node *n, struct gvm_page *p, u8 mode, bool zero)
{
	bool waited = p->flags & AP_WAIT;
	enum gvm_prot prot = GVM_PROT_WRITE;

	p->state = PAGE_MODIFIED;
	if (mode == GVM_MODE_READ) {
		p->state = PAGE_SHARED;
		prot = GVM_PROT_READ;
	} else if (mode == GVM_MODE_EXCL && !waited && !(p->flags & AP_AHEAD_RW)) {
		p->state = PAGE_EXCLUSIVE;
		prot = GVM_PROT_READ;
	}
	gvm_stat_inc(n, pages_in);
	if (zero)
		gvm_stat_inc(n, pages_in_zero);
	if ((p->flags & AP_MARKER) && !waited && !zero && p->state == PAGE_EXCLUSIVE) {
		ack_grant(n, p);
		return;
	}
	p->flags &= ~(AP_MARKER | AP_PREFETCH);
	gvm_page_map(n, p, prot, zero);
}

/* Who stands in the way: the node that the home cannot hear, or the home. */
static void refused_by(struct gvm_node *n, struct gvm_page *p, const struct gvm_page_body *b,
		       int status)
{
	u32 node = status == -EHOSTDOWN ? b->aux : gvm_page_home(n, p->page);

	gvm_stat_inc(n, fault_errors);
	n->ops->page_error(n->ctx, p->page, node, status);
}

static void fill_refused(struct gvm_node *n, struct gvm_page *p, const struct gvm_req *q,
			 const struct gvm_page_body *b, int status)
{
	bool again = status == GVM_EBUSY || status == -EAGAIN;

	if (q->rx_page)
		n->ops->page_drop(n->ctx, p->page);
	if (p->state == PAGE_UPGRADE) {
		p->state = PAGE_SHARED;
		if (again)
			fault(n, p, true);
		else
			refused_by(n, p, b, status);
	} else if (!(p->flags & AP_WAIT)) {
		gvm_stat_inc(n, prefetch_refused);
		gvm_page_forget(n, p);
	} else if (again) {
		gvm_page_request(n, p);
	} else {
		p->state = PAGE_ERROR;
		refused_by(n, p, b, status);
	}
}

static void granted(struct gvm_node *n, struct gvm_page *p, const struct gvm_req *q,
		    const struct gvm_page_body *b)
{
	p->version = p->granted = b->version;
	p->grant_req = q->id;
	p->grant_aux = b->aux;
	p->grant_home = q->target;
	p->urgent = !!(b->flags & GVM_PF_URGENT);
	if (b->mode == GVM_MODE_READ)
		gvm_lease_begin(n, p);
	else
		gvm_lease_end(n, p);
	if (p->state == PAGE_FILL) {
		install(n, p, b->mode, b->flags & GVM_PF_ZERO);
		return;
	}
	p->state = b->mode == GVM_MODE_READ ? PAGE_SHARED : PAGE_MODIFIED;
	gvm_page_map(n, p, b->mode == GVM_MODE_READ ? GVM_PROT_READ : GVM_PROT_WRITE, false);
}

void gvm_page_bar(struct gvm_page *p, u32 version)
{
	if (p->state != PAGE_FILL || (p->barred && gvm_version_before(version, p->version)))
		return;
	p->barred = 1;
	p->version = version;
}

/*
 * It does not bring the bytes that the state lacks, it is barred, or it is of a
 * read copy whose lease has run out on the way: the home may have taken it back.
 */
static bool grant_is_void(struct gvm_node *n, const struct gvm_page *p, const struct gvm_req *q,
			  const struct gvm_page_body *b)
{
	u64 age = n->ops->get_time_us(n->ctx) - gvm_peer_answered(n, q->target);

	if (p->state != PAGE_FILL)
		return false;
	if (!(b->flags & GVM_PF_ZERO) && !q->rx_page)
		return true;
	if (p->barred && !gvm_version_before(p->version, b->version))
		return true;
	return b->mode == GVM_MODE_READ && age > GVM_LEASE_US;
}

static void refuse_grant(struct gvm_node *n, const struct gvm_req *q, const struct gvm_page_body *b)
{
	struct gvm_page_body ack = {
		.page = b->page, .version = b->version, .status = -ENOENT, .aux = b->aux};

	ack_send(n, q->target, q->id, &ack, true);
}

static void fill_done(struct gvm_node *n, struct gvm_req *q, int status)
{
	struct gvm_agent *a = n->agent;
	struct gvm_page_body b = {0};
	struct gvm_page *p;

	gvm_lock(&a->lock);
	p = a->attached ? gvm_page_find(a, q->page) : NULL;
	if (!p || p->req_id != q->id)
		goto out;
	p->req_id = 0;
	if (!status && gvm_page_body_decode(&b, q->reply, q->reply_len))
		status = -EPROTO;
	if (!status)
		status = b.status;
	if (!status && (b.page != p->page || !b.mode || b.mode > GVM_MODE_WRITE))
		status = -EPROTO;
	if (!status && grant_is_void(n, p, q, &b)) {
		refuse_grant(n, q, &b);
		status = -EAGAIN;
	}
	if (status)
		fill_refused(n, p, q, &b, status);
	else
		granted(n, p, q, &b);
	gvm_agent_run_deferred(n);
	gvm_agent_make_room(n);
out:
	gvm_unlock(&a->lock);
}

/* The guest's access to a page that has an entry. */
static void fault(struct gvm_node *n, struct gvm_page *p, bool write)
{
	p->flags |= write ? AP_WAIT_WRITE : AP_WAIT_READ;
	if (p->flags & AP_MAPPING)
		return;
	switch (p->state) {
	case PAGE_SHARED:
		if (!write) {
			gvm_page_map(n, p, GVM_PROT_READ, false);
			break;
		}
		p->state = PAGE_UPGRADE;
		gvm_stat_inc(n, upgrades);
		gvm_page_request(n, p);
		break;
	case PAGE_EXCLUSIVE:
		p->flags &= ~(AP_MARKER | AP_PREFETCH);
		if (write)
			p->state = PAGE_MODIFIED;
		gvm_page_map(n, p, write ? GVM_PROT_WRITE : GVM_PROT_READ, false);
		break;
	case PAGE_MODIFIED:
		gvm_page_map(n, p, GVM_PROT_WRITE, false);
		break;
	case PAGE_UPGRADE:
	case PAGE_WRITEBACK:
		if (!write)
			gvm_page_map(n, p, GVM_PROT_READ, false);
		break;
	default:
		break;
	}
}

static void ahead_one(struct gvm_node *n, u64 page, bool write, bool marker)
{
	struct gvm_agent *a = n->agent;
	struct gvm_page *p;

	if (a->resident.count + 1 >= n->cfg.budget_pages || gvm_page_find(a, page))
		return;
	p = gvm_page_new(a, page);
	if (!p)
		return;
	p->state = PAGE_FILL;
	p->flags = AP_PREFETCH | (write ? AP_AHEAD_RW : 0) | (marker ? AP_MARKER : 0);
	gvm_stat_inc(n, prefetches);
	gvm_page_request(n, p);
}

static void fault_ahead(struct gvm_node *n, u64 page, bool write)
{
	struct gvm_agent *a = n->agent;
	struct gvm_ahead ahead;

	gvm_prefetch_fault(&a->prefetch, page, a->ram_pages, &ahead);
	for (u32 i = 0; i < ahead.count; i++) {
		u64 at = ahead.first + (s64)i * ahead.stride;

		ahead_one(n, at, write, at == ahead.marker);
	}
}

void gvm_agent_fault(struct gvm_node *n, u64 page, bool write)
{
	struct gvm_agent *a = n->agent;
	struct gvm_page *p;
	bool miss;

	if (write)
		gvm_stat_inc(n, faults_write);
	else
		gvm_stat_inc(n, faults_read);
	gvm_lock(&a->lock);
	if (!a->attached || page >= a->ram_pages) {
		n->ops->page_error(n->ctx, page, GVM_NO_NODE, -ERANGE);
		goto out;
	}
	p = gvm_page_find(a, page);
	miss = !p || (p->flags & (AP_PREFETCH | AP_MARKER));
	if (!p) {
		p = gvm_page_new(a, page);
		if (!p) {
			n->ops->page_error(n->ctx, page, GVM_NO_NODE, -ENOMEM);
			goto out;
		}
		p->state = PAGE_FILL;
		p->flags = write ? AP_WAIT_WRITE : AP_WAIT_READ;
		gvm_page_request(n, p);
	} else {
		fault(n, p, write);
	}
	if (miss)
		fault_ahead(n, page, write);
	gvm_agent_make_room(n);
out:
	gvm_unlock(&a->lock);
}

void gvm_agent_retry(struct gvm_node *n, u64 page)
{
	struct gvm_agent *a = n->agent;
	struct gvm_page *p;

	gvm_lock(&a->lock);
	p = a->attached ? gvm_page_find(a, page) : NULL;
	if (!p)
		goto out;
	if (p->state == PAGE_ERROR) {
		p->state = PAGE_FILL;
		gvm_page_request(n, p);
	} else if (p->state == PAGE_WRITEBACK) {
		gvm_agent_resume_write(n, p);
	} else if (p->flags & AP_WAIT) {
		fault(n, p, p->flags & AP_WAIT_WRITE);
	} else if (p->state == PAGE_MODIFIED && !(p->flags & AP_MAPPING)) {
		gvm_agent_write_back(n, &p, 1, true);
	}
out:
	gvm_unlock(&a->lock);
}

void gvm_agent_stray_grant(struct gvm_node *n, const struct gvm_header *h,
			   const struct gvm_page_body *b)
{
	struct gvm_agent *a = n->agent;
	struct gvm_page_body ack = {.page = b->page, .version = b->version, .aux = b->aux};
	struct gvm_page *p;

	gvm_lock(&a->lock);
	if (!a->attached || h->vm_id != a->vm_id || h->src_id != gvm_page_home(n, b->page))
		goto out;
	p = gvm_page_find(a, b->page);
	/* Its answer is being worked on by another thread, or is not acknowledged yet. */
	if (p && (p->req_id == h->req_id || p->grant_home != GVM_NO_NODE))
		goto out;
	/* To refuse would be to say that the home has the newest bytes. */
	if (gvm_agent_returning(n, b->page))
		goto out;
	if (!p || p->state == PAGE_FILL || p->state == PAGE_ERROR) {
		ack.status = -ENOENT;
		if (p)
			gvm_page_bar(p, b->version);
	} else if (gvm_version_before(b->version, p->version)) {
		goto out;
	}
	/* Who holds a copy is a holder, as the home has it from now on; the copy stays what it is. */
	ack_send(n, h->src_id, h->req_id, &ack, true);
out:
	gvm_unlock(&a->lock);
}

u64 gvm_agent_tick(struct gvm_node *n, u64 now)
{
	struct gvm_agent *a = n->agent;
	u64 next, leases = (u64)-1;

	gvm_lock(&a->lock);
	if (a->acks_due <= now)
		gvm_agent_flush_acks(n);
	if (a->attached) {
		leases = gvm_lease_tick(n, now);
		gvm_agent_run_later(n, now);
		gvm_agent_run_deferred(n);
	}
	next = min_t(u64, gvm_agent_tick_returns(n, now), min_t(u64, a->acks_due, a->later_due));
	next = min_t(u64, next, leases);
	gvm_unlock(&a->lock);
	return next;
}

void gvm_agent_set_budget(struct gvm_node *n, u64 pages)
{
	struct gvm_agent *a = n->agent;

	gvm_lock(&a->lock);
	if (a->attached) {
		pages = min_t(u64, pages, a->pool_size - 1 - SPARE_PAGES);
		n->cfg.budget_pages = max_t(u64, pages, 2 * a->reserve + 1);
		gvm_agent_make_room(n);
	}
	gvm_unlock(&a->lock);
}

char gvm_agent_state(struct gvm_node *n, u64 page)
{
	struct gvm_agent *a = n->agent;
	struct gvm_page *p;
	char c = 'I';

	gvm_lock(&a->lock);
	p = a->attached ? gvm_page_find(a, page) : NULL;
	if (p)
		c = "fSEMuw!"[p->state];
	gvm_unlock(&a->lock);
	return c;
}
