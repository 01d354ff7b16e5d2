// SPDX-License-Identifier: GPL-2.0-or-later
/* A vCPU's state between KVM's structures and the wire object. */
#include "kvm_internal.h"

#define SREGS2_PDPTRS 0x1 /* KVM_SREGS2_FLAGS_PDPTRS_VALID */
#define RFLAGS_IF     0x200

static int state_fail(const struct gvm_exec_vcpu *v, const char *what, char *error)
{
	return kvm_fail(error, -errno, "the %s of vCPU %u", what, v->index);
}

static const struct {
	u16 kvm, wire;
} reg_place[] = {
#define REG(k, w)                                                                                  \
	{                                                                                          \
		offsetof(struct kvm_regs, k), offsetof(struct gvm_vcpu_state, w)                   \
	}
	REG(rax, reg[GVM_RAX]),
	REG(rcx, reg[GVM_RCX]),
	REG(rdx, reg[GVM_RDX]),
	REG(rbx, reg[GVM_RBX]),
	REG(rsp, reg[GVM_RSP]),
	REG(rbp, reg[GVM_RBP]),
	REG(rsi, reg[GVM_RSI]),
	REG(rdi, reg[GVM_RDI]),
	REG(r8, reg[GVM_R8]),
	REG(r9, reg[GVM_R8 + 1]),
	REG(r10, reg[GVM_R8 + 2]),
	REG(r11, reg[GVM_R8 + 3]),
	REG(r12, reg[GVM_R8 + 4]),
	REG(r13, reg[GVM_R8 + 5]),
	REG(r14, reg[GVM_R8 + 6]),
	REG(r15, reg[GVM_R15]),
	REG(rip, rip),
	REG(rflags, rflags),
};

static int regs_get(struct gvm_exec_vcpu *v, struct gvm_vcpu_state *s, char *error)
{
	struct kvm_regs r;
	unsigned int i;

	if (ioctl(v->fd, KVM_GET_REGS, &r))
		return state_fail(v, "general registers", error);
	for (i = 0; i < ARRAY_SIZE(reg_place); i++)
		memcpy((u8 *)s + reg_place[i].wire, (u8 *)&r + reg_place[i].kvm, 8);
	return 0;
}

static int regs_set(struct gvm_exec_vcpu *v, const struct gvm_vcpu_state *s, char *error)
{
	struct kvm_regs r;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(reg_place); i++)
		memcpy((u8 *)&r + reg_place[i].kvm, (const u8 *)s + reg_place[i].wire, 8);
	if (ioctl(v->fd, KVM_SET_REGS, &r))
		return state_fail(v, "general registers", error);
	return 0;
}

static void segment_get(struct gvm_vcpu_segment *out, const struct kvm_segment *k)
{
	out->base = k->base;
	out->limit = k->limit;
	out->selector = k->selector;
	out->attr = (k->type & GVM_SEG_TYPE) | (k->s ? GVM_SEG_S : 0) |
		    (k->dpl & 3) << GVM_SEG_DPL_AT | (k->present ? GVM_SEG_P : 0) |
		    (k->avl ? GVM_SEG_AVL : 0) | (k->l ? GVM_SEG_L : 0) | (k->db ? GVM_SEG_DB : 0) |
		    (k->g ? GVM_SEG_G : 0) | (k->unusable ? GVM_SEG_UNUSABLE : 0);
}

static void segment_set(struct kvm_segment *k, const struct gvm_vcpu_segment *in)
{
	*k = (struct kvm_segment){
		.base = in->base,
		.limit = in->limit,
		.selector = in->selector,
		.type = in->attr & GVM_SEG_TYPE,
		.s = !!(in->attr & GVM_SEG_S),
		.dpl = (in->attr & GVM_SEG_DPL) >> GVM_SEG_DPL_AT,
		.present = !!(in->attr & GVM_SEG_P),
		.avl = !!(in->attr & GVM_SEG_AVL),
		.l = !!(in->attr & GVM_SEG_L),
		.db = !!(in->attr & GVM_SEG_DB),
		.g = !!(in->attr & GVM_SEG_G),
		.unusable = !!(in->attr & GVM_SEG_UNUSABLE),
	};
}

static struct kvm_segment *segment_of(struct kvm_sregs2 *k, unsigned int seg)
{
	switch (seg) {
	case GVM_ES:
		return &k->es;
	case GVM_CS:
		return &k->cs;
	case GVM_SS:
		return &k->ss;
	case GVM_DS:
		return &k->ds;
	case GVM_FS:
		return &k->fs;
	case GVM_GS:
		return &k->gs;
	case GVM_LDTR:
		return &k->ldt;
	default:
		return &k->tr;
	}
}

