/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The wire format, the copyset and the Mode B IPC.
 *
 * Everything on the wire is little endian and is encoded and decoded by the
 * functions of wire.c, never by casting. A message is a header and a body of
 * at most GVM_MSG_MAX bytes. A body that is longer than GVM_FRAG_MAX goes out
 * as frag_count fragments, each with a header of its own; fragment i carries
 * the bytes from i * ceil(length / frag_count). A datagram holds one or more
 * messages or fragments back to back (see gvm_wire_next).
 */
#ifndef GIANTVM_PROTOCOL_H
#define GIANTVM_PROTOCOL_H

#include "giantvm_config.h"
#include "platform_defs.h"

#define GVM_MAGIC   0x47564D58U /* "GVMX" */
#define GVM_VERSION 1
#define MTU_SIZE    1400 /* most payload bytes of one datagram on a 1500-byte network */

enum gvm_msg_type {
	MSG_PING = 0,	      /* any -> any, answered with the same body and GVM_FLAG_RESP */
	MSG_MEM_READ = 1,     /* agent -> home: grant me this page; answered by MEM_ACK */
	MSG_MEM_WRITE = 2,    /* agent -> home: a page's bytes; answered by MEM_ACK */
	MSG_MEM_ACK = 3,      /* home -> agent: the grant, or what became of the write */
	MSG_COPYSET_UPDATE = 4, /* home -> agent: invalidate or downgrade; answered by INV_ACK */
	MSG_VCPU_EXIT = 5,    /* executor -> master: a frame of a vCPU's link (vcpu_link.h) */
	MSG_INV_ACK = 6,      /* agent -> home, with the bytes if they are newer than the home's */
	MSG_GRANT_ACK = 7,    /* agent -> home: the grant is mapped (or refused: status) */
	MSG_REGISTER = 8,     /* node -> gateway */
	MSG_REGISTER_ACK = 9, /* gateway -> node */
	MSG_NODES_QUERY = 10, /* client -> gateway: which slaves do you serve, from this id on */
	MSG_NODES_REPLY = 11,
	MSG_VM_OPEN = 12,     /* client -> home: reserve this VM's share; answered by VM_ACK */
	MSG_VM_CLOSE = 13,    /* client -> home; answered by VM_ACK */
	MSG_VM_STAT = 14,     /* client -> home; answered by VM_ACK */
	MSG_VM_ACK = 15,
	MSG_NODE_ADDR = 16,   /* gateway -> slave: this client may be answered directly at ... */
	MSG_VCPU_EVENT = 17,  /* master -> executor: see vcpu_link.h; EXIT is the other way */
	MSG_TYPE_COUNT
};

/* Header flags. */
#define GVM_FLAG_RESP 0x01
#define GVM_FLAG_SEALED 0x02 /* reserved: the tag is valid and the body encrypted */

struct gvm_header {
	u32 magic;
	u16 msg_type;
	u8 version;
	u8 is_frag;
	u32 slave_id; /* destination node: a slave, or a client from GVM_MAX_SLAVES up */
	u32 src_id;
	u64 req_id; /* generation | slot of the node that asked */
	u32 vm_id;
	u32 epoch;   /* of the VM's slot table */
	u64 counter; /* sealing: the nonce; 0 until then */
	u32 frag_seq;
	u8 frag_count; /* 1 when not fragmented */
	u8 flags;
	u16 length; /* of the whole message's body */
	u8 tag[16]; /* sealing: the authenticator; 0 until then */
} __attribute__((packed));

#define GVM_HEADER_SIZE 64
static_assert(sizeof(struct gvm_header) == GVM_HEADER_SIZE, "header layout");

/* The destination of a message to the gateway itself. */
#define GVM_TO_GATEWAY GVM_NO_NODE

