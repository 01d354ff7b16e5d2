/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reliable requests: ids with generations, retransmission on measured round
 * trips, a window per peer. A request's body and data do not change while it
 * is under way, so fragments of its copies can be mixed.
 */
#ifndef GIANTVM_RPC_H
#define GIANTVM_RPC_H

#include "node.h"

struct gvm_req;

/* Called without locks of the RPC layer, once. The request ends when it returns. */
typedef void (*gvm_req_done)(struct gvm_node *n, struct gvm_req *req, int status);

enum gvm_req_state { GVM_REQ_FREE, GVM_REQ_QUEUED, GVM_REQ_SENT, GVM_REQ_DONE };

struct gvm_req {
	u64 id; /* generation << GVM_REQ_SLOTS_SHIFT | slot */
	u64 deadline, first_sent;
	struct gvm_req *next, *prev; /* wheel bucket; next also: free list, window queue */
	gvm_req_done done;
	void *arg;
	const u8 *data; /* follows the body, GVM_PAGE_SIZE bytes; NULL: none */
	u8 *rx_page;	/* where the answer's page goes */
	u64 page;
	u64 wire_id; /* req_id on the wire: of the other side when this is a grant */
	u32 target, vm_id, epoch, generation;
	u16 type;
	u8 state, tries, windowed;
	u8 body_len, got; /* got: fragments of the answer, a bit each */
	u8 want_page;	  /* an answer's page is welcome: asked for at the first fragment */
	u8 body[GVM_VM_BODY];
	u8 reply[GVM_VM_BODY];
	u16 reply_len;
};

struct gvm_req_params {
	u32 target, vm_id, epoch;
	u16 type;
	const u8 *body;
	u8 body_len;
	const u8 *data;
	u64 page;
	u64 wire_id;	 /* 0: the request's own id */
	bool windowed;	 /* counts against the peer's window and may wait for it */
	bool urgent;	/* a guest waits: goes ahead of the queue, up to twice the window */
	bool want_page;	 /* the answer carries a page: ops->page_buffer supplies the memory */
	bool background; /* leave a quarter of the ring to others */
	bool put_handle; /* write the low 32 bits of the id into the page body's aux */
	gvm_req_done done;
	void *arg;
};

int gvm_rpc_create(struct gvm_node *n);
void gvm_rpc_destroy(struct gvm_node *n);

/* The id of the new request, or 0 when the ring is full. */
u64 gvm_req_start(struct gvm_node *n, const struct gvm_req_params *p);
/* Ends a request without calling done. Harmless when it has ended. */
void gvm_req_cancel(struct gvm_node *n, u64 id);
/* From now on the answer's page is welcome (see want_page). */
void gvm_req_want_page(struct gvm_node *n, u64 id);
/* Some, not all, fragments of the answer have come. */
bool gvm_req_partial(struct gvm_node *n, u64 id);
/* Sends it again now; need: fragments the other side lacks, a bit each. */
void gvm_req_resend(struct gvm_node *n, u64 id, u8 need);

/* An answer that is matched by req_id: MEM_ACK, VM_ACK, PING. False: nobody waits for it. */
bool gvm_rpc_answer(struct gvm_node *n, const struct gvm_header *h, const u8 *part);
/*
 * An answer that is matched by the handle in its aux field (GRANT_ACK, INV_ACK):
 * true when the request was under way to h->src_id about that page; it ends, without done.
 */
bool gvm_rpc_take(struct gvm_node *n, u32 handle, const struct gvm_header *h, u64 page, u16 type);

/* Sends one message that nobody repeats. */
void gvm_send(struct gvm_node *n, u32 target, u16 type, u64 req_id, u32 vm_id, u32 epoch, u8 flags,
	      const u8 *body, size_t body_len, const u8 *data);
static inline void gvm_send_page(struct gvm_node *n, const struct gvm_header *to, u16 type,
				 const struct gvm_page_body *b, const u8 *data)
{
	u8 body[GVM_PAGE_BODY];

	gvm_page_body_encode(body, b);
	gvm_send(n, to->src_id, type, to->req_id, to->vm_id, to->epoch, 0, body, sizeof(body),
		 data);
}

u64 gvm_rpc_tick(struct gvm_node *n, u64 now);

#endif