/* kvm_sregs begins as kvm_sregs2 does, up to and with apic_base. */
static_assert(offsetof(struct kvm_sregs, interrupt_bitmap) == offsetof(struct kvm_sregs2, flags),
	      "kvm_sregs and kvm_sregs2 begin alike");

static int sregs_read(struct gvm_exec_vcpu *v, struct kvm_sregs2 *k)
{
	struct kvm_sregs old;

	if (v->vm->has_sregs2)
		return ioctl(v->fd, KVM_GET_SREGS2, k);
	memset(k, 0, sizeof(*k));
	if (ioctl(v->fd, KVM_GET_SREGS, &old))
		return -1;
	memcpy(k, &old, offsetof(struct kvm_sregs2, flags));
	return 0;
}

static int sregs_get(struct gvm_exec_vcpu *v, struct gvm_vcpu_state *s, char *error)
{
	struct kvm_sregs2 k;
	unsigned int i;

	if (sregs_read(v, &k))
		return state_fail(v, "segment and control registers", error);
	for (i = 0; i < GVM_VCPU_SEGS; i++)
		segment_get(&s->seg[i], segment_of(&k, i));
	s->gdt = (struct gvm_vcpu_table){k.gdt.base, k.gdt.limit};
	s->idt = (struct gvm_vcpu_table){k.idt.base, k.idt.limit};
	s->cr0 = k.cr0;
	s->cr2 = k.cr2;
	s->cr3 = k.cr3;
	s->cr4 = k.cr4;
	s->cr8 = k.cr8;
	s->efer = k.efer;
	s->apic_base = k.apic_base;
	s->pdptrs_valid = !!(k.flags & SREGS2_PDPTRS);
	for (i = 0; i < 4; i++)
		s->pdptr[i] = s->pdptrs_valid ? k.pdptrs[i] : 0;
	return 0;
}

static int sregs_write(struct gvm_exec_vcpu *v, const struct kvm_sregs2 *k)
{
	struct kvm_sregs old = {0};

	if (v->vm->has_sregs2)
		return ioctl(v->fd, KVM_SET_SREGS2, k);
	memcpy(&old, k, offsetof(struct kvm_sregs2, flags));
	return ioctl(v->fd, KVM_SET_SREGS, &old);
}

static int sregs_set(struct gvm_exec_vcpu *v, const struct gvm_vcpu_state *s, char *error)
{
	struct kvm_sregs2 k = {0};
	unsigned int i;

	for (i = 0; i < GVM_VCPU_SEGS; i++)
		segment_set(segment_of(&k, i), &s->seg[i]);
	k.gdt = (struct kvm_dtable){.base = s->gdt.base, .limit = s->gdt.limit};
	k.idt = (struct kvm_dtable){.base = s->idt.base, .limit = s->idt.limit};
	k.cr0 = s->cr0;
	k.cr2 = s->cr2;
	k.cr3 = s->cr3;
	k.cr4 = s->cr4;
	k.cr8 = s->cr8;
	k.efer = s->efer;
	k.apic_base = s->apic_base;
	k.flags = s->pdptrs_valid ? SREGS2_PDPTRS : 0;
	for (i = 0; i < 4; i++)
		k.pdptrs[i] = s->pdptr[i];
	if (sregs_write(v, &k))
		return state_fail(v, "segment and control registers", error);
	return 0;
}

static int debug_get(struct gvm_exec_vcpu *v, struct gvm_vcpu_state *s, char *error)
{
	struct kvm_debugregs d;

	if (ioctl(v->fd, KVM_GET_DEBUGREGS, &d))
		return state_fail(v, "debug registers", error);
	memcpy(s->dr, d.db, sizeof(s->dr));
	s->dr6 = d.dr6;
	s->dr7 = d.dr7;
	return 0;
}

static int debug_set(struct gvm_exec_vcpu *v, const struct gvm_vcpu_state *s, char *error)
{
	struct kvm_debugregs d = {.dr6 = s->dr6, .dr7 = s->dr7};

	memcpy(d.db, s->dr, sizeof(s->dr));
	if (ioctl(v->fd, KVM_SET_DEBUGREGS, &d))
		return state_fail(v, "debug registers", error);
	return 0;
}

