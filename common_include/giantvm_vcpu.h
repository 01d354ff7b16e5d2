/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vCPU's whole architectural state as one object, whichever engine runs it,
 * and its form on the wire: versioned, little endian, canonical (what decodes
 * encodes to the very same bytes). It is longer than a message and travels in
 * pieces.
 */
#ifndef GIANTVM_VCPU_H
#define GIANTVM_VCPU_H

#include "platform_defs.h"

#define GVM_VCPU_STATE_MAGIC   0x55504356U /* "VCPU" */
#define GVM_VCPU_STATE_VERSION 1

#define GVM_VCPU_MSRS_MAX   256
#define GVM_VCPU_XCRS_MAX   4
#define GVM_VCPU_XPARTS_MAX 16
#define GVM_VCPU_XDATA_MAX  12288 /* AVX-512, PKRU and AMX tiles together are 10.5 KiB */
#define GVM_VCPU_FXSAVE	    416 /* FXSAVE's area without what is reserved or the software's */

/* General registers, in the order of their numbers in an instruction. */
enum gvm_vcpu_reg {
	GVM_RAX,
	GVM_RCX,
	GVM_RDX,
	GVM_RBX,
	GVM_RSP,
	GVM_RBP,
	GVM_RSI,
	GVM_RDI,
	GVM_R8,
	GVM_R15 = GVM_R8 + 7,
	GVM_VCPU_REGS
};

enum gvm_vcpu_seg {
	GVM_ES,
	GVM_CS,
	GVM_SS,
	GVM_DS,
	GVM_FS,
	GVM_GS,
	GVM_LDTR,
	GVM_TR,
	GVM_VCPU_SEGS
};

/* attr: the second word of a descriptor, shifted right by 8, without limit and base. */
#define GVM_SEG_TYPE	 0x000f
#define GVM_SEG_S	 0x0010
#define GVM_SEG_DPL	 0x0060
#define GVM_SEG_P	 0x0080
#define GVM_SEG_AVL	 0x1000
#define GVM_SEG_L	 0x2000
#define GVM_SEG_DB	 0x4000
#define GVM_SEG_G	 0x8000
#define GVM_SEG_UNUSABLE 0x10000
#define GVM_SEG_KNOWN	 0x1f0ff
#define GVM_SEG_DPL_AT	 5

struct gvm_vcpu_segment {
	u64 base;
	u32 limit; /* in bytes, whatever G says */
	u32 attr;
	u16 selector;
};

struct gvm_vcpu_table {
	u64 base;
	u16 limit;
};

enum gvm_vcpu_mp {
	GVM_MP_RUNNING = 0,
	GVM_MP_WAIT_INIT = 1, /* never started */
	GVM_MP_WAIT_SIPI = 2,
	GVM_MP_HALTED = 3,
	GVM_MP_SIPI = 4 /* a SIPI came, sipi_vector is valid, nothing has run yet */
};

/* An interrupt shadow's reason. */
#define GVM_SHADOW_MOV_SS 0x1
#define GVM_SHADOW_STI	  0x2

/* Every u8 that is not a number of something is 0 or 1. */
struct gvm_vcpu_events {
	u8 exception_pending;  /* not delivered yet: a debugger would still see it */
	u8 exception_injected; /* being delivered */
	u8 exception_nr;
	u8 exception_has_error;
	u8 exception_has_payload;
	u32 exception_error;
	u64 exception_payload; /* CR2 or DR6, not in the register yet */

	u8 interrupt_injected; /* being delivered: it must arrive, whatever IF says */
	u8 interrupt_nr;
	u8 interrupt_soft;
	u8 interrupt_shadow;  /* GVM_SHADOW_* */
	u8 interrupt_waiting; /* offered by the APIC, not taken */
	u8 interrupt_waiting_nr;

	u8 nmi_injected;
	u8 nmi_pending; /* 0 to 2 */
	u8 nmi_masked;

	u8 smi_pending;
	u8 smm;
	u8 smm_inside_nmi;
	u8 init_latched; /* an INIT that waits for the end of SMM */

	u8 triple_fault;
	u8 sipi_vector;
};

