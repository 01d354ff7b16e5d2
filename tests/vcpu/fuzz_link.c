// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Arbitrary frames into both ends of a vCPU's link, each led by its length. What a
 * record's decoder takes encodes to the very same bytes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../master_core/vcpu_exit.h"

#define REQUIRE(x)                                                                                 \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static struct gvm_exit_caller caller;
static struct gvm_exit_server server;
static u64 now;

static void check(const struct gvm_record *r)
{
	u8 buf[GVM_RECORD_MAX];
	struct gvm_record back;
	int len = gvm_record_encode(buf, r);

	REQUIRE(len >= 0 && len <= (int)sizeof(buf));
	REQUIRE(gvm_record_decode(&back, r->type, buf, len) == 0);
	REQUIRE(back.len == r->len && back.address == r->address && back.of == r->of);
}

/* What is sent has the form that the other end takes. */
static void on_send(void *ctx, const u8 *frame, size_t len)
{
	u32 vcpu, incarnation;

	(void)ctx;
	REQUIRE(gvm_link_peek(frame, len, &vcpu, &incarnation) == 0);
	REQUIRE(vcpu == 0 && incarnation == 0);
}

static void on_answered(void *ctx, s32 status, const u8 *data, u32 len)
{
	(void)ctx, (void)data;
	REQUIRE(status || len == 4);
}

static void on_irq(void *ctx, int vector)
{
	(void)ctx;
	REQUIRE(vector >= -1 && vector <= 255);
}

static void on_record(void *ctx, u64 seq, const struct gvm_record *r)
{
	(void)ctx;
	REQUIRE(seq);
	check(r);
}

static void on_exit_record(void *ctx, u64 seq, const struct gvm_record *r)
{
	static const u8 zeros[GVM_EXIT_DATA_MAX];

	on_record(ctx, seq, r);
	if (server.open == seq)
		gvm_exit_answer(&server, seq, 0, zeros, gvm_record_answer_len(r), now);
}

static void on_lost(void *ctx)
{
	(void)ctx;
}

static const struct gvm_exit_caller_ops caller_ops = {on_send, on_answered, on_irq, on_record,
						      on_lost};
static const struct gvm_exit_server_ops server_ops = {on_send, on_exit_record, on_lost};

static void records(const u8 *data, size_t size)
{
	u8 buf[GVM_RECORD_MAX];
	struct gvm_record r;

	if (!size || gvm_record_decode(&r, data[0], data + 1, size - 1))
		return;
	REQUIRE(gvm_record_encode(buf, &r) == (int)size - 1);
	REQUIRE(!memcmp(buf, data + 1, size - 1));
}

static void frame(const u8 *data, size_t len, bool to_master)
{
	u8 *copy = malloc(len ? len : 1);

	if (!copy)
		return;
	memcpy(copy, data, len);
	now += 700;
	if (to_master)
		gvm_exit_server_rx(&server, copy, len, now);
	else
		gvm_exit_caller_rx(&caller, copy, len, now);
	gvm_exit_server_tick(&server, now);
	gvm_exit_caller_tick(&caller, now);
	free(copy);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct gvm_record read = {.type = GVM_REC_PIO, .size = 4, .count = 1};
	size_t len;

	records(data, size);
	now = 1;
	gvm_exit_caller_init(&caller, 0, 0, &caller_ops, NULL);
	gvm_exit_server_init(&server, 0, 0, &server_ops, NULL);
	gvm_exit_send(&caller, &read, now);
	while (size > 2) {
		len = min_t(size_t, gvm_get_le16(data) >> 1, size - 2);
		frame(data + 2, len, data[0] & 1);
		data += 2 + len;
		size -= 2 + len;
	}
	return 0;
}
