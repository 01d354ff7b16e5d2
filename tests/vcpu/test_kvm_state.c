// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Every field of a vCPU's state, each with a value of its own that a processor
 * can hold, into KVM, out of it, over the wire and into another vCPU.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "host.h"
#include "state_fields.h"

struct states {
	struct host h;
	struct gvm_vcpu_state want, got, moved;
	u8 wire[GVM_VCPU_STATE_MAX];
	bool tsc_kept;
};

/* KVM in software has the host's TSC and no other, and no PAE paging: asked, not assumed. */
static bool keeps_tsc(struct states *t)
{
	static struct gvm_vcpu_state s;

	assert_int_equal(t->h.x->get_state(t->h.v[0], &s, t->h.error), 0);
	s.tsc = 1;
	assert_int_equal(t->h.x->set_state(t->h.v[0], &s, t->h.error), 0);
	assert_int_equal(t->h.x->get_state(t->h.v[0], &s, t->h.error), 0);
	return s.tsc < 60ULL * 1000 * s.tsc_khz;
}

/* The TSC goes on: what is compared is that it went on from where it was. */
static void compare(struct states *t, const struct gvm_vcpu_state *want, struct gvm_vcpu_state *got)
{
	if (t->tsc_kept) {
		assert_true(got->tsc >= want->tsc);
		assert_true(got->tsc - want->tsc < 30ULL * 1000 * want->tsc_khz);
	}
	got->tsc = want->tsc;
	/* AMD processors do not tell one kind of shadow from the other. */
	if (want->events.interrupt_shadow && got->events.interrupt_shadow)
		got->events.interrupt_shadow = want->events.interrupt_shadow;
	assert_int_equal(state_compare(want, got, state_print_difference, NULL), 0);
}

static int setup(void **state)
{
	struct states *t = calloc(1, sizeof(*t));

	if (!t || host_open(&t->h, 2, -1))
		return -1;
	t->tsc_kept = keeps_tsc(t);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct states *t = *state;

	host_close(&t->h);
	free(t);
	return 0;
}

/* Long mode, CPL 3 segments but for CS and SS, which say which ring it is. */
static void distinct_segments(struct gvm_vcpu_state *s)
{
	static const u32 attr[GVM_VCPU_SEGS] = {0xc0f3, 0xa09b, 0xc093, 0xd0f3,
						0x40f3, 0xc0f3, 0x0082, 0x008b};
	unsigned int i;

	for (i = 0; i < GVM_VCPU_SEGS; i++) {
		s->seg[i].attr = attr[i];
		s->seg[i].selector = 0x10 * (i + 1) + (attr[i] >> 5 & 3);
		s->seg[i].limit = attr[i] & GVM_SEG_G ? (0x1001 + i) << 12 | 0xfff : 0x1001 + i;
		s->seg[i].base = 0;
	}
	s->seg[GVM_LDTR].selector = 0x70;
	s->seg[GVM_TR].selector = 0x80;
	s->seg[GVM_CS].limit = s->seg[GVM_SS].limit = 0xffffffff;
	s->seg[GVM_FS].base = 0x00007f1111112222;
	s->seg[GVM_GS].base = 0xffff888811113333;
	s->seg[GVM_LDTR].base = 0x4000;
	s->seg[GVM_TR].base = 0x5000;
	s->seg[GVM_ES].base = 0x6000;
	s->seg[GVM_DS].base = 0x7000;
	s->gdt = (struct gvm_vcpu_table){0xffff800000001000, 0x11f};
	s->idt = (struct gvm_vcpu_table){0xffff800000002000, 0xfef};
}

static void distinct_system(struct gvm_vcpu_state *s)
{
	unsigned int i;

	distinct_segments(s);
	s->cr0 = 0x80050033;
	s->cr2 = 0x00007f4444445555;
	s->cr3 = 0x123000;
	s->cr4 = 0x406b0;
	s->cr8 = 9;
	s->efer = 0xd01;
	s->apic_base = 0xfee00800;
	for (i = 0; i < 4; i++)
		s->dr[i] = 0x00007f6000000000 + i * 0x1001;
	s->dr6 = 0xffff4ff2;
	s->dr7 = 0x10455;
}