/* Body of every message about one page; the page's bytes follow where the type says so. */
#define GVM_PAGE_BODY 20
struct gvm_page_body {
	u64 page; /* RAM offset >> GVM_PAGE_SHIFT */
	u32 version;
	u8 mode;     /* enum gvm_mode; a repeated MEM_READ adds the fragments it has << 4 */
	u8 flags;    /* GVM_PF_* */
	s16 status; /* 0 or negative errno (Linux numbers) */
	u32 aux;     /* MEM_READ: version of the copy held. Grant, COPYSET_UPDATE: a handle that its
		      * answer repeats. MEM_ACK with -EHOSTDOWN: the node that is not heard */
};

#define GVM_PAGE_MODE_AT 12 /* mode's place in the encoded body */
#define GVM_MODE_MASK	 0x0f

enum gvm_mode {
	GVM_MODE_NONE = 0, /* COPYSET_UPDATE: give it up. INV_ACK: I hold nothing */
	GVM_MODE_READ = 1, /* shared. COPYSET_UPDATE: keep a read copy */
	GVM_MODE_EXCL = 2, /* granted: exclusive clean */
	GVM_MODE_WRITE = 3 /* asked for or granted: to be modified */
};

#define GVM_PF_DATA	 0x01 /* GVM_PAGE_SIZE bytes follow the body */
#define GVM_PF_ZERO	 0x02 /* the page is all zero, no bytes follow */
#define GVM_PF_HAVE	 0x04 /* MEM_READ: I hold a read copy (aux: its version) */
#define GVM_PF_PREFETCH	 0x08 /* MEM_READ: nobody waits for it, refuse rather than recall */
#define GVM_PF_URGENT	 0x10 /* MEM_ACK: others wait, acknowledge at once */
#define GVM_PF_WRITTEN	 0x20 /* MEM_ACK: answers a MEM_WRITE, not a MEM_READ */

/* Statuses with a meaning of their own. */
#define GVM_EFULL  (-ENOSPC)	/* home has no memory left: keep the page, free some, ask again */
#define GVM_ELOST  (-ENODATA)	/* home once held this page's bytes, or its VM, and lost them */
#define GVM_ESTALE (-ESTALE)	/* wrong epoch, boot id, or a version that has passed */
#define GVM_EBUSY  (-EBUSY)	/* a prefetch that would disturb another node */

#define GVM_MSG_MAX  (GVM_PAGE_BODY + GVM_PAGE_SIZE)
#define GVM_FRAG_MAX (GVM_MSG_MAX / 3) /* a page is three equal datagrams: one GSO send */
static_assert(GVM_FRAG_MAX * 3 == GVM_MSG_MAX, "a page message is three equal fragments");
static_assert(GVM_FRAG_MAX <= MTU_SIZE, "fragment within MTU_SIZE");
/* What fits one datagram: IPv6 and UDP headers leave 1452 of 1500 bytes. */
#define GVM_DATAGRAM_MAX 1452
static_assert(GVM_HEADER_SIZE + GVM_FRAG_MAX <= GVM_DATAGRAM_MAX, "fragment within a datagram");
#define GVM_MAX_FRAGS 3
/* A datagram's worst case as received: GRO and jumbo frames. */
#define GVM_RX_MAX 65536

/* MSG_REGISTER / MSG_REGISTER_ACK / MSG_PING */
#define GVM_REGISTER_BODY 40
struct gvm_register_body {
	u64 boot_id;	 /* random, new at every start of the node */
	u64 lent_pages;	 /* 0 for a client */
	u64 free_pages;	 /* neither reserved nor used */
	u32 slave_bits;	 /* GVM_SLAVE_BITS of the build: must agree */
	s32 status;	 /* REGISTER_ACK: 0, -EEXIST, -ERANGE, -EPROTO */
	u64 gateway_boot; /* REGISTER_ACK */
};

/* MSG_NODES_QUERY has a body of 4 bytes: the first id wanted. */
#define GVM_NODE_RECORD 32
#define GVM_NODES_MAX	40 /* records a reply */
struct gvm_node_record {
	u32 id;
	u32 age_ms; /* since it was last heard */
	u64 boot_id;
	u64 lent_pages;
	u64 free_pages;
};

