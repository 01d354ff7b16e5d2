// SPDX-License-Identifier: GPL-2.0-or-later
#define _GNU_SOURCE 1
#include <sys/socket.h>
#include "net_pair.h"

struct kernel_play play;

int __real_sendmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags);

int __wrap_sendmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags)
{
	if (play.refuse_calls) {
		play.refuse_calls--;
		errno = play.refuse_err;
		return -1;
	}
	for (unsigned int i = 0; play.refuse_gso && i < n; i++) {
		if (!msgs[i].msg_hdr.msg_control)
			continue;
		if (i)
			n = i;
		errno = play.refuse_gso;
		if (!i)
			return -1;
	}
	if (play.most && n > play.most)
		n = play.most;
	return __real_sendmmsg(fd, msgs, n, flags);
}

struct gvm_net_config config(struct gvm_pkt_pool *pool, unsigned int flags)
{
	struct gvm_net_config c = {.flags = flags, .pool = pool};

	c.bind.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return c;
}

void pair_open(struct pair *p, unsigned int flags, unsigned int tx_max)
{
	struct gvm_net_config c;

	memset(&play, 0, sizeof(play));
	p->pool = gvm_pkt_pool_create(POOL);
	assert_non_null(p->pool);
	c = config(p->pool, flags);
	c.tx_max = tx_max;
	assert_int_equal(gvm_net_open(&p->a, 1, &c), 0);
	assert_int_equal(gvm_net_open(&p->b, 1, &c), 0);
	gvm_net_addr(p->b, &p->to);
}

void pair_close(struct pair *p)
{
	gvm_net_close(p->a);
	gvm_net_close(p->b);
	gvm_pkt_pool_destroy(p->pool);
}

void fill(u8 *buf, u32 value, size_t body_len, size_t *len, size_t *seg)
{
	u8 body[GVM_MSG_MAX];
	struct gvm_header h = {.magic = GVM_MAGIC,
			       .msg_type = MSG_PING,
			       .version = GVM_VERSION,
			       .slave_id = 1,
			       .src_id = 2,
			       .req_id = value};

	for (size_t i = 0; i < body_len; i++)
		body[i] = (u8)(value * 31 + i);
	*len = gvm_wire_build(buf, &h, body, body_len, NULL, 0, seg);
}

void send_value(struct pair *p, u32 value, size_t body_len)
{
	u8 *pkt = gvm_net_pkt_alloc(p->a, gvm_wire_size(body_len));
	size_t len, seg;

	assert_non_null(pkt);
	fill(pkt, value, body_len, &len, &seg);
	gvm_net_send(p->a, pkt, len, seg, &p->to);
}

void on_datagram(void *ctx, const u8 *d, size_t len, const struct sockaddr_in *from)
{
	struct seen *s = ctx;
	struct gvm_header h;
	const u8 *part;
	int n;

	assert_int_equal(from->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	s->datagrams++;
	if (len > s->longest)
		s->longest = len;
	for (unsigned int i = 0; (n = gvm_wire_next(&h, &part, d, len)) > 0;
	     d += n, len -= n, i++) {
		if (i && h.is_frag)
			s->bad = true;
		for (u32 j = 0; j < gvm_frag_length(&h); j++)
			if (part[j] != (u8)(h.req_id * 31 + gvm_frag_offset(&h) + j))
				s->bad = true;
		if (s->messages < ARRAY_SIZE(s->value))
			s->value[s->messages] = h.req_id;
		s->messages++;
	}
	if (n < 0)
		s->bad = true;
}

void drain(struct gvm_net *net, struct seen *s)
{
	while (gvm_net_wait(net, 0, 20000) > 0)
		while (gvm_net_recv(net, on_datagram, s) > 0)
			;
}

void assert_in_order(const struct seen *s, unsigned int n, unsigned int parts)
{
	assert_false(s->bad);
	assert_int_equal(s->messages, n * parts);
	for (unsigned int i = 0; i < n * parts; i++)
		assert_int_equal(s->value[i], i / parts);
}
