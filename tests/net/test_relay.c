// SPDX-License-Identifier: GPL-2.0-or-later
/* What a gateway process does with messages between nodes. */
#define _GNU_SOURCE 1
#include "net_site.h"

static void both_ways(void **state)
{
	u8 page[GVM_MSG_MAX], small[GVM_PAGE_BODY];
	struct site s;

	(void)state;
	site_open(&s, relay_mode);
	for (u32 i = 0; i < 20; i++) {
		struct node *slave = &s.slave[i % 2];

		pattern(small, sizeof(small), i);
		pattern(page, sizeof(page), i);
		node_send(&s.client, slave->id, MSG_MEM_READ, i, small, sizeof(small));
		assert_arrives(slave, i, MSG_MEM_READ, s.client.id, small, sizeof(small));
		node_send(slave, s.client.id, MSG_MEM_ACK, i, page, sizeof(page));
		assert_arrives(&s.client, i, MSG_MEM_ACK, slave->id, page, sizeof(page));
		node_send(&s.client, slave->id, MSG_MEM_WRITE, i, page, sizeof(page));
		assert_arrives(slave, i, MSG_MEM_WRITE, s.client.id, page, sizeof(page));
	}
	node_send(&s.slave[0], s.slave[1].id, MSG_PING, 5, small, sizeof(small));
	assert_arrives(&s.slave[1], 5, MSG_PING, s.slave[0].id, small, sizeof(small));
	assert_int_equal(gateway_count(&s.gw, "announced"), 0);
	site_close(&s);
}

static void a_mixed_datagram_is_split(void **state)
{
	u8 buf[GVM_DATAGRAM_MAX];
	struct site s;
	size_t len = 0;

	(void)state;
	site_open(&s, relay_mode);
	len = append(&s.client, buf, len, s.slave[0].id, 1);
	len = append(&s.client, buf, len, s.slave[0].id, 2);
	len = append(&s.client, buf, len, s.slave[1].id, 3);
	len = append(&s.client, buf, len, s.client.id, 4);
	len = append(&s.client, buf, len, s.slave[0].id, 5);
	node_send_raw(&s.client, buf, len);
	assert_small(&s.slave[0], 1, s.client.id);
	assert_small(&s.slave[0], 2, s.client.id);
	assert_small(&s.slave[0], 5, s.client.id);
	assert_small(&s.slave[1], 3, s.client.id);
	assert_small(&s.client, 4, s.client.id);
	assert_int_equal(gateway_count(&s.gw, "split"), 1);
	site_close(&s);
}

static void a_datagram_for_one_node_stays_whole(void **state)
{
	u8 buf[GVM_DATAGRAM_MAX];
	struct message m;
	struct site s;
	size_t len = 0;

	(void)state;
	site_open(&s, relay_mode);
	for (u32 i = 0; i < 17; i++)
		len = append(&s.client, buf, len, s.slave[0].id, i);
	node_send_raw(&s.client, buf, len);
	for (u32 i = 0; i < 17; i++) {
		assert_true(node_recv(&s.slave[0], &m, WAIT));
		assert_int_equal(m.h.req_id, i);
		assert_int_equal(m.datagram_len, len);
	}
	assert_int_equal(gateway_count(&s.gw, "whole"), 1);
	assert_int_equal(gateway_count(&s.gw, "split"), 0);
	site_close(&s);
}

static void small_messages_are_aggregated(void **state)
{
	u8 body[GVM_PAGE_BODY] = {0};
	struct message m;
	u32 datagrams[2] = {0};
	struct site s;

	(void)state;
	site_open(&s, relay_mode);
	pause_gateway(&s);
	for (u32 i = 0; i < 40; i++)
		node_send(&s.client, s.slave[i % 2].id, MSG_MEM_READ, i / 2, body, sizeof(body));
	resume_gateway(&s);
	for (u32 k = 0; k < 2; k++) {
		for (u32 i = 0; i < 20; i++) {
			assert_true(node_recv(&s.slave[k], &m, WAIT));
			assert_int_equal(m.h.req_id, i);
			assert_true(m.datagram_len <= GVM_DATAGRAM_MAX);
			datagrams[k] += m.datagram_at == 0;
		}
		assert_int_equal(datagrams[k], 2); /* 17 and 3 messages of 84 bytes */
	}
	assert_int_equal(gateway_count(&s.gw, "aggregated"), 40);
	assert_int_equal(gateway_count(&s.gw, "flush_full"), 2);
	assert_int_equal(gateway_count(&s.gw, "flush_drained"), 2);
	site_close(&s);
}