static void distinct_x87(struct gvm_vcpu_state *s)
{
	unsigned int i;

	memset(s->fxsave, 0, sizeof(s->fxsave));
	gvm_put_le16(s->fxsave, 0x027f);
	gvm_put_le16(s->fxsave + 2, 0x2900); /* TOP 5 */
	s->fxsave[4] = 0xe1;
	gvm_put_le16(s->fxsave + 6, 0x0123);
	gvm_put_le64(s->fxsave + 8, 0x11112222);
	gvm_put_le64(s->fxsave + 16, 0x33334444);
	gvm_put_le32(s->fxsave + 24, 0x1fa3);
	gvm_put_le32(s->fxsave + 28, gvm_get_le32(s->fxsave + 28));
	for (i = 0; i < 8; i++) {
		gvm_put_le64(s->fxsave + 32 + i * 16, 0x8000000000000001ULL + i);
		gvm_put_le16(s->fxsave + 40 + i * 16, 0x3ff1 + i);
	}
	for (i = 0; i < 256; i++)
		s->fxsave[160 + i] = 0xff - i * 3;
	s->xstate_bv = 3;
}

/* Sizes as the host says: what it has not must not be asked for. */
static void distinct_xparts(struct states *t)
{
	u8 part[GVM_VCPU_XDATA_MAX];
	u64 xcr0 = 3;
	unsigned int i, j;
	u32 id;

	t->want.nxparts = t->want.xdata_len = 0;
	for (id = 2; id < 10; id++)
		for (i = 0; i < t->h.ncpuid; i++) {
			const struct gvm_cpuid_entry *c = &t->h.cpuid[i];

			if (c->function != 0xd || c->index != id || !c->eax || c->ecx & 1)
				continue;
			for (j = 0; j < c->eax; j++)
				part[j] = id == 9 ? j == 0 : id * 37 + j * 11 + 1;
			assert_int_equal(gvm_vcpu_state_add_xpart(&t->want, id, part, c->eax), 0);
			xcr0 |= 1ULL << id;
		}
	t->want.nxcrs = 1;
	t->want.xcr[0] = (struct gvm_vcpu_msr){0, xcr0};
}

static void distinct_msrs(struct gvm_vcpu_state *s)
{
	static const struct gvm_vcpu_msr want[] = {
		{0x174, 0x10},
		{0x175, 0x80017500},
		{0x176, 0x80017600},
		{0xc0000081, 0x0023001000000000},
		{0xc0000082, 0xffff8000c0000082},
		{0xc0000083, 0xffff8000c0000083},
		{0xc0000084, 0x47700},
		{0xc0000102, 0x00007fc000000102},
		{0x277, 0x0007040600070401},
		{0xc0000103, 0x103},
		{0x3b, 0x3b3b},
	};
	unsigned int i;
	u64 v;

	/* Only what this processor has: the list that the executor gave. */
	for (i = 0; i < ARRAY_SIZE(want); i++)
		if (!gvm_vcpu_state_get_msr(s, want[i].index, &v))
			gvm_vcpu_state_set_msr(s, want[i].index, want[i].value);
}

static void distinct(struct states *t)
{
	struct gvm_vcpu_state *s = &t->want;
	unsigned int i;

	assert_int_equal(t->h.x->get_state(t->h.v[0], s, t->h.error), 0);
	for (i = 0; i < GVM_VCPU_REGS; i++)
		s->reg[i] = 0x1111000000000000ULL * (i + 1) + i;
	s->rip = 0xffffffff81001234;
	s->rflags = 0x40ed7;
	distinct_system(s);
	distinct_x87(s);
	distinct_xparts(t);
	distinct_msrs(s);
	s->tsc = 0x123456789abc;
}