/* MSG_VM_OPEN, MSG_VM_CLOSE, MSG_VM_STAT, MSG_VM_ACK */
#define GVM_VM_BODY 64
struct gvm_vm_body {
	u64 ram_pages;
	u64 reserve_pages; /* this home's share; in an answer with -ENOSPC: what it has left */
	u64 home_boot;	   /* the home's boot id, as known to the client: must match */
	u64 client_boot; /* of this VM at its client, greater than any it had before */
	u64 touched_pages; /* answers: directory entries, */
	u64 stored_pages;  /* frames in use */
	u64 reserved;
	u32 flags;	   /* GVM_VM_* */
	s32 status;
};
#define GVM_VM_KEEP  0x1 /* close: the pages stay for a later open with ADOPT */
#define GVM_VM_ADOPT 0x2 /* open: continue with the pages that are there */
#define GVM_VM_JOIN  0x4 /* open, close: one more node of a VM that another client opened */

/* MSG_NODE_ADDR: ip and port in network byte order, as the socket API has them. */
#define GVM_ADDR_BODY 12
struct gvm_addr_body {
	u32 id;
	u32 ip;
	u16 port;
	u16 direct; /* 0: send through the gateway again */
};

/*
 * wire.c: encode and decode. A decoder checks every length, range and the
 * magic before it hands anything out; it returns 0 or a negative errno
 * (-EBADMSG truncated or malformed, -EPROTONOSUPPORT wrong version, -EPROTO
 * wrong magic). Encoders cannot fail; the buffer has the size the macro names.
 */
void gvm_header_encode(u8 *buf, const struct gvm_header *h);
int gvm_header_decode(struct gvm_header *h, const u8 *buf, size_t len);
void gvm_page_body_encode(u8 *buf, const struct gvm_page_body *b);
int gvm_page_body_decode(struct gvm_page_body *b, const u8 *buf, size_t len);
void gvm_register_encode(u8 *buf, const struct gvm_register_body *b);
int gvm_register_decode(struct gvm_register_body *b, const u8 *buf, size_t len);
void gvm_node_record_encode(u8 *buf, const struct gvm_node_record *r);
/* records: room for GVM_NODES_MAX; *n: how many were decoded. */
int gvm_nodes_decode(struct gvm_node_record *records, unsigned int *n, const u8 *buf, size_t len);
void gvm_vm_body_encode(u8 *buf, const struct gvm_vm_body *b);
int gvm_vm_body_decode(struct gvm_vm_body *b, const u8 *buf, size_t len);
void gvm_addr_encode(u8 *buf, const struct gvm_addr_body *b);
int gvm_addr_decode(struct gvm_addr_body *b, const u8 *buf, size_t len);

/* Offset and length of the part of the body that this header's datagram carries. */
u32 gvm_frag_offset(const struct gvm_header *h);
u32 gvm_frag_length(const struct gvm_header *h);

/*
 * The next message or fragment of a datagram: decodes the header at buf, sets
 * *part to its payload and returns the bytes consumed (header and payload), or
 * a negative errno if what is there is not one; 0 at the end (len == 0).
 */
int gvm_wire_next(struct gvm_header *h, const u8 **part, const u8 *buf, size_t len);

/*
 * Builds a whole message, fragments and all, as one run of bytes in which
 * every datagram is *seg bytes but the last, which may be shorter: ready for
 * UDP_SEGMENT. h's is_frag, frag_* and length are set here. body is body_len
 * bytes, data (may be NULL) data_len more. buf needs gvm_wire_size(total).
 * Returns the bytes written.
 */
size_t gvm_wire_size(size_t body_and_data);
size_t gvm_wire_build(u8 *buf, struct gvm_header *h, const u8 *body, size_t body_len,
		      const u8 *data, size_t data_len, size_t *seg);

/*
 * copyset.c: the set of nodes that hold a copy. Up to three ids stand inline
 * (3 x 21 bits); beyond that bit 63 is set and the rest is a handle of a
 * sparse set. Never put one on a stack by value with an overflow in it.
 */
