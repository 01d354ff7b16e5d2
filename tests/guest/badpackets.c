// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * badpackets KIND SEED COUNT IP PORT [IP PORT]...: sends COUNT datagrams of one
 * kind to every address, and again until standard input ends if COUNT is 0.
 *
 * Kinds: garbage, truncated, overlong, version, magic, stale, type, fragments.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common_include/giantvm_protocol.h"
#include "pattern.h"

#define ROOM 9000

struct sender {
	int sock;
	u64 random;
	u32 dest; /* node id in the header, different every time */
	u8 buf[ROOM];
};

static u64 draw(struct sender *s)
{
	return s->random = pattern_next(s->random);
}

static size_t noise(struct sender *s, size_t from, size_t len)
{
	for (; from < len; from++)
		s->buf[from] = draw(s) >> 32;
	return len;
}

/* A reply about a page as a home would send it, to a request that nobody made. */
static size_t reply(struct sender *s)
{
	struct gvm_header h = {.magic = GVM_MAGIC,
			       .version = GVM_VERSION,
			       .msg_type = MSG_MEM_ACK,
			       .slave_id = s->dest,
			       .src_id = draw(s) % 3,
			       .req_id = draw(s),
			       .vm_id = 1,
			       .flags = GVM_FLAG_RESP};
	struct gvm_page_body b = {.page = draw(s) % 4096,
				  .version = 1 + draw(s) % 8,
				  .mode = GVM_MODE_EXCL,
				  .flags = GVM_PF_DATA};
	u8 body[GVM_PAGE_BODY], page[GVM_PAGE_SIZE];
	size_t seg;

	gvm_page_body_encode(body, &b);
	memset(page, 0xbd, sizeof(page));
	return gvm_wire_build(s->buf, &h, body, sizeof(body), page, sizeof(page), &seg);
}

/* One header as the wire has it; what it says about its body is a lie. */
static size_t lie(struct sender *s, u16 type, u8 frags, u16 length, size_t bytes)
{
	struct gvm_header h = {.magic = GVM_MAGIC,
			       .version = GVM_VERSION,
			       .msg_type = type,
			       .slave_id = s->dest,
			       .src_id = draw(s) % GVM_MAX_NODES,
			       .req_id = draw(s),
			       .vm_id = 1,
			       .is_frag = frags > 1,
			       .frag_seq = draw(s),
			       .frag_count = frags,
			       .length = length};

	gvm_header_encode(s->buf, &h);
	return noise(s, GVM_HEADER_SIZE, GVM_HEADER_SIZE + bytes);
}

static size_t make_garbage(struct sender *s)
{
	return noise(s, 0, 1 + draw(s) % 1452);
}

static size_t make_truncated(struct sender *s)
{
	return 1 + draw(s) % (reply(s) / 3 - 1);
}

static size_t make_overlong(struct sender *s)
{
	return noise(s, reply(s), ROOM);
}

static size_t make_version(struct sender *s)
{
	size_t len = reply(s) / 3;

	s->buf[offsetof(struct gvm_header, version)] = 2 + draw(s) % 250;
	return len;
}

static size_t make_magic(struct sender *s)
{
	size_t len = reply(s) / 3;

	s->buf[draw(s) % 4] ^= 0xff;
	return len;
}

static size_t make_type(struct sender *s)
{
	size_t bytes = draw(s) % 200;

	return lie(s, MSG_TYPE_COUNT + draw(s) % 60000, 1, bytes, bytes);
}

static size_t make_fragments(struct sender *s)
{
	return lie(s, draw(s) % MSG_TYPE_COUNT, draw(s), draw(s), draw(s) % 1388);
}

static const struct {
	const char *name;
	size_t (*make)(struct sender *s);
} kinds[] = {
	{"garbage", make_garbage}, {"truncated", make_truncated}, {"overlong", make_overlong},
	{"version", make_version}, {"magic", make_magic},	  {"stale", reply},
	{"type", make_type},	   {"fragments", make_fragments},
};

/* Slaves 0 to 2, the first two clients, the gateway. */
static u32 some_node(struct sender *s)
{
	u32 n = draw(s) % 6;

	return n < 3 ? n : n < 5 ? GVM_MAX_SLAVES + n - 3 : GVM_TO_GATEWAY;
}

static int send_one(struct sender *s, size_t (*make)(struct sender *s), char **addr)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(addr[1]))};
	size_t len;

	if (inet_pton(AF_INET, addr[0], &to.sin_addr) != 1)
		return -1;
	s->dest = some_node(s);
	len = make(s);
	/* A refusal by a closed port shows up at the next send: not an error of ours. */
	sendto(s->sock, s->buf, len, 0, (struct sockaddr *)&to, sizeof(to));
	return 0;
}

static bool input_ended(void)
{
	struct pollfd p = {.fd = 0, .events = POLLIN};

	return poll(&p, 1, 1) > 0;
}

int main(int argc, char **argv)
{
	struct sender s = {.sock = socket(AF_INET, SOCK_DGRAM, 0)};
	unsigned long count, i;
	size_t k;
	int a;

	for (k = 0; argc > 5 && k < ARRAY_SIZE(kinds); k++)
		if (!strcmp(kinds[k].name, argv[1]))
			break;
	if (argc < 6 || argc % 2 || k == ARRAY_SIZE(kinds) || s.sock < 0) {
		fprintf(stderr, "usage: badpackets KIND SEED COUNT IP PORT [IP PORT]...\n");
		return 2;
	}
	s.random = pattern_mix(strtoull(argv[2], NULL, 10) + 1) | 1;
	count = strtoul(argv[3], NULL, 10);
	for (i = 0; count ? i < count : !input_ended(); i++)
		for (a = 4; a < argc; a += 2)
			if (send_one(&s, kinds[k].make, argv + a) < 0) {
				fprintf(stderr, "badpackets: '%s' is no address\n", argv[a]);
				return 2;
			}
	printf("badpackets: sent %lu %s to each\n", i, argv[1]);
	return 0;
}
