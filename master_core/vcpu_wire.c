// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A vCPU's state on the wire: a head, the fields of one table in its order,
 * then the three lists. The same table encodes, decodes and checks.
 */
#include "../common_include/giantvm_vcpu.h"

/* magic u32, version u16, nxcrs u8, nxparts u8, length u32, nmsrs u32 */
#define HEAD 16

struct field {
	u16 at;
	u16 size;
	u16 count;
	u64 max; /* 0: whatever fits */
};

#define STATE(m) (((struct gvm_vcpu_state *)0)->m)
#define MANY(m, n)                                                                                 \
	{                                                                                          \
		offsetof(struct gvm_vcpu_state, m), sizeof(STATE(m)), n, 0                         \
	}
#define ANY(m) MANY(m, 1)
#define UPTO(m, mx)                                                                                \
	{                                                                                          \
		offsetof(struct gvm_vcpu_state, m), sizeof(STATE(m)), 1, mx                        \
	}
#define FLAG(m) UPTO(m, 1)
#define SEGMENT(i)                                                                                 \
	ANY(seg[i].base), ANY(seg[i].limit), UPTO(seg[i].attr, GVM_SEG_KNOWN), ANY(seg[i].selector)

/* The order is the protocol of GVM_VCPU_STATE_VERSION. */
static const struct field fields[] = {
	ANY(vcpu),
	MANY(reg[0], GVM_VCPU_REGS),
	ANY(rip),
	ANY(rflags),
	SEGMENT(GVM_ES),
	SEGMENT(GVM_CS),
	SEGMENT(GVM_SS),
	SEGMENT(GVM_DS),
	SEGMENT(GVM_FS),
	SEGMENT(GVM_GS),
	SEGMENT(GVM_LDTR),
	SEGMENT(GVM_TR),
	ANY(gdt.base),
	ANY(gdt.limit),
	ANY(idt.base),
	ANY(idt.limit),
	ANY(cr0),
	ANY(cr2),
	ANY(cr3),
	ANY(cr4),
	UPTO(cr8, 15),
	ANY(efer),
	ANY(apic_base),
	MANY(pdptr[0], 4),
	FLAG(pdptrs_valid),
	MANY(dr[0], 4),
	UPTO(dr6, 0xffffffff),
	UPTO(dr7, 0xffffffff),
	UPTO(mp_state, GVM_MP_SIPI),
	FLAG(events.exception_pending),
	FLAG(events.exception_injected),
	UPTO(events.exception_nr, 31),
	FLAG(events.exception_has_error),
	FLAG(events.exception_has_payload),
	ANY(events.exception_error),
	ANY(events.exception_payload),
	FLAG(events.interrupt_injected),
	ANY(events.interrupt_nr),
	FLAG(events.interrupt_soft),
	UPTO(events.interrupt_shadow, GVM_SHADOW_MOV_SS | GVM_SHADOW_STI),
	FLAG(events.interrupt_waiting),
	ANY(events.interrupt_waiting_nr),
	FLAG(events.nmi_injected),
	UPTO(events.nmi_pending, 2),
	FLAG(events.nmi_masked),
	FLAG(events.smi_pending),
	FLAG(events.smm),
	FLAG(events.smm_inside_nmi),
	FLAG(events.init_latched),
	FLAG(events.triple_fault),
	ANY(events.sipi_vector),
	ANY(tsc),
	ANY(tsc_clock_ns),
	ANY(tsc_khz),
	MANY(fxsave[0], GVM_VCPU_FXSAVE),
	ANY(xstate_bv),
};

struct writer {
	u8 *at;
	u8 *end;
	bool overflow;
};

struct reader {
	const u8 *at;
	const u8 *end;
};

static void put(struct writer *w, u64 value, unsigned int size)
{
	unsigned int i;

	if ((size_t)(w->end - w->at) < size) {
		w->overflow = true;
		return;
	}
	for (i = 0; i < size; i++)
		*w->at++ = value >> (8 * i);
}

static void put_bytes(struct writer *w, const u8 *data, size_t len)
{
	if ((size_t)(w->end - w->at) < len) {
		w->overflow = true;
		return;
	}
	memcpy(w->at, data, len);
	w->at += len;
}

static bool get(struct reader *r, u64 *value, unsigned int size)
{
	unsigned int i;

	if ((size_t)(r->end - r->at) < size)
		return false;
	for (*value = 0, i = 0; i < size; i++)
		*value |= (u64)*r->at++ << (8 * i);
	return true;
}

