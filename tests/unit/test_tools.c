// SPDX-License-Identifier: GPL-2.0-or-later
/* What the programs have around the logic: parsing, lists, histograms, the ring of waiters. */
#include "test.h"

#include <arpa/inet.h>
#include <unistd.h>

#include "../../master_core/gateway_list.h"
#include "../../master_core/histogram.h"
#include "../../master_core/parse.h"
#include "../../master_core/req_ring.h"

static void numbers(void **state)
{
	u64 v = 77;

	(void)state;
	assert_int_equal(gvm_parse_number("12", 1, 12, &v), 0);
	assert_int_equal(v, 12);
	assert_int_equal(gvm_parse_number("13", 1, 12, &v), -ERANGE);
	assert_int_equal(gvm_parse_number("0", 1, 12, &v), -ERANGE);
	assert_int_equal(gvm_parse_number("", 0, 12, &v), -EINVAL);
	assert_int_equal(gvm_parse_number(" 1", 0, 12, &v), -EINVAL);
	assert_int_equal(gvm_parse_number("-1", 0, 12, &v), -EINVAL);
	assert_int_equal(gvm_parse_number("1x", 0, 12, &v), -EINVAL);
	assert_int_equal(gvm_parse_number("99999999999999999999", 0, ~0ULL, &v), -ERANGE);
	assert_int_equal(v, 12);
}

static void sizes(void **state)
{
	u64 v;

	(void)state;
	assert_int_equal(gvm_parse_size("4096", &v), 0);
	assert_int_equal(v, 4096);
	assert_int_equal(gvm_parse_size("768M", &v), 0);
	assert_int_equal(v, 768ULL << 20);
	assert_int_equal(gvm_parse_size("2g", &v), 0);
	assert_int_equal(v, 2ULL << 30);
	assert_int_equal(gvm_parse_size("16777216T", &v), -ERANGE);
	assert_int_equal(gvm_parse_size("1MB", &v), -EINVAL);
	assert_int_equal(gvm_parse_size("M", &v), -EINVAL);
}

static void endpoints(void **state)
{
	u32 ip;
	u16 port;

	(void)state;
	assert_int_equal(gvm_parse_endpoint("127.0.0.1:9000", &ip, &port), 0);
	assert_int_equal(ip, htonl(0x7f000001));
	assert_int_equal(port, htons(9000));
	assert_true(gvm_ip_is_loopback(ip));
	assert_false(gvm_ip_is_loopback(htonl(0x0a000001)));
	assert_int_not_equal(gvm_parse_endpoint("127.0.0.1", &ip, &port), 0);
	assert_int_not_equal(gvm_parse_endpoint("127.0.0.1:0", &ip, &port), 0);
	assert_int_not_equal(gvm_parse_endpoint("127.0.0.1:65536", &ip, &port), 0);
	assert_int_not_equal(gvm_parse_endpoint("1.2.3:80", &ip, &port), 0);
	assert_int_not_equal(gvm_parse_endpoint("1234567890123456789.2.3.4:80", &ip, &port), 0);
}

static int parse_list(struct gvm_gateway_list *list, const char *text, char *error)
{
	return gvm_gateway_list_parse(list, text, strlen(text), "list.txt", 512, error);
}

static void good_list(void **state)
{
	struct gvm_gateway_list list = {0};
	char error[GVM_LIST_ERROR_MAX];

	(void)state;
	assert_int_equal(parse_list(&list,
				    "# gateways\n\n 7\t10.0.0.7 9000 # rack 7\r\n0 127.0.0.1 9001",
				    error),
			 0);
	assert_int_equal(list.count, 2);
	assert_int_equal(list.entries[0].id, 0);
	assert_int_equal(list.entries[1].ip, htonl(0x0a000007));
	assert_int_equal(gvm_gateway_list_find(&list, 7)->port, htons(9000));
	assert_null(gvm_gateway_list_find(&list, 8));
	gvm_gateway_list_free(&list);
	assert_null(gvm_gateway_list_find(&list, 7));
}

