// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two agents, each with a VM of KVM's over the same RAM, and a master that has the
 * devices: guests run remotely, and move to and fro between the agents, over a
 * transport that loses and doubles 3 % of the frames.
 *
 *	test_agent [SOCKET SOCKET]
 *
 * With sockets the RAM of each agent is that of a node, coherent over the network.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../client/gvm_client.h"
#include "../../slave_daemon/vcpu_agent.h"
#include "machine.h"

#define AGENTS	2
#define RUN_US	60000000
#define VM_SIZE (16u << 20)

struct side {
	struct test *t;
	struct host h;
	struct gvm_client client;
	struct gvm_vcpu_agent *agent;
	int at_agent, at_master; /* a socket's ends */
	pthread_t reader;
	bool quit;
	u64 random;
	struct gvm_exit_server server;
	u64 done_of;
	s32 done_status;
	u32 state_len;
	u8 state[GVM_VCPU_STATE_MAX];
	bool lost;
};

struct test {
	struct side side[AGENTS];
	struct machine m;
	unsigned int current;
	bool moving, wants_move, ended;
	int status;
	unsigned int moves;
	u64 move_us, worst_move_us;
	u8 data[GVM_EXIT_DATA_MAX];
	char text[1100];
};

static char *const *sockets;

static u64 now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Loses 3 %, doubles 3 %. */
static void transmit(struct side *s, int fd, const u8 *frame, size_t len)
{
	u64 z = __atomic_add_fetch(&s->random, 0x9e3779b97f4a7c15ULL, __ATOMIC_RELAXED);
	unsigned int i, copies;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) % 100;
	copies = z < 3 ? 0 : z < 6 ? 2 : 1;
	for (i = 0; i < copies; i++)
		if (send(fd, frame, len, MSG_DONTWAIT) < 0)
			return; /* full: lost like any other */
}

static void agent_send(void *ctx, const u8 *frame, size_t len)
{
	struct side *s = ctx;

	transmit(s, s->at_agent, frame, len);
}

static void agent_wake(void *ctx)
{
	(void)ctx; /* the reader looks every millisecond */
}

static void agent_lost(void *ctx)
{
	struct side *s = ctx;

	__atomic_store_n(&s->lost, true, __ATOMIC_RELAXED);
}

static void *reader(void *arg)
{
	struct side *s = arg;
	struct pollfd fd = {.fd = s->at_agent, .events = POLLIN};
	u8 frame[GVM_LINK_FRAME_MAX];
	ssize_t n;

	while (!__atomic_load_n(&s->quit, __ATOMIC_RELAXED)) {
		poll(&fd, 1, 1);
		n = recv(s->at_agent, frame, sizeof(frame), MSG_DONTWAIT);
		if (n > 0)
			gvm_vcpu_agent_rx(s->agent, frame, n, now_us());
		gvm_vcpu_agent_tick(s->agent, now_us());
	}
	return NULL;
}

/* The master. */

static void master_send(void *ctx, const u8 *frame, size_t len)
{
	struct side *s = ctx;

	transmit(s, s->at_master, frame, len);
}

static void master_lost(void *ctx)
{
	struct side *s = ctx;

	s->lost = true;
}

static void serve_access(struct side *s, u64 seq, const struct gvm_record *r)
{
	struct test *t = s->t;
	struct gvm_exit *e = &t->m.exit;
	bool leaves;

	e->kind = r->type == GVM_REC_PIO ? GVM_EXIT_PIO : GVM_EXIT_MMIO;
	e->write = r->flags & GVM_ACCESS_WRITE;
	e->port = r->address;
	e->gpa = r->address;
	e->size = r->size;
	e->count = r->count;
	e->len = e->write ? r->len : gvm_record_answer_len(r);
	e->data = t->data;
	memcpy(t->data, r->data, r->len);
	if (r->flags & GVM_ACCESS_POSTED)
		gvm_exit_served(&s->server, seq);
	t->status = machine_serve(&t->m, &leaves);
	t->ended = leaves || t->status < 0;
	if (!(r->flags & GVM_ACCESS_POSTED))
		assert_int_equal(gvm_exit_answer(&s->server, seq, 0, t->data,
						 gvm_record_answer_len(r), now_us()),
				 0);
}

