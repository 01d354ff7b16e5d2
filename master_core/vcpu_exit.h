/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a vCPU and its master say to each other over a link, and the rules:
 *
 * - An access that waits (every one that is not posted) is executed once and
 *   answered once; a vCPU has one such access open at most.
 * - A posted write is executed in its place between the others, unanswered.
 * - The master's APIC offers a vector; the executor delivers it when the guest can
 *   take it and says so (TAKEN, posted). Only then does the APIC count it as in
 *   service. An offer says which of the executor's records it has seen: one that has
 *   not seen the last TAKEN is void, since another follows that has.
 *
 * Free of I/O and of locks, as the link is.
 */
#ifndef GVM_VCPU_EXIT_H
#define GVM_VCPU_EXIT_H

#include "vcpu_link.h"

/* Bytes of data of one record; longer string PIO goes out in several. */
#define GVM_EXIT_DATA_MAX 1024
/* Bytes of a vCPU's state, of its map or CPUID that one record carries. */
#define GVM_PIECE_MAX	   1280
#define GVM_EXIT_NO_VECTOR 0xffff

enum gvm_record_type {
	/* executor -> master */
	GVM_REC_PIO = 1,
	GVM_REC_MMIO = 2,
	GVM_REC_TAKEN = 3,   /* vector; posted */
	GVM_REC_TPR = 4,     /* vector: CR8; posted */
	GVM_REC_HALTED = 5,  /* posted */
	GVM_REC_STOPPED = 6, /* status 0: as told. Else it cannot go on; data is a sentence */
	GVM_REC_DONE = 7,    /* of: the command that was carried out, or not: status, a sentence */

	/* both ways: a piece of a long object; the one that completes it is the last */
	GVM_REC_PIECE = 8,

	/* master -> executor */
	GVM_REC_ANSWER = 16, /* of: the access's record; data of a read */
	GVM_REC_IRQ = 17,    /* vector or GVM_EXIT_NO_VECTOR; of: records seen */
	GVM_REC_NMI = 18,
	GVM_REC_INIT = 19,
	GVM_REC_SIPI = 20, /* vector */
	GVM_REC_RUN = 21,
	GVM_REC_STOP = 22,
	GVM_REC_GET_STATE = 23, /* answered by pieces and DONE */
	GVM_REC_TYPES
};

/* What a piece is of. */
enum gvm_object {
	GVM_OBJECT_STATE = 1, /* gvm_vcpu_state_encode */
	GVM_OBJECT_MAP = 2,
	GVM_OBJECT_CPUID = 3,
	GVM_OBJECT_MSRS = 4
};
#define GVM_OBJECT_MAX (1U << 16)

#define GVM_ACCESS_WRITE  0x1
#define GVM_ACCESS_POSTED 0x2

struct gvm_record {
	u8 type;
	u8 flags;  /* PIO, MMIO: GVM_ACCESS_* */
	u8 size;   /* PIO: of an element, 1, 2 or 4 */
	u8 object; /* PIECE */
	u16 vector;
	s32 status;
	u32 count;   /* PIO: elements; MMIO: bytes; PIECE: the object's length */
	u32 offset;  /* PIECE */
	u64 address; /* port or guest-physical address */
	u64 of;
	const u8 *data;
	u32 len; /* of data */
};

#define GVM_RECORD_MAX GVM_LINK_PAYLOAD_MAX
/* The payload's length; -EINVAL for one that no decoder would take. */
int gvm_record_encode(u8 *buf, const struct gvm_record *r);
/* 0 or -EBADMSG. data points into buf. */
int gvm_record_decode(struct gvm_record *r, u8 type, const u8 *buf, size_t len);
/* Bytes that answer it: 0 for a write. */
u32 gvm_record_answer_len(const struct gvm_record *r);

/* The executor's end. */
struct gvm_exit_caller;
struct gvm_exit_caller_ops {
	void (*send)(void *ctx, const u8 *frame, size_t len); /* a MSG_VCPU_EXIT */
	/* The open access is answered: len bytes, those that it asked for. */
	void (*answered)(void *ctx, s32 status, const u8 *data, u32 len);
	void (*irq)(void *ctx, int vector); /* -1: none */
	/* NMI to GET_STATE, and pieces. */
	void (*command)(void *ctx, u64 seq, const struct gvm_record *r);
	void (*lost)(void *ctx);
};

struct gvm_exit_caller {
	struct gvm_link link;
	const struct gvm_exit_caller_ops *ops;
	void *ctx;
	u64 now;
	u64 open; /* the access that waits, 0: none */
	u32 open_len;
	u64 taken;	/* the last TAKEN */
	u64 rx_refused; /* records that make no sense here */
};

void gvm_exit_caller_init(struct gvm_exit_caller *c, u32 vcpu, u32 incarnation,
			  const struct gvm_exit_caller_ops *ops, void *ctx);
/*
 * Sends a record of the executor's. 0, -EAGAIN (window full), -EBUSY (an access is
 * open, and this is another), -EINVAL, -EPIPE.
 */
int gvm_exit_send(struct gvm_exit_caller *c, const struct gvm_record *r, u64 now);
int gvm_exit_caller_rx(struct gvm_exit_caller *c, const u8 *frame, size_t len, u64 now);
u64 gvm_exit_caller_tick(struct gvm_exit_caller *c, u64 now);

/* The master's end. */
struct gvm_exit_server_ops {
	void (*send)(void *ctx, const u8 *frame, size_t len); /* a MSG_VCPU_EVENT */
	/* To be carried out in this order; gvm_exit_served says when it was. */
	void (*exit)(void *ctx, u64 seq, const struct gvm_record *r);
	void (*lost)(void *ctx);
};

struct gvm_exit_server {
	struct gvm_link link;
	const struct gvm_exit_server_ops *ops;
	void *ctx;
	u64 open; /* the access that waits for its answer */
	u32 open_len;
	u64 served;
	u64 rx_refused;
};

void gvm_exit_server_init(struct gvm_exit_server *s, u32 vcpu, u32 incarnation,
			  const struct gvm_exit_server_ops *ops, void *ctx);
int gvm_exit_server_rx(struct gvm_exit_server *s, const u8 *frame, size_t len, u64 now);
u64 gvm_exit_server_tick(struct gvm_exit_server *s, u64 now);
/* A record that needs no answer has been carried out, and all before it. */
void gvm_exit_served(struct gvm_exit_server *s, u64 seq);
/* The access seq has been performed. -EINVAL: it is not the open one, or len is not what it wants.
 */
int gvm_exit_answer(struct gvm_exit_server *s, u64 seq, s32 status, const u8 *data, u32 len,
		    u64 now);
/* The vector that the APIC offers now (-1: none), every time that changes or a TAKEN was served. */
int gvm_exit_offer(struct gvm_exit_server *s, int vector, u64 now);
/* NMI to GET_STATE, and pieces. *seq may be NULL. */
int gvm_exit_command(struct gvm_exit_server *s, const struct gvm_record *r, u64 *seq, u64 now);

#endif