static int xcrs_get(struct gvm_exec_vcpu *v, struct gvm_vcpu_state *s, char *error)
{
	struct kvm_xcrs x = {0};
	u32 i;

	if (ioctl(v->fd, KVM_GET_XCRS, &x))
		return state_fail(v, "XCR0", error);
	s->nxcrs = min_t(u32, x.nr_xcrs, GVM_VCPU_XCRS_MAX);
	for (i = 0; i < s->nxcrs; i++)
		s->xcr[i] = (struct gvm_vcpu_msr){x.xcrs[i].xcr, x.xcrs[i].value};
	return 0;
}

static int xcrs_set(struct gvm_exec_vcpu *v, const struct gvm_vcpu_state *s, char *error)
{
	struct kvm_xcrs x = {.nr_xcrs = s->nxcrs};
	u32 i;

	for (i = 0; i < s->nxcrs; i++) {
		x.xcrs[i].xcr = s->xcr[i].index;
		x.xcrs[i].value = s->xcr[i].value;
	}
	if (ioctl(v->fd, KVM_SET_XCRS, &x))
		return state_fail(v, "XCR0", error);
	return 0;
}

static void smi_get(struct gvm_vcpu_events *e, const struct kvm_vcpu_events *k)
{
	if (!(k->flags & KVM_VCPUEVENT_VALID_SMM))
		return;
	e->smi_pending = !!k->smi.pending;
	e->smm = !!k->smi.smm;
	e->smm_inside_nmi = !!k->smi.smm_inside_nmi;
	e->init_latched = !!k->smi.latched_init;
}

static u8 shadow_get(u8 k)
{
	return (k & KVM_X86_SHADOW_INT_MOV_SS ? GVM_SHADOW_MOV_SS : 0) |
	       (k & KVM_X86_SHADOW_INT_STI ? GVM_SHADOW_STI : 0);
}

static int events_get(struct gvm_exec_vcpu *v, struct gvm_vcpu_state *s, char *error)
{
	struct kvm_vcpu_events k = {0};

	if (ioctl(v->fd, KVM_GET_VCPU_EVENTS, &k))
		return state_fail(v, "pending events", error);
	s->events = (struct gvm_vcpu_events){
		.exception_pending =
			k.flags & KVM_VCPUEVENT_VALID_PAYLOAD ? !!k.exception.pending : 0,
		.exception_injected = !!k.exception.injected,
		.exception_nr = k.exception.nr & 31,
		.exception_has_error = !!k.exception.has_error_code,
		.exception_error = k.exception.error_code,
		.exception_has_payload =
			k.flags & KVM_VCPUEVENT_VALID_PAYLOAD ? !!k.exception_has_payload : 0,
		.exception_payload =
			k.flags & KVM_VCPUEVENT_VALID_PAYLOAD ? k.exception_payload : 0,
		.interrupt_injected = !!k.interrupt.injected,
		.interrupt_nr = k.interrupt.nr,
		.interrupt_soft = !!k.interrupt.soft,
		.interrupt_shadow = shadow_get(k.interrupt.shadow),
		.nmi_injected = !!k.nmi.injected,
		.nmi_pending = min_t(u8, k.nmi.pending, 2),
		.nmi_masked = !!k.nmi.masked,
		.triple_fault =
			k.flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT ? !!k.triple_fault.pending : 0,
	};
	smi_get(&s->events, &k);
	return 0;
}

/* An exception cannot be pending on a kernel that does not know the difference: inject it. */
static void exception_set(struct kvm_vcpu_events *k, const struct gvm_vcpu_events *e,
			  bool has_payload)
{
	k->exception.nr = e->exception_nr;
	k->exception.has_error_code = e->exception_has_error;
	k->exception.error_code = e->exception_error;
	k->exception.injected = e->exception_injected || (e->exception_pending && !has_payload);
	if (!has_payload)
		return;
	k->flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	k->exception.pending = e->exception_pending;
	k->exception_has_payload = e->exception_has_payload;
	k->exception_payload = e->exception_payload;
}

static void smi_set(struct kvm_vcpu_events *k, const struct gvm_vcpu_events *e)
{
	k->flags |= KVM_VCPUEVENT_VALID_SMM;
	k->smi.pending = e->smi_pending;
	k->smi.smm = e->smm;
	k->smi.smm_inside_nmi = e->smm_inside_nmi;
	k->smi.latched_init = e->init_latched;
}

