// SPDX-License-Identifier: GPL-2.0-or-later
/* The MSRs that are a vCPU's state, and its TSC. */
#include <stdlib.h>

#include "kvm_internal.h"

#define MSR_KVM_OLD_WALL_CLOCK	0x11
#define MSR_KVM_OLD_SYSTEM_TIME 0x12
#define MSR_KVM_FIRST		0x4b564d00
#define MSR_KVM_LAST		0x4b564dff
#define MSR_TSC_DEADLINE	0x6e0
#define MSR_HYPERV_FIRST	0x40000000
#define MSR_HYPERV_LAST		0x400001ff
#define MSR_X2APIC_FIRST	0x800
#define MSR_X2APIC_LAST		0x8ff

/* State that KVM keeps for a guest and does not list: the MTRRs and PAT. */
static const u32 unlisted[] = {
	0x2ff, 0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d,
	0x26e, 0x26f, 0x200, 0x201, 0x202, 0x203, 0x204, 0x205, 0x206, 0x207,
	0x208, 0x209, 0x20a, 0x20b, 0x20c, 0x20d, 0x20e, 0x20f, 0x277,
};

/*
 * Not state of the vCPU here: what has a field of its own, what the host's kernel
 * would write into guest pages, and the APIC, which is the master's.
 */
static bool is_state(u32 index)
{
	if (index == GVM_MSR_TSC || index == GVM_MSR_APIC_BASE || index == GVM_MSR_EFER)
		return false;
	if (index == MSR_KVM_OLD_WALL_CLOCK || index == MSR_KVM_OLD_SYSTEM_TIME)
		return false;
	if (index >= MSR_KVM_FIRST && index <= MSR_KVM_LAST)
		return false;
	if (index >= MSR_HYPERV_FIRST && index <= MSR_HYPERV_LAST)
		return false;
	if (index >= MSR_X2APIC_FIRST && index <= MSR_X2APIC_LAST)
		return false;
	/* FS and GS bases are in the segments. */
	return index != MSR_TSC_DEADLINE && index != 0xc0000100 && index != 0xc0000101;
}

static int msr_access(struct gvm_exec_vcpu *v, unsigned long request, u32 index, u64 *value)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} m = {.head.nmsrs = 1, .entry = {.index = index, .data = *value}};
	int n = ioctl(v->fd, request, &m);

	if (n < 0)
		return -errno;
	*value = m.entry.data;
	return n == 1 ? 0 : -ENOTSUP;
}

static bool listed(const struct gvm_exec_vcpu *v, u32 index)
{
	unsigned int i;

	for (i = 0; i < v->nmsrs; i++)
		if (v->msrs[i] == index)
			return true;
	return false;
}

/* One that cannot be read and written back is none to carry along. */
static void choose(struct gvm_exec_vcpu *v, u32 index)
{
	u64 value = 0;

	if (!is_state(index) || v->nmsrs == GVM_VCPU_MSRS_MAX || listed(v, index))
		return;
	if (!msr_access(v, KVM_GET_MSRS, index, &value) &&
	    !msr_access(v, KVM_SET_MSRS, index, &value))
		v->msrs[v->nmsrs++] = index;
}

int kvm_msrs_choose(struct gvm_exec_vcpu *v, const struct gvm_exec_vcpu_config *cfg, char *error)
{
	unsigned int i;

	v->msrs = calloc(GVM_VCPU_MSRS_MAX, sizeof(*v->msrs));
	if (!v->msrs)
		return kvm_fail(error, -ENOMEM, "the MSR list of vCPU %u", v->index);
	for (i = 0; cfg->msrs && i < cfg->nmsrs; i++) {
		choose(v, cfg->msrs[i]);
		if (is_state(cfg->msrs[i]) && !listed(v, cfg->msrs[i]))
			return kvm_fail(error, -ENOTSUP, "this host does not offer MSR %#x",
					cfg->msrs[i]);
	}
	for (i = 0; !cfg->msrs && i < v->vm->host_msrs->nmsrs; i++)
		choose(v, v->vm->host_msrs->indices[i]);
	for (i = 0; !cfg->msrs && i < ARRAY_SIZE(unlisted); i++)
		choose(v, unlisted[i]);
	return 0;
}

int kvm_msrs_get(struct gvm_exec_vcpu *v, struct gvm_vcpu_state *s, char *error)
{
	unsigned int i;
	u64 value = 0;
	int err = 0;

	s->nmsrs = 0;
	for (i = 0; i < v->nmsrs && !err; i++) {
		err = msr_access(v, KVM_GET_MSRS, v->msrs[i], &value);
		if (!err)
			err = gvm_vcpu_state_set_msr(s, v->msrs[i], value);
		if (err)
			kvm_fail(error, err, "MSR %#x of vCPU %u", v->msrs[i], v->index);
	}
	if (err)
		return err;
	s->tsc = 0;
	err = msr_access(v, KVM_GET_MSRS, GVM_MSR_TSC, &s->tsc);
	return err ? kvm_fail(error, err, "the TSC of vCPU %u", v->index) : 0;
}

/*
 * KVM takes a write of the TSC for an attempt to synchronise vCPUs when it comes near
 * what it expects, and then rounds it. The offset is taken as it is.
 */
static int tsc_set(struct gvm_exec_vcpu *v, u64 tsc)
{
	u64 offset = 0, now = 0;
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)&offset,
	};
	int err;

	if (ioctl(v->fd, KVM_GET_DEVICE_ATTR, &attr))
		return msr_access(v, KVM_SET_MSRS, GVM_MSR_TSC, &tsc);
	err = msr_access(v, KVM_GET_MSRS, GVM_MSR_TSC, &now);
	if (err)
		return err;
	offset += tsc - now;
	return ioctl(v->fd, KVM_SET_DEVICE_ATTR, &attr) ? -errno : 0;
}

/* What is zero and unknown here is left out: this host's vCPU has none of it either. */
int kvm_msrs_set(struct gvm_exec_vcpu *v, const struct gvm_vcpu_state *s, char *error)
{
	u64 value;
	u32 i;
	int err;

	for (i = 0; i < s->nmsrs; i++) {
		value = s->msr[i].value;
		if (!is_state(s->msr[i].index))
			continue;
		err = msr_access(v, KVM_SET_MSRS, s->msr[i].index, &value);
		if (err && (value || listed(v, s->msr[i].index)))
			return kvm_fail(error, err, "this host does not take %#llx for MSR %#x",
					(unsigned long long)s->msr[i].value, s->msr[i].index);
	}
	err = tsc_set(v, s->tsc);
	return err ? kvm_fail(error, err, "vCPU %u does not take its TSC", v->index) : 0;
}
