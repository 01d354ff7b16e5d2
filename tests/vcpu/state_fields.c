// SPDX-License-Identifier: GPL-2.0-or-later
#include "state_fields.h"

#include <stdio.h>

struct difference {
	state_report report;
	void *ctx;
	unsigned int count;
};

static void differ(struct difference *d, const char *field, unsigned int i, u64 a, u64 b)
{
	char name[64];

	if (a == b)
		return;
	d->count++;
	snprintf(name, sizeof(name), field, i);
	d->report(d->ctx, name, a, b);
}

#define ONE(m)	 differ(&d, #m, 0, a->m, b->m)
#define EVENT(m) differ(&d, "events." #m, 0, a->events.m, b->events.m)
#define EACH(m, n)                                                                                 \
	for (i = 0; i < (n); i++)                                                                  \
	differ(&d, #m "[%u]", i, a->m[i], b->m[i])
#define EACH_OF(m, n, f)                                                                           \
	for (i = 0; i < (n); i++)                                                                  \
	differ(&d, #m "[%u]." #f, i, a->m[i].f, b->m[i].f)

static unsigned int compare_events(struct difference d, const struct gvm_vcpu_state *a,
				   const struct gvm_vcpu_state *b)
{
	EVENT(exception_pending);
	EVENT(exception_injected);
	EVENT(exception_nr);
	EVENT(exception_has_error);
	EVENT(exception_has_payload);
	EVENT(exception_error);
	EVENT(exception_payload);
	EVENT(interrupt_injected);
	EVENT(interrupt_nr);
	EVENT(interrupt_soft);
	EVENT(interrupt_shadow);
	EVENT(interrupt_waiting);
	EVENT(interrupt_waiting_nr);
	EVENT(nmi_injected);
	EVENT(nmi_pending);
	EVENT(nmi_masked);
	EVENT(smi_pending);
	EVENT(smm);
	EVENT(smm_inside_nmi);
	EVENT(init_latched);
	EVENT(triple_fault);
	EVENT(sipi_vector);
	return d.count;
}

static unsigned int compare_lists(struct difference d, const struct gvm_vcpu_state *a,
				  const struct gvm_vcpu_state *b)
{
	unsigned int i;

	ONE(nmsrs);
	ONE(nxcrs);
	ONE(nxparts);
	ONE(xdata_len);
	if (d.count)
		return d.count;
	EACH_OF(msr, a->nmsrs, index);
	EACH_OF(msr, a->nmsrs, value);
	EACH_OF(xcr, a->nxcrs, index);
	EACH_OF(xcr, a->nxcrs, value);
	EACH_OF(xpart, a->nxparts, id);
	EACH_OF(xpart, a->nxparts, size);
	EACH_OF(xpart, a->nxparts, at);
	EACH(xdata, a->xdata_len);
	return d.count;
}

unsigned int state_compare(const struct gvm_vcpu_state *a, const struct gvm_vcpu_state *b,
			   state_report report, void *ctx)
{
	struct difference d = {report, ctx, 0}, none = d;
	unsigned int i;

	ONE(vcpu);
	EACH(reg, GVM_VCPU_REGS);
	ONE(rip);
	ONE(rflags);
	EACH_OF(seg, GVM_VCPU_SEGS, base);
	EACH_OF(seg, GVM_VCPU_SEGS, limit);
	EACH_OF(seg, GVM_VCPU_SEGS, attr);
	EACH_OF(seg, GVM_VCPU_SEGS, selector);
	ONE(gdt.base);
	ONE(gdt.limit);
	ONE(idt.base);
	ONE(idt.limit);
	ONE(cr0);
	ONE(cr2);
	ONE(cr3);
	ONE(cr4);
	ONE(cr8);
	ONE(efer);
	ONE(apic_base);
	EACH(pdptr, 4);
	ONE(pdptrs_valid);
	EACH(dr, 4);
	ONE(dr6);
	ONE(dr7);
	ONE(mp_state);
	ONE(tsc);
	ONE(tsc_clock_ns);
	ONE(tsc_khz);
	EACH(fxsave, GVM_VCPU_FXSAVE);
	ONE(xstate_bv);
	return d.count + compare_events(none, a, b) + compare_lists(none, a, b);
}

void state_print_difference(void *ctx, const char *field, u64 a, u64 b)
{
	(void)ctx;
	fprintf(stderr, "%s: %#llx became %#llx\n", field, (unsigned long long)a,
		(unsigned long long)b);
}

static void fill_events(struct gvm_vcpu_events *e)
{
	*e = (struct gvm_vcpu_events){
		.exception_pending = 1,
		.exception_nr = 13,
		.exception_has_error = 1,
		.exception_has_payload = 1,
		.exception_error = 0xe1e2e3e4,
		.exception_payload = 0xb1b2b3b4b5b6b7b8,
		.interrupt_injected = 1,
		.interrupt_nr = 0x91,
		.interrupt_soft = 1,
		.interrupt_shadow = GVM_SHADOW_STI,
		.interrupt_waiting = 1,
		.interrupt_waiting_nr = 0x92,
		.nmi_injected = 1,
		.nmi_pending = 2,
		.nmi_masked = 1,
		.smi_pending = 1,
		.smm = 1,
		.smm_inside_nmi = 1,
		.init_latched = 1,
		.triple_fault = 1,
		.sipi_vector = 0x93,
	};
}

static void fill_system(struct gvm_vcpu_state *s)
{
	unsigned int i;

	for (i = 0; i < GVM_VCPU_SEGS; i++)
		s->seg[i] = (struct gvm_vcpu_segment){0x5000000000000000ULL + i, 0x51000000 + i,
						      0xa090 + i, 0x5200 + i};
	s->gdt = (struct gvm_vcpu_table){0x6000000000000001, 0x6002};
	s->idt = (struct gvm_vcpu_table){0x6000000000000003, 0x6004};
	s->cr0 = 0x7000000000000000;
	s->cr2 = 0x7000000000000002;
	s->cr3 = 0x7000000000000003;
	s->cr4 = 0x7000000000000004;
	s->cr8 = 11;
	s->efer = 0x7000000000000009;
	s->apic_base = 0x700000000000000a;
	for (i = 0; i < 4; i++) {
		s->pdptr[i] = 0x7100000000000000 + i;
		s->dr[i] = 0x7200000000000000 + i;
	}
	s->pdptrs_valid = 1;
	s->dr6 = 0x73000006;
	s->dr7 = 0x73000007;
}

void state_fill(struct gvm_vcpu_state *s)
{
	u8 part[64];
	u32 i;

	memset(s, 0, sizeof(*s));
	s->vcpu = 0x41424344;
	for (i = 0; i < GVM_VCPU_REGS; i++)
		s->reg[i] = 0x4500000000000000ULL + i;
	s->rip = 0x4600000000000001;
	s->rflags = 0x4600000000000002;
	fill_system(s);
	s->mp_state = GVM_MP_HALTED;
	fill_events(&s->events);
	s->tsc = 0x7400000000000001;
	s->tsc_clock_ns = 0x7400000000000002;
	s->tsc_khz = 0x74000003;
	for (i = 0; i < GVM_VCPU_FXSAVE; i++)
		s->fxsave[i] = i * 7 + 1 + i / 256;
	for (i = 0; i < 40; i++)
		gvm_vcpu_state_set_msr(s, 0xc0000090 + i * 3, 0x7500000000000000 + i);
	s->nxcrs = 2;
	s->xcr[0] = (struct gvm_vcpu_msr){0, 0x7600000000000001};
	s->xcr[1] = (struct gvm_vcpu_msr){1, 0x7600000000000002};
	s->xstate_bv = 3;
	for (i = 0; i < 3; i++) {
		memset(part, 0x81 + i, sizeof(part));
		part[i] = 0x71;
		gvm_vcpu_state_add_xpart(s, 2 + i * 5, part, sizeof(part) - i * 8);
	}
}
