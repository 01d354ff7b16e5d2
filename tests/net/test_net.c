// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The batched UDP layer over loopback. sendmmsg is wrapped by the linker, so
 * that a test can play a kernel that refuses or has no room.
 */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <cmocka.h>
#include "../../slave_daemon/net_uring.h"

#define PAGE_MSG  4308 /* three fragments of 1436 */
#define PAGE_SEG  1436
#define SMALL_MSG 84
#define POOL	  (32UL << 20)

/* What the wrapped sendmmsg does in place of the kernel. */
static struct {
	int refuse_gso;	  /* errno for a first message with UDP_SEGMENT */
	int refuse_calls; /* so many calls fail with refuse_err */
	int refuse_err;
	unsigned int most; /* messages taken in a call, 0: all */
} play;

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

struct pair {
	struct gvm_pkt_pool *pool;
	struct gvm_net *a, *b;
	struct sockaddr_in to; /* b's */
};

/* What arrived, message by message: the first byte of the body says which it was. */
struct seen {
	unsigned int datagrams, messages, longest;
	u32 value[4096];
	bool bad;
};

static struct gvm_net_config config(struct gvm_pkt_pool *pool, unsigned int flags)
{
	struct gvm_net_config c = {.flags = flags, .pool = pool};

	c.bind.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return c;
}

static void pair_open(struct pair *p, unsigned int flags, unsigned int tx_max)
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

static void pair_close(struct pair *p)
{
	gvm_net_close(p->a);
	gvm_net_close(p->b);
	gvm_pkt_pool_destroy(p->pool);
}

/* A message whose header carries value as req_id and whose bytes follow from it. */
static void fill(u8 *buf, u32 value, size_t body_len, size_t *len, size_t *seg)
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

static void send_value(struct pair *p, u32 value, size_t body_len)
{
	u8 *pkt = gvm_net_pkt_alloc(p->a, gvm_wire_size(body_len));
	size_t len, seg;

	assert_non_null(pkt);
	fill(pkt, value, body_len, &len, &seg);
	gvm_net_send(p->a, pkt, len, seg, &p->to);
}

static void on_datagram(void *ctx, const u8 *d, size_t len, const struct sockaddr_in *from)
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

static void drain(struct gvm_net *net, struct seen *s)
{
	while (gvm_net_wait(net, 0, 20000) > 0)
		while (gvm_net_recv(net, on_datagram, s) > 0)
			;
}

static void assert_in_order(const struct seen *s, unsigned int n, unsigned int parts)
{
	assert_false(s->bad);
	assert_int_equal(s->messages, n * parts);
	for (unsigned int i = 0; i < n * parts; i++)
		assert_int_equal(s->value[i], i / parts);
}

/* Bursts that fit the receive buffer: whatever is lost was lost by this code. */
static void bulk(unsigned int flags)
{
	struct gvm_net_stats sa, sb;
	struct seen s = {0};
	struct pair p;
	u32 sent = 0;

	pair_open(&p, flags, 0);
	for (int round = 0; round < 100; round++) {
		for (int i = 0; i < 100; i++)
			send_value(&p, sent++, i % 4 ? GVM_MSG_MAX : GVM_PAGE_BODY);
		assert_int_equal(gvm_net_flush(p.a), 0);
		while (gvm_net_recv(p.b, on_datagram, &s) > 0)
			;
	}
	drain(p.b, &s);
	assert_false(s.bad);
	assert_int_equal(s.messages, 7500 * 3 + 2500);
	gvm_net_stats(p.a, &sa);
	gvm_net_stats(p.b, &sb);
	assert_int_equal(sa.tx_packets, 10000);
	assert_int_equal(sa.tx_datagrams, sb.rx_datagrams);
	assert_int_equal(sa.tx_bytes, sb.rx_bytes);
	assert_int_equal(sa.tx_full + sa.tx_errors + sb.rx_overflow, 0);
	if (flags & GVM_NET_NO_GSO)
		assert_int_equal(sa.tx_gso, 0);
	else
		assert_true(sa.tx_gso > 0);
	pair_close(&p);
}

static void bulk_with_offloads(void **state)
{
	(void)state;
	bulk(GVM_NET_GRO);
}

