// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

static struct gvm_header sample_header(void)
{
	return (struct gvm_header){.magic = GVM_MAGIC,
				   .version = GVM_VERSION,
				   .msg_type = MSG_MEM_READ,
				   .slave_id = 7,
				   .src_id = GVM_MAX_SLAVES + 1,
				   .req_id = 0x1122334455667788ULL,
				   .vm_id = 0xdeadbeef,
				   .epoch = 42,
				   .frag_count = 1,
				   .length = GVM_PAGE_BODY};
}

/* The layout is the protocol: each field at its offset, little endian. */
static void header_layout(void **state)
{
	struct gvm_header h = sample_header();
	u8 buf[GVM_HEADER_SIZE];

	(void)state;
	gvm_header_encode(buf, &h);
	assert_memory_equal(buf, "\x58\x4d\x56\x47", 4);
	assert_int_equal(gvm_get_le16(buf + 4), MSG_MEM_READ);
	assert_int_equal(buf[6], GVM_VERSION);
	assert_int_equal(gvm_get_le32(buf + 8), 7);
	assert_int_equal(gvm_get_le32(buf + 12), GVM_MAX_SLAVES + 1);
	assert_memory_equal(buf + 16, "\x88\x77\x66\x55\x44\x33\x22\x11", 8);
	assert_int_equal(gvm_get_le32(buf + 24), 0xdeadbeef);
	assert_int_equal(gvm_get_le32(buf + 28), 42);
	assert_int_equal(gvm_get_le16(buf + 46), GVM_PAGE_BODY);
}

static void header_round_trip(void **state)
{
	struct gvm_header h = sample_header(), back;
	u8 buf[GVM_HEADER_SIZE];

	(void)state;
	h.is_frag = 1;
	h.frag_count = 3;
	h.frag_seq = 2;
	h.length = GVM_MSG_MAX;
	h.flags = GVM_FLAG_RESP;
	gvm_header_encode(buf, &h);
	memset(&back, 0xff, sizeof(back));
	assert_int_equal(gvm_header_decode(&back, buf, sizeof(buf)), 0);
	assert_memory_equal(&h, &back, sizeof(h));
}

static int decode_with(void (*change)(struct gvm_header *h))
{
	struct gvm_header h = sample_header();
	u8 buf[GVM_HEADER_SIZE];

	change(&h);
	gvm_header_encode(buf, &h);
	return gvm_header_decode(&h, buf, sizeof(buf));
}

#define CHANGE(name, code)                                                                         \
	static void name(struct gvm_header *h)                                                     \
	{                                                                                          \
		code;                                                                              \
	}
CHANGE(nothing, (void)h)
CHANGE(magic, h->magic ^= 1)
CHANGE(version, h->version++)
CHANGE(version_and_type, h->version++; h->msg_type = 0xffff)
CHANGE(magic_and_version, h->magic ^= 1; h->version++)
CHANGE(type, h->msg_type = MSG_TYPE_COUNT)
CHANGE(frag_flag_alone, h->is_frag = 1)
CHANGE(frag_flag_two, h->is_frag = 2)
CHANGE(frag_flag_missing, h->frag_count = 3; h->length = GVM_MSG_MAX)
CHANGE(no_fragments, h->frag_count = 0)
CHANGE(many_fragments, h->is_frag = 1; h->frag_count = GVM_MAX_FRAGS + 1; h->length = GVM_MSG_MAX)
CHANGE(odd_fragments, h->is_frag = 1; h->frag_count = 2; h->length = GVM_MSG_MAX)
CHANGE(small_fragments, h->is_frag = 1; h->frag_count = 3; h->length = 100)
CHANGE(seq_one, h->frag_seq = 1)
CHANGE(seq_past, h->is_frag = 1; h->frag_count = 3; h->length = GVM_MSG_MAX; h->frag_seq = 3)
CHANGE(too_long, h->length = GVM_MSG_MAX + 1)
CHANGE(longest, h->length = GVM_MSG_MAX)
CHANGE(flag_sealed, h->flags = GVM_FLAG_SEALED)
CHANGE(flag_unknown, h->flags = 0x80)
CHANGE(counter, h->counter = 1)
CHANGE(tag, h->tag[15] = 1)
CHANGE(no_such_target, h->slave_id = GVM_NO_NODE + 1)
CHANGE(no_such_source, h->src_id = 0xffffffff)
CHANGE(gateway_target, h->slave_id = GVM_TO_GATEWAY)

