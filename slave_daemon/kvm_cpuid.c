// SPDX-License-Identifier: GPL-2.0-or-later
/* What this host's KVM offers, and whether it can be the processor that a master describes. */
#include <stdlib.h>

#include "kvm_internal.h"

#define LIST_MAX 2048

static int host_msrs(struct gvm_exec_vm *vm, char *error)
{
	vm->host_msrs = calloc(1, sizeof(*vm->host_msrs) + LIST_MAX * sizeof(u32));
	if (!vm->host_msrs)
		return kvm_fail(error, -ENOMEM, "the list of MSRs");
	vm->host_msrs->nmsrs = LIST_MAX;
	if (ioctl(vm->kvm, KVM_GET_MSR_INDEX_LIST, vm->host_msrs))
		return kvm_fail(error, -errno, "KVM's list of MSRs");
	return 0;
}

static int host_cpuid(struct gvm_exec_vm *vm, char *error)
{
	vm->supported =
		calloc(1, sizeof(*vm->supported) + LIST_MAX * sizeof(struct kvm_cpuid_entry2));
	if (!vm->supported)
		return kvm_fail(error, -ENOMEM, "the CPUID list");
	vm->supported->nent = LIST_MAX;
	if (ioctl(vm->kvm, KVM_GET_SUPPORTED_CPUID, vm->supported))
		return kvm_fail(error, -errno, "the CPUID that KVM supports");
	return 0;
}

static const struct kvm_cpuid_entry2 *supported(const struct gvm_exec_vm *vm, u32 function,
						u32 index)
{
	u32 i;

	for (i = 0; i < vm->supported->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &vm->supported->entries[i];

		if (e->function == function &&
		    (e->index == index || !(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX)))
			return e;
	}
	return NULL;
}

/* Where the standard form of the XSAVE area has its components. */
static void host_xplaces(struct gvm_exec_vm *vm)
{
	const struct kvm_cpuid_entry2 *e;
	u32 id;

	for (id = 2; id < KVM_XPLACES; id++) {
		e = supported(vm, 0xd, id);
		if (e && e->eax && e->ebx >= 576 && e->ebx + e->eax <= vm->xsave_size &&
		    !(e->ecx & 1))
			vm->xplace[id] = (struct kvm_xplace){.offset = e->ebx, .size = e->eax};
	}
}

int kvm_host_open(struct gvm_exec_vm *vm, char *error)
{
	int err = host_msrs(vm, error);

	if (!err)
		err = host_cpuid(vm, error);
	if (!err)
		host_xplaces(vm);
	return err;
}

void kvm_host_close(struct gvm_exec_vm *vm)
{
	free(vm->host_msrs);
	free(vm->supported);
}

/* Registers of leaves that are sets of features: what is asked for must be there. */
static const struct feature {
	u32 function, index;
	u8 eax, ebx, ecx, edx; /* 1: a set of features */
	u32 free_ecx;	       /* bits that anyone can offer */
} features[] = {
	/* TSC deadline, OSXSAVE, hypervisor, x2APIC */
	{0x1, 0, 0, 0, 1, 1, 1U << 24 | 1U << 27 | 1U << 31 | 1U << 21},
	{0x7, 0, 0, 1, 1, 1, 1U << 4 /* OSPKE */},
	{0x7, 1, 1, 0, 0, 1, 0},
	{0xd, 0, 1, 0, 0, 1, 0},
	{0xd, 1, 1, 0, 0, 0, 0},
	{0x80000001, 0, 0, 0, 1, 1, 1U << 1 /* CmpLegacy */},
	{0x80000008, 0, 0, 1, 0, 0, 0},
};

/* EDX of 1: APIC, which is the master's, and HT, which only says how packages are made. */
#define FREE_EDX_1 (1U << 9 | 1U << 28)
/* EDX of 0x80000001: what AMD processors repeat from leaf 1. */
#define FREE_EDX_81 0x0183f3ffU

static int missing(const struct gvm_cpuid_entry *want, const char *reg, u32 bits, char *error)
{
	return kvm_fail(error, -ENOTSUP,
			"this host does not offer CPUID %x.%x %s bits %#x, which the vCPU has",
			want->function, want->index, reg, bits);
}

static int entry_check(const struct gvm_exec_vm *vm, const struct gvm_cpuid_entry *want,
		       const struct feature *f, char *error)
{
	static const struct kvm_cpuid_entry2 none;
	const struct kvm_cpuid_entry2 *have = supported(vm, f->function, f->index);
	u32 free_edx = f->function == 1 ? FREE_EDX_1 : f->function == 0x80000001 ? FREE_EDX_81 : 0;

	have = have ? have : &none;
	if (f->eax && want->eax & ~have->eax)
		return missing(want, "EAX", want->eax & ~have->eax, error);
	if (f->ebx && want->ebx & ~have->ebx)
		return missing(want, "EBX", want->ebx & ~have->ebx, error);
	if (f->ecx && want->ecx & ~have->ecx & ~f->free_ecx)
		return missing(want, "ECX", want->ecx & ~have->ecx & ~f->free_ecx, error);
	if (f->edx && want->edx & ~have->edx & ~free_edx)
		return missing(want, "EDX", want->edx & ~have->edx & ~free_edx, error);
	return 0;
}

static int cpuid_check(const struct gvm_exec_vm *vm, const struct gvm_exec_vcpu_config *cfg,
		       char *error)
{
	unsigned int i, j;
	int err = 0;

	for (i = 0; i < cfg->ncpuid && !err; i++)
		for (j = 0; j < ARRAY_SIZE(features) && !err; j++)
			if (cfg->cpuid[i].function == features[j].function &&
			    (!cfg->cpuid[i].indexed || cfg->cpuid[i].index == features[j].index))
				err = entry_check(vm, &cfg->cpuid[i], &features[j], error);
	return err;
}

int kvm_cpuid_set(struct gvm_exec_vcpu *v, const struct gvm_exec_vcpu_config *cfg, char *error)
{
	struct kvm_cpuid2 *list;
	unsigned int i;
	int err = cpuid_check(v->vm, cfg, error);

	if (err)
		return err;
	list = calloc(1, sizeof(*list) + (size_t)cfg->ncpuid * sizeof(list->entries[0]));
	if (!list)
		return kvm_fail(error, -ENOMEM, "the CPUID of vCPU %u", v->index);
	list->nent = cfg->ncpuid;
	for (i = 0; i < cfg->ncpuid; i++) {
		const struct gvm_cpuid_entry *c = &cfg->cpuid[i];

		list->entries[i] = (struct kvm_cpuid_entry2){
			.function = c->function,
			.index = c->index,
			.flags = c->indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
			.eax = c->eax,
			.ebx = c->ebx,
			.ecx = c->ecx,
			.edx = c->edx,
		};
		if (c->function == 1)
			v->signature = c->eax;
	}
	if (ioctl(v->fd, KVM_SET_CPUID2, list))
		err = kvm_fail(error, -errno, "KVM does not take the CPUID of vCPU %u", v->index);
	free(list);
	return err;
}