/* Long messages do not overtake the small ones before them. */
static void order_is_kept(void **state)
{
	u8 page[GVM_MSG_MAX] = {0};
	struct message m;
	struct site s;

	(void)state;
	site_open(&s, relay_mode);
	pause_gateway(&s);
	for (u32 i = 0; i < 20; i++)
		node_send(&s.client, s.slave[0].id, MSG_MEM_WRITE, i, page,
			  i % 3 ? GVM_PAGE_BODY : GVM_MSG_MAX);
	resume_gateway(&s);
	for (u32 i = 0; i < 20; i++) {
		assert_true(node_recv_whole(&s.slave[0], &m, WAIT));
		assert_int_equal(m.h.req_id, i);
	}
	assert_true(gateway_count(&s.gw, "flush_ordered") > 0);
	site_close(&s);
}

/* More than one batch waits, so that the thread does not run dry after the first. */
static u64 flushed_at_deadline(const char *flush_us)
{
	const char *const args[] = {"--reply", "relay", "--flush-us", flush_us, NULL};
	u8 body[GVM_PAGE_BODY] = {0};
	struct message m;
	struct site s;
	u64 count;

	site_open(&s, args);
	pause_gateway(&s);
	for (u32 i = 0; i < 3 * GVM_BATCH; i++)
		node_send(&s.client, s.slave[0].id, MSG_MEM_READ, i, body, sizeof(body));
	resume_gateway(&s);
	for (u32 i = 0; i < 3 * GVM_BATCH; i++) {
		assert_true(node_recv(&s.slave[0], &m, WAIT));
		assert_int_equal(m.h.req_id, i);
	}
	count = gateway_count(&s.gw, "flush_deadline");
	site_close(&s);
	return count;
}

static void the_deadline_flushes_under_load(void **state)
{
	(void)state;
	assert_true(flushed_at_deadline("0") > 0);
	assert_int_equal(flushed_at_deadline("1000000"), 0);
}

static void assert_announced(struct node *slave, const struct node *client)
{
	struct gvm_addr_body b;
	struct message m;

	assert_true(node_recv(slave, &m, WAIT));
	assert_int_equal(m.h.msg_type, MSG_NODE_ADDR);
	assert_int_equal(m.h.src_id, GVM_TO_GATEWAY);
	assert_int_equal(gvm_addr_decode(&b, m.body, m.h.length), 0);
	assert_int_equal(b.id, client->id);
	assert_int_equal(b.ip, client->addr.sin_addr.s_addr);
	assert_int_equal(b.port, client->addr.sin_port);
	assert_int_equal(b.direct, 1);
}

static void slaves_are_told_addresses(void **state)
{
	u8 body[GVM_PAGE_BODY] = {0};
	struct node moved;
	struct message m;
	struct site s;

	(void)state;
	site_open(&s, NULL);
	for (u32 i = 0; i < 2; i++) {
		node_send(&s.client, s.slave[i].id, MSG_MEM_READ, 1, body, sizeof(body));
		assert_announced(&s.slave[i], &s.client); /* first, before the request */
		assert_arrives(&s.slave[i], 1, MSG_MEM_READ, s.client.id, body, sizeof(body));
	}
	node_send(&s.client, s.slave[0].id, MSG_MEM_READ, 2, body, sizeof(body));
	assert_arrives(&s.slave[0], 2, MSG_MEM_READ, s.client.id, body, sizeof(body));

	node_open(&moved, s.client.id, s.gw.port); /* same boot, another port */
	assert_int_equal(node_register(&moved), 0);
	node_send(&moved, s.slave[0].id, MSG_MEM_READ, 3, body, sizeof(body));
	assert_announced(&s.slave[0], &moved);
	assert_true(node_recv(&s.slave[0], &m, WAIT));

	s.slave[0].boot_id++; /* a slave that restarted has forgotten */
	assert_int_equal(node_register(&s.slave[0]), 0);
	node_send(&moved, s.slave[0].id, MSG_MEM_READ, 4, body, sizeof(body));
	assert_announced(&s.slave[0], &moved);
	assert_true(node_recv(&s.slave[0], &m, WAIT));

	for (u32 i = 0; m.h.msg_type != MSG_NODE_ADDR; i++) { /* and once a second */
		assert_true(i < 300);
		node_send(&moved, s.slave[0].id, MSG_MEM_READ, i, body, sizeof(body));
		assert_true(node_recv(&s.slave[0], &m, WAIT));
		assert_false(m.h.msg_type != MSG_NODE_ADDR && node_recv(&s.slave[0], &m, 10));
	}
	node_close(&moved);
	node_recv(&s.slave[0], &m, WAIT);
	site_close(&s);
}

