// SPDX-License-Identifier: GPL-2.0-or-later
/* The gateway's parts without a network: aggregation, announcements, ID IP PORT files. */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include "../../gateway_service/aggregator.h"
#include "../../gateway_service/announcer.h"
#include "../../master_core/gateway_list.h"

#define SLAVES 4

/* What an aggregator has sent. */
struct sink {
	struct gw_counters counters;
	unsigned int sends, live;
	u32 slave;
	size_t len;
	u8 bytes[GVM_DATAGRAM_MAX];
	bool no_memory;
};

static u8 *sink_alloc(void *ctx)
{
	struct sink *s = ctx;

	if (s->no_memory)
		return NULL;
	s->live++;
	return malloc(GVM_DATAGRAM_MAX);
}

static void sink_free(void *ctx, u8 *buffer)
{
	struct sink *s = ctx;

	s->live--;
	free(buffer);
}

static void sink_emit(void *ctx, u32 slave, u8 *buffer, size_t len)
{
	struct sink *s = ctx;

	s->sends++;
	s->slave = slave;
	s->len = len;
	memcpy(s->bytes, buffer, len);
	sink_free(s, buffer);
}

static const struct gvm_agg_ops sink_ops = {
	.alloc = sink_alloc, .emit = sink_emit, .free = sink_free};

struct bench {
	struct sink sink;
	struct gvm_agg_table *table;
	struct gvm_aggregator agg;
};

static void bench_open(struct bench *b)
{
	memset(b, 0, sizeof(*b));
	b->table = gvm_agg_table_create(SLAVES);
	assert_non_null(b->table);
	assert_int_equal(
		gvm_aggregator_init(&b->agg, b->table, &sink_ops, &b->sink, &b->sink.counters, 50),
		0);
}

static void bench_close(struct bench *b)
{
	gvm_aggregator_free(&b->agg);
	gvm_agg_table_destroy(b->table, &sink_ops, &b->sink);
	assert_int_equal(b->sink.live, 0);
}

static void put(struct bench *b, u32 slave, u8 value, size_t len, u64 now_us)
{
	u8 data[GVM_AGG_SMALL];

	memset(data, value, len);
	assert_int_equal(gvm_agg_put(&b->agg, slave, data, len, 1, now_us), 0);
}

static void held_until_the_deadline(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b);
	assert_int_equal(b.sink.live, 0); /* no memory before it is needed */
	put(&b, 1, 'a', 84, 1000);
	put(&b, 1, 'b', 84, 1030);
	gvm_agg_end_batch(&b.agg, false, 1049);
	assert_int_equal(b.sink.sends, 0);
	gvm_agg_end_batch(&b.agg, false, 1050); /* counted from the oldest */
	assert_int_equal(b.sink.sends, 1);
	assert_int_equal(b.sink.slave, 1);
	assert_int_equal(b.sink.len, 168);
	assert_int_equal(b.sink.bytes[83], 'a');
	assert_int_equal(b.sink.bytes[84], 'b');
	assert_int_equal(gw_counter_read(&b.sink.counters, GW_flush_deadline), 1);
	gvm_agg_end_batch(&b.agg, false, 9999);
	assert_int_equal(b.sink.sends, 1);
	bench_close(&b);
}

static void nothing_is_held_when_idle(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b);
	for (u32 i = 0; i < SLAVES; i++)
		put(&b, i, i, 84, 1000);
	gvm_agg_end_batch(&b.agg, true, 1000);
	assert_int_equal(b.sink.sends, SLAVES);
	assert_int_equal(gw_counter_read(&b.sink.counters, GW_flush_drained), SLAVES);
	assert_int_equal(gw_counter_read(&b.sink.counters, GW_aggregated), SLAVES);
	bench_close(&b);
}

static void sent_when_full(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b);
	for (u32 i = 0; i < 17; i++)
		put(&b, 2, i, 84, 1000);
	assert_int_equal(b.sink.sends, 1); /* 1428 bytes: not even a header more */
	assert_int_equal(b.sink.len, 17 * 84);
	put(&b, 2, 17, 700, 1000);
	put(&b, 2, 18, 684, 1000); /* room for a header, but not for the next message */
	assert_int_equal(b.sink.sends, 1);
	put(&b, 2, 19, 84, 1000);
	assert_int_equal(b.sink.sends, 2);
	assert_int_equal(b.sink.len, 1384);
	assert_int_equal(gw_counter_read(&b.sink.counters, GW_flush_full), 2);
	gvm_agg_flush_slave(&b.agg, 2);
	assert_int_equal(b.sink.sends, 3);
	assert_int_equal(b.sink.len, 84);
	gvm_agg_flush_slave(&b.agg, 2);
	assert_int_equal(b.sink.sends, 3);
	gvm_agg_end_batch(&b.agg, true, 1000);
	assert_int_equal(b.sink.sends, 3);
	bench_close(&b);
}

