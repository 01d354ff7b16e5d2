// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Every decoder of wire.c on arbitrary bytes. What one accepts must encode to
 * the very bytes it was decoded from: nothing is ignored, nothing is read that
 * was not there (the input ends where the sanitizer's red zone begins).
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../common_include/giantvm_protocol.h"

#define REQUIRE(x)                                                                                 \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void body_page(const u8 *data, size_t size)
{
	struct gvm_page_body b;
	u8 out[GVM_PAGE_BODY];

	if (gvm_page_body_decode(&b, data, size))
		return;
	gvm_page_body_encode(out, &b);
	REQUIRE(memcmp(out, data, sizeof(out)) == 0);
}

static void body_register(const u8 *data, size_t size)
{
	struct gvm_register_body b;
	u8 out[GVM_REGISTER_BODY];

	if (gvm_register_decode(&b, data, size))
		return;
	gvm_register_encode(out, &b);
	REQUIRE(size == sizeof(out) && memcmp(out, data, size) == 0);
}

static void body_nodes(const u8 *data, size_t size)
{
	struct gvm_node_record r[GVM_NODES_MAX];
	u8 out[GVM_NODE_RECORD];
	unsigned int n, i;

	if (gvm_nodes_decode(r, &n, data, size))
		return;
	REQUIRE(n <= GVM_NODES_MAX && n * GVM_NODE_RECORD == size);
	for (i = 0; i < n; i++) {
		gvm_node_record_encode(out, &r[i]);
		REQUIRE(memcmp(out, data + i * GVM_NODE_RECORD, sizeof(out)) == 0);
	}
}

static void body_vm(const u8 *data, size_t size)
{
	struct gvm_vm_body b;
	u8 out[GVM_VM_BODY];

	if (gvm_vm_body_decode(&b, data, size))
		return;
	gvm_vm_body_encode(out, &b);
	REQUIRE(size == sizeof(out) && memcmp(out, data, size) == 0);
}

static void body_addr(const u8 *data, size_t size)
{
	struct gvm_addr_body b;
	u8 out[GVM_ADDR_BODY];

	if (gvm_addr_decode(&b, data, size))
		return;
	gvm_addr_encode(out, &b);
	REQUIRE(size == sizeof(out) && memcmp(out, data, size) == 0);
}

static void bodies(const u8 *data, size_t size)
{
	body_page(data, size);
	body_register(data, size);
	body_nodes(data, size);
	body_vm(data, size);
	body_addr(data, size);
}

static void datagram(const u8 *data, size_t size)
{
	u8 out[GVM_HEADER_SIZE];
	struct gvm_header h;
	const u8 *part;
	int used;

	while ((used = gvm_wire_next(&h, &part, data, size)) > 0) {
		REQUIRE((size_t)used <= size && part == data + GVM_HEADER_SIZE);
		REQUIRE(h.frag_seq < h.frag_count && h.frag_count <= GVM_MAX_FRAGS);
		REQUIRE(gvm_frag_offset(&h) + gvm_frag_length(&h) <= h.length);
		REQUIRE(h.length <= GVM_MSG_MAX);
		gvm_header_encode(out, &h);
		REQUIRE(memcmp(out, data, sizeof(out)) == 0);
		bodies(part, gvm_frag_length(&h));
		data += used;
		size -= used;
	}
	REQUIRE(used <= 0 && (used < 0 || size == 0));
}

/* The same bytes as a body: what is built from them comes apart again. */
static void round_trip(const u8 *data, size_t size)
{
	static u8 buf[GVM_MSG_MAX + GVM_MAX_FRAGS * GVM_HEADER_SIZE], back[GVM_MSG_MAX];
	struct gvm_header h = {.magic = GVM_MAGIC, .version = GVM_VERSION};
	size_t head = size ? data[0] % size : 0, len, seg, at, joined = 0;
	const u8 *part;
	int used;

	len = gvm_wire_build(buf, &h, data, head, data + head, size - head, &seg);
	REQUIRE(len == (size > GVM_MSG_MAX ? 0 : gvm_wire_size(size)));
	for (at = 0; at < len; at += used) {
		used = gvm_wire_next(&h, &part, buf + at, len - at);
		REQUIRE(used > 0 && (size_t)used <= seg);
		memcpy(back + gvm_frag_offset(&h), part, gvm_frag_length(&h));
		joined += gvm_frag_length(&h);
	}
	REQUIRE(!len || (joined == size && memcmp(back, data, size) == 0));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	/* A copy of exactly this size. */
	u8 *copy = malloc(size ? size : 1);

	if (!copy)
		return 0;
	if (size)
		memcpy(copy, data, size);
	datagram(copy, size);
	bodies(copy, size);
	round_trip(copy, size);
	free(copy);
	return 0;
}
