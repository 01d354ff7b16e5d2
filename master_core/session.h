/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Unix socket through which QEMU and other clients get the guest's RAM. */
#ifndef GIANTVM_SESSION_H
#define GIANTVM_SESSION_H

#include "master.h"

/* Listens at the master's socket path. 0 or a negative errno, said in the log. */
int gvm_sessions_open(struct gvm_sessions **out, struct gvm_master *m);
/* Ends every session without touching the VM, and removes the socket. NULL is allowed. */
void gvm_sessions_close(struct gvm_sessions *ss);

/* Readable when there is something to do: then call gvm_sessions_run. */
int gvm_sessions_fd(const struct gvm_sessions *ss);
void gvm_sessions_run(struct gvm_sessions *ss);
/* Answers requests that are done; after every wake of the master. */
void gvm_sessions_answer(struct gvm_sessions *ss);

/* Tells every attached client. */
void gvm_sessions_event(struct gvm_sessions *ss, u32 kind, u32 node, u64 gpa, const char *text);
/* No fault of a client is served any more when this returns. */
void gvm_sessions_stop_serving(struct gvm_sessions *ss);

#endif