static void no_memory_is_said(void **state)
{
	struct bench b;
	u8 data[84] = {0};

	(void)state;
	bench_open(&b);
	b.sink.no_memory = true;
	assert_int_equal(gvm_agg_put(&b.agg, 0, data, sizeof(data), 1, 1), -ENOMEM);
	b.sink.no_memory = false;
	put(&b, 0, 'x', 84, 2);
	bench_close(&b); /* what is left is freed, not sent */
	assert_int_equal(b.sink.sends, 0);
}

static void announced_when_needed(void **state)
{
	static struct gw_announcer a;
	struct gw_node slave = {.id = 5, .addr = 0x0200000aULL << 16 | 1, .generation = 1};
	gw_addr_t home = 0x0100000aULL << 16 | 1, away = 0x0100000aULL << 16 | 2;

	(void)state;
	assert_true(gw_announce_due(&a, &slave, 9, home, 5000));
	assert_false(gw_announce_due(&a, &slave, 9, home, 5001));
	assert_true(gw_announce_due(&a, &slave, 9, away, 5002));
	slave.generation++;
	assert_true(gw_announce_due(&a, &slave, 9, away, 5003));
	assert_false(gw_announce_due(&a, &slave, 9, away, 5002 + GW_ANNOUNCE_PERIOD_US));
	assert_true(gw_announce_due(&a, &slave, 9, away, 5003 + GW_ANNOUNCE_PERIOD_US));
}

static void loopback_is_not_announced_to_others(void **state)
{
	static struct gw_announcer a;
	struct gw_node far = {.id = 5, .addr = 0x0200000aULL << 16 | 1};
	struct gw_node near = {.id = 6, .addr = 0x0100007fULL << 16 | 1};
	gw_addr_t client = 0x0100007fULL << 16 | 2;

	(void)state;
	assert_false(gw_announce_due(&a, &far, 9, client, 5000));
	assert_true(gw_announce_due(&a, &near, 9, client, 5000));
}

/* However many pairs there are, a place tells at most once a millisecond. */
static void announcements_are_bounded(void **state)
{
	static struct gw_announcer a;
	struct gw_node slave = {.addr = 0x0200000aULL << 16 | 1};
	unsigned int told = 0;

	(void)state;
	for (u64 now = 10000; now < 11000; now++)
		for (u32 i = 0; i < 64; i++) {
			slave.id = i;
			told += gw_announce_due(&a, &slave, now % 400 + 1000, 77, now);
		}
	assert_in_range(told, 1, 1 << GW_ANNOUNCE_BITS);
}

static char error[GVM_LIST_ERROR_MAX];

static int parse(struct gvm_gateway_list *l, const char *text)
{
	error[0] = '\0';
	return gvm_gateway_list_parse(l, text, strlen(text), "list", 512, error);
}

static void lists_are_read(void **state)
{
	struct gvm_gateway_list l = {0};
	const struct gvm_gateway_entry *e;

	(void)state;
	assert_int_equal(parse(&l, "# head\n\n  7\t10.0.0.7  9007 # a rack\r\n"
				   "0 10.0.0.1 9000\n511 192.168.1.1 65535"),
			 0);
	assert_int_equal(l.count, 3);
	assert_int_equal(l.entries[0].id, 0);
	e = gvm_gateway_list_find(&l, 7);
	assert_non_null(e);
	assert_int_equal(e->ip, inet_addr("10.0.0.7"));
	assert_int_equal(e->port, htons(9007));
	assert_non_null(gvm_gateway_list_find(&l, 511));
	assert_null(gvm_gateway_list_find(&l, 1));
	gvm_gateway_list_free(&l);
	assert_null(gvm_gateway_list_find(&l, 7));
}

