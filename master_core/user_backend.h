/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The backend of Mode B: what dsm_driver_ops asks for, with threads, epoll,
 * UDP sockets and userfaultfd. One node a backend.
 */
#ifndef GIANTVM_USER_BACKEND_H
#define GIANTVM_USER_BACKEND_H

#include "addresses.h"
#include "logger.h"
#include "logic_core.h"
#include "pager.h"
#include "registration.h"
#include "roster.h"
#include "stalls.h"
#include "workers.h"

struct gvm_backend_config {
	struct gvm_node_config node; /* boot_id 0: a random one */
	struct sockaddr_in bind;
	unsigned int threads;
	unsigned int spin_us;
	bool pin;
	const struct gvm_logger *log;
	/* The node cannot work; from a worker. It goes on until it is stopped. */
	void (*refused)(void *ctx, const char *sentence);
	/* A page stalled or came after all: see gvm_backend_stalls. Any thread. */
	void (*stalled)(void *ctx);
	void *ctx;
};

struct gvm_backend_stats {
	struct gvm_net_stats net; /* of all workers */
	u64 tx_no_route;	  /* dropped: no address for the node */
	u64 rx_control;		  /* messages for the backend itself */
	u64 rx_control_refused;	  /* of those, not from a gateway of ours */
};

struct gvm_backend;

/* 0 or a negative errno: -EADDRINUSE, -EADDRNOTAVAIL, -ENOMEM, -EMFILE ... */
int gvm_backend_create(struct gvm_backend **out, const struct gvm_backend_config *cfg);
int gvm_backend_start(struct gvm_backend *b);
void gvm_backend_stop(struct gvm_backend *b);
void gvm_backend_destroy(struct gvm_backend *b);

extern const struct dsm_driver_ops gvm_user_ops; /* its ctx is a gvm_backend */

struct gvm_node *gvm_backend_node(struct gvm_backend *b);
struct gvm_addresses *gvm_backend_addresses(struct gvm_backend *b);
struct gvm_registration *gvm_backend_registration(struct gvm_backend *b);
struct gvm_roster *gvm_backend_roster(struct gvm_backend *b); /* NULL at a slave */
struct gvm_stalls *gvm_backend_stalls(struct gvm_backend *b);
struct gvm_workers *gvm_backend_workers(struct gvm_backend *b);
u64 gvm_backend_boot_id(const struct gvm_backend *b);
void gvm_backend_stats(struct gvm_backend *b, struct gvm_backend_stats *out);

/* The pager of the VM that the agent is attached to. On return from setting
 * NULL no worker uses the former one. Not by a worker. */
void gvm_backend_set_pager(struct gvm_backend *b, struct gvm_pager *p);

/* A random number that is not 0. */
u64 gvm_random_id(void);
/* Greater than every one that this host made before, other hosts' made at the same time differ. */
u64 gvm_session_id(void);

#endif