static void bulk_without_gso(void **state)
{
	(void)state;
	bulk(GVM_NET_GRO | GVM_NET_NO_GSO);
}

static void bulk_without_offloads(void **state)
{
	(void)state;
	bulk(GVM_NET_NO_GSO | GVM_NET_NO_PACK);
}

static void bulk_into_no_gro(void **state)
{
	(void)state;
	bulk(0);
}

static void small_messages_share_datagrams(void **state)
{
	struct gvm_net_stats st;
	struct seen s = {0};
	struct pair p;

	(void)state;
	pair_open(&p, GVM_NET_GRO, 0);
	for (u32 i = 0; i < 100; i++)
		send_value(&p, i, GVM_PAGE_BODY);
	assert_int_equal(gvm_net_flush(p.a), 0);
	drain(p.b, &s);
	assert_in_order(&s, 100, 1);
	assert_int_equal(s.datagrams, (100 * SMALL_MSG + GVM_DATAGRAM_MAX - 1) / GVM_DATAGRAM_MAX);
	assert_true(s.longest <= GVM_DATAGRAM_MAX);
	gvm_net_stats(p.a, &st);
	assert_int_equal(st.tx_sends, 1);
	pair_close(&p);
}

static void pages_share_sends(void **state)
{
	struct gvm_net_stats st;
	struct seen s = {0};
	struct pair p;

	(void)state;
	pair_open(&p, GVM_NET_GRO, 0);
	for (u32 i = 0; i < 30; i++)
		send_value(&p, i, GVM_MSG_MAX);
	assert_int_equal(gvm_net_flush(p.a), 0);
	drain(p.b, &s);
	assert_in_order(&s, 30, 3);
	gvm_net_stats(p.a, &st);
	assert_int_equal(st.tx_sends, 2); /* 15 pages are the most a send can hold */
	assert_int_equal(st.tx_datagrams, 90);
	pair_close(&p);
}

/* Two receivers and messages of all sizes in turn: each sees its own, in order. */
static void order_is_kept_for_each_address(void **state)
{
	struct seen sb = {0}, sc = {0};
	struct gvm_net_config c;
	struct sockaddr_in to[2];
	struct gvm_net *third;
	struct pair p;

	(void)state;
	pair_open(&p, GVM_NET_GRO, 0);
	c = config(p.pool, 0);
	assert_int_equal(gvm_net_open(&third, 1, &c), 0);
	to[0] = p.to;
	gvm_net_addr(third, &to[1]);
	srand(7);
	for (u32 i = 0; i < 400; i++) {
		size_t body = (size_t)rand() % (i % 2 ? 600 : GVM_FRAG_MAX);

		p.to = to[0];
		send_value(&p, i, body);
		p.to = to[1];
		send_value(&p, i, rand() % 700);
	}
	assert_int_equal(gvm_net_flush(p.a), 0);
	drain(p.b, &sb);
	drain(third, &sc);
	assert_in_order(&sb, 400, 1);
	assert_in_order(&sc, 400, 1);
	assert_true(sb.datagrams < 400 && sc.datagrams < 400);
	gvm_net_close(third);
	pair_close(&p);
}

static void fragments_come_first_in_their_datagram(void **state)
{
	struct seen s = {0};
	struct pair p;

	(void)state;
	pair_open(&p, GVM_NET_GRO, 0);
	for (u32 i = 0; i < 50; i++) {
		send_value(&p, 2 * i, GVM_PAGE_BODY);
		send_value(&p, 2 * i + 1, 1400); /* two fragments of 764 bytes */
	}
	assert_int_equal(gvm_net_flush(p.a), 0);
	drain(p.b, &s);
	assert_false(s.bad);
	assert_int_equal(s.messages, 50 + 100);
	pair_close(&p);
}

