/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files of the giantvm accelerator. */
#ifndef ACCEL_GIANTVM_INT_H
#define ACCEL_GIANTVM_INT_H

#include "qemu/notify.h"
#include "qemu/thread.h"
#include "qom/object.h"
#include "sysemu/accel.h"
#include "sysemu/giantvm.h"
#include "sysemu/hostmem.h"
#include "giantvm/client/gvm_client.h"

#define TYPE_GIANTVM_ACCEL ACCEL_CLASS_NAME("giantvm")
#define GIANTVM_DEVICE	   "/dev/giantvm"

typedef struct GiantvmState {
	AccelState parent_obj;

	/* Options. */
	char *mode;
	char *socket;
	char *engine;
	char *thread;
	bool stop_when_lost;

	struct gvm_client client; /* the event thread's alone once the RAM is served */
	HostMemoryBackend *ram;

	/* Events, see giantvm-event.c. */
	QemuThread event_thread;
	GHashTable *silent; /* nodes that do not answer; the event thread's own */
	bool hold;	    /* atomic: the guest is to stand still */
	bool held;	    /* BQL: what the vCPUs were last told */
	bool quitting;	    /* atomic: QEMU is about to end */
	Notifier machine_done;
	Notifier shutdown;
} GiantvmState;

OBJECT_DECLARE_SIMPLE_TYPE(GiantvmState, GIANTVM_ACCEL)

/*
 * giantvm-all.c: the accelerator, or NULL when it is not in use. Not
 * current_accel(), which is the engine: QEMU's KVM code casts that to its own
 * type long after the start.
 */
GiantvmState *giantvm_state(void);

/*
 * giantvm-cpu.c: makes the engine that runs the vCPUs and starts it. It is the
 * machine's accelerator from then on. False with errp set.
 */
bool giantvm_engine_start(GiantvmState *s, MachineState *ms, Error **errp);

/*
 * Tells every vCPU to stop, or to go on, and stops guest time with it. Does not
 * wait: a vCPU that waits for a page stops when it has it. With the BQL held.
 */
void giantvm_cpus_hold(void);
void giantvm_cpus_release(void);

/* giantvm-uffd.c: serves faults on the RAM mapped at base. False with errp set. */
bool giantvm_serve_ram(GiantvmState *s, void *base, Error **errp);

/*
 * giantvm-event.c: init before anything is asked of the node, whose answers may
 * come with events between; start gives the connection to the event thread.
 */
void giantvm_events_init(GiantvmState *s);
void giantvm_events_start(GiantvmState *s);

#endif