static void through_kvm(struct states *t)
{
	const struct gvm_executor *x = t->h.x;

	if (x->set_state(t->h.v[0], &t->want, t->h.error))
		fail_msg("%s", t->h.error);
	if (x->get_state(t->h.v[0], &t->got, t->h.error))
		fail_msg("%s", t->h.error);
	compare(t, &t->want, &t->got);
}

static void round_trip(void **state)
{
	struct states *t = *state;

	distinct(t);
	through_kvm(t);
}

static void to_another_vcpu(void **state)
{
	struct states *t = *state;
	int len;

	distinct(t);
	through_kvm(t);
	len = gvm_vcpu_state_encode(t->wire, sizeof(t->wire), &t->got);
	assert_true(len > 0);
	assert_int_equal(gvm_vcpu_state_decode(&t->moved, t->wire, len), 0);
	if (t->h.x->set_state(t->h.v[1], &t->moved, t->h.error))
		fail_msg("%s", t->h.error);
	assert_int_equal(t->h.x->get_state(t->h.v[1], &t->got, t->h.error), 0);
	t->moved.vcpu = 1;
	compare(t, &t->moved, &t->got);
	print_message("%u MSRs, %u components, %d bytes; the TSC is %s\n", t->moved.nmsrs,
		      t->moved.nxparts, len, t->tsc_kept ? "kept" : "the host's alone");
}

static void events(void **state)
{
	struct states *t = *state;
	static const struct gvm_vcpu_events sets[] = {
		{.exception_injected = 1,
		 .exception_nr = 13,
		 .exception_has_error = 1,
		 .exception_error = 0x5678},
		{.exception_pending = 1,
		 .exception_nr = 14,
		 .exception_has_error = 1,
		 .exception_error = 6,
		 .exception_has_payload = 1,
		 .exception_payload = 0x7f0000001000},
		{.interrupt_injected = 1, .interrupt_nr = 0x91},
		{.interrupt_shadow = GVM_SHADOW_STI},
		{.interrupt_shadow = GVM_SHADOW_MOV_SS},
		{.interrupt_waiting = 1, .interrupt_waiting_nr = 0x41},
		{.nmi_injected = 1, .nmi_masked = 1},
		{.nmi_pending = 1, .nmi_masked = 1},
		{.triple_fault = 1},
	};
	unsigned int i;

	distinct(t);
	for (i = 0; i < ARRAY_SIZE(sets); i++) {
		t->want.events = sets[i];
		through_kvm(t);
	}
}

/* KVM goes back to before an INT n that it could not finish: there is nothing to carry. */
static void soft_interrupt(void **state)
{
	struct states *t = *state;

	distinct(t);
	t->want.events = (struct gvm_vcpu_events){
		.interrupt_injected = 1, .interrupt_nr = 0x80, .interrupt_soft = 1};
	assert_int_equal(t->h.x->set_state(t->h.v[0], &t->want, t->h.error), 0);
	assert_int_equal(t->h.x->get_state(t->h.v[0], &t->got, t->h.error), 0);
	assert_int_equal(t->got.events.interrupt_injected, 0);
}

static void mp_states(void **state)
{
	struct states *t = *state;
	u8 mp;

	distinct(t);
	for (mp = GVM_MP_RUNNING; mp <= GVM_MP_SIPI; mp++) {
		t->want.mp_state = mp;
		t->want.events.sipi_vector = mp == GVM_MP_SIPI ? 0x9b : 0;
		through_kvm(t);
	}
}

