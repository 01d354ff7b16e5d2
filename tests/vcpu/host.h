/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What this host's processor is, and a VM of the executor with RAM of the test's own. */
#ifndef GVM_VCPU_HOST_H
#define GVM_VCPU_HOST_H

#include "../../slave_daemon/vcpu_executor.h"

#define HOST_RAM   (4u << 20)
#define HOST_VCPUS 4

struct host {
	const struct gvm_executor *x;
	struct gvm_exec_vm *vm;
	struct gvm_exec_vcpu *v[HOST_VCPUS];
	u8 *ram;
	int memfd;
	struct gvm_cpuid_entry *cpuid;
	unsigned int ncpuid;
	char error[GVM_EXEC_ERROR_MAX];
};

/* false: this host lets nobody create a VM, and error says why. */
bool host_usable(char *error);
/* RAM at 0, but for the hole [1 MiB, 1 MiB + 64 KiB) and ROM at 3 MiB. memfd -1: a new one. */
int host_open(struct host *h, unsigned int nvcpus, int memfd);
/* The same over HOST_RAM bytes that stay the caller's. */
int host_open_over(struct host *h, unsigned int nvcpus, u8 *ram);
void host_close(struct host *h);

#define HOST_HOLE 0x100000
#define HOST_ROM  0x300000

#endif