static void serve_other(struct side *s, u64 seq, const struct gvm_record *r)
{
	struct test *t = s->t;
	bool leaves;

	t->m.exit.vector = r->vector;
	t->m.exit.kind = r->type == GVM_REC_TAKEN    ? GVM_EXIT_TAKEN
			 : r->type == GVM_REC_HALTED ? GVM_EXIT_HALT
						     : GVM_EXIT_TPR;
	gvm_exit_served(&s->server, seq);
	t->status = machine_serve(&t->m, &leaves);
	t->ended = t->status < 0;
}

static void on_exit_record(void *ctx, u64 seq, const struct gvm_record *r)
{
	struct side *s = ctx;

	if (r->type == GVM_REC_PIECE) {
		assert_int_equal(r->offset, s->state_len);
		memcpy(s->state + r->offset, r->data, r->len);
		s->state_len += r->len;
	} else if (r->type == GVM_REC_DONE) {
		s->done_of = r->of;
		s->done_status = r->status;
		if (r->status)
			print_error("%.*s\n", (int)r->len, r->data);
	} else if (r->type == GVM_REC_STOPPED) {
		snprintf(s->t->text, sizeof(s->t->text), "%.*s", (int)r->len, r->data);
		s->t->status = r->status == -ECONNABORTED ? MACHINE_SHUTDOWN : MACHINE_ERROR;
		s->t->ended = true;
	} else if (r->type == GVM_REC_PIO || r->type == GVM_REC_MMIO) {
		serve_access(s, seq, r);
	} else {
		serve_other(s, seq, r);
	}
}

static const struct gvm_exit_server_ops server_ops = {master_send, on_exit_record, master_lost};

static void pump(struct test *t)
{
	struct pollfd fds[AGENTS];
	u8 frame[GVM_LINK_FRAME_MAX];
	unsigned int i;
	ssize_t n;

	for (i = 0; i < AGENTS; i++)
		fds[i] = (struct pollfd){.fd = t->side[i].at_master, .events = POLLIN};
	poll(fds, AGENTS, 1);
	for (i = 0; i < AGENTS; i++) {
		n = recv(t->side[i].at_master, frame, sizeof(frame), MSG_DONTWAIT);
		if (n > 0)
			gvm_exit_server_rx(&t->side[i].server, frame, n, now_us());
		gvm_exit_server_tick(&t->side[i].server, now_us());
		assert_false(__atomic_load_n(&t->side[i].lost, __ATOMIC_RELAXED));
	}
}

static u64 command(struct side *s, u8 type)
{
	struct gvm_record r = {.type = type};
	u64 seq;

	assert_int_equal(gvm_exit_command(&s->server, &r, &seq, now_us()), 0);
	return seq;
}

static void await_done(struct test *t, struct side *s, u64 seq)
{
	u64 until = now_us() + 10000000;

	while (s->done_of != seq) {
		assert_true(now_us() < until);
		pump(t);
	}
	assert_int_equal(s->done_status, 0);
}

static void put_state(struct test *t, struct side *to, const u8 *state, u32 len)
{
	struct gvm_record r = {.type = GVM_REC_PIECE, .object = GVM_OBJECT_STATE, .count = len};
	u64 seq = 0;

	for (; r.offset < len; r.offset += r.len) {
		r.data = state + r.offset;
		r.len = min_t(u32, len - r.offset, GVM_PIECE_MAX);
		assert_int_equal(gvm_exit_command(&to->server, &r, &seq, now_us()), 0);
	}
	await_done(t, to, seq);
}

static void offer(struct machine *m, int vector)
{
	struct test *t = (struct test *)((u8 *)m - offsetof(struct test, m));

	assert_int_equal(gvm_exit_offer(&t->side[t->current].server, vector, now_us()), 0);
}

