// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A vCPU's state from arbitrary bytes: what is taken encodes to the very same
 * bytes. The mutator puts the length right, or nothing would get past the head.
 */
#include <stdio.h>
#include <stdlib.h>

#include "state_fields.h"

#define REQUIRE(x)                                                                                 \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
size_t LLVMFuzzerMutate(u8 *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(u8 *data, size_t size, size_t max, unsigned int seed);

static struct gvm_vcpu_state s;
static u8 out[GVM_VCPU_STATE_MAX];

/* Starts from a whole state every now and then, and keeps the length honest most times. */
size_t LLVMFuzzerCustomMutator(u8 *data, size_t size, size_t max, unsigned int seed)
{
	int len = 0;

	if (size < 64 || seed % 64 == 0) {
		state_fill(&s);
		s.nxparts = seed / 64 % 4;
		s.xdata_len =
			s.nxparts ? s.xpart[s.nxparts - 1].at + s.xpart[s.nxparts - 1].size : 0;
		s.xstate_bv &= s.nxparts ? ~0ULL : 3;
		s.nmsrs = seed / 256 % 40;
		len = gvm_vcpu_state_encode(data, max, &s);
	}
	size = len > 0 ? (size_t)len : size;
	size = LLVMFuzzerMutate(data, size, max);
	if (seed % 8 && size >= 12) {
		gvm_put_le32(data, GVM_VCPU_STATE_MAGIC);
		gvm_put_le16(data + 4, GVM_VCPU_STATE_VERSION);
		gvm_put_le32(data + 8, size);
	}
	return size;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u8 *copy = malloc(size ? size : 1);
	int len;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	if (!gvm_vcpu_state_decode(&s, copy, size)) {
		len = gvm_vcpu_state_encode(out, sizeof(out), &s);
		REQUIRE(len >= 0 && (size_t)len == size && !memcmp(out, copy, size));
		gvm_vcpu_state_init(&s);
		gvm_vcpu_state_sipi(&s, size);
		REQUIRE(gvm_vcpu_state_encode(out, sizeof(out), &s) > 0);
	}
	free(copy);
	return 0;
}
