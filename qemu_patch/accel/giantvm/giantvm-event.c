/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the node says while the guest runs. A thread of its own reads it, never
 * takes the BQL and touches no guest RAM: the main loop may itself be waiting
 * for a page (a device's DMA), and still a lost page has to be told and QEMU to
 * end. Only holding and releasing the vCPUs is left to the main loop.
 */
#include "qemu/osdep.h"
#include <termios.h>
#include "block/aio.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "sysemu/hostmem.h"
#include "sysemu/runstate.h"
#include "giantvm-int.h"

/* How long the main loop has to end QEMU in good order. */
#define LEAVE_US 1000000

static struct termios terminal;
static bool terminal_saved;

static void update_hold(void *opaque)
{
	GiantvmState *s = opaque;
	bool hold = qatomic_read(&s->hold);

	if (hold == s->held)
		return;
	s->held = hold;
	if (hold)
		giantvm_cpus_hold();
	else
		giantvm_cpus_release();
}

static void set_hold(GiantvmState *s, bool hold)
{
	qatomic_set(&s->hold, hold);
	aio_bh_schedule_oneshot(qemu_get_aio_context(), update_hold, s);
}

static void exit_in_main_loop(void *opaque)
{
	exit(1);
}

static void QEMU_NORETURN leave(GiantvmState *s)
{
	set_hold(s, true);
	aio_bh_schedule_oneshot(qemu_get_aio_context(), exit_in_main_loop, NULL);
	g_usleep(LEAVE_US);
	/* Still here: the main loop waits for a page that will not come. */
	if (terminal_saved)
		tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
	_exit(1);
}

static const char *text_of(const struct gvm_ipc_event *e, const char *otherwise)
{
	return e->message[0] ? e->message : otherwise;
}

static void stalled(GiantvmState *s, const struct gvm_ipc_event *e)
{
	/* One message a node: many pages may wait for it. */
	if (g_hash_table_add(s->silent, GUINT_TO_POINTER(e->node)))
		error_report("%s", text_of(e, "the guest waits for a page"));
	set_hold(s, true);
	smp_mb(); /* pairs with before_shutdown: one of the two sees the other */
	if (qatomic_read(&s->quitting))
		leave(s);
}

static void resumed(GiantvmState *s, const struct gvm_ipc_event *e)
{
	if (e->node == GVM_NO_NODE)
		g_hash_table_remove_all(s->silent);
	else
		g_hash_table_remove(s->silent, GUINT_TO_POINTER(e->node));
	if (g_hash_table_size(s->silent)) {
		error_report("%u more slaves do not answer: the guest waits on",
			     g_hash_table_size(s->silent));
		return;
	}
	error_report("%s", text_of(e, "the guest goes on"));
	set_hold(s, false);
}

/* Nothing resumes a guest that has lost pages: the thread that would is stuck in here. */
static void QEMU_NORETURN lost(GiantvmState *s, const struct gvm_ipc_event *e)
{
	struct gvm_client_msg msg;

	error_report("%s", text_of(e, "pages of the guest are lost: it cannot go on"));
	if (!s->stop_when_lost || qatomic_read(&s->quitting))
		leave(s);
	set_hold(s, true);
	error_report("the guest stays stopped (on-lost=stop)");
	while (gvm_client_next(&s->client, &msg, -1) == 0)
		if (msg.type == GVM_IPC_EVENT && msg.event.kind != GVM_EVENT_RESUMED)
			error_report("%s", msg.event.message);
	error_report("%s", s->client.error);
	leave(s);
}

static void handle_event(void *opaque, const struct gvm_ipc_event *e)
{
	GiantvmState *s = opaque;

	switch (e->kind) {
	case GVM_EVENT_STALLED:
		stalled(s, e);
		break;
	case GVM_EVENT_RESUMED:
		resumed(s, e);
		break;
	case GVM_EVENT_LOST:
		lost(s, e);
	case GVM_EVENT_CLOSING:
		error_report("the node went away: %s", text_of(e, "it closes"));
		leave(s);
	default:
		warn_report("event of unknown kind %u from the node: %s", e->kind, e->message);
	}
}

static void *event_loop(void *opaque)
{
	GiantvmState *s = opaque;
	struct gvm_client_msg msg;

	while (gvm_client_next(&s->client, &msg, -1) == 0)
		if (msg.type == GVM_IPC_EVENT)
			handle_event(s, &msg.event);
	error_report("%s", s->client.error);
	leave(s);
}

/*
 * QEMU ends by stopping every vCPU and waiting for it. One that waits for a page
 * of a silent node does not stop, so then there is nothing to wait for.
 */
static void before_shutdown(Notifier *n, void *data)
{
	GiantvmState *s = container_of(n, GiantvmState, shutdown);

	qatomic_set(&s->quitting, true);
	smp_mb();
	if (qatomic_read(&s->hold)) {
		error_report("ending although the guest still waits for a page");
		exit(1);
	}
}

void giantvm_events_init(GiantvmState *s)
{
	s->silent = g_hash_table_new(NULL, NULL);
	s->client.on_event = handle_event;
	s->client.opaque = s;
	s->shutdown.notify = before_shutdown;
	qemu_register_shutdown_notifier(&s->shutdown);
}

void giantvm_events_start(GiantvmState *s)
{
	qemu_thread_create(&s->event_thread, "giantvm-event", event_loop, s, QEMU_THREAD_DETACHED);
}

static void save_terminal(void)
{
	terminal_saved = tcgetattr(STDIN_FILENO, &terminal) == 0;
}

type_init(save_terminal);
