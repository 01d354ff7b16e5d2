// SPDX-License-Identifier: GPL-2.0-or-later
/* What power-on, INIT and SIPI leave in a vCPU (Intel SDM volume 3, table 10-1). */
#include "../common_include/giantvm_vcpu.h"

#define CR0_ET	    0x10
#define CR0_NW	    0x20000000
#define CR0_CD	    0x40000000
#define FCW_RESET   0x40
#define MXCSR_RESET 0x1f80
#define MXCSR_AT    24
#define TYPE_CODE   (GVM_SEG_P | GVM_SEG_S | 0xb)
#define TYPE_DATA   (GVM_SEG_P | GVM_SEG_S | 0x3)
#define TYPE_LDT    (GVM_SEG_P | 0x2)
#define TYPE_TSS    (GVM_SEG_P | 0xb)

static void segments_init(struct gvm_vcpu_state *s)
{
	unsigned int i;

	for (i = 0; i < GVM_VCPU_SEGS; i++)
		s->seg[i] = (struct gvm_vcpu_segment){.limit = 0xffff, .attr = TYPE_DATA};
	s->seg[GVM_CS].selector = 0xf000;
	s->seg[GVM_CS].base = 0xffff0000;
	s->seg[GVM_CS].attr = TYPE_CODE;
	s->seg[GVM_LDTR].attr = TYPE_LDT;
	s->seg[GVM_TR].attr = TYPE_TSS;
	s->gdt = s->idt = (struct gvm_vcpu_table){.limit = 0xffff};
}

void gvm_vcpu_state_init(struct gvm_vcpu_state *s)
{
	memset(s->reg, 0, sizeof(s->reg));
	s->rip = 0xfff0;
	s->rflags = 2;
	segments_init(s);
	s->cr0 = (s->cr0 & (CR0_CD | CR0_NW)) | CR0_ET;
	s->cr2 = s->cr3 = s->cr4 = s->cr8 = s->efer = 0;
	memset(s->pdptr, 0, sizeof(s->pdptr));
	s->pdptrs_valid = 0;
	memset(s->dr, 0, sizeof(s->dr));
	s->dr6 = 0xffff0ff0;
	s->dr7 = 0x400;
	memset(&s->events, 0, sizeof(s->events));
	s->mp_state = GVM_MP_WAIT_SIPI;
}

void gvm_vcpu_state_reset(struct gvm_vcpu_state *s, u32 vcpu)
{
	memset(s, 0, sizeof(*s));
	s->vcpu = vcpu;
	gvm_vcpu_state_init(s);
	s->cr0 = CR0_CD | CR0_NW | CR0_ET;
	s->apic_base = 0xfee00800 | (vcpu ? 0 : 0x100);
	s->mp_state = vcpu ? GVM_MP_WAIT_INIT : GVM_MP_RUNNING;
	gvm_put_le16(s->fxsave, FCW_RESET);
	gvm_put_le32(s->fxsave + MXCSR_AT, MXCSR_RESET);
	s->xstate_bv = 3;
	s->nxcrs = 1;
	s->xcr[0] = (struct gvm_vcpu_msr){0, 1};
}

void gvm_vcpu_state_sipi(struct gvm_vcpu_state *s, u8 vector)
{
	s->seg[GVM_CS].selector = vector << 8;
	s->seg[GVM_CS].base = (u64)vector << 12;
	s->rip = 0;
	s->mp_state = GVM_MP_RUNNING;
	s->events.sipi_vector = 0;
}