static void bad_lines_change_nothing(void **state)
{
	static const struct {
		const char *text, *sentence;
	} bad[] = {
		{"", "list: holds no ID IP PORT line"},
		{"# only this\n", "list: holds no ID IP PORT line"},
		{"1 10.0.0.1 9000\n2 10.0.0.2\n", "list:2: expected ID IP PORT, found 2 of 3"},
		{"1\n", "list:1: expected ID IP PORT, found 1 of 3"},
		{"\n\n1 10.0.0.1 9000 9\n", "list:3: expected ID IP PORT, found more than 3"},
		{"512 10.0.0.1 9000\n", "list:1: '512' is not an id from 0 to 511"},
		{"-1 10.0.0.1 9000\n", "list:1: '-1' is not an id"},
		{"0x1 10.0.0.1 9000\n", "list:1: '0x1' is not an id"},
		{"99999999999999999999 10.0.0.1 9000\n", "list:1: '99999999999999999999' is not"},
		{"1 10.0.0 9000\n", "list:1: '10.0.0' is not the IPv4 address of a host"},
		{"1 10.0.0.256 9000\n", "list:1: '10.0.0.256' is not"},
		{"1 0.0.0.0 9000\n", "list:1: '0.0.0.0' is not"},
		{"1 239.1.1.1 9000\n", "list:1: '239.1.1.1' is not"},
		{"1 host 9000\n", "list:1: 'host' is not"},
		{"1 10.0.0.1 0\n", "list:1: '0' is not a port from 1 to 65535"},
		{"1 10.0.0.1 65536\n", "list:1: '65536' is not a port"},
		{"1 10.0.0.1 90a\n", "list:1: '90a' is not a port"},
		{"1 10.0.0.1 9000\n2 10.0.0.2 9000\n\n1 10.0.0.3 9000\n",
		 "list:4: id 1 stands on line 1 already"},
	};
	struct gvm_gateway_list l = {0};

	(void)state;
	assert_int_equal(parse(&l, "3 10.0.0.3 9000\n"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse(&l, bad[i].text), -EINVAL);
		if (!strstr(error, bad[i].sentence))
			fail_msg("'%s' is not in '%s'", bad[i].sentence, error);
		assert_int_equal(l.count, 1);
		assert_int_equal(l.entries[0].id, 3);
	}
	assert_int_equal(gvm_gateway_list_parse(&l, "1 10.0.0.1 \0 9\n", 14, "list", 512, error),
			 -EINVAL);
	assert_non_null(strstr(error, "list:1: a zero byte"));
	gvm_gateway_list_free(&l);
}

static void files_that_cannot_be_read(void **state)
{
	struct gvm_gateway_list l = {0};

	(void)state;
	assert_int_equal(gvm_gateway_list_load(&l, "/nonexistent", 512, error), -ENOENT);
	assert_non_null(strstr(error, "/nonexistent: No such file"));
	assert_int_equal(gvm_gateway_list_load(&l, "/", 512, error), -EISDIR);
	assert_non_null(strstr(error, "/: Is a directory"));
}

/* 131072 lines, as a site of that size has them, in any order. */
static void a_list_may_be_long(void **state)
{
	enum { LINES = 131072 };
	struct gvm_gateway_list l = {0};
	char path[] = "/tmp/gvm-net-list-XXXXXX";
	FILE *f = fdopen(mkstemp(path), "w");

	(void)state;
	assert_non_null(f);
	for (u32 i = 0; i < LINES; i++)
		fprintf(f, "%u 10.%u.%u.1 9000\n", i * 77777 % LINES, i >> 8 & 255, i & 255);
	fclose(f);
	assert_int_equal(gvm_gateway_list_load(&l, path, LINES, error), 0);
	unlink(path);
	assert_int_equal(l.count, LINES);
	for (u32 i = 0; i < LINES; i++)
		assert_int_equal(l.entries[i].id, i);
	gvm_gateway_list_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(held_until_the_deadline),
		cmocka_unit_test(nothing_is_held_when_idle),
		cmocka_unit_test(sent_when_full),
		cmocka_unit_test(no_memory_is_said),
		cmocka_unit_test(announced_when_needed),
		cmocka_unit_test(loopback_is_not_announced_to_others),
		cmocka_unit_test(announcements_are_bounded),
		cmocka_unit_test(lists_are_read),
		cmocka_unit_test(bad_lines_change_nothing),
		cmocka_unit_test(files_that_cannot_be_read),
		cmocka_unit_test(a_list_may_be_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
