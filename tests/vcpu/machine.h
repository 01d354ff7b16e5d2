/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The devices and the interrupt controller that a guest of guests/ expects, for one vCPU. */
#ifndef GVM_VCPU_MACHINE_H
#define GVM_VCPU_MACHINE_H

#include "host.h"

#define MACHINE_SHUTDOWN (-1)
#define MACHINE_ERROR	 (-2)
#define MACHINE_KICKED	 (-3)
#define MACHINE_ASLEEP	 (-4)

struct machine {
	struct host *h;
	unsigned int vcpu;
	/* At a write to port 0x82; NULL: none. May move the vCPU. */
	void (*mark)(struct machine *m, u16 value);
	/* It sleeps: raise something. false: nothing to wake it with. */
	bool (*asleep)(struct machine *m);

	/* What the APIC offers has changed; NULL: told to the executor. */
	void (*offer)(struct machine *m, int vector);

	u8 irr[32], isr[32]; /* bits of vectors */
	u8 out[2048];	     /* port 0x300 and 0x304 */
	u32 out_len, out_exits, in_exits;
	u32 in_next;
	u8 hole[64];
	bool shutdown_expected;
	u32 hole_reads, rom_writes, eois, marks, sleeps, tprs;
	struct gvm_exit exit;
};

/* Copies the guest in and starts the vCPU with it. */
int machine_load(struct machine *m, const char *guest);
int machine_start(struct machine *m);
/* Until it leaves: its status, or one of the above. */
int machine_run(struct machine *m);
/* Serves m->exit; false in *leaves: what machine_run would end with, or 0. */
int machine_serve(struct machine *m, bool *leaves);
/* The APIC's side: any thread that holds the machine to itself. */
void machine_raise(struct machine *m, u8 vector);
/* Says again what the APIC offers. */
void machine_offer(struct machine *m);

#endif