static u64 load(const u8 *p, unsigned int size)
{
	u64 v64;
	u32 v32;
	u16 v16;

	switch (size) {
	case 8:
		memcpy(&v64, p, 8);
		return v64;
	case 4:
		memcpy(&v32, p, 4);
		return v32;
	case 2:
		memcpy(&v16, p, 2);
		return v16;
	default:
		return *p;
	}
}

static void store(u8 *p, u64 value, unsigned int size)
{
	u32 v32 = value;
	u16 v16 = value;

	switch (size) {
	case 8:
		memcpy(p, &value, 8);
		break;
	case 4:
		memcpy(p, &v32, 4);
		break;
	case 2:
		memcpy(p, &v16, 2);
		break;
	default:
		*p = value;
	}
}

/* Of some fields only certain bits may be set, not only a greatest value. */
static bool field_valid(const struct field *f, u64 value)
{
	if (f->max == GVM_SEG_KNOWN)
		return !(value & ~(u64)GVM_SEG_KNOWN);
	return !f->max || value <= f->max;
}

static bool has_field(u32 msr)
{
	return msr == GVM_MSR_TSC || msr == GVM_MSR_APIC_BASE || msr == GVM_MSR_EFER;
}

static bool rising(const struct gvm_vcpu_msr *list, u32 n)
{
	u32 i;

	for (i = 1; i < n; i++)
		if (list[i].index <= list[i - 1].index)
			return false;
	return true;
}

/* The parts are those that xstate_bv names, rising, back to back, and all of xdata. */
static bool xparts_valid(const struct gvm_vcpu_state *s)
{
	u64 bits = s->xstate_bv & 3;
	u32 i, at = 0;

	for (i = 0; i < s->nxparts; i++) {
		const struct gvm_vcpu_xpart *p = &s->xpart[i];

		if (p->id < 2 || p->id > 62 || (i && p->id <= s->xpart[i - 1].id))
			return false;
		if (!p->size || p->size > GVM_VCPU_XDATA_MAX - at || p->at != at)
			return false;
		bits |= 1ULL << p->id;
		at += p->size;
	}
	return bits == s->xstate_bv && at == s->xdata_len;
}

static bool lists_valid(const struct gvm_vcpu_state *s)
{
	u32 i;

	if (s->nmsrs > GVM_VCPU_MSRS_MAX || s->nxcrs > GVM_VCPU_XCRS_MAX ||
	    s->nxparts > GVM_VCPU_XPARTS_MAX || s->xdata_len > GVM_VCPU_XDATA_MAX)
		return false;
	for (i = 0; i < s->nmsrs; i++)
		if (has_field(s->msr[i].index))
			return false;
	return rising(s->msr, s->nmsrs) && rising(s->xcr, s->nxcrs) && xparts_valid(s);
}

static bool fields_encode(struct writer *w, const struct gvm_vcpu_state *s)
{
	unsigned int i, j;
	u64 value;

	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		const struct field *f = &fields[i];

		for (j = 0; j < f->count; j++) {
			value = load((const u8 *)s + f->at + j * f->size, f->size);
			if (!field_valid(f, value))
				return false;
			put(w, value, f->size);
		}
	}
	return true;
}

static void registers_encode(struct writer *w, const struct gvm_vcpu_msr *list, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++) {
		put(w, list[i].index, 4);
		put(w, list[i].value, 8);
	}
}

int gvm_vcpu_state_encode(u8 *buf, size_t room, const struct gvm_vcpu_state *s)
{
	struct writer w = {buf, buf + room, false};
	u32 i;

	if (!lists_valid(s))
		return -EINVAL;
	put(&w, GVM_VCPU_STATE_MAGIC, 4);
	put(&w, GVM_VCPU_STATE_VERSION, 2);
	put(&w, s->nxcrs, 1);
	put(&w, s->nxparts, 1);
	put(&w, 0, 4);
	put(&w, s->nmsrs, 4);
	if (!fields_encode(&w, s))
		return -EINVAL;
	registers_encode(&w, s->msr, s->nmsrs);
	registers_encode(&w, s->xcr, s->nxcrs);
	for (i = 0; i < s->nxparts; i++) {
		put(&w, s->xpart[i].id, 4);
		put(&w, s->xpart[i].size, 4);
	}
	put_bytes(&w, s->xdata, s->xdata_len);
	if (w.overflow)
		return -ENOSPC;
	gvm_put_le32(buf + 8, w.at - buf);
	return w.at - buf;
}

