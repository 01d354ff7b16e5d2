// SPDX-License-Identifier: GPL-2.0-or-later
/* Who may register with a gateway process, what it tells about its nodes, and how it ends. */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "net_site.h"

static u64 now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int register_as(struct gateway_proc *g, u32 id)
{
	struct node n;
	int status;

	node_open(&n, id, g->port);
	status = node_register(&n);
	node_close(&n);
	return status;
}

static void ids_out_of_range_are_refused(void **state)
{
	struct gateway_proc g;

	(void)state;
	gateway_start(&g, GW_ID, NULL);
	assert_int_equal(register_as(&g, SLAVE(0)), 0);
	assert_int_equal(register_as(&g, SLAVE((1U << GVM_ROUTING_SHIFT) - 1)), 0);
	assert_int_equal(register_as(&g, CLIENT(0)), 0);
	assert_int_equal(register_as(&g, GVM_MAX_NODES - 1), 0);
	if (GVM_MAX_GATEWAYS > 1) {
		assert_int_equal(register_as(&g, SLAVE(0) - 1), -ERANGE);
		assert_int_equal(register_as(&g, SLAVE(1U << GVM_ROUTING_SHIFT)), -ERANGE);
		assert_true(gateway_said(&g, "this gateway serves slaves"));
	}
	assert_int_equal(register_as(&g, GVM_NO_NODE), -ERANGE);
	assert_int_equal(gateway_stop(&g), 0);
}

static void another_build_is_refused(void **state)
{
	struct gvm_register_body b = {.boot_id = 1, .slave_bits = GVM_SLAVE_BITS + 1};
	u8 body[GVM_REGISTER_BODY];
	struct gateway_proc g;
	struct message m;
	struct node n;

	(void)state;
	gateway_start(&g, GW_ID, NULL);
	node_open(&n, SLAVE(0), g.port);
	gvm_register_encode(body, &b);
	node_send(&n, GVM_TO_GATEWAY, MSG_REGISTER, 1, body, sizeof(body));
	assert_true(node_recv(&n, &m, WAIT));
	assert_int_equal(gvm_register_decode(&b, m.body, m.h.length), 0);
	assert_int_equal(b.status, -EPROTO);
	assert_int_equal(b.slave_bits, GVM_SLAVE_BITS);
	assert_int_equal(gateway_count(&g, "refused_bits"), 1);
	node_close(&n);
	assert_int_equal(gateway_stop(&g), 0);
}

/* The second node gets the id when the first was silent long enough, and not before. */
static void a_live_id_is_not_given_away(void **state)
{
	struct gateway_proc g;
	struct node first, second;
	u64 heard;
	int status;

	(void)state;
	gateway_start(&g, GW_ID, NULL);
	node_open(&first, SLAVE(1), g.port);
	node_open(&second, SLAVE(1), g.port);
	second.boot_id++;
	assert_int_equal(node_register(&first), 0);
	assert_int_equal(node_register(&second), -EEXIST);
	assert_true(gateway_said(&g, "another live node has this id"));
	heard = now_us();
	assert_int_equal(node_register(&first), 0);
	while ((status = node_register(&second)) == -EEXIST)
		assert_true(now_us() - heard < 2 * GVM_PEER_GONE_US);
	assert_int_equal(status, 0);
	assert_true(now_us() - heard >= GVM_PEER_GONE_US);
	assert_int_equal(node_register(&first), -EEXIST);
	assert_true(gateway_count(&g, "refused_exists") >= 2);
	node_close(&first);
	node_close(&second);
	assert_int_equal(gateway_stop(&g), 0);
}

static void assert_ping(struct node *from, struct node *to, u64 req_id)
{
	struct message m;

	node_send(from, to->id, MSG_PING, req_id, "ping", 4);
	do
		assert_true(node_recv(to, &m, WAIT));
	while (m.h.msg_type == MSG_NODE_ADDR);
	assert_int_equal(m.h.req_id, req_id);
}