static void refused_gso(int err)
{
	struct gvm_net_stats st;
	struct seen s = {0};
	struct pair p;

	pair_open(&p, GVM_NET_GRO, 0);
	play.refuse_gso = err;
	for (u32 i = 0; i < 20; i++)
		send_value(&p, i, GVM_MSG_MAX);
	assert_int_equal(gvm_net_flush(p.a), 0);
	drain(p.b, &s);
	assert_in_order(&s, 20, 3);
	gvm_net_stats(p.a, &st);
	assert_int_equal(st.tx_gso_refused, 1); /* not tried again at once */
	assert_int_equal(st.gso, 0);
	assert_int_equal(st.tx_errors + st.tx_gso, 0);
	play.refuse_gso = 0;
	for (u32 i = 0; i < 70; i++) {
		send_value(&p, i, GVM_MSG_MAX);
		assert_int_equal(gvm_net_flush(p.a), 0);
	}
	gvm_net_stats(p.a, &st);
	assert_true(st.tx_gso > 0); /* but later */
	assert_int_equal(st.gso, 1);
	pair_close(&p);
}

static void gso_refused_by_device(void **state)
{
	(void)state;
	refused_gso(EIO);
}

static void gso_refused_by_path(void **state)
{
	(void)state;
	refused_gso(EINVAL);
}

static bool set_loopback(int mtu)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	bool done = !ioctl(fd, SIOCSIFFLAGS, &r);

	r.ifr_mtu = mtu;
	done = done && !ioctl(fd, SIOCSIFMTU, &r);
	close(fd);
	return done;
}

/* 0: right, 1: wrong, 2: this user may not have a network of his own. */
static int pages_over_a_small_mtu(void)
{
	struct gvm_net_stats st;
	struct seen s = {0};
	struct pair p;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) && unshare(CLONE_NEWNET))
		return 2;
	if (!set_loopback(1000))
		return 2;
	pair_open(&p, GVM_NET_GRO, 0);
	for (u32 i = 0; i < 50; i++)
		send_value(&p, i, GVM_MSG_MAX);
	gvm_net_flush(p.a);
	drain(p.b, &s);
	gvm_net_stats(p.a, &st);
	pair_close(&p);
	return s.bad || s.messages != 150 || st.tx_gso_refused != 1;
}

static void the_real_kernel_refuses_gso(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0)
		_exit(pages_over_a_small_mtu());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 2)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* The kernel has no room: nothing is lost, also not what was only borrowed. */
static void full_buffer_is_tried_again(void **state)
{
	u8 borrowed[20][SMALL_MSG + 700], big[40000];
	struct gvm_net_stats st;
	struct seen s = {0};
	size_t len, seg, bytes = 0;
	struct pair p;

	(void)state;
	pair_open(&p, GVM_NET_GRO, 0);
	play.refuse_calls = 1;
	play.refuse_err = EAGAIN;
	for (u32 i = 0; i < 20; i++) {
		fill(borrowed[i], i, 600, &len, &seg);
		assert_int_equal(gvm_net_send_ref(p.a, borrowed[i], len, seg, &p.to), 0);
	}
	for (u32 i = 20; i < 40; i++)
		send_value(&p, i, 600);
	while (bytes + PAGE_MSG < sizeof(big)) { /* one piece, larger than a packet */
		fill(big + bytes, 40 + bytes / PAGE_MSG, GVM_MSG_MAX, &len, &seg);
		bytes += len;
	}
	assert_int_equal(gvm_net_send_ref(p.a, big, bytes, seg, &p.to), 0);
	assert_true(gvm_net_flush(p.a) > 0);
	memset(borrowed, 0xee, sizeof(borrowed));
	memset(big, 0xee, sizeof(big));
	assert_int_equal(gvm_net_wait(p.a, 0, 1000000), 1); /* for room to send */
	assert_int_equal(gvm_net_flush(p.a), 0);
	drain(p.b, &s);
	assert_false(s.bad);
	assert_int_equal(s.messages, 40 + 3 * (bytes / PAGE_MSG));
	for (u32 i = 0; i < 40; i++)
		assert_int_equal(s.value[i], i);
	gvm_net_stats(p.a, &st);
	assert_int_equal(st.tx_again, 1);
	assert_int_equal(st.tx_full, 0);
	pair_close(&p);
}

