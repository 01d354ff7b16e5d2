/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One vCPU here on behalf of a master elsewhere: a thread that runs it on an
 * engine, and the link over which its exits go out and its events come in. The
 * agent sends and hears frames through its owner, who also keeps its time.
 */
#ifndef GVM_VCPU_AGENT_H
#define GVM_VCPU_AGENT_H

#include "../master_core/vcpu_exit.h"
#include "vcpu_executor.h"

struct gvm_vcpu_agent;

/* Writes to [address, address + size) do not wait for the master. */
struct gvm_doorbell {
	u64 address;
	u32 size;
};

struct gvm_vcpu_agent_config {
	const struct gvm_executor *x;
	struct gvm_exec_vm *vm;
	struct gvm_exec_vcpu_config vcpu;
	u32 incarnation;
	const struct gvm_doorbell *doorbells; /* besides the APIC's page; stay the caller's */
	unsigned int ndoorbells;
	int cpu; /* where its thread runs; -1: anywhere */
	/* The body of a MSG_VCPU_EXIT to the master. Any thread, with the agent's lock held. */
	void (*send)(void *ctx, const u8 *frame, size_t len);
	/* The agent wants a tick, earlier than it said. As send. */
	void (*wake)(void *ctx);
	/* The master cannot be heard: the vCPU has stopped where it was. As send. */
	void (*lost)(void *ctx);
	void *ctx;
};

/* 0 or a negative errno and a sentence. The vCPU stands still until it is told to run. */
int gvm_vcpu_agent_open(struct gvm_vcpu_agent **out, const struct gvm_vcpu_agent_config *cfg,
			char *error);
/* Takes the vCPU out of the guest and ends. */
void gvm_vcpu_agent_close(struct gvm_vcpu_agent *a);

/* The body of a MSG_VCPU_EVENT; as gvm_link_rx. */
int gvm_vcpu_agent_rx(struct gvm_vcpu_agent *a, const u8 *frame, size_t len, u64 now);
/* When it wants to be called next, or (u64)-1. */
u64 gvm_vcpu_agent_tick(struct gvm_vcpu_agent *a, u64 now);

#endif