static void a_node_may_come_back(void **state)
{
	struct node slave, moved, client;
	struct gateway_proc g;

	(void)state;
	gateway_start(&g, GW_ID, NULL);
	node_open(&slave, SLAVE(1), g.port);
	node_open(&moved, SLAVE(1), g.port);
	node_open(&client, CLIENT(1), g.port);
	assert_int_equal(node_register(&slave), 0);
	assert_int_equal(node_register(&client), 0);
	assert_ping(&client, &slave, 1);
	assert_int_equal(node_register(&moved), 0); /* the same boot at another address */
	assert_ping(&client, &moved, 2);
	assert_ping(&moved, &client, 3);
	moved.boot_id += 5; /* restarted where it was: its port proves the old one's end */
	assert_int_equal(node_register(&moved), 0);
	assert_ping(&client, &moved, 4);
	assert_true(gateway_said(&g, "moved to another address"));
	assert_true(gateway_said(&g, "registered again after a restart"));
	node_close(&slave);
	node_close(&moved);
	node_close(&client);
	assert_int_equal(gateway_stop(&g), 0);
}

/* Routing keeps the address of a slave that is not heard any more. */
static void silence_ends_liveness_only(void **state)
{
	struct node slave, client;
	struct gateway_proc g;
	u64 start;

	(void)state;
	gateway_start(&g, GW_ID, NULL);
	node_open(&slave, SLAVE(1), g.port);
	node_open(&client, CLIENT(1), g.port);
	assert_int_equal(node_register(&slave), 0);
	start = now_us();
	for (bool alive = true; alive;) {
		char *json = gateway_ask(&g, "status\n");

		alive = strstr(json, "\"alive\":true") != NULL;
		free(json);
		assert_true(now_us() - start < 3 * GVM_PEER_GONE_US);
		usleep(10000);
	}
	assert_int_equal(node_register(&client), 0);
	assert_ping(&client, &slave, 1);
	node_close(&slave);
	node_close(&client);
	assert_int_equal(gateway_stop(&g), 0);
}

static unsigned int query(struct node *n, u32 first, struct gvm_node_record *records)
{
	struct message m;
	unsigned int count;
	u8 body[4];

	gvm_put_le32(body, first);
	node_send(n, GVM_TO_GATEWAY, MSG_NODES_QUERY, 9, body, sizeof(body));
	assert_true(node_recv(n, &m, WAIT));
	assert_int_equal(m.h.msg_type, MSG_NODES_REPLY);
	assert_int_equal(m.h.req_id, 9);
	assert_int_equal(gvm_nodes_decode(records, &count, m.body, m.h.length), 0);
	return count;
}

static void slaves_are_listed_in_pages(void **state)
{
	enum { SLAVES = GVM_NODES_MAX + 5 };
	struct gvm_node_record r[GVM_NODES_MAX];
	static struct node slave[SLAVES];
	struct gateway_proc g;
	struct node client;

	(void)state;
	gateway_start(&g, GW_ID, NULL);
	node_open(&client, CLIENT(1), g.port);
	assert_int_equal(node_register(&client), 0);
	assert_int_equal(query(&client, 0, r), 0);
	for (u32 i = 0; i < SLAVES; i++) {
		node_open(&slave[i], SLAVE(2 * i), g.port);
		slave[i].lent_pages = 1000 + i;
		assert_int_equal(node_register(&slave[i]), 0);
	}
	assert_int_equal(query(&client, 0, r), GVM_NODES_MAX);
	for (u32 i = 0; i < GVM_NODES_MAX; i++) {
		assert_int_equal(r[i].id, SLAVE(2 * i));
		assert_int_equal(r[i].lent_pages, 1000 + i);
		assert_int_equal(r[i].boot_id, slave[i].boot_id);
	}
	assert_int_equal(query(&client, r[GVM_NODES_MAX - 1].id + 1, r), 5);
	assert_int_equal(r[0].id, SLAVE(2 * GVM_NODES_MAX));
	assert_int_equal(query(&client, GVM_MAX_SLAVES, r), 0);
	for (u32 i = 0; i < SLAVES; i++)
		node_close(&slave[i]);
	node_close(&client);
	assert_int_equal(gateway_stop(&g), 0);
}

static void pings_are_answered(void **state)
{
	struct gateway_proc g;
	struct message m;
	struct node n;

	(void)state;
	gateway_start(&g, GW_ID, NULL);
	node_open(&n, CLIENT(1), g.port);
	assert_int_equal(node_register(&n), 0);
	node_send(&n, GVM_TO_GATEWAY, MSG_PING, 42, "hello", 5);
	assert_true(node_recv(&n, &m, WAIT));
	assert_int_equal(m.h.msg_type, MSG_PING);
	assert_int_equal(m.h.req_id, 42);
	assert_int_equal(m.h.flags, GVM_FLAG_RESP);
	assert_memory_equal(m.body, "hello", 5);
	node_close(&n);
	assert_int_equal(gateway_stop(&g), 0);
}