/* A malformed line is reported with its number and changes nothing. */
static void bad_lists(void **state)
{
	static const struct {
		const char *text, *where;
	} bad[] = {{"1 127.0.0.1 9000\n2 127.0.0.1\n", "list.txt:2:"},
		   {"1 127.0.0.1 9000 x\n", "list.txt:1:"},
		   {"\n\n512 127.0.0.1 9000\n", "list.txt:3:"},
		   {"-1 127.0.0.1 9000\n", "list.txt:1:"},
		   {"1 127.0.0.256 9000\n", "list.txt:1:"},
		   {"1 0.0.0.0 9000\n", "list.txt:1:"},
		   {"1 255.255.255.255 9000\n", "list.txt:1:"},
		   {"1 127.0.0.1 0\n", "list.txt:1:"},
		   {"1 127.0.0.1 65536\n", "list.txt:1:"},
		   {"2 127.0.0.1 1\n1 127.0.0.1 1\n2 127.0.0.1 2\n", "list.txt:3:"},
		   {"# nothing\n", "list.txt:"},
		   {"", "list.txt:"}};
	struct gvm_gateway_list list = {0};
	char error[GVM_LIST_ERROR_MAX];
	size_t i;

	(void)state;
	assert_int_equal(parse_list(&list, "3 127.0.0.1 9000\n", error), 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		error[0] = '\0';
		assert_int_equal(parse_list(&list, bad[i].text, error), -EINVAL);
		if (strncmp(error, bad[i].where, strlen(bad[i].where)))
			fail_msg("'%s' does not begin with %s", error, bad[i].where);
		assert_int_equal(list.count, 1);
		assert_int_equal(list.entries[0].id, 3);
	}
	assert_int_equal(gvm_gateway_list_load(&list, "/no/such/file", 512, error), -ENOENT);
	assert_non_null(strstr(error, "/no/such/file"));
	assert_int_equal(list.count, 1);
	gvm_gateway_list_free(&list);
}

static void percentiles(void **state)
{
	static struct gvm_histogram h;
	u64 v, p;

	(void)state;
	assert_int_equal(gvm_histogram_percentile(&h, 500), 0);
	for (v = 1; v <= 100000; v++)
		gvm_histogram_add(&h, v);
	p = gvm_histogram_percentile(&h, 500);
	assert_in_range(p, 46500, 53500);
	p = gvm_histogram_percentile(&h, 990);
	assert_in_range(p, 92000, 106000);
	for (v = 0; v < 64; v++)
		gvm_histogram_add(&h, 1ULL << v);
	assert_int_equal(h.total, 100064);
}

static struct gvm_req_ring *ring;
static u64 waiting;

static void *complete_soon(void *arg)
{
	(void)arg;
	usleep(2000);
	gvm_req_ring_complete(ring, waiting, 1);
	return NULL;
}

static void ring_of_waiters(void **state)
{
	const u32 slots = 1U << GVM_REQ_SLOTS_SHIFT;
	u64 *ids = calloc(slots, sizeof(*ids));
	pthread_t thread;
	u32 i;

	(void)state;
	assert_non_null(ids);
	ring = gvm_req_ring_create();
	assert_non_null(ring);
	for (i = 0; i < slots; i++) {
		ids[i] = gvm_req_ring_alloc(ring, NULL);
		assert_true(ids[i] != GVM_REQ_NONE);
	}
	assert_true(gvm_req_ring_alloc(ring, NULL) == GVM_REQ_NONE);
	gvm_req_ring_free(ring, ids[5]);
	waiting = gvm_req_ring_alloc(ring, NULL);
	assert_true(waiting != GVM_REQ_NONE && waiting != ids[5]);
	/* A late answer to the former owner of the slot. */
	gvm_req_ring_complete(ring, ids[5], -EIO);
	assert_int_equal(gvm_req_ring_status(ring, waiting), 0);
	gvm_req_ring_wait(ring, waiting, 1000);
	assert_int_equal(gvm_req_ring_status(ring, waiting), 0);
	assert_int_equal(pthread_create(&thread, NULL, complete_soon, NULL), 0);
	while (!gvm_req_ring_status(ring, waiting))
		gvm_req_ring_wait(ring, waiting, 10000000);
	assert_int_equal(gvm_req_ring_status(ring, waiting), 1);
	pthread_join(thread, NULL);
	gvm_req_ring_destroy(ring);
	free(ids);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),	   cmocka_unit_test(sizes),
		cmocka_unit_test(endpoints),	   cmocka_unit_test(good_list),
		cmocka_unit_test(bad_lists),	   cmocka_unit_test(percentiles),
		cmocka_unit_test(ring_of_waiters),
	};

	return cmocka_run_group_tests_name("tools", tests, NULL, NULL);
}