static void queue_is_bounded(void **state)
{
	struct gvm_net_stats st;
	struct seen s = {0};
	struct pair p;

	(void)state;
	pair_open(&p, GVM_NET_GRO, 16);
	play.refuse_calls = 1000;
	play.refuse_err = EAGAIN;
	for (u32 i = 0; i < 100; i++)
		send_value(&p, i, 1000);
	assert_int_equal(gvm_net_flush(p.a), 16);
	gvm_net_stats(p.a, &st);
	assert_int_equal(st.tx_full, 84);
	play.refuse_calls = 0;
	assert_int_equal(gvm_net_flush(p.a), 0);
	drain(p.b, &s);
	assert_in_order(&s, 16, 1);
	pair_close(&p);
}

static void sends_in_parts(unsigned int flags)
{
	struct seen s = {0};
	struct pair p;

	pair_open(&p, flags, 0);
	play.most = 1;
	for (u32 i = 0; i < 60; i++)
		send_value(&p, i, GVM_MSG_MAX);
	assert_int_equal(gvm_net_flush(p.a), 0);
	drain(p.b, &s);
	assert_in_order(&s, 60, 3);
	pair_close(&p);
}

static void kernel_takes_one_at_a_time(void **state)
{
	(void)state;
	sends_in_parts(GVM_NET_GRO);
	sends_in_parts(GVM_NET_NO_GSO);
}

/* Room ends in the middle of a page that goes out in three datagrams. */
static void room_ends_within_a_send(void **state)
{
	struct gvm_net_stats st;
	struct seen s = {0};
	struct pair p;

	(void)state;
	pair_open(&p, GVM_NET_NO_GSO, 0);
	play.most = 2;
	send_value(&p, 0, GVM_MSG_MAX);
	play.refuse_calls = 0;
	assert_int_equal(gvm_net_flush(p.a), 0);
	for (u32 i = 1; i < 10; i++) {
		play.refuse_calls = i % 2;
		play.refuse_err = EAGAIN;
		send_value(&p, i, GVM_MSG_MAX);
		gvm_net_flush(p.a);
	}
	while (gvm_net_flush(p.a))
		;
	drain(p.b, &s);
	assert_in_order(&s, 10, 3);
	gvm_net_stats(p.a, &st);
	assert_int_equal(st.tx_again, 5);
	pair_close(&p);
}

static void refused_packets_are_counted(void **state)
{
	struct gvm_net_stats st;
	struct seen s = {0};
	struct pair p;

	(void)state;
	pair_open(&p, GVM_NET_GRO, 0);
	play.refuse_calls = 1;
	play.refuse_err = EPERM;
	send_value(&p, 7, 100);
	assert_int_equal(gvm_net_flush(p.a), 0);
	send_value(&p, 0, 100);
	assert_int_equal(gvm_net_flush(p.a), 0);
	drain(p.b, &s);
	assert_in_order(&s, 1, 1);
	gvm_net_stats(p.a, &st);
	assert_int_equal(st.tx_errors, 1);
	assert_int_equal(gvm_net_send(p.a, gvm_net_pkt_alloc(p.a, 100), 0, 0, &p.to), -EMSGSIZE);
	assert_int_equal(gvm_net_send(p.a, gvm_net_pkt_alloc(p.a, 100), 100, 1, &p.to), -EMSGSIZE);
	pair_close(&p);
}

static void a_dead_peer_stops_nothing(void **state)
{
	struct gvm_net_config c;
	struct sockaddr_in back;
	struct seen s = {0};
	struct pair p;

	(void)state;
	pair_open(&p, GVM_NET_GRO, 0);
	gvm_net_addr(p.a, &back);
	gvm_net_close(p.b);
	for (u32 i = 0; i < 10; i++) {
		send_value(&p, i, 100);
		assert_int_equal(gvm_net_flush(p.a), 0);
		assert_true(gvm_net_recv(p.a, on_datagram, &s) == 0);
	}
	c = config(p.pool, 0);
	assert_int_equal(gvm_net_open(&p.b, 1, &c), 0);
	gvm_net_addr(p.b, &p.to);
	send_value(&p, 0, 100);
	assert_int_equal(gvm_net_flush(p.a), 0);
	drain(p.b, &s);
	assert_in_order(&s, 1, 1);
	pair_close(&p);
}