/* 32-bit PAE: the page directory pointers in use are part of the state. */
static void pdptrs(void **state)
{
	struct states *t = *state;
	unsigned int i;

	distinct(t);
	t->want.efer = 0;
	t->want.cr4 = 0x20;
	t->want.rip = 0x1234;
	t->want.cr3 = 0x12320;
	t->want.seg[GVM_CS].attr = 0xc09b;
	t->want.pdptrs_valid = 1;
	for (i = 0; i < GVM_VCPU_REGS; i++)
		t->want.reg[i] &= i < GVM_R8 ? 0xffffffff : 0;
	for (i = 0; i < 4; i++)
		t->want.pdptr[i] = 0x20001 + i * 0x1000;
	t->want.cr8 = 0;
	assert_int_equal(t->h.x->set_state(t->h.v[0], &t->want, t->h.error), 0);
	assert_int_equal(t->h.x->get_state(t->h.v[0], &t->got, t->h.error), 0);
	if (!(t->got.cr0 >> 31)) {
		print_message("this KVM knows no PAE paging: nothing is compared\n");
		return;
	}
	through_kvm(t);
}

static void refusals(void **state)
{
	struct states *t = *state;
	struct gvm_exec_vcpu *v = NULL;
	struct gvm_exec_vcpu_config cfg = {.index = 3, .cpuid = t->h.cpuid, .ncpuid = t->h.ncpuid};
	static const u32 no_such_msr = 0x12345678;
	unsigned int i;
	int err;

	distinct(t);
	t->want.events.smm = 1;
	err = t->h.x->set_state(t->h.v[0], &t->want, t->h.error);
	assert_true(!err || err == -ENOTSUP); /* some know SMM */
	t->want.events.smm = 0;
	gvm_vcpu_state_set_msr(&t->want, 0x12345678, 1);
	assert_true(t->h.x->set_state(t->h.v[0], &t->want, t->h.error) < 0);
	assert_non_null(strstr(t->h.error, "0x12345678"));
	cfg.msrs = &no_such_msr;
	cfg.nmsrs = 1;
	assert_int_equal(t->h.x->vcpu_open(&v, t->h.vm, &cfg, t->h.error), -ENOTSUP);
	cfg.msrs = NULL;
	cfg.index = 2;
	for (i = 0; i < t->h.ncpuid && t->h.cpuid[i].function != 7; i++)
		;
	assert_true(i < t->h.ncpuid);
	t->h.cpuid[i].ecx |= 1U << 31;
	assert_int_equal(t->h.x->vcpu_open(&v, t->h.vm, &cfg, t->h.error), -ENOTSUP);
	assert_non_null(strstr(t->h.error, "CPUID 7.0 ECX"));
	print_message("%s\n", t->h.error);
}

static void maps(void **state)
{
	struct states *t = *state;
	struct gvm_range r[] = {{.gpa = 0, .size = 0x1000}, {.gpa = 0x1000, .size = 0x2000}};

	assert_int_equal(t->h.x->vm_set_map(t->h.vm, r, 2, t->h.error), 0);
	assert_int_equal(t->h.x->vm_set_map(t->h.vm, r, 2, t->h.error), 0);
	r[0].rom = true;
	r[1].offset = 0x5000;
	assert_int_equal(t->h.x->vm_set_map(t->h.vm, r, 2, t->h.error), 0);
	r[1].gpa = 0;
	assert_int_equal(t->h.x->vm_set_map(t->h.vm, r, 2, t->h.error), -EINVAL);
	r[1].gpa = 0x1000;
	r[1].offset = HOST_RAM - 0x1000;
	assert_int_equal(t->h.x->vm_set_map(t->h.vm, r, 2, t->h.error), -EINVAL);
	r[1].offset = 0x10;
	assert_int_equal(t->h.x->vm_set_map(t->h.vm, r, 2, t->h.error), -EINVAL);
	assert_int_equal(t->h.x->vm_set_map(t->h.vm, r, 0, t->h.error), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(round_trip), TEST(to_another_vcpu), TEST(events),	 TEST(soft_interrupt),
		TEST(mp_states),  TEST(pdptrs),		 TEST(refusals), TEST(maps),
	};
	char error[GVM_EXEC_ERROR_MAX];

	if (!host_usable(error)) {
		printf("ok 1 - the vCPU state through KVM # SKIP %s\n", error);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