/* Stops it here, takes its whole state, and lets it go on there. */
static void move(struct test *t)
{
	struct side *from = &t->side[t->current], *to = &t->side[!t->current];
	u64 start = now_us();

	t->wants_move = false;
	await_done(t, from, command(from, GVM_REC_STOP));
	from->state_len = 0;
	await_done(t, from, command(from, GVM_REC_GET_STATE));
	put_state(t, to, from->state, from->state_len);
	t->current = !t->current;
	machine_offer(&t->m);
	command(to, GVM_REC_RUN);
	t->moves++;
	start = now_us() - start;
	t->move_us += start;
	t->worst_move_us = start > t->worst_move_us ? start : t->worst_move_us;
}

static void start_remote(struct test *t, const char *guest)
{
	static struct gvm_vcpu_state s;
	static u8 wire[GVM_VCPU_STATE_MAX];
	struct side *first = &t->side[0];
	int len;

	assert_int_equal(machine_load(&t->m, guest), 0);
	await_done(t, first, command(first, GVM_REC_GET_STATE));
	assert_int_equal(gvm_vcpu_state_decode(&s, first->state, first->state_len), 0);
	gvm_vcpu_state_sipi(&s, 8);
	len = gvm_vcpu_state_encode(wire, sizeof(wire), &s);
	put_state(t, first, wire, len);
	command(first, GVM_REC_RUN);
}

static void run_remote(struct test *t, const char *guest)
{
	u64 until = now_us() + RUN_US;
	unsigned int i;

	start_remote(t, guest);
	while (!t->ended) {
		assert_true(now_us() < until);
		pump(t);
		if (t->wants_move && !t->ended)
			move(t);
	}
	for (i = 0; i < t->m.h->ram[0x5ff8]; i++)
		print_message("%02x ", t->m.h->ram[0x6000 + i]);
	print_message("%s: status %d, %llu frames, %llu sent again, %u moves, of %llu us, the "
		      "longest %llu\n",
		      guest, t->status,
		      (unsigned long long)(t->side[0].server.link.stats.tx_frames +
					   t->side[1].server.link.stats.tx_frames),
		      (unsigned long long)(t->side[0].server.link.stats.retransmits +
					   t->side[1].server.link.stats.retransmits),
		      t->moves, (unsigned long long)(t->moves ? t->move_us / t->moves : 0),
		      (unsigned long long)t->worst_move_us);
}

static int side_open(struct test *t, unsigned int i, int memfd)
{
	struct side *s = &t->side[i];
	struct gvm_vcpu_agent_config cfg = {
		.incarnation = 3,
		.cpu = -1,
		.send = agent_send,
		.wake = agent_wake,
		.lost = agent_lost,
		.ctx = s,
	};
	int pair[2], err;

	s->t = t;
	s->random = i + 1;
	if (sockets) {
		err = gvm_client_open(&s->client, sockets[i], VM_SIZE);
		if (err < 0)
			fprintf(stderr, "%s\n", s->client.error);
		else
			err = host_open_over(&s->h, 0, s->client.base);
	} else {
		err = host_open(&s->h, 0, memfd);
	}
	if (err || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair))
		return -1;
	s->at_agent = pair[0];
	s->at_master = pair[1];
	cfg.x = s->h.x;
	cfg.vm = s->h.vm;
	cfg.vcpu = (struct gvm_exec_vcpu_config){.cpuid = s->h.cpuid, .ncpuid = s->h.ncpuid};
	gvm_exit_server_init(&s->server, 0, 3, &server_ops, s);
	err = gvm_vcpu_agent_open(&s->agent, &cfg, s->h.error);
	if (err)
		fprintf(stderr, "%s\n", s->h.error);
	return err || pthread_create(&s->reader, NULL, reader, s);
}

static int setup(void **state)
{
	struct test *t = calloc(1, sizeof(*t));

	if (!t || side_open(t, 0, -1))
		return -1;
	if (side_open(t, 1, sockets ? -1 : dup(t->side[0].h.memfd)))
		return -1;
	memset(t->side[0].h.ram + 0x5ff8, 0, 0x1100); /* what the guest before has left */
	t->m.h = &t->side[0].h;
	t->m.offer = offer;
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct test *t = *state;
	unsigned int i;

	for (i = 0; i < AGENTS; i++) {
		struct side *s = &t->side[i];

		__atomic_store_n(&s->quit, true, __ATOMIC_RELAXED);
		pthread_join(s->reader, NULL);
		gvm_vcpu_agent_close(s->agent);
		close(s->at_agent);
		close(s->at_master);
		host_close(&s->h);
	}
	for (i = 0; i < AGENTS && sockets; i++)
		gvm_client_detach(&t->side[!i].client);
	free(t);
	return 0;
}

