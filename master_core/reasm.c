/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages in fragments that answer no request of this node. A context belongs
 * to (source, request id); its sender repeats the same bytes, so fragments of
 * different copies fit together. Contexts are few: the oldest gives way, and
 * what it held is sent again by its owner.
 */
#include "home.h"

#define WAYS 4
#define SETS 64

struct context {
	u64 req_id, used;
	u32 src_id, vm_id;
	u16 length, type;
	u8 got;
	u8 *body; /* GVM_MSG_MAX, allocated when first used */
};

struct gvm_reasm {
	gvm_lock_t lock;
	u64 clock;
	struct context sets[SETS][WAYS];
};

struct gvm_reasm *gvm_reasm_create(struct gvm_node *n)
{
	struct gvm_reasm *r = gvm_table_alloc(n, sizeof(*r));

	if (r)
		gvm_lock_init(&r->lock);
	return r;
}

void gvm_reasm_destroy(struct gvm_node *n, struct gvm_reasm *r)
{
	if (!r)
		return;
	for (u32 i = 0; i < SETS * WAYS; i++)
		gvm_table_free(n, r->sets[i / WAYS][i % WAYS].body);
	gvm_table_free(n, r);
}

static bool same(const struct context *c, const struct gvm_header *h)
{
	return c->got && c->req_id == h->req_id && c->src_id == h->src_id && c->vm_id == h->vm_id &&
	       c->length == h->length && c->type == h->msg_type;
}

static struct context *find(struct gvm_reasm *r, const struct gvm_header *h)
{
	struct context *set = r->sets[gvm_hash(h->req_id ^ (u64)h->src_id << 40) % SETS];
	struct context *old = set;

	for (u32 i = 0; i < WAYS; i++) {
		if (same(&set[i], h))
			return &set[i];
		if (set[i].used < old->used)
			old = &set[i];
	}
	old->got = 0;
	old->req_id = h->req_id;
	old->src_id = h->src_id;
	old->vm_id = h->vm_id;
	old->length = h->length;
	old->type = h->msg_type;
	return old;
}

size_t gvm_reasm_add(struct gvm_node *n, struct gvm_reasm *r, const struct gvm_header *h,
		     const u8 *part, u8 *out)
{
	size_t len = 0;
	struct context *c;

	gvm_lock(&r->lock);
	c = find(r, h);
	c->used = ++r->clock;
	if (!c->body)
		c->body = gvm_table_alloc(n, GVM_MSG_MAX);
	if (!c->body)
		goto out;
	memcpy(c->body + gvm_frag_offset(h), part, gvm_frag_length(h));
	c->got |= 1U << h->frag_seq;
	if (c->got == (1U << h->frag_count) - 1) {
		len = h->length;
		memcpy(out, c->body, len);
		c->got = 0;
		c->used = 0;
	}
out:
	gvm_unlock(&r->lock);
	return len;
}