static void send_now_goes_past_the_queue(void **state)
{
	u8 page[8192];
	struct seen s = {0};
	size_t len, seg;
	struct pair p;

	(void)state;
	pair_open(&p, 0, 0);
	fill(page, 0, GVM_MSG_MAX, &len, &seg);
	assert_int_equal(gvm_net_send_now(p.a, page, len, seg, &p.to), 0);
	fill(page, 1, GVM_MSG_MAX, &len, &seg);
	assert_int_equal(gvm_net_send_now(p.a, page, len, seg, &p.to), 0);
	drain(p.b, &s);
	assert_in_order(&s, 2, 3);
	pair_close(&p);
}

#define GROUP 3
static void datagrams_are_steered(void **state)
{
	struct gvm_net *group[GROUP], *other[2];
	struct gvm_net_config c;
	struct pair p;

	(void)state;
	pair_open(&p, GVM_NET_GRO, 0);
	c = config(p.pool, GVM_NET_GRO | GVM_NET_STEER);
	assert_int_equal(gvm_net_open(group, GROUP, &c), 0);
	gvm_net_addr(group[0], &p.to);
	for (u32 i = 0; i < 90; i++) {
		send_value(&p, i, GVM_MSG_MAX);
		assert_int_equal(gvm_net_flush(p.a), 0);
	}
	for (u32 g = 0; g < GROUP; g++) {
		struct seen s = {0};

		drain(group[g], &s);
		assert_false(s.bad);
		assert_int_equal(s.messages, 90);
		for (u32 i = 0; i < s.messages; i++)
			assert_int_equal(s.value[i] % GROUP, g);
	}
	c.bind = p.to; /* nobody else can join */
	assert_int_equal(gvm_net_open(other, 1, &c), -EADDRINUSE);
	assert_int_equal(gvm_net_open(other, 2, &c), -EADDRINUSE);
	for (u32 g = 0; g < GROUP; g++)
		gvm_net_close(group[g]);
	pair_close(&p);
}

static void pool_is_bounded(void **state)
{
	struct gvm_pkt_pool *pool = gvm_pkt_pool_create(64 << 10);
	void *pkt[100];
	int n = 0;

	(void)state;
	assert_null(gvm_pkt_alloc(pool, GVM_PKT_MAX + 1));
	while (n < 100 && (pkt[n] = gvm_pkt_alloc(pool, GVM_PKT_MAX)))
		memset(pkt[n++], 0xaa, GVM_PKT_MAX);
	assert_int_equal(n, 8);
	while (n)
		gvm_pkt_free(pool, pkt[--n]);
	while (n < 100 && (pkt[n] = gvm_pkt_alloc(pool, 1500))) /* of another class */
		memset(pkt[n++], 0xbb, 1500);
	assert_int_equal(n, 32);
	while (n)
		gvm_pkt_free(pool, pkt[--n]);
	gvm_pkt_pool_destroy(pool);
}

static void addresses_that_cannot_be(void **state)
{
	struct gvm_net_config c = {0};
	struct gvm_net *net;

	(void)state;
	c.bind.sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1: of nobody */
	assert_int_equal(gvm_net_open(&net, 1, &c), -EADDRNOTAVAIL);
	assert_int_equal(gvm_net_open(&net, 0, &c), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bulk_with_offloads),
		cmocka_unit_test(bulk_without_gso),
		cmocka_unit_test(bulk_without_offloads),
		cmocka_unit_test(bulk_into_no_gro),
		cmocka_unit_test(small_messages_share_datagrams),
		cmocka_unit_test(pages_share_sends),
		cmocka_unit_test(order_is_kept_for_each_address),
		cmocka_unit_test(fragments_come_first_in_their_datagram),
		cmocka_unit_test(gso_refused_by_device),
		cmocka_unit_test(gso_refused_by_path),
		cmocka_unit_test(the_real_kernel_refuses_gso),
		cmocka_unit_test(full_buffer_is_tried_again),
		cmocka_unit_test(queue_is_bounded),
		cmocka_unit_test(kernel_takes_one_at_a_time),
		cmocka_unit_test(room_ends_within_a_send),
		cmocka_unit_test(refused_packets_are_counted),
		cmocka_unit_test(a_dead_peer_stops_nothing),
		cmocka_unit_test(send_now_goes_past_the_queue),
		cmocka_unit_test(datagrams_are_steered),
		cmocka_unit_test(pool_is_bounded),
		cmocka_unit_test(addresses_that_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
