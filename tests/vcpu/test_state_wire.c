// SPDX-License-Identifier: GPL-2.0-or-later
/* The vCPU state's wire form: every field, every length, every refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "state_fields.h"

struct room {
	struct gvm_vcpu_state s, back;
	u8 buf[GVM_VCPU_STATE_MAX];
	u8 again[GVM_VCPU_STATE_MAX];
	int len;
};

static int setup(void **state)
{
	struct room *r = calloc(1, sizeof(*r));

	if (!r)
		return -1;
	state_fill(&r->s);
	r->len = gvm_vcpu_state_encode(r->buf, sizeof(r->buf), &r->s);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static void every_field(void **state)
{
	struct room *r = *state;

	assert_true(r->len > 0);
	memset(&r->back, 0xa5, sizeof(r->back));
	assert_int_equal(gvm_vcpu_state_decode(&r->back, r->buf, r->len), 0);
	assert_int_equal(state_compare(&r->s, &r->back, state_print_difference, NULL), 0);
}

static void silent(void *ctx, const char *field, u64 a, u64 b)
{
	(void)ctx, (void)field, (void)a, (void)b;
}

/* The comparison sees every field that the wire carries: a byte changed is a field changed. */
static void every_byte_counts(void **state)
{
	struct room *r = *state;
	unsigned int refused = 0;
	int i, n;

	for (i = 0; i < r->len; i++) {
		r->buf[i] ^= 1;
		if (gvm_vcpu_state_decode(&r->back, r->buf, r->len)) {
			refused++;
		} else {
			n = gvm_vcpu_state_encode(r->again, sizeof(r->again), &r->back);
			assert_int_equal(n, r->len);
			assert_memory_equal(r->again, r->buf, n);
			assert_true(state_compare(&r->s, &r->back, silent, NULL));
		}
		r->buf[i] ^= 1;
	}
	assert_true(refused > 16 && refused < 300);
}

static void every_length(void **state)
{
	struct room *r = *state;
	u8 *exact;
	int i;

	for (i = 0; i < r->len; i++) {
		exact = malloc(i ? i : 1);
		assert_non_null(exact);
		memcpy(exact, r->buf, i);
		assert_int_equal(gvm_vcpu_state_decode(&r->back, exact, i), -EBADMSG);
		assert_int_equal(gvm_vcpu_state_encode(exact, i, &r->s), -ENOSPC);
		free(exact);
	}
	r->buf[r->len] = 0;
	assert_int_equal(gvm_vcpu_state_decode(&r->back, r->buf, r->len + 1), -EBADMSG);
}

static void longest(void **state)
{
	struct room *r = *state;
	static u8 part[GVM_VCPU_XDATA_MAX];
	u32 i;

	r->s.nxparts = r->s.xdata_len = r->s.nmsrs = 0;
	r->s.xstate_bv = 3;
	for (i = 0; i < GVM_VCPU_XPARTS_MAX; i++)
		assert_int_equal(gvm_vcpu_state_add_xpart(&r->s, 2 + i, part,
							  GVM_VCPU_XDATA_MAX / GVM_VCPU_XPARTS_MAX),
				 0);
	assert_int_equal(gvm_vcpu_state_add_xpart(&r->s, 60, part, 1), -ENOSPC);
	for (i = 0; i < GVM_VCPU_MSRS_MAX; i++)
		assert_int_equal(gvm_vcpu_state_set_msr(&r->s, 0x1000 - i, i), 0);
	assert_int_equal(gvm_vcpu_state_set_msr(&r->s, 1, 1), -ENOSPC);
	assert_int_equal(gvm_vcpu_state_set_msr(&r->s, 0x1000, 77), 0);
	r->s.nxcrs = GVM_VCPU_XCRS_MAX;
	for (i = 0; i < GVM_VCPU_XCRS_MAX; i++)
		r->s.xcr[i].index = i;
	r->len = gvm_vcpu_state_encode(r->buf, sizeof(r->buf), &r->s);
	assert_true(r->len > 0);
	assert_int_equal(gvm_vcpu_state_decode(&r->back, r->buf, r->len), 0);
	assert_int_equal(state_compare(&r->s, &r->back, silent, NULL), 0);
}

