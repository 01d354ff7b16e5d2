/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Request ids of blocking calls: a ring of slots, each with a generation, so
 * that a late answer to an id that was given out again is recognised. Every
 * slot has a mutex and a condition variable of its own.
 */
#ifndef GIANTVM_REQ_RING_H
#define GIANTVM_REQ_RING_H

#include "../common_include/giantvm_protocol.h"

#define GVM_REQ_NONE ((u64)-1)

struct gvm_req_ring;

/* NULL: no memory. */
struct gvm_req_ring *gvm_req_ring_create(void);
void gvm_req_ring_destroy(struct gvm_req_ring *r);

/* O(1). GVM_REQ_NONE when every slot is taken. */
u64 gvm_req_ring_alloc(struct gvm_req_ring *r, void *rx_buffer);
void gvm_req_ring_free(struct gvm_req_ring *r, u64 id);

/* Wakes who waits for id; stale ids are ignored. status: 1 or a negative errno. */
void gvm_req_ring_complete(struct gvm_req_ring *r, u64 id, int status);
/* 0 while open, else the status given to complete. The caller owns id. */
int gvm_req_ring_status(struct gvm_req_ring *r, u64 id);
/* Sleeps until id is complete or timeout_us have passed. */
void gvm_req_ring_wait(struct gvm_req_ring *r, u64 id, u64 timeout_us);

#endif