static void header_rejections(void **state)
{
	(void)state;
	assert_int_equal(decode_with(nothing), 0);
	assert_int_equal(decode_with(longest), 0);
	assert_int_equal(decode_with(gateway_target), 0);
	assert_int_equal(decode_with(magic), -EPROTO);
	assert_int_equal(decode_with(magic_and_version), -EPROTO);
	assert_int_equal(decode_with(version), -EPROTONOSUPPORT);
	assert_int_equal(decode_with(version_and_type), -EPROTONOSUPPORT);
	assert_int_equal(decode_with(type), -EBADMSG);
	assert_int_equal(decode_with(frag_flag_alone), -EBADMSG);
	assert_int_equal(decode_with(frag_flag_two), -EBADMSG);
	assert_int_equal(decode_with(frag_flag_missing), -EBADMSG);
	assert_int_equal(decode_with(no_fragments), -EBADMSG);
	assert_int_equal(decode_with(many_fragments), -EBADMSG);
	assert_int_equal(decode_with(odd_fragments), -EBADMSG);
	assert_int_equal(decode_with(small_fragments), -EBADMSG);
	assert_int_equal(decode_with(seq_one), -EBADMSG);
	assert_int_equal(decode_with(seq_past), -EBADMSG);
	assert_int_equal(decode_with(too_long), -EBADMSG);
	assert_int_equal(decode_with(flag_sealed), -EBADMSG);
	assert_int_equal(decode_with(flag_unknown), -EBADMSG);
	assert_int_equal(decode_with(counter), -EBADMSG);
	assert_int_equal(decode_with(tag), -EBADMSG);
	assert_int_equal(decode_with(no_such_target), -EBADMSG);
	assert_int_equal(decode_with(no_such_source), -EBADMSG);
}

/* Every truncation, each in a buffer of exactly that size: sanitizers see a read beyond. */
static void header_truncations(void **state)
{
	struct gvm_header h = sample_header();
	u8 buf[GVM_HEADER_SIZE];
	size_t len;

	(void)state;
	gvm_header_encode(buf, &h);
	for (len = 0; len < sizeof(buf); len++) {
		u8 *cut = malloc(len ? len : 1);

		assert_non_null(cut);
		memcpy(cut, buf, len);
		assert_int_equal(gvm_header_decode(&h, cut, len), -EBADMSG);
		free(cut);
	}
}

static void page_body(void **state)
{
	struct gvm_page_body b = {.page = 0xabcdef012345ULL,
				  .version = 0x80000001,
				  .mode = GVM_MODE_WRITE | 5 << 4,
				  .flags = GVM_PF_DATA | GVM_PF_URGENT,
				  .status = -ENOSPC,
				  .aux = 0x01020304},
			     back;
	u8 buf[GVM_MSG_MAX] = {0};

	(void)state;
	gvm_page_body_encode(buf, &b);
	memset(&back, 0, sizeof(back));
	assert_int_equal(gvm_page_body_decode(&back, buf, GVM_MSG_MAX), 0);
	assert_int_equal(back.page, b.page);
	assert_int_equal(back.version, b.version);
	assert_int_equal(back.mode, b.mode);
	assert_int_equal(back.flags, b.flags);
	assert_int_equal(back.status, b.status);
	assert_int_equal(back.aux, b.aux);
	assert_int_equal(gvm_page_body_decode(&back, buf, GVM_PAGE_BODY), 0);
	assert_int_equal(gvm_page_body_decode(&back, buf, GVM_PAGE_BODY - 1), -EBADMSG);
	assert_int_equal(gvm_page_body_decode(&back, buf, GVM_PAGE_BODY + 1), -EBADMSG);
	assert_int_equal(gvm_page_body_decode(&back, buf, GVM_MSG_MAX - 1), -EBADMSG);
	assert_int_equal(gvm_page_body_decode(&back, buf, 0), -EBADMSG);
}

static int page_body_with(struct gvm_page_body b, size_t len)
{
	u8 buf[GVM_MSG_MAX] = {0};

	gvm_page_body_encode(buf, &b);
	return gvm_page_body_decode(&b, buf, len);
}

static void page_body_rejections(void **state)
{
	(void)state;
	assert_int_equal(page_body_with((struct gvm_page_body){.page = 1}, GVM_PAGE_BODY), 0);
	assert_int_equal(page_body_with((struct gvm_page_body){.page = 1ULL << 52}, GVM_PAGE_BODY),
			 -EBADMSG);
	assert_int_equal(page_body_with((struct gvm_page_body){.mode = 4}, GVM_PAGE_BODY),
			 -EBADMSG);
	assert_int_equal(page_body_with((struct gvm_page_body){.mode = 0x81}, GVM_PAGE_BODY),
			 -EBADMSG);
	assert_int_equal(page_body_with((struct gvm_page_body){.flags = 0x40}, GVM_PAGE_BODY),
			 -EBADMSG);
	assert_int_equal(page_body_with((struct gvm_page_body){.status = 1}, GVM_PAGE_BODY),
			 -EBADMSG);
	assert_int_equal(page_body_with((struct gvm_page_body){.flags = GVM_PF_DATA | GVM_PF_ZERO},
					GVM_MSG_MAX),
			 -EBADMSG);
	assert_int_equal(page_body_with((struct gvm_page_body){.flags = GVM_PF_ZERO}, GVM_MSG_MAX),
			 -EBADMSG);
}

