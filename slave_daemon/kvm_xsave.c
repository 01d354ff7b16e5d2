// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The extended state between KVM's area, whose layout is this processor's, and
 * the wire's list of components.
 */
#include <stdio.h>

#include "kvm_internal.h"

#define XSTATE_BV_AT 512
#define XHEADER	     64

static int xsave_read(struct gvm_exec_vcpu *v, char *error)
{
	unsigned long request =
		v->vm->xsave_size > sizeof(struct kvm_xsave) ? KVM_GET_XSAVE2 : KVM_GET_XSAVE;

	if (ioctl(v->fd, request, v->xsave))
		return kvm_fail(error, -errno, "the x87, SSE and AVX state of vCPU %u", v->index);
	return 0;
}

int kvm_xsave_get(struct gvm_exec_vcpu *v, struct gvm_vcpu_state *s, char *error)
{
	const u8 *area = (const u8 *)v->xsave;
	int err = xsave_read(v, error);
	u64 bits;
	u32 id;

	if (err)
		return err;
	memcpy(s->fxsave, area, sizeof(s->fxsave));
	bits = gvm_get_le64(area + XSTATE_BV_AT);
	s->xstate_bv = bits & 3;
	s->nxparts = s->xdata_len = 0;
	for (id = 2; id < KVM_XPLACES && !err; id++) {
		const struct kvm_xplace *p = &v->vm->xplace[id];

		if (!(bits >> id & 1))
			continue;
		err = p->size ? gvm_vcpu_state_add_xpart(s, id, area + p->offset, p->size) : -EIO;
		if (err)
			return kvm_fail(error, err, "component %u of vCPU %u's extended state", id,
					v->index);
	}
	return 0;
}

static int xpart_place(struct gvm_exec_vcpu *v, const struct gvm_vcpu_state *s,
		       const struct gvm_vcpu_xpart *part, char *error)
{
	const struct kvm_xplace *p = part->id < KVM_XPLACES ? &v->vm->xplace[part->id] : NULL;

	if (!p || p->size != part->size)
		return kvm_fail(error, -ENOTSUP,
				"this processor has no extended state component %u of %u bytes",
				part->id, part->size);
	memcpy((u8 *)v->xsave + p->offset, s->xdata + part->at, part->size);
	return 0;
}

int kvm_xsave_set(struct gvm_exec_vcpu *v, const struct gvm_vcpu_state *s, char *error)
{
	u8 *area = (u8 *)v->xsave;
	int err = 0;
	u32 i;

	memset(area, 0, v->vm->xsave_size);
	memcpy(area, s->fxsave, sizeof(s->fxsave));
	gvm_put_le64(area + XSTATE_BV_AT, s->xstate_bv);
	for (i = 0; i < s->nxparts && !err; i++)
		err = xpart_place(v, s, &s->xpart[i], error);
	if (!err && ioctl(v->fd, KVM_SET_XSAVE, v->xsave))
		err = kvm_fail(error, -errno, "vCPU %u does not take its x87, SSE and AVX state",
			       v->index);
	return err;
}
