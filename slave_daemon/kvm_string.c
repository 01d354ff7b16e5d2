// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * KVM hands out a string OUT element by element: one exit each, the instruction
 * begun anew in between. What is left of it on the page that it has just read
 * from is done here, so that the elements travel together. What is not plain
 * (another address size, a descending string, a page that is not RAM) is left
 * to KVM.
 */
#include "kvm_internal.h"

#define INSTRUCTION_MAX 15
#define RFLAGS_DF	0x400
#define EFER_LMA	0x400
#define CR0_PE		1
#define RFLAGS_VM	0x20000

struct string_out {
	u32 size;   /* of an element */
	u32 length; /* of the instruction */
	unsigned int seg;
};

/* The same instruction again with one less to do: a string, or a loop that looks like one. */
static bool seen_before(struct gvm_exec_vcpu *v)
{
	const struct kvm_regs *regs = &v->run->s.regs.regs;
	bool same;

	if (!v->vm->has_sync_regs)
		return false;
	same = regs->rip == v->out_rip && regs->rcx && regs->rcx + 1 == v->out_rcx;
	v->out_rip = regs->rip;
	v->out_rcx = regs->rcx;
	return same;
}

/* The RAM behind a linear address up to the end of its page; NULL: none. */
static const u8 *linear_ram(struct gvm_exec_vcpu *v, u64 linear, u32 *left)
{
	struct kvm_translation t = {.linear_address = linear};
	unsigned int i;

	if (ioctl(v->fd, KVM_TRANSLATE, &t) || !t.valid)
		return NULL;
	for (i = 0; i < v->vm->nslots; i++) {
		const struct gvm_range *r = &v->vm->ranges[i];

		if (t.physical_address - r->gpa >= r->size)
			continue;
		*left = GVM_PAGE_SIZE - t.physical_address % GVM_PAGE_SIZE;
		return (const u8 *)v->vm->ram + r->offset + (t.physical_address - r->gpa);
	}
	return NULL;
}

static bool segment_prefix(u8 byte, unsigned int *seg)
{
	switch (byte) {
	case 0x26:
		*seg = GVM_ES;
		return true;
	case 0x2e:
		*seg = GVM_CS;
		return true;
	case 0x36:
		*seg = GVM_SS;
		return true;
	case 0x3e:
		*seg = GVM_DS;
		return true;
	case 0x64:
		*seg = GVM_FS;
		return true;
	case 0x65:
		*seg = GVM_GS;
		return true;
	default:
		return false;
	}
}

/* REP OUTS with prefixes that do not change the size of addresses. */
static bool decode(const u8 *code, u32 len, bool bits64, u32 size, struct string_out *s)
{
	bool rep = false;
	u32 i;

	s->seg = GVM_DS;
	s->size = size; /* what the exit says: prefixes have been obeyed */
	for (i = 0; i < len; i++) {
		if (code[i] == 0xf3)
			rep = true;
		else if (code[i] == 0x66 || (bits64 && code[i] >> 4 == 4))
			continue;
		else if (!segment_prefix(code[i], &s->seg))
			break;
	}
	if (i == len || !rep || (code[i] != 0x6e && code[i] != 0x6f))
		return false;
	s->length = i + 1;
	return true;
}

static const struct kvm_segment *segment(const struct kvm_sregs *k, unsigned int seg)
{
	switch (seg) {
	case GVM_ES:
		return &k->es;
	case GVM_CS:
		return &k->cs;
	case GVM_SS:
		return &k->ss;
	case GVM_FS:
		return &k->fs;
	case GVM_GS:
		return &k->gs;
	default:
		return &k->ds;
	}
}

/* Flat protected or long mode: only there an address is base plus register, with no limit. */
static bool mode_plain(const struct kvm_regs *r, const struct kvm_sregs *k, bool bits64)
{
	if (!(k->cr0 & CR0_PE) || r->rflags & (RFLAGS_DF | RFLAGS_VM))
		return false;
	return bits64 || (k->cs.db && k->cs.limit == 0xffffffff && k->ds.limit == 0xffffffff);
}

static u64 linear_of(const struct kvm_sregs *k, unsigned int seg, u64 offset, bool bits64)
{
	if (!bits64)
		return (u32)(segment(k, seg)->base + offset);
	return seg == GVM_FS || seg == GVM_GS ? segment(k, seg)->base + offset : offset;
}

/* Where the next element starts, in the page of the one before, or NULL. */
static const u8 *next_source(struct gvm_exec_vcpu *v, const struct kvm_regs *r,
			     const struct kvm_sregs *k, const struct string_out *s, bool bits64,
			     u32 *left)
{
	u64 at = linear_of(k, s->seg, r->rsi, bits64);

	if ((at - 1) >> GVM_PAGE_SHIFT != at >> GVM_PAGE_SHIFT)
		return NULL; /* whether it may be read is for the processor to say */
	return linear_ram(v, at, left);
}

static void take(struct gvm_exec_vcpu *v, struct gvm_exit *exit, struct kvm_regs *r,
		 const struct string_out *s, const u8 *from, u32 left)
{
	u64 n = min_t(u64, left, sizeof(v->batch) - exit->len) / s->size;

	n = min_t(u64, n, r->rcx);
	memcpy(v->batch, exit->data, exit->len);
	memcpy(v->batch + exit->len, from, n * s->size);
	r->rsi += n * s->size;
	r->rcx -= n;
	if (!r->rcx)
		r->rip += s->length;
	if (!n || ioctl(v->fd, KVM_SET_REGS, r))
		return; /* KVM goes on with the next element by itself */
	exit->data = v->batch;
	exit->len += n * s->size;
	exit->count += n;
	v->out_rip = r->rip;
	v->out_rcx = r->rcx + 1;
}

void kvm_string_out(struct gvm_exec_vcpu *v, struct gvm_exit *exit)
{
	struct string_out s;
	struct kvm_sregs k;
	struct kvm_regs r;
	const u8 *code, *from;
	u32 left;
	bool bits64;

	if (!seen_before(v) || exit->len >= sizeof(v->batch))
		return;
	if (ioctl(v->fd, KVM_GET_REGS, &r) || ioctl(v->fd, KVM_GET_SREGS, &k))
		return;
	bits64 = k.efer & EFER_LMA && k.cs.l;
	if (!mode_plain(&r, &k, bits64))
		return;
	code = linear_ram(v, bits64 ? r.rip : (u32)(k.cs.base + r.rip), &left);
	if (!code || !decode(code, min_t(u32, left, INSTRUCTION_MAX), bits64, exit->size, &s))
		return;
	from = next_source(v, &r, &k, &s, bits64, &left);
	if (from)
		take(v, exit, &r, &s, from, left);
}
