// SPDX-License-Identifier: GPL-2.0-or-later
/* The batched UDP layer: nothing is lost, packing, order, groups, packet memory. */
#define _GNU_SOURCE 1
#include "net_pair.h"

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
		cmocka_unit_test(a_dead_peer_stops_nothing),
		cmocka_unit_test(send_now_goes_past_the_queue),
		cmocka_unit_test(datagrams_are_steered),
		cmocka_unit_test(pool_is_bounded),
		cmocka_unit_test(addresses_that_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
