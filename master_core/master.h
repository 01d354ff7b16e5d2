/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A master's VM: opened at its homes when the first client attaches, closed
 * when the last one leaves, or kept there when the master is told to stop.
 */
#ifndef GIANTVM_MASTER_H
#define GIANTVM_MASTER_H

#include "kept.h"
#include "members.h"
#include "options.h"
#include "user_backend.h"

#define GVM_SENTENCE_MAX 240 /* as in gvm_ipc_attached */

struct master_vm {
	bool open;
	bool lost; /* bytes are gone: the guest must not run on */
	u64 ram_pages;
	u32 epoch;
	u64 client_boot;
	struct gvm_route route;
	struct gvm_pager *pager;
	unsigned int clients;
};

struct gvm_sessions;

struct gvm_master {
	struct master_options opt;
	char *state_path;
	struct gvm_logger log;
	struct gvm_backend *backend;
	struct gvm_sessions *sessions;
	struct master_vm vm;
	struct gvm_pager_totals totals;
	pthread_mutex_t lock; /* vm changes under it; others than the main thread read under it */
	bool adopt;	      /* the next VM continues with what was kept */
	bool closing;
	int wake; /* an eventfd: something is to be done by the main thread */
	int stop; /* an eventfd: gvm_ctl says stop, or a gateway has refused the node */
	bool refused;
};

/*
 * Opens the VM at the slaves that are there, or joins it. ram_size in bytes,
 * 0: as it is. 0, or a negative errno with a sentence (GVM_SENTENCE_MAX bytes).
 * Main thread; may take seconds.
 */
int gvm_master_open_vm(struct gvm_master *m, u64 ram_size, char *sentence);
/* The last client has left: its pages are forgotten, here and at the homes. */
void gvm_master_close_vm(struct gvm_master *m);
/*
 * Writes every page home; *written: how many. No fault of a client may be
 * served any more, and the clients stay until it returns. 0, or -EIO when
 * pages remain (said in the log).
 */
int gvm_master_flush_vm(struct gvm_master *m, u64 *written);
/* After that: has the homes keep the pages, and writes down where they are. */
int gvm_master_keep_vm(struct gvm_master *m);

/* Wakes the main thread. Any thread. */
void gvm_master_wake(struct gvm_master *m);

#endif
