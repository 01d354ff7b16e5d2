// SPDX-License-Identifier: GPL-2.0-or-later
/* What a gateway process drops and counts. */
#define _GNU_SOURCE 1
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include "net_site.h"

static void strangers_are_dropped(void **state)
{
	u8 body[GVM_PAGE_BODY] = {0};
	struct node stranger, thief;
	struct site s;

	(void)state;
	site_open(&s, NULL);
	node_open(&stranger, CLIENT(7), s.gw.port);
	node_open(&thief, s.client.id, s.gw.port); /* its id, from another address */
	node_send(&stranger, s.slave[0].id, MSG_MEM_READ, 1, body, sizeof(body));
	node_send(&thief, s.slave[0].id, MSG_MEM_READ, 1, body, sizeof(body));
	thief.id = s.slave[1].id;
	node_send(&thief, s.client.id, MSG_MEM_ACK, 1, body, sizeof(body));
	thief.id = GVM_TO_GATEWAY;
	node_send(&thief, s.slave[0].id, MSG_PING, 1, body, sizeof(body));
	node_send(&stranger, GVM_TO_GATEWAY, MSG_PING, 1, body, sizeof(body));
	assert_nothing(&s.slave[0]);
	assert_nothing(&s.client);
	assert_nothing(&stranger);
	assert_int_equal(gateway_count(&s.gw, "drop_unregistered"), 3);
	assert_int_equal(gateway_count(&s.gw, "drop_wrong_address"), 2);
	node_close(&stranger);
	node_close(&thief);
	site_close(&s);
}

static void what_only_gateways_send_is_dropped(void **state)
{
	static const u16 types[] = {MSG_NODE_ADDR, MSG_REGISTER_ACK, MSG_NODES_REPLY, MSG_REGISTER,
				    MSG_NODES_QUERY};
	u8 body[GVM_REGISTER_BODY] = {0};
	struct site s;

	(void)state;
	site_open(&s, relay_mode);
	for (u32 i = 0; i < ARRAY_SIZE(types); i++)
		node_send(&s.client, s.slave[0].id, types[i], 1, body, sizeof(body));
	assert_nothing(&s.slave[0]);
	assert_int_equal(gateway_count(&s.gw, "drop_forged"), ARRAY_SIZE(types));
	node_send(&s.client, GVM_TO_GATEWAY, MSG_MEM_READ, 1, body, GVM_PAGE_BODY);
	node_send(&s.client, GVM_TO_GATEWAY, MSG_NODES_QUERY, 1, body, 3);
	node_send(&s.client, GVM_TO_GATEWAY, MSG_REGISTER, 1, body, 39);
	assert_nothing(&s.client);
	assert_int_equal(gateway_count(&s.gw, "drop_unexpected"), 1);
	assert_int_equal(gateway_count(&s.gw, "drop_body"), 2);
	site_close(&s);
}

static void unknown_destinations_are_counted(void **state)
{
	u8 body[GVM_PAGE_BODY] = {0};
	u32 others = GVM_MAX_GATEWAYS > 1;
	struct site s;

	(void)state;
	site_open(&s, NULL);
	node_send(&s.client, SLAVE(2), MSG_MEM_READ, 1, body, sizeof(body));
	node_send(&s.slave[0], CLIENT(99), MSG_MEM_ACK, 1, body, sizeof(body));
	if (others)
		node_send(&s.client, 0, MSG_MEM_READ, 1, body, sizeof(body));
	assert_nothing(&s.client);
	assert_int_equal(gateway_count(&s.gw, "drop_slave_unknown"), 1);
	assert_int_equal(gateway_count(&s.gw, "drop_client_unknown"), 1);
	assert_int_equal(gateway_count(&s.gw, "drop_not_mine"), others);
	site_close(&s);
}

static void damage(struct site *s, size_t at, u8 value, size_t len)
{
	u8 buf[2048] = {0};

	append(&s->client, buf, 0, s->slave[0].id, 1);
	buf[at] = value;
	node_send_raw(&s->client, buf, len);
}

