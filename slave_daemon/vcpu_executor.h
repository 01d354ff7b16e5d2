/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an engine offers that executes vCPUs for a master elsewhere. It knows a
 * flat list of RAM and ROM and the vCPU's state, no device and no interrupt
 * controller: every access outside the list is an exit.
 *
 * A vCPU belongs to the thread that runs it; from others only irq, nmi, init,
 * sipi, kick and paused may be called. Whoever fails returns a negative errno
 * and puts a sentence into error (GVM_EXEC_ERROR_MAX bytes).
 */
#ifndef GVM_VCPU_EXECUTOR_H
#define GVM_VCPU_EXECUTOR_H

#include "../common_include/giantvm_config.h"
#include "../common_include/giantvm_vcpu.h"

#define GVM_EXEC_ERROR_MAX 256
#define GVM_EXEC_TEXT_MAX  1536
#define GVM_NO_VECTOR	   (-1)
#define GVM_PIO_BATCH_MAX  4096 /* bytes of one PIO exit */

struct gvm_exec_vm;   /* the engine's */
struct gvm_exec_vcpu; /* the engine's */

/* [gpa, gpa + size) is the mapping's bytes from offset on; all multiples of the page size. */
struct gvm_range {
	u64 gpa;
	u64 size;
	u64 offset;
	bool rom; /* a write is an MMIO exit */
};

struct gvm_exec_vm_config {
	void *ram; /* the mapping, stays the caller's; a userfaultfd may stand behind it */
	u64 ram_size;
	const struct gvm_range *ranges;
	unsigned int nranges;
	int kick_signal; /* 0: one is chosen. Nobody else may use it */
};

struct gvm_cpuid_entry {
	u32 function, index;
	bool indexed; /* index matters */
	u32 eax, ebx, ecx, edx;
};

struct gvm_exec_vcpu_config {
	u32 index; /* in the VM */
	const struct gvm_cpuid_entry *cpuid;
	unsigned int ncpuid;
	const u32 *msrs; /* those that are its state; NULL: what the engine knows */
	unsigned int nmsrs;
};

enum gvm_exit_kind {
	GVM_EXIT_PIO = 1,
	GVM_EXIT_MMIO,
	GVM_EXIT_HALT,	/* HLT, and nothing that would wake it */
	GVM_EXIT_WAIT,	/* waits for INIT or SIPI */
	GVM_EXIT_TAKEN, /* vector is being delivered; the APIC is to hear of it */
	GVM_EXIT_TPR,	/* CR8 was lowered */
	GVM_EXIT_KICKED,
	GVM_EXIT_SHUTDOWN, /* triple fault; text says where */
	GVM_EXIT_ERROR	   /* the engine cannot go on; text says why and where */
};

struct gvm_exit {
	enum gvm_exit_kind kind;
	bool write;
	u16 port;
	u8 vector;
	u8 cr8;	   /* always: what it is now */
	u8 size;   /* PIO: of an element, 1, 2 or 4 */
	u32 count; /* PIO: elements */
	u32 len;   /* of data; MMIO: 1 to 8 */
	u64 gpa;
	/* A write's bytes; a read's are put here before run is called again. */
	u8 *data;
	int status; /* ERROR: negative errno */
	char text[GVM_EXEC_TEXT_MAX];
};

struct gvm_executor {
	const char *name;

	int (*vm_open)(struct gvm_exec_vm **vm, const struct gvm_exec_vm_config *cfg, char *error);
	/* Its vCPUs have been closed. */
	void (*vm_close)(struct gvm_exec_vm *vm);
	/* The list anew; no vCPU of the VM is running. What stays the same is not touched. */
	int (*vm_set_map)(struct gvm_exec_vm *vm, const struct gvm_range *ranges, unsigned int n,
			  char *error);

	/* -ENOTSUP: this host cannot offer the CPUID; the sentence names what. Starts as after
	 * power-on. */
	int (*vcpu_open)(struct gvm_exec_vcpu **v, struct gvm_exec_vm *vm,
			 const struct gvm_exec_vcpu_config *cfg, char *error);
	void (*vcpu_close)(struct gvm_exec_vcpu *v);

	/* -EBUSY: the access of the last exit has not been completed; call run. */
	int (*get_state)(struct gvm_exec_vcpu *v, struct gvm_vcpu_state *s, char *error);
	/* After an error the vCPU must not run before a set that works. */
	int (*set_state)(struct gvm_exec_vcpu *v, const struct gvm_vcpu_state *s, char *error);

	/* Until an exit. KICKED comes only when the access before is complete. */
	void (*run)(struct gvm_exec_vcpu *v, struct gvm_exit *exit);
	/* After HALT or WAIT: until it can go on or is kicked. -ETIMEDOUT; timeout_us -1: ever. */
	int (*wait)(struct gvm_exec_vcpu *v, s64 timeout_us);

	/* The vector that the APIC offers now, or none. It is taken once, then none is offered. */
	void (*irq)(struct gvm_exec_vcpu *v, int vector);
	void (*nmi)(struct gvm_exec_vcpu *v);
	void (*init)(struct gvm_exec_vcpu *v);
	void (*sipi)(struct gvm_exec_vcpu *v, u8 vector);
	/* run returns KICKED, once, soon. */
	void (*kick)(struct gvm_exec_vcpu *v);
	/* Waits until it is not in the guest. -ETIMEDOUT: it waits for a page and the kernel does
	 * not let a signal end that. */
	int (*paused)(struct gvm_exec_vcpu *v, s64 timeout_us);
};

/* Executors of this build. */
extern const struct gvm_executor gvm_executor_kvm;

/* vcpu_print.c: registers for a message. Returns what snprintf does. */
int gvm_vcpu_print(const struct gvm_vcpu_state *s, char *buf, size_t len);

#endif