typedef struct {
	u32 w[2];
} copyset_t;

struct dsm_driver_ops;
void copyset_init(copyset_t *cs);
void copyset_free(copyset_t *cs, const struct dsm_driver_ops *ops, void *ctx);
/* 0, or -ENOMEM with the set unchanged. Adding a member again changes nothing. */
int copyset_add(copyset_t *cs, u32 id, const struct dsm_driver_ops *ops, void *ctx);
void copyset_del(copyset_t *cs, u32 id, const struct dsm_driver_ops *ops, void *ctx);
bool copyset_has(const copyset_t *cs, u32 id);
u32 copyset_count(const copyset_t *cs);
/* The least member >= id, or GVM_NO_NODE. Iterate: id = copyset_next(cs, id + 1). */
u32 copyset_next(const copyset_t *cs, u32 id);

/*
 * Mode B IPC: AF_UNIX, SOCK_SEQPACKET, host byte order (both ends are on one
 * host). Each packet is a gvm_ipc_header and the struct its type names.
 *
 *   client -> node  ATTACH    gvm_ipc_attach
 *   node -> client  ATTACHED  gvm_ipc_attached, memfd as SCM_RIGHTS if status is 0
 *   client -> node  PAGER     gvm_ipc_pager, the userfaultfd as SCM_RIGHTS:
 *                             registered over [base, base + size) of the client
 *   node -> client  PAGER_ACK gvm_ipc_fault_ack (gpa unused)
 *   client -> node  FAULT     gvm_ipc_fault_req     bring the page in (prefault)
 *   node -> client  FAULT_ACK gvm_ipc_fault_ack     in any order, matched by gpa
 *   node -> client  EVENT     gvm_ipc_event
 * The client leaves by closing the socket.
 */
#define GVM_IPC_SOCKET	"/tmp/giantvm.sock"
#define GVM_IPC_SHM	"/giantvm_ram"
#define GVM_IPC_MAGIC	0x47564d49U
#define GVM_IPC_VERSION 1

enum gvm_ipc_type {
	GVM_IPC_ATTACH = 1,
	GVM_IPC_ATTACHED = 2,
	GVM_IPC_PAGER = 3,
	GVM_IPC_PAGER_ACK = 4,
	GVM_IPC_FAULT = 5,
	GVM_IPC_FAULT_ACK = 6,
	GVM_IPC_EVENT = 7
};

struct gvm_ipc_header {
	u32 magic;
	u16 version;
	u16 type;
	u32 length; /* of what follows */
	u32 reserved;
};

struct gvm_ipc_attach {
	u64 ram_size; /* bytes, a multiple of the page size; 0: join what is there */
	u32 flags;
	u32 pid;
};

struct gvm_ipc_attached {
	s32 status; /* 0 or negative errno, then message says why */
	u32 vm_id;
	u64 ram_size;
	char message[240];
};

struct gvm_ipc_pager {
	u64 base; /* address in the client that is offset 0 of the memfd */
	u64 size;
	u64 features; /* UFFD_FEATURE_* of the descriptor */
};

#define GVM_IPC_WRITE 0x1
struct gvm_ipc_fault_req {
	u64 gpa; /* offset in the RAM, page aligned */
	u32 len;
	u32 flags; /* GVM_IPC_WRITE */
};

struct gvm_ipc_fault_ack {
	u64 gpa;
	s32 status;
	u32 reserved;
};

enum gvm_ipc_event_kind {
	GVM_EVENT_STALLED = 1, /* a page's home does not answer: stop the guest, resumable */
	GVM_EVENT_RESUMED = 2, /* it answers again */
	GVM_EVENT_LOST = 3,    /* the page's bytes are gone: the guest must not run on */
	GVM_EVENT_CLOSING = 4  /* the node is told to stop: the guest must not run on */
};

struct gvm_ipc_event {
	u32 kind;
	u32 node; /* the slave, or GVM_NO_NODE */
	u64 gpa;
	char message[240];
};

#endif