/* Pages through the gateway with a bounded number under way: none may be missing. */
static void nothing_is_lost_in_bulk(void **state)
{
	enum { PAGES = 3000, WINDOW = 64 };
	u8 page[GVM_MSG_MAX];
	struct message m;
	struct site s;
	u32 sent = 0;

	(void)state;
	site_open(&s, relay_mode);
	for (u32 got = 0; got < PAGES; got++) {
		for (; sent < PAGES && sent < got + WINDOW; sent++) {
			pattern(page, sizeof(page), sent);
			node_send(&s.slave[0], s.client.id, MSG_MEM_ACK, sent, page, sizeof(page));
		}
		pattern(page, sizeof(page), got);
		assert_arrives(&s.client, got, MSG_MEM_ACK, s.slave[0].id, page, sizeof(page));
	}
	assert_false(node_recv(&s.client, &m, 0));
	assert_int_equal(gateway_count(&s.gw, "rx_overflow"), 0);
	assert_int_equal(gateway_count(&s.gw, "tx_full"), 0);
	site_close(&s);
}

/* With several threads each client's traffic may be another thread's. */
static void many_clients(void **state)
{
	enum { CLIENTS = 24, ROUNDS = 40 };
	static struct node client[CLIENTS];
	u8 body[GVM_PAGE_BODY] = {0};
	u32 got[CLIENTS] = {0};
	struct message m;
	struct site s;

	(void)state;
	site_open(&s, relay_mode);
	for (u32 i = 0; i < CLIENTS; i++) {
		node_open(&client[i], CLIENT(10 + i), s.gw.port);
		assert_int_equal(node_register(&client[i]), 0);
	}
	for (u32 r = 0; r < ROUNDS; r++)
		for (u32 i = 0; i < CLIENTS; i++)
			node_send(&client[i], s.slave[0].id, MSG_MEM_READ, r, body, sizeof(body));
	for (u32 i = 0; i < ROUNDS * CLIENTS; i++) {
		assert_true(node_recv(&s.slave[0], &m, WAIT));
		assert_in_range(m.h.src_id, CLIENT(10), CLIENT(10 + CLIENTS - 1));
		got[m.h.src_id - CLIENT(10)]++;
	}
	for (u32 i = 0; i < CLIENTS; i++) {
		assert_int_equal(got[i], ROUNDS);
		node_send(&s.slave[0], client[i].id, MSG_MEM_ACK, i, body, sizeof(body));
		assert_arrives(&client[i], i, MSG_MEM_ACK, s.slave[0].id, body, sizeof(body));
		node_close(&client[i]);
	}
	site_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ways),
		cmocka_unit_test(a_mixed_datagram_is_split),
		cmocka_unit_test(a_datagram_for_one_node_stays_whole),
		cmocka_unit_test(small_messages_are_aggregated),
		cmocka_unit_test(order_is_kept),
		cmocka_unit_test(the_deadline_flushes_under_load),
		cmocka_unit_test(slaves_are_told_addresses),
		cmocka_unit_test(nothing_is_lost_in_bulk),
		cmocka_unit_test(many_clients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