static void want_move(struct machine *m, u16 value)
{
	struct test *t = (struct test *)((u8 *)m - offsetof(struct test, m));

	(void)value;
	t->wants_move = true;
}

static void registers_move(void **state)
{
	struct test *t = *state;

	t->m.mark = want_move;
	run_remote(t, "arith");
	assert_int_equal(t->status, 0);
	assert_true(t->moves >= 8);
}

static void string_pio(void **state)
{
	struct test *t = *state;

	run_remote(t, "pio");
	assert_int_equal(t->status, 0);
	assert_int_equal(t->m.out_len, 1016);
}

static void mmio(void **state)
{
	struct test *t = *state;

	run_remote(t, "mmio");
	assert_int_equal(t->status, 0);
	assert_int_equal(t->m.hole_reads, 2);
}

static void raise_at(struct machine *m, u16 value)
{
	struct test *t = (struct test *)((u8 *)m - offsetof(struct test, m));

	if (value == 2) {
		machine_raise(m, 0x22);
		machine_raise(m, 0x55);
		machine_raise(m, 0x40);
	} else if (value == 3) {
		machine_raise(m, 0x41);
		machine_raise(m, 0x51);
	} else if (value == 4) {
		command(&t->side[t->current], GVM_REC_NMI);
	}
}

static void raise_and_move(struct machine *m, u16 value)
{
	raise_at(m, value);
	want_move(m, value);
}

static bool wake(struct machine *m)
{
	if (m->sleeps == 1)
		machine_raise(m, 0x31);
	return true;
}

static void interrupts(void **state)
{
	struct test *t = *state;

	t->m.mark = raise_at;
	t->m.asleep = wake;
	run_remote(t, "intr");
	assert_int_equal(t->status, 0);
	assert_int_equal(t->m.eois, 6);
}

/* What is offered, held back or being delivered moves along. */
static void interrupts_move(void **state)
{
	struct test *t = *state;

	t->m.mark = raise_and_move;
	t->m.asleep = wake;
	run_remote(t, "intr");
	assert_int_equal(t->status, 0);
	assert_int_equal(t->m.eois, 6);
	assert_true(t->moves >= 3);
}

static void triple_fault(void **state)
{
	struct test *t = *state;

	t->m.shutdown_expected = true;
	run_remote(t, "triple");
	assert_int_equal(t->status, MACHINE_SHUTDOWN);
	/* An AMD processor's KVM has reset the registers by then. */
	assert_true(strstr(t->text, "rbx 77777777") || strstr(t->text, "rip fff0"));
}

/* A master that says nothing more: the vCPU stands still, its agent can be closed. */
static void master_gone(void **state)
{
	struct test *t = *state;
	u64 start = now_us();

	start_remote(t, "mmio");
	while (!__atomic_load_n(&t->side[0].lost, __ATOMIC_RELAXED)) {
		assert_true(now_us() - start < 15000000);
		poll(NULL, 0, 1);
	}
	start = now_us() - start;
	print_message("noticed after %llu ms\n", (unsigned long long)start / 1000);
	assert_true(start > 2000000);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(registers_move),  TEST(string_pio),   TEST(mmio),	      TEST(interrupts),
		TEST(interrupts_move), TEST(triple_fault), TEST(master_gone),
	};
	char error[GVM_EXEC_ERROR_MAX];

	if (!host_usable(error)) {
		printf("ok 1 - agents # SKIP %s\n", error);
		return 0;
	}
	if (argc == 3)
		sockets = argv + 1;
	if (getenv("ONLY"))
		cmocka_set_test_filter(getenv("ONLY"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