static void register_body(void **state)
{
	struct gvm_register_body b = {.boot_id = 1,
				      .lent_pages = 100,
				      .free_pages = 99,
				      .slave_bits = GVM_SLAVE_BITS,
				      .status = -EEXIST,
				      .gateway_boot = ~0ULL},
				 back = {0};
	u8 buf[GVM_REGISTER_BODY];

	(void)state;
	gvm_register_encode(buf, &b);
	assert_int_equal(gvm_register_decode(&back, buf, sizeof(buf)), 0);
	assert_memory_equal(&b, &back, sizeof(b));
	assert_int_equal(gvm_register_decode(&back, buf, sizeof(buf) - 1), -EBADMSG);
	assert_int_equal(gvm_register_decode(&back, buf, sizeof(buf) + 1), -EBADMSG);
	b.free_pages = 101;
	gvm_register_encode(buf, &b);
	assert_int_equal(gvm_register_decode(&back, buf, sizeof(buf)), -EBADMSG);
	b.free_pages = 0;
	b.status = 5;
	gvm_register_encode(buf, &b);
	assert_int_equal(gvm_register_decode(&back, buf, sizeof(buf)), -EBADMSG);
}

static void node_records(void **state)
{
	struct gvm_node_record out[GVM_NODES_MAX], r;
	u8 buf[(GVM_NODES_MAX + 1) * GVM_NODE_RECORD] = {0};
	unsigned int n = 99, i;

	(void)state;
	for (i = 0; i < GVM_NODES_MAX; i++) {
		r = (struct gvm_node_record){i * 3, i, i + 1000, 50, 20};
		gvm_node_record_encode(buf + i * GVM_NODE_RECORD, &r);
	}
	assert_int_equal(gvm_nodes_decode(out, &n, buf, GVM_NODES_MAX * GVM_NODE_RECORD), 0);
	assert_int_equal(n, GVM_NODES_MAX);
	assert_memory_equal(&out[GVM_NODES_MAX - 1], &r, sizeof(r));
	assert_int_equal(gvm_nodes_decode(out, &n, buf, 0), 0);
	assert_int_equal(n, 0);
	assert_int_equal(gvm_nodes_decode(out, &n, buf, sizeof(buf)), -EBADMSG);
	assert_int_equal(gvm_nodes_decode(out, &n, buf, GVM_NODE_RECORD + 1), -EBADMSG);
	r.id = GVM_NO_NODE;
	gvm_node_record_encode(buf, &r);
	assert_int_equal(gvm_nodes_decode(out, &n, buf, GVM_NODE_RECORD), -EBADMSG);
}

static void vm_body(void **state)
{
	struct gvm_vm_body b = {1, 2, 3, 4, 5, 6, 7, GVM_VM_KEEP, -EBUSY}, back = {0};
	u8 buf[GVM_VM_BODY];

	(void)state;
	gvm_vm_body_encode(buf, &b);
	assert_int_equal(gvm_vm_body_decode(&back, buf, sizeof(buf)), 0);
	assert_memory_equal(&b, &back, sizeof(b));
	assert_int_equal(gvm_vm_body_decode(&back, buf, sizeof(buf) - 1), -EBADMSG);
	b.flags = 0x8;
	gvm_vm_body_encode(buf, &b);
	assert_int_equal(gvm_vm_body_decode(&back, buf, sizeof(buf)), -EBADMSG);
	b.flags = 0;
	b.status = 1;
	gvm_vm_body_encode(buf, &b);
	assert_int_equal(gvm_vm_body_decode(&back, buf, sizeof(buf)), -EBADMSG);
}

static void addr_body(void **state)
{
	struct gvm_addr_body b = {.id = 9, .ip = 0x0100007f, .port = 0x2823, .direct = 1},
			     back = {0};
	u8 buf[GVM_ADDR_BODY];

	(void)state;
	gvm_addr_encode(buf, &b);
	assert_memory_equal(buf + 4, "\x7f\x00\x00\x01\x23\x28", 6);
	assert_int_equal(gvm_addr_decode(&back, buf, sizeof(buf)), 0);
	assert_memory_equal(&b, &back, sizeof(b));
	assert_int_equal(gvm_addr_decode(&back, buf, sizeof(buf) - 1), -EBADMSG);
	b.direct = 2;
	gvm_addr_encode(buf, &b);
	assert_int_equal(gvm_addr_decode(&back, buf, sizeof(buf)), -EBADMSG);
	b.direct = 1;
	b.port = 0;
	gvm_addr_encode(buf, &b);
	assert_int_equal(gvm_addr_decode(&back, buf, sizeof(buf)), -EBADMSG);
}