static void msr_list(void **state)
{
	struct room *r = *state;
	u64 v;

	r->s.nmsrs = 0;
	assert_int_equal(gvm_vcpu_state_set_msr(&r->s, 0xc0000082, 3), 0);
	assert_int_equal(gvm_vcpu_state_set_msr(&r->s, 0x174, 1), 0);
	assert_int_equal(gvm_vcpu_state_set_msr(&r->s, 0x277, 2), 0);
	assert_int_equal(gvm_vcpu_state_set_msr(&r->s, 0x174, 9), 0);
	assert_int_equal(r->s.nmsrs, 3);
	assert_int_equal(gvm_vcpu_state_get_msr(&r->s, 0x174, &v), 0);
	assert_int_equal(v, 9);
	assert_int_equal(gvm_vcpu_state_get_msr(&r->s, 0xc0000082, &v), 0);
	assert_int_equal(v, 3);
	assert_int_equal(gvm_vcpu_state_get_msr(&r->s, 0x175, &v), -ENOENT);
	assert_int_equal(gvm_vcpu_state_set_msr(&r->s, GVM_MSR_TSC, 1), -EINVAL);
	assert_int_equal(gvm_vcpu_state_set_msr(&r->s, GVM_MSR_EFER, 1), -EINVAL);
	assert_int_equal(gvm_vcpu_state_set_msr(&r->s, GVM_MSR_APIC_BASE, 1), -EINVAL);
}

#define REFUSED(change)                                                                            \
	do {                                                                                       \
		struct gvm_vcpu_state *s = &r->back;                                               \
		*s = r->s;                                                                         \
		change;                                                                            \
		assert_int_equal(gvm_vcpu_state_encode(r->again, sizeof(r->again), s), -EINVAL);   \
	} while (0)

static void refusals(void **state)
{
	struct room *r = *state;

	REFUSED(s->mp_state = GVM_MP_SIPI + 1);
	REFUSED(s->cr8 = 16);
	REFUSED(s->dr6 = 1ULL << 32);
	REFUSED(s->dr7 = 1ULL << 32);
	REFUSED(s->seg[GVM_TR].attr = 0x100);
	REFUSED(s->seg[GVM_ES].attr = 0x20000);
	REFUSED(s->pdptrs_valid = 2);
	REFUSED(s->events.exception_nr = 32);
	REFUSED(s->events.interrupt_shadow = 4);
	REFUSED(s->events.nmi_pending = 3);
	REFUSED(s->nmsrs = GVM_VCPU_MSRS_MAX + 1);
	REFUSED(s->msr[1].index = s->msr[0].index);
	REFUSED(s->msr[0].index = GVM_MSR_TSC);
	REFUSED(s->nxcrs = GVM_VCPU_XCRS_MAX + 1);
	REFUSED(s->xcr[1].index = 0);
	REFUSED(s->nxparts = GVM_VCPU_XPARTS_MAX + 1);
	REFUSED(s->xstate_bv |= 1ULL << 9);
	REFUSED(s->xstate_bv |= 1ULL << 63);
	REFUSED(s->xstate_bv &= ~4ULL);
	REFUSED(s->xpart[0].id = 1);
	REFUSED(s->xpart[1].size++);
	REFUSED(s->xpart[1].at++);
	REFUSED(s->xdata_len--);
}

static void heads(void **state)
{
	struct room *r = *state;

	r->buf[0] ^= 1;
	assert_int_equal(gvm_vcpu_state_decode(&r->back, r->buf, r->len), -EPROTO);
	r->buf[0] ^= 1;
	r->buf[4]++;
	assert_int_equal(gvm_vcpu_state_decode(&r->back, r->buf, r->len), -EPROTONOSUPPORT);
	r->buf[4]--;
	r->buf[8]++;
	assert_int_equal(gvm_vcpu_state_decode(&r->back, r->buf, r->len), -EBADMSG);
}

static void power_on(void **state)
{
	struct room *r = *state;

	gvm_vcpu_state_reset(&r->s, 3);
	assert_int_equal(r->s.mp_state, GVM_MP_WAIT_INIT);
	assert_int_equal(r->s.seg[GVM_CS].base + r->s.rip, 0xfffffff0);
	assert_true(gvm_vcpu_state_encode(r->buf, sizeof(r->buf), &r->s) > 0);
	r->s.cr0 |= 1;
	r->s.fxsave[100] = 9;
	gvm_vcpu_state_init(&r->s);
	assert_int_equal(r->s.cr0, 0x60000010);
	assert_int_equal(r->s.fxsave[100], 9);
	assert_int_equal(r->s.mp_state, GVM_MP_WAIT_SIPI);
	gvm_vcpu_state_sipi(&r->s, 0x9a);
	assert_int_equal(r->s.seg[GVM_CS].base + r->s.rip, 0x9a000);
	assert_int_equal(r->s.seg[GVM_CS].selector, 0x9a00);
	assert_int_equal(r->s.mp_state, GVM_MP_RUNNING);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_field), TEST(every_byte_counts), TEST(every_length), TEST(longest),
		TEST(msr_list),	   TEST(refusals),	    TEST(heads),	TEST(power_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