static void damaged_datagrams_are_counted(void **state)
{
	static u8 noise[65507];
	const size_t good = GVM_HEADER_SIZE + GVM_PAGE_BODY;
	struct site s;

	(void)state;
	site_open(&s, relay_mode);
	damage(&s, 0, 0, good);				   /* magic */
	damage(&s, 6, GVM_VERSION + 1, good);		   /* version */
	damage(&s, 0, (u8)GVM_MAGIC, good - 1);		   /* cut off in the body, */
	damage(&s, 0, (u8)GVM_MAGIC, GVM_HEADER_SIZE - 1); /* in the header, */
	damage(&s, 0, (u8)GVM_MAGIC, 3);		   /* in the magic, */
	node_send_raw(&s.client, noise, 0);		   /* before it */
	damage(&s, 0, (u8)GVM_MAGIC, good + 1);		   /* something behind it */
	damage(&s, 0, (u8)GVM_MAGIC, good + 900);
	damage(&s, 4, 0xff, good);  /* type */
	damage(&s, 11, 0xff, good); /* destination */
	damage(&s, 44, 0, good);    /* fragment count */
	damage(&s, 47, 0xff, good); /* length */
	srand(3);
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = rand();
	node_send_raw(&s.client, noise, sizeof(noise));
	assert_nothing(&s.slave[0]);
	assert_int_equal(gateway_count(&s.gw, "drop_magic"), 2);
	assert_int_equal(gateway_count(&s.gw, "drop_version"), 1);
	assert_int_equal(gateway_count(&s.gw, "drop_truncated"), 4);
	assert_int_equal(gateway_count(&s.gw, "drop_overlong"), 2);
	assert_int_equal(gateway_count(&s.gw, "drop_malformed"), 4);
	damage(&s, 0, (u8)GVM_MAGIC, 0 + good); /* and it works on */
	assert_small(&s.slave[0], 1, s.client.id);
	site_close(&s);
}

/* Messages with random damage: the gateway lives, and what it relays is well formed. */
static void random_damage_is_harmless(void **state)
{
	u8 buf[GVM_DATAGRAM_MAX];
	struct message m;
	struct site s;

	(void)state;
	site_open(&s, relay_mode);
	srand(11);
	for (u32 i = 0; i < 3000; i++) {
		size_t len = 0;

		for (int k = rand() % 4 + 1; k > 0; k--)
			len = append(&s.client, buf, len, s.slave[rand() % 2].id, i);
		for (int k = rand() % 4; k > 0; k--)
			buf[rand() % len] ^= 1 << rand() % 8;
		node_send_raw(&s.client, buf, rand() % 5 ? len : (size_t)rand() % len);
		while (node_recv(&s.slave[0], &m, 0))
			;
		while (node_recv(&s.slave[1], &m, 0))
			;
	}
	pause_gateway(&s); /* what is on its way has arrived before the last message does */
	resume_gateway(&s);
	node_send(&s.client, s.slave[0].id, MSG_PING, 987654321, buf, 1);
	do
		assert_true(node_recv(&s.slave[0], &m, WAIT));
	while (m.h.req_id != 987654321);
	site_close(&s);
}

/* A child sends noise and messages of nobody as fast as it can until it is killed. */
static pid_t start_flood(struct site *s)
{
	u8 buf[GVM_DATAGRAM_MAX] = {0};
	struct node stranger;
	pid_t pid = fork();
	size_t len;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	node_open(&stranger, CLIENT(7), s->gw.port);
	len = append(&stranger, buf, 0, s->slave[0].id, 1);
	for (u32 i = 0;; i++)
		node_send_raw(&stranger, buf, i % 2 ? len : sizeof(buf));
}

static void a_flood_stops_nothing(void **state)
{
	struct message m;
	struct site s;
	pid_t flood;

	(void)state;
	site_open(&s, relay_mode);
	flood = start_flood(&s);
	while (gateway_count(&s.gw, "drop_overlong") < 100) /* it has begun */
		;
	for (u32 i = 1; i <= 200;) { /* sent again when lost, as nodes do */
		node_send(&s.client, s.slave[0].id, MSG_PING, i, "ping", 4);
		if (!node_recv(&s.slave[0], &m, 100) || m.h.req_id != i)
			continue;
		node_send(&s.slave[0], s.client.id, MSG_PING, i, "pong", 4);
		i += node_recv(&s.client, &m, 100);
	}
	assert_true(gateway_count(&s.gw, "drop_unregistered") > 0);
	site_close(&s); /* and it ends when it is told to */
	kill(flood, SIGKILL);
	waitpid(flood, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strangers_are_dropped),
		cmocka_unit_test(what_only_gateways_send_is_dropped),
		cmocka_unit_test(unknown_destinations_are_counted),
		cmocka_unit_test(damaged_datagrams_are_counted),
		cmocka_unit_test(random_damage_is_harmless),
		cmocka_unit_test(a_flood_stops_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
