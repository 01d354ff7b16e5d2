/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A gateway: what its threads share, and what each has for itself. */
#ifndef GVM_GATEWAY_H
#define GVM_GATEWAY_H

#include <stdio.h>
#include "aggregator.h"
#include "announcer.h"
#include "node_table.h"
#include "../master_core/logger.h"
#include "../slave_daemon/net_uring.h"

struct gw_options {
	u32 id;
	struct sockaddr_in bind;
	bool insecure;
	bool direct; /* slaves may answer clients directly */
	u32 threads;
	u32 flush_us, spin_us;
	const char *slaves_file, *control_path, *stats_path;
};

struct gateway;

/* One thread: its socket, its share of the work, its counters. */
struct gw_thread {
	struct gateway *gw;
	struct gvm_net *net;
	struct gvm_aggregator agg;
	struct gw_announcer announcer;
	struct gw_counters counters;
	u64 now_us; /* taken once a batch */
	/* The sender that was checked last: most datagrams come in runs. */
	struct gw_node *sender;
	int epoll_fd;
	bool wants_out;
	bool started;
	pthread_t thread;
};

struct gateway {
	struct gw_options opt;
	struct gvm_logger log;
	u32 first_slave, nslaves;
	u64 boot_id;
	u64 started_us;
	int stop_fd; /* eventfd: readable when all threads are to end */
	struct gvm_pkt_pool *pool;
	struct gw_nodes *nodes;
	struct gvm_agg_table *buffers;
	struct gw_thread *threads;
	struct gvm_net **nets;
	gvm_lock_t log_lock; /* over what follows */
	u64 odd_since_us;    /* start of the present second of odd things */
	u32 odd_logged, odd_silent;
};

u64 gw_now_us(void);

/* A line about something odd that came from outside; a few a second at most. */
void gw_odd(struct gw_thread *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* relay.c: a datagram came in (gvm_net_rx_fn, ctx is a gw_thread). */
void gw_relay(void *ctx, const u8 *datagram, size_t len, const struct sockaddr_in *from);
extern const struct gvm_agg_ops gw_agg_ops; /* ctx: gw_thread */

/* service.c: a message to the gateway itself. */
void gw_serve(struct gw_thread *t, const struct gvm_header *h, const u8 *body,
	      const struct sockaddr_in *from);

/* worker.c */
int gw_workers_start(struct gateway *gw); /* 0 or negative errno */
void gw_stop(struct gateway *gw);	  /* any thread: makes stop_fd readable */
void gw_workers_stop(struct gateway *gw);

/* options.c: 0, or an exit code after a sentence on stderr (or the help). */
#define GW_EXIT_FAILED 1
#define GW_EXIT_USAGE  2
#define GW_EXIT_HELP   (-1)
int gw_options_parse(struct gw_options *o, int argc, char **argv);

/* status.c: writes one JSON object and a newline. */
void gw_status_write(struct gateway *gw, FILE *out);

/* control.c: the Unix socket for status. */
int gw_control_open(struct gateway *gw); /* fd, or negative after a log line */
void gw_control_serve(struct gateway *gw, int listen_fd);
void gw_control_close(struct gateway *gw, int listen_fd);

#endif