static int events_set(struct gvm_exec_vcpu *v, const struct gvm_vcpu_state *s, char *error)
{
	const struct gvm_vcpu_events *e = &s->events;
	struct kvm_vcpu_events k = {
		.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW,
		.interrupt.injected = e->interrupt_injected,
		.interrupt.nr = e->interrupt_nr,
		.interrupt.soft = e->interrupt_soft,
		.interrupt.shadow =
			(e->interrupt_shadow & GVM_SHADOW_MOV_SS ? KVM_X86_SHADOW_INT_MOV_SS : 0) |
			(e->interrupt_shadow & GVM_SHADOW_STI ? KVM_X86_SHADOW_INT_STI : 0),
		.nmi.injected = e->nmi_injected,
		.nmi.pending = e->nmi_pending,
		.nmi.masked = e->nmi_masked,
	};

	if (!v->vm->has_smm && (e->smi_pending || e->smm || e->smm_inside_nmi || e->init_latched))
		return kvm_fail(error, -ENOTSUP, "vCPU %u is in SMM, which this host's KVM has not",
				v->index);
	exception_set(&k, e, v->vm->has_payload);
	if (v->vm->has_smm)
		smi_set(&k, e);
	if (v->vm->has_triple_fault) {
		k.flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
		k.triple_fault.pending = e->triple_fault;
	}
	if (ioctl(v->fd, KVM_SET_VCPU_EVENTS, &k))
		return state_fail(v, "pending events", error);
	return 0;
}

/* What the engine keeps itself, since KVM's interrupt controller is not used. */
static void own_get(struct gvm_exec_vcpu *v, struct gvm_vcpu_state *s)
{
	int khz = ioctl(v->fd, KVM_GET_TSC_KHZ, 0);

	s->vcpu = v->index;
	s->mp_state = v->mp_state;
	s->events.sipi_vector = v->sipi_vector;
	s->tsc_khz = khz > 0 ? khz : 0;
	s->tsc_clock_ns = 0;
	pthread_mutex_lock(&v->lock);
	s->events.interrupt_waiting = v->req.vector != GVM_NO_VECTOR;
	s->events.interrupt_waiting_nr = s->events.interrupt_waiting ? v->req.vector : 0;
	s->events.nmi_pending = min_t(u8, s->events.nmi_pending + v->req.nmis, 2);
	pthread_mutex_unlock(&v->lock);
}

static void own_set(struct gvm_exec_vcpu *v, const struct gvm_vcpu_state *s)
{
	v->mp_state = s->mp_state;
	v->sipi_vector = s->events.sipi_vector;
	v->if_flag = s->rflags & RFLAGS_IF;
	v->unfinished = v->stashed = false;
	v->out_rcx = 0;
	v->run->cr8 = s->cr8;
	v->run->ready_for_interrupt_injection = 0;
	v->refresh = true;
	pthread_mutex_lock(&v->lock);
	v->req.vector =
		s->events.interrupt_waiting ? s->events.interrupt_waiting_nr : GVM_NO_VECTOR;
	v->req.nmis = 0;
	pthread_mutex_unlock(&v->lock);
}

int kvm_state_get(struct gvm_exec_vcpu *v, struct gvm_vcpu_state *s, char *error)
{
	int err = kvm_complete(v);

	if (err)
		return kvm_fail(error, err, "vCPU %u has not completed its last access", v->index);
	err = regs_get(v, s, error);
	if (!err)
		err = sregs_get(v, s, error);
	if (!err)
		err = debug_get(v, s, error);
	if (!err)
		err = xcrs_get(v, s, error);
	if (!err)
		err = kvm_xsave_get(v, s, error);
	if (!err)
		err = kvm_msrs_get(v, s, error);
	if (!err)
		err = events_get(v, s, error);
	if (!err)
		own_get(v, s);
	return err;
}

/* Events last: setting registers clears what is pending. */
int kvm_state_set(struct gvm_exec_vcpu *v, const struct gvm_vcpu_state *s, char *error)
{
	int err = sregs_set(v, s, error);

	if (!err)
		err = regs_set(v, s, error);
	if (!err)
		err = xcrs_set(v, s, error);
	if (!err)
		err = kvm_xsave_set(v, s, error);
	if (!err)
		err = debug_set(v, s, error);
	if (!err)
		err = kvm_msrs_set(v, s, error);
	if (!err)
		err = events_set(v, s, error);
	if (!err)
		own_set(v, s);
	return err;
}