struct gvm_vcpu_msr {
	u32 index;
	u64 value;
};

/* A component of the extended state (id 2: AVX ...); its bytes are xdata[at, at + size). */
struct gvm_vcpu_xpart {
	u32 id;
	u32 size;
	u32 at;
};

struct gvm_vcpu_state {
	u32 vcpu; /* the index in its VM */

	u64 reg[GVM_VCPU_REGS];
	u64 rip, rflags;

	struct gvm_vcpu_segment seg[GVM_VCPU_SEGS];
	struct gvm_vcpu_table gdt, idt;
	u64 cr0, cr2, cr3, cr4, cr8;
	u64 efer, apic_base;
	u64 pdptr[4];
	u8 pdptrs_valid; /* pdptr are those in use (PAE), not to be read again from memory */
	u64 dr[4], dr6, dr7;

	u8 mp_state; /* enum gvm_vcpu_mp */
	struct gvm_vcpu_events events;

	u64 tsc;	  /* when the state was taken, */
	u64 tsc_clock_ns; /* by the cluster's clock; 0: not known */
	u32 tsc_khz;	  /* 0: not known */

	/* Sorted by index, none twice; never EFER, the APIC base or the TSC, which have fields. */
	u32 nmsrs;
	struct gvm_vcpu_msr msr[GVM_VCPU_MSRS_MAX];
	u32 nxcrs;
	struct gvm_vcpu_msr xcr[GVM_VCPU_XCRS_MAX];

	/*
	 * x87 and SSE are the area of FXSAVE. A component from 2 up is there if and only
	 * if its bit is set in xstate_bv; otherwise it is in its initial state. Where a
	 * processor puts it in an XSAVE area differs between makes and is not said.
	 */
	u8 fxsave[GVM_VCPU_FXSAVE];
	u64 xstate_bv;
	u32 nxparts;
	struct gvm_vcpu_xpart xpart[GVM_VCPU_XPARTS_MAX];
	u32 xdata_len;
	u8 xdata[GVM_VCPU_XDATA_MAX];
};

/* Longest encoded state. */
#define GVM_VCPU_STATE_MAX (2048 + GVM_VCPU_MSRS_MAX * 12 + GVM_VCPU_XDATA_MAX)

/* Of MSRs that have a field of their own. */
#define GVM_MSR_TSC	  0x10
#define GVM_MSR_APIC_BASE 0x1b
#define GVM_MSR_EFER	  0xc0000080

/*
 * vcpu_wire.c. Encode: the length written, -ENOSPC when room is too small,
 * -EINVAL for a state that no decoder would take. Decode: 0, -EBADMSG, or
 * -EPROTO (not a state), -EPROTONOSUPPORT (another version); *s is undefined
 * after an error. A state is about 19 KiB: not for small stacks.
 */
int gvm_vcpu_state_encode(u8 *buf, size_t room, const struct gvm_vcpu_state *s);
int gvm_vcpu_state_decode(struct gvm_vcpu_state *s, const u8 *buf, size_t len);

/* Adds or replaces; the list stays sorted. -ENOSPC, -EINVAL for one that has a field. */
int gvm_vcpu_state_set_msr(struct gvm_vcpu_state *s, u32 index, u64 value);
/* 0 or -ENOENT. */
int gvm_vcpu_state_get_msr(const struct gvm_vcpu_state *s, u32 index, u64 *value);
/* Appends a component; ids rising. Sets its bit of xstate_bv. 0, -EINVAL, -ENOSPC. */
int gvm_vcpu_state_add_xpart(struct gvm_vcpu_state *s, u32 id, const u8 *data, u32 size);

/* What INIT leaves: real mode at the reset vector. Keeps vcpu, MSRs, TSC, APIC base, x87 and SSE.
 */
void gvm_vcpu_state_init(struct gvm_vcpu_state *s);
/* All of it as after power-on. */
void gvm_vcpu_state_reset(struct gvm_vcpu_state *s, u32 vcpu);
/* A SIPI's start address. */
void gvm_vcpu_state_sipi(struct gvm_vcpu_state *s, u8 vector);

#endif
