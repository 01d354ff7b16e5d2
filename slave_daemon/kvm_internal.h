/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the KVM engine share. */
#ifndef GVM_KVM_INTERNAL_H
#define GVM_KVM_INTERNAL_H

#include <linux/kvm.h>
#include <pthread.h>
#include <sys/ioctl.h>

#include "vcpu_executor.h"

/* Components of the extended state as KVM lays them out. */
struct kvm_xplace {
	u32 offset, size; /* size 0: not there */
};
#define KVM_XPLACES 63

struct gvm_exec_vm {
	int kvm, fd;
	void *ram;
	u64 ram_size;
	struct gvm_range *ranges; /* slot i is ranges[i]; size 0: free */
	unsigned int nslots;
	int signal;
	u32 run_size, xsave_size;
	bool has_sync_regs, has_smm, has_payload, has_triple_fault, has_sregs2;
	struct kvm_cpuid2 *supported;
	struct kvm_msr_list *host_msrs;
	struct kvm_xplace xplace[KVM_XPLACES];
};

/* What other threads ask of a vCPU, under its lock. */
struct kvm_requests {
	int vector; /* GVM_NO_VECTOR */
	u8 nmis;
	bool init, sipi, kick;
	u8 sipi_vector;
};

struct gvm_exec_vcpu {
	struct gvm_exec_vm *vm;
	u32 index;
	int fd;
	struct kvm_run *run;
	struct kvm_xsave *xsave;
	u32 *msrs;
	unsigned int nmsrs;
	u32 signature; /* CPUID 1 EAX: what INIT leaves in EDX */

	pthread_mutex_t lock;
	pthread_cond_t changed; /* a request came, or it left the guest */
	struct kvm_requests req;
	bool in_guest;
	pthread_t thread; /* valid while in_guest */

	/* The runner's own. */
	u8 mp_state, sipi_vector;
	bool if_flag;
	bool unfinished;      /* KVM_RUN completes the last access */
	bool refresh;	      /* a state was set: run's flags are not its */
	bool stashed;	      /* run holds an exit that was not handed out yet */
	u64 out_rip, out_rcx; /* of the last OUT exit, to know a string when it comes */
	u8 batch[GVM_PIO_BATCH_MAX];
	struct gvm_vcpu_state scratch;
};

__attribute__((format(printf, 3, 4))) int kvm_fail(char *error, int err, const char *format, ...);

/* kvm_cpuid.c */
int kvm_host_open(struct gvm_exec_vm *vm, char *error);
void kvm_host_close(struct gvm_exec_vm *vm);
int kvm_cpuid_set(struct gvm_exec_vcpu *v, const struct gvm_exec_vcpu_config *cfg, char *error);
int kvm_msrs_choose(struct gvm_exec_vcpu *v, const struct gvm_exec_vcpu_config *cfg, char *error);

/* kvm_state.c */
int kvm_state_get(struct gvm_exec_vcpu *v, struct gvm_vcpu_state *s, char *error);
int kvm_state_set(struct gvm_exec_vcpu *v, const struct gvm_vcpu_state *s, char *error);

/* kvm_msr.c */
int kvm_msrs_get(struct gvm_exec_vcpu *v, struct gvm_vcpu_state *s, char *error);
int kvm_msrs_set(struct gvm_exec_vcpu *v, const struct gvm_vcpu_state *s, char *error);

/* kvm_xsave.c */
int kvm_xsave_get(struct gvm_exec_vcpu *v, struct gvm_vcpu_state *s, char *error);
int kvm_xsave_set(struct gvm_exec_vcpu *v, const struct gvm_vcpu_state *s, char *error);

/* kvm_string.c: takes the rest of a string OUT along with its first element, where it can. */
void kvm_string_out(struct gvm_exec_vcpu *v, struct gvm_exit *exit);

/* kvm_requests.c */
void kvm_request_irq(struct gvm_exec_vcpu *v, int vector);
void kvm_request_nmi(struct gvm_exec_vcpu *v);
void kvm_request_init(struct gvm_exec_vcpu *v);
void kvm_request_sipi(struct gvm_exec_vcpu *v, u8 vector);
void kvm_request_kick(struct gvm_exec_vcpu *v);
int kvm_requests_paused(struct gvm_exec_vcpu *v, s64 timeout_us);
int kvm_requests_wait(struct gvm_exec_vcpu *v, s64 timeout_us);
/* What there is to do, cleared but for the vector, which stays until it is taken. */
struct kvm_requests kvm_requests_take(struct gvm_exec_vcpu *v);
/* false: a request has come since; do not enter. */
bool kvm_enter(struct gvm_exec_vcpu *v);
void kvm_leave(struct gvm_exec_vcpu *v);
/* It was offered and has been taken, unless another is offered by now. */
bool kvm_vector_taken(struct gvm_exec_vcpu *v, int vector);

/* kvm_run.c, kvm_exit.c */
void kvm_run(struct gvm_exec_vcpu *v, struct gvm_exit *exit);
/* Completes the last access without entering the guest. 0, or -EBUSY when another exit came. */
int kvm_complete(struct gvm_exec_vcpu *v);
/* Translates what KVM_RUN left in v->run. false: nothing for the caller, go on. */
bool kvm_exit_decode(struct gvm_exec_vcpu *v, struct gvm_exit *exit);
void kvm_exit_error(struct gvm_exec_vcpu *v, struct gvm_exit *exit, int err, const char *what);

#endif