static int head_decode(struct gvm_vcpu_state *s, const u8 *buf, size_t len)
{
	if (len < HEAD)
		return -EBADMSG;
	if (gvm_get_le32(buf) != GVM_VCPU_STATE_MAGIC)
		return -EPROTO;
	if (gvm_get_le16(buf + 4) != GVM_VCPU_STATE_VERSION)
		return -EPROTONOSUPPORT;
	s->nxcrs = buf[6];
	s->nxparts = buf[7];
	s->nmsrs = gvm_get_le32(buf + 12);
	if (gvm_get_le32(buf + 8) != len || s->nxcrs > GVM_VCPU_XCRS_MAX ||
	    s->nxparts > GVM_VCPU_XPARTS_MAX || s->nmsrs > GVM_VCPU_MSRS_MAX)
		return -EBADMSG;
	return 0;
}

static bool fields_decode(struct reader *r, struct gvm_vcpu_state *s)
{
	unsigned int i, j;
	u64 value;

	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		const struct field *f = &fields[i];

		for (j = 0; j < f->count; j++) {
			if (!get(r, &value, f->size) || !field_valid(f, value))
				return false;
			store((u8 *)s + f->at + j * f->size, value, f->size);
		}
	}
	return true;
}

static bool registers_decode(struct reader *r, struct gvm_vcpu_msr *list, u32 n)
{
	u64 index;
	u32 i;

	for (i = 0; i < n; i++) {
		if (!get(r, &index, 4) || !get(r, &list[i].value, 8))
			return false;
		list[i].index = index;
	}
	return true;
}

static bool xparts_decode(struct reader *r, struct gvm_vcpu_state *s)
{
	u64 id, size;
	u32 i;

	s->xdata_len = 0;
	for (i = 0; i < s->nxparts; i++) {
		if (!get(r, &id, 4) || !get(r, &size, 4) || size > GVM_VCPU_XDATA_MAX)
			return false;
		s->xpart[i] = (struct gvm_vcpu_xpart){id, size, s->xdata_len};
		s->xdata_len += size;
	}
	if (s->xdata_len > GVM_VCPU_XDATA_MAX || (size_t)(r->end - r->at) != s->xdata_len)
		return false;
	memcpy(s->xdata, r->at, s->xdata_len);
	return true;
}

int gvm_vcpu_state_decode(struct gvm_vcpu_state *s, const u8 *buf, size_t len)
{
	struct reader r = {buf, buf + len};
	int err = head_decode(s, buf, len);

	if (err)
		return err;
	r.at += HEAD;
	if (!fields_decode(&r, s) || !registers_decode(&r, s->msr, s->nmsrs) ||
	    !registers_decode(&r, s->xcr, s->nxcrs) || !xparts_decode(&r, s) || !lists_valid(s))
		return -EBADMSG;
	return 0;
}

/* The first entry that is not below index. */
static u32 msr_place(const struct gvm_vcpu_state *s, u32 index)
{
	u32 lo = 0, hi = s->nmsrs;

	while (lo < hi) {
		u32 mid = (lo + hi) / 2;

		if (s->msr[mid].index < index)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int gvm_vcpu_state_set_msr(struct gvm_vcpu_state *s, u32 index, u64 value)
{
	u32 at = msr_place(s, index);

	if (has_field(index))
		return -EINVAL;
	if (at == s->nmsrs || s->msr[at].index != index) {
		if (s->nmsrs == GVM_VCPU_MSRS_MAX)
			return -ENOSPC;
		memmove(&s->msr[at + 1], &s->msr[at], (s->nmsrs - at) * sizeof(s->msr[0]));
		s->nmsrs++;
	}
	s->msr[at] = (struct gvm_vcpu_msr){index, value};
	return 0;
}

int gvm_vcpu_state_get_msr(const struct gvm_vcpu_state *s, u32 index, u64 *value)
{
	u32 at = msr_place(s, index);

	if (at == s->nmsrs || s->msr[at].index != index)
		return -ENOENT;
	*value = s->msr[at].value;
	return 0;
}

int gvm_vcpu_state_add_xpart(struct gvm_vcpu_state *s, u32 id, const u8 *data, u32 size)
{
	if (id < 2 || id > 62 || !size || (s->nxparts && s->xpart[s->nxparts - 1].id >= id))
		return -EINVAL;
	if (s->nxparts == GVM_VCPU_XPARTS_MAX || size > GVM_VCPU_XDATA_MAX - s->xdata_len)
		return -ENOSPC;
	s->xpart[s->nxparts++] = (struct gvm_vcpu_xpart){id, size, s->xdata_len};
	memcpy(s->xdata + s->xdata_len, data, size);
	s->xdata_len += size;
	s->xstate_bv |= 1ULL << id;
	return 0;
}
