// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One vCPU of a VM whose memory is a node's: attaches as any client does and runs a
 * guest of guests/ over the coherent mapping.
 *
 *	vcpu_node SOCKET GUEST [load]
 *
 * With `load` it puts the guest there first and says so; others of the same VM start
 * when it has, and it stays until SIGTERM, since the VM ends with the node that opened
 * it. Ends with the guest's status.
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../../client/gvm_client.h"
#include "machine.h"

#define VM_SIZE (16u << 20)
#define COUNT	0x7000
#define RESULTS 0x31000

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void on_event(void *opaque, const struct gvm_ipc_event *e)
{
	(void)opaque;
	warnx("event %u: %s", e->kind, e->message);
}

int main(int argc, char **argv)
{
	static struct host h;
	struct machine m = {.h = &h};
	struct gvm_client c;
	sigset_t term;
	double start;
	int status, sig;

	if (argc < 3)
		errx(2, "usage: vcpu_node SOCKET GUEST [load]");
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	if (argc > 3)
		sigprocmask(SIG_BLOCK, &term, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (gvm_client_open(&c, argv[1], VM_SIZE) < 0)
		errx(1, "%s", c.error);
	c.on_event = on_event;
	if (host_open_over(&h, 1, c.base))
		errx(1, "%s", h.error);
	if (argc > 3) {
		memset(h.ram + COUNT, 0, 64);
		memset(h.ram + RESULTS, 0, 4096);
		if (machine_load(&m, argv[2]))
			errx(1, "cannot load %s", argv[2]);
		printf("loaded\n");
	}
	if (machine_start(&m))
		errx(1, "%s", h.error);
	start = now();
	status = machine_run(&m);
	printf("%s: status %d after %.3f s\n", argv[2], status, now() - start);
	if (argc > 3)
		sigwait(&term, &sig);
	host_close(&h);
	gvm_client_detach(&c);
	return status < 0 ? 255 : status;
}
