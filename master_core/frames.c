/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory a home lends, in frames of a page. A frame that was never used is still untouched. */
#include "home.h"

int gvm_frames_init(struct gvm_node *n, struct gvm_frames *f, u8 *base, u64 pages)
{
	if (pages > 0xfffffffeULL)
		return -EINVAL;
	gvm_lock_init(&f->lock);
	f->base = base;
	f->total = pages;
	f->fresh = f->nfree = f->reserved = 0;
	f->stack = gvm_table_alloc(n, (size_t)(pages + 1) * sizeof(*f->stack));
	return f->stack ? 0 : -ENOMEM;
}

void gvm_frames_free_all(struct gvm_node *n, struct gvm_frames *f)
{
	gvm_table_free(n, f->stack);
	f->stack = NULL;
}

u32 gvm_frame_alloc(struct gvm_frames *f)
{
	u32 frame = 0;

	gvm_lock(&f->lock);
	if (f->nfree)
		frame = f->stack[--f->nfree];
	else if (f->fresh < f->total)
		frame = (u32)++f->fresh;
	gvm_unlock(&f->lock);
	return frame;
}

void gvm_frame_free(struct gvm_node *n, struct gvm_frames *f, u32 frame)
{
	if (!frame)
		return;
	if (n->ops->discard)
		n->ops->discard(n->ctx, gvm_frame_ptr(f, frame), GVM_PAGE_SIZE);
	gvm_lock(&f->lock);
	f->stack[f->nfree++] = frame;
	gvm_unlock(&f->lock);
}