/* A page message is three datagrams of 64 + 1372 bytes. */
static void build_page(void **state)
{
	static u8 buf[GVM_MSG_MAX + 3 * GVM_HEADER_SIZE], page[GVM_PAGE_SIZE], back[GVM_MSG_MAX];
	u8 body[GVM_PAGE_BODY];
	struct gvm_header h = sample_header();
	size_t seg, len, at = 0, i;
	const u8 *part;

	(void)state;
	for (i = 0; i < sizeof(page); i++)
		page[i] = (u8)(i * 7 + (i >> 8));
	memset(body, 0x5a, sizeof(body));
	assert_int_equal(gvm_wire_size(GVM_MSG_MAX), sizeof(buf));
	len = gvm_wire_build(buf, &h, body, sizeof(body), page, sizeof(page), &seg);
	assert_int_equal(len, 3 * (64 + 1372));
	assert_int_equal(seg, 64 + 1372);
	for (i = 0; i < 3; i++) {
		int used = gvm_wire_next(&h, &part, buf + at, len - at);

		assert_int_equal(used, 64 + 1372);
		assert_int_equal(h.is_frag, 1);
		assert_int_equal(h.frag_seq, i);
		assert_int_equal(h.frag_count, 3);
		assert_int_equal(h.length, GVM_MSG_MAX);
		assert_ptr_equal(part, buf + at + GVM_HEADER_SIZE);
		memcpy(back + gvm_frag_offset(&h), part, gvm_frag_length(&h));
		at += used;
	}
	assert_int_equal(gvm_wire_next(&h, &part, buf + at, len - at), 0);
	assert_memory_equal(back, body, sizeof(body));
	assert_memory_equal(back + sizeof(body), page, sizeof(page));
}

/* Every length: the parts join to the message, and only the last datagram is shorter. */
static void build_every_length(void **state)
{
	static u8 buf[GVM_MSG_MAX + 3 * GVM_HEADER_SIZE], body[GVM_MSG_MAX], back[GVM_MSG_MAX];
	size_t total, seg, len, at, joined, i;
	struct gvm_header h = sample_header();
	const u8 *part;
	int used;

	(void)state;
	for (i = 0; i < sizeof(body); i++)
		body[i] = (u8)(i * 13 + (i >> 7));
	for (total = 0; total <= GVM_MSG_MAX; total++) {
		size_t head = total / 3;

		len = gvm_wire_build(buf, &h, body, head, body + head, total - head, &seg);
		assert_int_equal(len, gvm_wire_size(total));
		assert_true(seg <= GVM_DATAGRAM_MAX);
		for (at = joined = 0; at < len; at += used) {
			used = gvm_wire_next(&h, &part, buf + at, len - at);
			assert_true(used > 0);
			assert_int_equal(used, at + seg < len ? seg : len - at);
			memcpy(back + gvm_frag_offset(&h), part, gvm_frag_length(&h));
			joined += gvm_frag_length(&h);
		}
		assert_int_equal(joined, total);
		assert_memory_equal(back, body, total);
	}
	assert_int_equal(gvm_wire_build(buf, &h, body, GVM_MSG_MAX, body, 1, &seg), 0);
}

static void several_in_a_datagram(void **state)
{
	u8 buf[4 * (GVM_HEADER_SIZE + GVM_PAGE_BODY)], body[GVM_PAGE_BODY] = {0};
	struct gvm_header h = sample_header();
	size_t at = 0, seg, i;
	const u8 *part;

	(void)state;
	for (i = 0; i < 4; i++) {
		h.req_id = i;
		at += gvm_wire_build(buf + at, &h, body, sizeof(body), NULL, 0, &seg);
	}
	assert_int_equal(at, sizeof(buf));
	for (i = at = 0; i < 4; i++) {
		at += gvm_wire_next(&h, &part, buf + at, sizeof(buf) - at);
		assert_int_equal(h.req_id, i);
	}
	assert_int_equal(gvm_wire_next(&h, &part, buf + at, 0), 0);
	/* The last one cut short is no message. */
	assert_int_equal(gvm_wire_next(&h, &part, buf + 3 * 84, 83), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_layout),
		cmocka_unit_test(header_round_trip),
		cmocka_unit_test(header_rejections),
		cmocka_unit_test(header_truncations),
		cmocka_unit_test(page_body),
		cmocka_unit_test(page_body_rejections),
		cmocka_unit_test(register_body),
		cmocka_unit_test(node_records),
		cmocka_unit_test(vm_body),
		cmocka_unit_test(addr_body),
		cmocka_unit_test(build_page),
		cmocka_unit_test(build_every_length),
		cmocka_unit_test(several_in_a_datagram),
	};

	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
