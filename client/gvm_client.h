/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The client of a node's Unix socket: what QEMU, a test program or a benchmark
 * uses to get a VM's RAM. Plain C, no thread of its own. A handle is used by
 * one thread at a time.
 *
 *   struct gvm_client c;
 *   if (gvm_client_open(&c, GVM_IPC_SOCKET, 64 << 20) < 0)
 *           errx(1, "%s", c.error);
 *   c.base[0] = 1;                   (the node brings the page in)
 *   gvm_client_detach(&c);
 *
 * Functions return 0 or a negative errno, and then error is a sentence.
 */
#ifndef GVM_CLIENT_H
#define GVM_CLIENT_H

#include <stdint.h>

#include "../common_include/giantvm_protocol.h"

#define GVM_CLIENT_TIMEOUT_MS 30000

struct gvm_client {
	int sock;  /* poll it for input: then call gvm_client_next */
	int memfd; /* the RAM */
	int uffd;
	uint8_t *base; /* offset 0 of the RAM, NULL before it is mapped */
	uint64_t size; /* bytes */
	uint32_t vm_id;
	uint64_t features; /* UFFD_FEATURE_* in use */
	bool own_mapping;  /* base is to be unmapped by gvm_client_detach */
	int timeout_ms;	   /* for the node's answers, gvm_client_fault excepted */
	void (*on_event)(void *opaque, const struct gvm_ipc_event *event);
	void *opaque; /* of on_event */
	char error[512];
};

/* What gvm_client_next has read. */
struct gvm_client_msg {
	uint16_t type; /* GVM_IPC_EVENT or GVM_IPC_FAULT_ACK */
	union {
		struct gvm_ipc_event event;
		struct gvm_ipc_fault_ack ack;
	};
};

/* Makes the handle valid for every other call; gvm_client_connect does it too. */
void gvm_client_init(struct gvm_client *c);

/*
 * Connects to a node. -EACCES also when the socket belongs to another
 * ordinary user: whoever serves the RAM can read and write it.
 */
int gvm_client_connect(struct gvm_client *c, const char *path);

/* Asks for ram_size bytes (0: what is there) and receives the memory object. */
int gvm_client_attach(struct gvm_client *c, uint64_t ram_size);

/* Maps the RAM into this process ... */
int gvm_client_map(struct gvm_client *c);
/* ... or takes a shared mapping of c->memfd of c->size bytes, made by the caller, who unmaps it. */
int gvm_client_adopt(struct gvm_client *c, void *base);

/*
 * Registers the mapping with userfaultfd and hands the descriptor to the node;
 * afterwards the RAM may be touched. No byte of it may have been touched before.
 * -EPERM or -EACCES: no permission, -ENOTSUP: the kernel is too old.
 */
int gvm_client_pager(struct gvm_client *c);

/* connect, attach, map and pager. On an error the handle is closed again. */
int gvm_client_open(struct gvm_client *c, const char *path, uint64_t ram_size);

/*
 * Reads one message, waiting at most timeout_ms (-1: for ever). 0, -ETIMEDOUT,
 * -ENOTCONN when the node has gone, -EPROTO for what is no message.
 */
int gvm_client_next(struct gvm_client *c, struct gvm_client_msg *msg, int timeout_ms);

/*
 * Asks for the pages of [gpa, gpa + len), flags 0 or GVM_IPC_WRITE. One
 * FAULT_ACK with that gpa answers it. -EINVAL for a range that is not of whole
 * pages or not inside the RAM.
 */
int gvm_client_fault_send(struct gvm_client *c, uint64_t gpa, uint32_t len, uint32_t flags);

/*
 * The same, and waits for the answer, whose status is returned. Events that
 * come in between go to on_event. Not for a handle whose messages another
 * thread reads.
 */
int gvm_client_fault(struct gvm_client *c, uint64_t gpa, uint32_t len, uint32_t flags);

/*
 * Leaves: unmaps (before the userfaultfd is closed, or a late reader would see
 * zero pages), then closes everything. The handle may be opened again.
 */
void gvm_client_detach(struct gvm_client *c);

#endif
