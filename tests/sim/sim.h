/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The simulator: many nodes in one process, virtual time, one seeded source of
 * chance. The same seed and options replay the same run, event by event.
 *
 *   event.c    virtual time          network.c  datagrams between hosts
 *   host.c     a node's backend      pages.c    the memory of its guest
 *   guest.c    programs that read and write pages
 *   checker.c  what must hold        opener.c   MSG_VM_OPEN by a minimal client
 *   world.c    who there is
 *   run.c      a run from beginning to end
 */
#ifndef GVM_SIM_H
#define GVM_SIM_H

#include "../../master_core/logic_core.h"

#define SIM_NEVER ((u64)-1)

/* Ids from here up are auditors: agents that begin when the others have flushed. */
#define SIM_AUDITOR (GVM_MAX_SLAVES + 500000)

struct sim;
struct sim_host;

/* Times in microseconds, chances in parts per million. */
struct sim_config {
	u64 seed;
	u32 homes;
	u32 agents; /* per VM; colocate_ppm: at a home */
	u32 colocate_ppm;
	u32 vms;
	u32 vcpus;    /* per agent */
	u32 accesses; /* per vCPU */
	u32 ram_pages;
	u32 hot_pages;
	u32 budget_pages;
	u32 prefetch_max;
	u32 stripe_shift;
	u32 residence_us;
	u32 ack_delay_us;
	u32 hot_ppm, write_ppm, scan_ppm, blank_ppm, spurious_ppm;
	u32 loss_ppm, duplicate_ppm, late_ppm, mangle_ppm, join_ppm;
	u32 delay_us, jitter_us, late_us;
	u32 pending_ppm, slow_thread_ppm, flush_ppm, nomem_ppm;
	u32 think_us;		  /* between two accesses of a vCPU */
	u32 cut_every_us, cut_us; /* partitions; 0: none */
	u32 home_crash_us;	  /* a home restarts empty about then; 0: never */
	bool verbose;
	s64 trace_page; /* only messages about this page, -1: all */
};

/* Every field is a function of the seed; callers then overrule what they want. */
void sim_config_draw(struct sim_config *cfg, u64 seed);

/* A page as the guest of one host sees it. */
struct sim_page {
	u8 *bytes; /* what is mapped, NULL when nothing is */
	u8 *fill;  /* what page_buffer gave out, not visible yet */
	u8 prot;
	u8 pending_prot;
	bool pending;
	bool pending_zero;
	bool retry_armed;
};

struct sim_vcpu {
	struct sim_host *host;
	u64 page;
	u64 since;
	u32 left;
	u32 scan_left;
	bool write;
	bool waiting; /* for page_map of page */
	bool lost;    /* its page's home lost the bytes: it stays waiting */
};

/* What the memory of a VM must hold: each write is applied here at its instant. */
struct sim_vm {
	u32 id;
	u32 ram_pages;
	u8 *bytes;
	bool *written; /* never: zero, and no bytes on the wire */
	bool *lost;    /* its home restarted: only an error or the latest bytes are right */
	struct gvm_route route;
};

struct sim_request {
	void *buffer;
	u32 generation;
	int status;
	bool used;
};

#define SIM_REQUESTS 16

struct sim_host {
	struct sim *sim;
	struct gvm_node *node;
	struct gvm_node_config cfg;
	struct sim_vm *vm; /* NULL: no guest */
	struct sim_page *pages;
	struct sim_vcpu *vcpus;
	u32 nvcpus;
	u32 side;	/* of the partition */
	u64 clock_skew; /* every host has a clock of its own */
	u64 tick_at;
	u32 incarnation;
	bool flush_armed;
	s64 packets; /* alloc_packet less free_packet and send_packet */
	s64 tables;
	struct sim_packet *joinable;
	struct sim_opening **openings; /* by member of the route; NULL: answered */
	struct sim_request requests[SIM_REQUESTS];
	u32 held; /* pages with bytes, or a buffer for them */
};

struct sim_counts {
	u64 events, accesses, reads, writes, faults, sent, lost, duplicated, mangled, joined, cuts;
	u64 errors, longest_us;
	u64 prefetches, evictions, fenced, presumed_fenced; /* what the nodes count */
};