static void write_file(char *path, const char *text)
{
	int fd;

	strcpy(path, "/tmp/gvm-net-list-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void a_static_slave_needs_no_registration(void **state)
{
	char path[64], text[128];
	const char *const args[] = {"--slaves", path, NULL};
	struct node slave, client;
	struct gateway_proc g;

	(void)state;
	node_open(&slave, SLAVE(4), 0);
	snprintf(text, sizeof(text), "# the slaves\n%u 127.0.0.1 %u\n", slave.id,
		 ntohs(slave.addr.sin_port));
	write_file(path, text);
	gateway_start(&g, GW_ID, args);
	slave.gateway.sin_port = htons(g.port);
	node_open(&client, CLIENT(1), g.port);
	assert_int_equal(node_register(&client), 0);
	assert_ping(&client, &slave, 1);
	assert_ping(&slave, &client, 2);
	node_close(&slave);
	node_close(&client);
	unlink(path);
	assert_int_equal(gateway_stop(&g), 0);
}

static void expect_end(const char *const *args, int code, const char *sentence)
{
	char log[4096];

	assert_int_equal(gateway_run(args, log, sizeof(log)), code);
	if (!strstr(log, sentence))
		fail_msg("'%s' is not in: %s", sentence, log);
}

#define END(code, sentence, ...)                                                                   \
	expect_end((const char *const[]){__VA_ARGS__, NULL}, code, sentence)

static void wrong_options_end_with_a_sentence(void **state)
{
	char port[16];

	(void)state;
	snprintf(port, sizeof(port), "%u", free_port());
	END(2, "--id is missing", "--port", port);
	END(2, "--id '4294967295' is not a number from 0 to", "--id", "4294967295");
	END(2, "--id '1x' is not", "--id", "1x");
	END(2, "--port '0' is not", "--id", "0", "--port", "0");
	END(2, "--port '65536' is not", "--id", "0", "--port", "65536");
	END(2, "--bind 'localhost' is not", "--id", "0", "--bind", "localhost");
	END(2, "needs --insecure", "--id", "0", "--bind", "0.0.0.0");
	END(2, "neither direct nor relay", "--id", "0", "--reply", "both");
	END(2, "--threads '0' is not", "--id", "0", "--threads", "0");
	END(2, "--bogus", "--id", "0", "--bogus");
	END(2, "'more' is not an option", "--id", "0", "more");
	END(1, "cannot listen on 192.0.2.1", "--id", "0", "--bind", "192.0.2.1", "--insecure");
	END(1, "/nonexistent/list: No such file", "--id", "0", "--slaves", "/nonexistent/list");
}

static void bad_lists_name_the_line(void **state)
{
	char path[64], port[16], wanted[128], text[128];

	(void)state;
	snprintf(port, sizeof(port), "%u", free_port());
	write_file(path, "# fine\n0 127.0.0.1 9001\n1 127.0.0.1\n");
	snprintf(wanted, sizeof(wanted), "%s:3: expected ID IP PORT", path);
	END(1, wanted, "--id", "0", "--port", port, "--slaves", path);
	unlink(path);
	if (GVM_MAX_GATEWAYS == 1)
		return;
	snprintf(text, sizeof(text), "%u 127.0.0.1 9001\n", 1U << GVM_ROUTING_SHIFT);
	write_file(path, text);
	END(1, "gateway 0 does not serve", "--id", "0", "--port", port, "--slaves", path);
	unlink(path);
}

static void what_is_in_use_stays_in_use(void **state)
{
	struct gateway_proc g;
	char port[16], other[16], plain[64];

	(void)state;
	gateway_start(&g, GW_ID, NULL);
	snprintf(port, sizeof(port), "%u", g.port);
	snprintf(other, sizeof(other), "%u", free_port());
	END(1, "is in use by another process", "--id", "0", "--port", port);
	END(1, "is in use by another process", "--id", "0", "--port", port, "--threads", "2");
	END(1, "is in use by another process", "--id", "0", "--port", other, "--control",
	    g.control);
	write_file(plain, "precious");
	END(1, "exists and is not a socket", "--id", "0", "--port", other, "--control", plain);
	assert_int_equal(access(plain, F_OK), 0);
	unlink(plain);
	assert_int_equal(register_as(&g, CLIENT(1)), 0); /* unharmed */
	assert_int_equal(gateway_stop(&g), 0);
}

static void a_killed_gateway_can_be_started_again(void **state)
{
	struct gateway_proc g, h;

	(void)state;
	gateway_start(&g, GW_ID, NULL);
	kill(g.pid, SIGKILL);
	assert_int_equal(gateway_stop(&g), 128 + SIGKILL);
	assert_int_equal(access(g.control, F_OK), 0); /* left behind */
	gateway_start(&h, GW_ID, (const char *const[]){"--control", g.control, NULL});
	strcpy(h.control, g.control);
	assert_int_equal(gateway_count(&h, "rx_datagrams"), 0);
	assert_int_equal(gateway_stop(&h), 0);
	assert_int_equal(access(g.control, F_OK), -1);
	rmdir(g.dir);
}

static void status_is_private_and_complete(void **state)
{
	struct gateway_proc g;
	struct node n;
	struct stat st;
	char *json;

	(void)state;
	gateway_start(&g, GW_ID, NULL);
	node_open(&n, SLAVE(1), g.port);
	n.lent_pages = 4711;
	assert_int_equal(node_register(&n), 0);
	assert_int_equal(stat(g.control, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	json = gateway_ask(&g, "status\n");
	assert_int_equal(json_number(json, "lent_pages"), 4711);
	assert_int_equal(json_number(json, "port"), g.port);
	assert_int_equal(json_number(json, "slave_bits"), GVM_SLAVE_BITS);
	assert_non_null(strstr(json, "\"mode\":\"loopback\""));
	assert_non_null(strstr(json, "\"kind\":\"slave\""));
	assert_int_equal(json[strlen(json) - 1], '\n');
	free(json);
	json = gateway_ask(&g, "reboot\n");
	assert_non_null(strstr(json, "error"));
	free(json);
	node_close(&n);
	assert_int_equal(gateway_stop(&g), 0);
	gateway_start(&g, GW_ID, (const char *const[]){"--bind", "0.0.0.0", "--insecure", NULL});
	json = gateway_ask(&g, "status\n");
	assert_non_null(strstr(json, "insecure"));
	free(json);
	assert_int_equal(gateway_stop(&g), 0);
}

static void counters_are_written_at_the_end(void **state)
{
	char path[64], text[8192];
	struct gateway_proc g;
	FILE *f;

	(void)state;
	write_file(path, "");
	gateway_start(&g, GW_ID, (const char *const[]){"--stats-file", path, NULL});
	assert_int_equal(register_as(&g, CLIENT(1)), 0);
	assert_int_equal(gateway_stop(&g), 0);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	assert_int_equal(json_number(text, "registered"), 1);
	assert_int_equal(fgetc(f), EOF); /* one line */
	fclose(f);
	unlink(path);
}

/* In KiB. */
static u64 resident(pid_t pid)
{
	char path[64], line[256];
	u64 kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, "VmRSS:", 6))
			kib = strtoull(line + 6, NULL, 10);
	fclose(f);
	return kib;
}

static void it_starts_small(void **state)
{
	struct gateway_proc g;

	(void)state;
	if (getenv("GATEWAY_SANITIZED"))
		skip();
	gateway_start(&g, GW_ID, NULL);
	assert_in_range(resident(g.pid), 1, 16 << 10);
	assert_int_equal(gateway_stop(&g), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_out_of_range_are_refused),
		cmocka_unit_test(another_build_is_refused),
		cmocka_unit_test(a_live_id_is_not_given_away),
		cmocka_unit_test(a_node_may_come_back),
		cmocka_unit_test(silence_ends_liveness_only),
		cmocka_unit_test(slaves_are_listed_in_pages),
		cmocka_unit_test(pings_are_answered),
		cmocka_unit_test(a_static_slave_needs_no_registration),
		cmocka_unit_test(wrong_options_end_with_a_sentence),
		cmocka_unit_test(bad_lists_name_the_line),
		cmocka_unit_test(what_is_in_use_stays_in_use),
		cmocka_unit_test(a_killed_gateway_can_be_started_again),
		cmocka_unit_test(status_is_private_and_complete),
		cmocka_unit_test(counters_are_written_at_the_end),
		cmocka_unit_test(it_starts_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
