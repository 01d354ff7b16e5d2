// SPDX-License-Identifier: GPL-2.0-or-later
/* The batched UDP layer with a kernel that refuses to send or has no room. */
#define _GNU_SOURCE 1
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "net_pair.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gso_refused_by_device),
		cmocka_unit_test(gso_refused_by_path),
		cmocka_unit_test(the_real_kernel_refuses_gso),
		cmocka_unit_test(full_buffer_is_tried_again),
		cmocka_unit_test(queue_is_bounded),
		cmocka_unit_test(kernel_takes_one_at_a_time),
		cmocka_unit_test(room_ends_within_a_send),
		cmocka_unit_test(refused_packets_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