struct sim {
	struct sim_config cfg;
	u64 now;
	u64 rng;
	struct sim_queue *queue;
	struct sim_host **hosts; /* homes, then agents by VM, then the auditors */
	u32 nhosts;
	struct sim_vm *vms;
	u32 running; /* vCPUs with accesses left */
	u32 opening;
	u64 cut_until;
	bool cutting;  /* partitions may still begin */
	bool draining; /* the run is over: events only give back what they own */
	bool auditing; /* every page is home: nobody but the auditor may send one there */
	bool failed;
	bool expect_loss; /* a home was restarted: GVM_ELOST and GVM_ESTALE are right */
	char reason[256];
	struct sim_counts counts;
	/* Unit tests: false drops the datagram. */
	bool (*filter)(struct sim *s, u32 from, u32 to, const u8 *data, size_t len);
	void *filter_arg;
};

/* event.c */
typedef void (*sim_fn)(struct sim *s, void *who, u64 what);
int sim_queue_create(struct sim *s);
void sim_queue_destroy(struct sim *s);
void sim_at(struct sim *s, u64 delay_us, sim_fn fn, void *who, u64 what);
/* Runs the next event; false when there is none, or it is later than until. */
bool sim_step(struct sim *s, u64 until);
u64 sim_random(struct sim *s);
u64 sim_below(struct sim *s, u64 n); /* 0 when n is 0 */
bool sim_chance(struct sim *s, u32 ppm);
/* Fails the run; the first reason is kept. */
void sim_fail(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sim_trace(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* network.c */
void sim_net_send(struct sim *s, u32 from, u32 to, const u8 *data, size_t len);
void sim_net_cut(struct sim *s);
void sim_net_heal(struct sim *s);
struct sim_host *sim_host_find(struct sim *s, u32 id);

/* host.c */
extern const struct dsm_driver_ops sim_ops;
struct sim_host *sim_host_create(struct sim *s, const struct gvm_node_config *cfg);
int sim_host_attach(struct sim_host *h, struct sim_vm *vm);
void sim_host_receive(struct sim_host *h, const u8 *data, size_t len);
/* Takes the node away as a crash does and starts it anew, empty, with another boot id. */
int sim_host_restart(struct sim_host *h);
void sim_host_stop(struct sim_host *h);
void sim_host_destroy(struct sim_host *h);

/* pages.c */
void *sim_page_buffer(void *ctx, u64 page, enum gvm_prot prot);
int sim_page_map(void *ctx, u64 page, enum gvm_prot prot, bool zero);
int sim_page_protect(void *ctx, const u64 *pages, unsigned int n);
void *sim_page_data(void *ctx, u64 page);
void sim_page_drop(void *ctx, u64 page);
void sim_page_error(void *ctx, u64 page, u32 node, int status);

/* guest.c */
int sim_guest_start(struct sim_host *h, u32 nvcpus, u32 accesses);
void sim_guest_wake(struct sim_host *h, u64 page);
void sim_guest_lost(struct sim_host *h, u64 page);
/* One access at once, by a page and a direction; for unit tests and the audit. */
void sim_guest_access(struct sim_vcpu *v, u64 page, bool write);

/* checker.c */
void sim_check_map(struct sim_host *h, u64 page, enum gvm_prot prot);
void sim_check_bytes(struct sim_host *h, u64 page, const u8 *bytes);
void sim_check_quiet(struct sim *s);

/* opener.c */
int sim_open_start(struct sim_host *client, u32 flags);
void sim_open_answer(struct sim_host *client, const struct gvm_header *h, const u8 *body);

/* world.c: homes with memory, VMs with agents, everything attached, nothing running yet. */
int sim_create(struct sim *s, const struct sim_config *cfg);
void sim_destroy(struct sim *s);
/* An agent more for a VM: the id, or GVM_NO_NODE. */
struct sim_host *sim_add_agent(struct sim *s, struct sim_vm *vm, u32 id);

/* run.c: false when what is waited for did not come within limit_us, or a check failed. */
bool sim_run_until(struct sim *s, bool (*done)(struct sim *s), u64 limit_us, const char *what);
bool sim_open_all(struct sim *s);
bool sim_flush_all(struct sim *s, bool drop);
/* Every page of every VM is read by an agent that held nothing before. */
bool sim_audit(struct sim *s);
/* A whole run: open, work, heal, flush, audit, quiet. */
bool sim_run(struct sim *s);

#endif
