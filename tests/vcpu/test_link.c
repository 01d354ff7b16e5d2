// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A vCPU and its master over a network that loses, doubles and reorders, in virtual
 * time: every access is executed once and gets its own answer, posted writes and
 * commands keep their order, and every interrupt that the APIC takes in is delivered
 * once and by priority. A failing seed replays exactly.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../master_core/vcpu_exit.h"

#define NEVER	   ((u64)-1)
#define IN_FLIGHT  128
#define EOI	   0xfee000b0
#define DOORBELL   0xfe000000
#define OBJECT_LEN 3526

struct message {
	u64 at; /* 0: free */
	bool to_master;
	size_t len;
	u8 bytes[GVM_LINK_FRAME_MAX];
};

struct world {
	u64 now, random;
	unsigned int loss, doubled; /* of 1000 */
	u64 delay_most;
	u64 cut_from, cut_until;
	bool master_dead;
	struct message net[IN_FLIGHT];
	unsigned int failures;

	struct gvm_exit_caller caller;
	unsigned int actions, actions_left;
	u64 act_at;
	u32 reads, posted, nmis, commands_seen;
	int offered;
	u8 service[300];
	unsigned int depth, taken;
	u8 object[OBJECT_LEN];
	u32 object_len;
	unsigned int caller_lost;
	u64 lost_at;

	struct gvm_exit_server server;
	u32 device_reads, device_posted;
	u64 answer_at, answer_seq;
	struct gvm_record answer_of;
	unsigned int slow;
	u64 slow_us;
	u8 irr[32], isr[32];
	int last_offer;
	u64 raise_at;
	unsigned int raises_left, raised, nmis_sent, pieces_sent;
	unsigned int server_lost;
};

static u64 rnd(struct world *w, u64 below)
{
	u64 z = w->random += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return (z ^ (z >> 31)) % below;
}

static void complain(struct world *w, const char *what)
{
	if (w->failures++ < 5)
		print_error("at %llu us: %s\n", (unsigned long long)w->now, what);
}

#define REQUIRE(w, x)                                                                              \
	do {                                                                                       \
		if (!(x))                                                                          \
			complain(w, #x);                                                           \
	} while (0)

static void net_put(struct world *w, bool to_master, const u8 *frame, size_t len)
{
	unsigned int i;

	for (i = 0; i < IN_FLIGHT && w->net[i].at; i++)
		;
	if (i == IN_FLIGHT)
		return; /* one more that is lost */
	w->net[i].at = w->now + 20 + rnd(w, w->delay_most);
	w->net[i].to_master = to_master;
	w->net[i].len = len;
	memcpy(w->net[i].bytes, frame, len);
}

static void net_send(struct world *w, bool to_master, const u8 *frame, size_t len)
{
	REQUIRE(w, len <= GVM_LINK_FRAME_MAX);
	if (rnd(w, 1000) < w->loss || (w->now >= w->cut_from && w->now < w->cut_until))
		return;
	net_put(w, to_master, frame, len);
	if (rnd(w, 1000) < w->doubled)
		net_put(w, to_master, frame, len);
}

/* The executor's side. */

static void caller_send(void *ctx, const u8 *frame, size_t len)
{
	net_send(ctx, true, frame, len);
}

static void caller_answered(void *ctx, s32 status, const u8 *data, u32 len)
{
	struct world *w = ctx;

	REQUIRE(w, status == 0);
	if (len) {
		w->reads++;
		REQUIRE(w, len == 4 && gvm_get_le32(data) == w->reads);
	}
	w->act_at = w->now + rnd(w, 300);
}

static void caller_irq(void *ctx, int vector)
{
	struct world *w = ctx;

	w->offered = vector;
}

static void caller_command(void *ctx, u64 seq, const struct gvm_record *r)
{
	struct world *w = ctx;

	(void)seq;
	w->commands_seen++;
	if (r->type == GVM_REC_NMI) {
		w->nmis++;
	} else if (r->type == GVM_REC_PIECE) {
		REQUIRE(w, r->offset == w->object_len && r->count == OBJECT_LEN);
		memcpy(w->object + r->offset, r->data, r->len);
		w->object_len = (w->object_len + r->len) % OBJECT_LEN;
	}
}

static void caller_gone(void *ctx)
{
	struct world *w = ctx;

	w->caller_lost++;
	w->lost_at = w->now;
}

static const struct gvm_exit_caller_ops caller_ops = {caller_send, caller_answered, caller_irq,
						      caller_command, caller_gone};

static bool send_record(struct world *w, const struct gvm_record *r)
{
	int err = gvm_exit_send(&w->caller, r, w->now);

	REQUIRE(w, err == 0 || err == -EAGAIN);
	return err == 0;
}

static bool send_posted(struct world *w, u64 address, u32 value)
{
	u8 data[4];
	struct gvm_record r = {.type = GVM_REC_MMIO,
			       .flags = GVM_ACCESS_WRITE | GVM_ACCESS_POSTED,
			       .count = 4,
			       .address = address,
			       .data = data,
			       .len = 4};

	gvm_put_le32(data, value);
	return send_record(w, &r);
}

/* The guest takes what is offered unless a vector of its class or above is in service. */
static bool take_interrupt(struct world *w)
{
	struct gvm_record r = {.type = GVM_REC_TAKEN, .vector = w->offered};

	if (w->offered < 0 || !send_record(w, &r))
		return false;
	REQUIRE(w, !w->depth || w->service[w->depth - 1] >> 4 < w->offered >> 4);
	w->service[w->depth++ % sizeof(w->service)] = w->offered;
	w->offered = -1;
	w->taken++;
	return true;
}

static void access_device(struct world *w)
{
	struct gvm_record r = {.type = GVM_REC_PIO, .size = 4, .count = 1, .address = 0x500};
	u8 byte = 0x55;

	if (rnd(w, 4) == 0)
		r = (struct gvm_record){.type = GVM_REC_PIO,
					.flags = GVM_ACCESS_WRITE,
					.size = 1,
					.count = 1,
					.address = 0x3f8,
					.data = &byte,
					.len = 1};
	if (send_record(w, &r)) {
		w->actions_left--;
		w->act_at = NEVER; /* till the answer */
	}
}

static void executor_acts(struct world *w)
{
	u64 what = rnd(w, 10);

	w->act_at = w->now + 5 + rnd(w, 200);
	if (take_interrupt(w))
		return;
	if (w->depth && (what < 4 || !w->actions_left)) {
		if (send_posted(w, EOI, 0))
			w->depth--;
	} else if (!w->actions_left) {
		return;
	} else if (what < 7) {
		if (send_posted(w, DOORBELL, w->posted)) {
			w->posted++;
			w->actions_left--;
		}
	} else {
		access_device(w);
	}
}

/* The master's side. */

static int highest(const u8 *bits)
{
	int v = 255;

	while (v >= 0 && !(bits[v / 8] >> v % 8 & 1))
		v--;
	return v;
}

static void offer(struct world *w, bool always)
{
	int next = highest(w->irr), now = highest(w->isr);
	int vector = next >= 0 && next >> 4 > now >> 4 ? next : -1;

	if (vector == w->last_offer && !always)
		return;
	if (!gvm_exit_offer(&w->server, vector, w->now))
		w->last_offer = vector;
}

static void server_send(void *ctx, const u8 *frame, size_t len)
{
	net_send(ctx, false, frame, len);
}

static void posted_write(struct world *w, u64 seq, const struct gvm_record *r)
{
	int v;

	if (r->address == EOI) {
		v = highest(w->isr);
		REQUIRE(w, v >= 0);
		w->isr[v / 8] &= ~(1 << v % 8);
	} else {
		REQUIRE(w, r->address == DOORBELL && gvm_get_le32(r->data) == w->device_posted);
		w->device_posted++;
	}
	gvm_exit_served(&w->server, seq);
	offer(w, false);
}

static void server_exit(void *ctx, u64 seq, const struct gvm_record *r)
{
	struct world *w = ctx;
	u8 v = r->vector;

	if (r->type == GVM_REC_TAKEN) {
		REQUIRE(w, w->irr[v / 8] >> v % 8 & 1);
		w->irr[v / 8] &= ~(1 << v % 8);
		w->isr[v / 8] |= 1 << v % 8;
		gvm_exit_served(&w->server, seq);
		offer(w, true);
	} else if (r->flags & GVM_ACCESS_POSTED) {
		posted_write(w, seq, r);
	} else {
		REQUIRE(w, w->answer_at == NEVER);
		w->answer_seq = seq;
		w->answer_of = *r;
		w->answer_at = w->now + 5 + rnd(w, 100);
		if (w->slow && rnd(w, 50) == 0) {
			w->slow--;
			w->answer_at += w->slow_us;
		}
	}
}

static void server_gone(void *ctx)
{
	struct world *w = ctx;

	w->server_lost++;
}

static const struct gvm_exit_server_ops server_ops = {server_send, server_exit, server_gone};

static void answer(struct world *w)
{
	u8 data[4];
	u32 len = gvm_record_answer_len(&w->answer_of);

	if (len)
		gvm_put_le32(data, ++w->device_reads);
	REQUIRE(w, gvm_exit_answer(&w->server, w->answer_seq, 0, data, len, w->now) == 0);
	w->answer_at = NEVER;
}

static void send_object(struct world *w)
{
	static u8 object[OBJECT_LEN];
	u32 at = 0;

	while (at < OBJECT_LEN) {
		struct gvm_record r = {.type = GVM_REC_PIECE,
				       .object = GVM_OBJECT_STATE,
				       .count = OBJECT_LEN,
				       .offset = at,
				       .data = object + at,
				       .len = min_t(u32, GVM_PIECE_MAX, OBJECT_LEN - at)};

		if (gvm_exit_command(&w->server, &r, NULL, w->now)) {
			REQUIRE(w, at == 0);
			return;
		}
		at += r.len;
		w->pieces_sent++;
	}
}

static void raise(struct world *w)
{
	u8 v = 0x30 + rnd(w, 0xc0);
	struct gvm_record nmi = {.type = GVM_REC_NMI};

	w->raises_left--;
	w->raise_at = w->raises_left ? w->now + rnd(w, 3000) : NEVER;
	if (!(w->irr[v / 8] >> v % 8 & 1)) {
		w->irr[v / 8] |= 1 << v % 8;
		w->raised++;
	}
	offer(w, false);
	if (rnd(w, 8) == 0 && !gvm_exit_command(&w->server, &nmi, NULL, w->now))
		w->nmis_sent++;
	if (rnd(w, 16) == 0 && w->server.link.out_len < 2048)
		send_object(w);
}

/* The world. */

static u64 earliest(struct world *w, u64 caller_tick, u64 server_tick)
{
	u64 t = min_t(u64, caller_tick, server_tick);
	unsigned int i;

	t = min_t(u64, t, w->act_at);
	t = min_t(u64, t, w->answer_at);
	t = min_t(u64, t, w->raise_at);
	for (i = 0; i < IN_FLIGHT; i++)
		if (w->net[i].at)
			t = min_t(u64, t, w->net[i].at);
	return t;
}

static void arrive(struct world *w)
{
	unsigned int i;

	for (i = 0; i < IN_FLIGHT; i++) {
		struct message copy, *m = &copy;

		if (!w->net[i].at || w->net[i].at > w->now)
			continue;
		copy = w->net[i];
		w->net[i].at = 0; /* what is sent meanwhile may take its place */
		if (!m->to_master)
			REQUIRE(w, !gvm_exit_caller_rx(&w->caller, m->bytes, m->len, w->now));
		else if (!w->master_dead)
			REQUIRE(w, !gvm_exit_server_rx(&w->server, m->bytes, m->len, w->now));
	}
}

static bool quiet(const struct world *w)
{
	return !w->actions_left && !w->raises_left && w->offered < 0 && !w->depth &&
	       !w->caller.open && !w->caller.link.out_len && !w->server.link.out_len &&
	       highest(w->irr) < 0 && highest(w->isr) < 0;
}

static void run(struct world *w, u64 until)
{
	u64 caller_tick, server_tick;

	while (w->now < until && !quiet(w) && !w->caller_lost && w->failures < 5) {
		caller_tick = gvm_exit_caller_tick(&w->caller, w->now);
		server_tick = w->master_dead ? NEVER : gvm_exit_server_tick(&w->server, w->now);
		w->now = max_t(u64, w->now, earliest(w, caller_tick, server_tick));
		if (w->now == NEVER)
			break;
		arrive(w);
		if (w->act_at <= w->now)
			executor_acts(w);
		if (w->answer_at <= w->now)
			answer(w);
		if (w->raise_at <= w->now)
			raise(w);
	}
}

static void world_open(struct world *w, u64 seed)
{
	memset(w, 0, sizeof(*w));
	w->random = seed;
	w->now = 1000;
	w->delay_most = 1 + rnd(w, 2000);
	w->offered = w->last_offer = -1;
	w->answer_at = w->raise_at = NEVER;
	w->act_at = w->now;
	gvm_exit_caller_init(&w->caller, 5, 7, &caller_ops, w);
	gvm_exit_server_init(&w->server, 5, 7, &server_ops, w);
}

static unsigned int seeds(void)
{
	return getenv("GVM_SLOW") ? 20000 : 500;
}

static void storms(void **state)
{
	struct world *w = malloc(sizeof(*w));
	u64 seed, frames = 0, again = 0, taken = 0;

	(void)state;
	assert_non_null(w);
	for (seed = 1; seed <= seeds(); seed++) {
		world_open(w, seed);
		w->loss = seed % 4 * 100;
		w->doubled = seed % 3 * 150;
		w->actions_left = 300;
		w->raises_left = 60;
		w->raise_at = w->now;
		w->slow = seed % 7 == 0 ? 2 : 0;
		w->slow_us = 30000000;
		if (seed % 5 == 0) {
			w->cut_from = 20000;
			w->cut_until = 2020000;
		}
		run(w, 600000000);
		REQUIRE(w, quiet(w));
		REQUIRE(w, w->reads == w->device_reads && w->posted == w->device_posted);
		REQUIRE(w, w->taken == w->raised && w->nmis == w->nmis_sent);
		REQUIRE(w, w->commands_seen == w->nmis_sent + w->pieces_sent);
		REQUIRE(w, !w->caller_lost && !w->server_lost);
		REQUIRE(w, !w->caller.rx_refused && !w->server.rx_refused);
		if (w->failures)
			fail_msg("seed %llu", (unsigned long long)seed);
		frames += w->caller.link.stats.tx_frames;
		again += w->caller.link.stats.retransmits;
		taken += w->taken;
	}
	print_message("%u seeds, %llu frames of the executor, %llu sent again, %llu interrupts\n",
		      seeds(), (unsigned long long)frames, (unsigned long long)again,
		      (unsigned long long)taken);
	assert_true(again > 0 && taken > 0);
	free(w);
}

/* Without loss nothing is sent twice, and an exchange is two frames. */
static void calm(void **state)
{
	struct world *w = malloc(sizeof(*w));

	(void)state;
	assert_non_null(w);
	world_open(w, 42);
	w->delay_most = 30;
	w->actions_left = 2000;
	run(w, 600000000);
	assert_true(quiet(w));
	assert_int_equal(w->caller.link.stats.retransmits + w->caller.link.stats.probes, 0);
	assert_int_equal(w->server.link.stats.retransmits, 0);
	print_message("%llu and %llu frames for 2000 actions\n",
		      (unsigned long long)w->caller.link.stats.tx_frames,
		      (unsigned long long)w->server.link.stats.tx_frames);
	assert_true(w->caller.link.stats.tx_frames < 4000);
	free(w);
}

/* A device that takes 100 s is waited for, with a probe now and then; a dead master is not. */
static void slow_and_dead(void **state)
{
	struct world *w = malloc(sizeof(*w));
	u64 since;

	(void)state;
	assert_non_null(w);
	world_open(w, 1);
	w->slow = 1000;
	w->slow_us = 100000000;
	w->actions_left = 200;
	run(w, NEVER);
	assert_true(quiet(w) && !w->caller_lost);
	assert_true(w->now > 100000000);
	assert_true(w->caller.link.stats.probes > 900);
	world_open(w, 2);
	w->actions_left = 1000;
	run(w, 10000);
	w->master_dead = true;
	since = w->now;
	run(w, NEVER);
	assert_int_equal(w->caller_lost, 1);
	print_message("a dead master is noticed after %llu ms\n",
		      (unsigned long long)(w->lost_at - since) / 1000);
	assert_true(w->lost_at - since > 2500000 && w->lost_at - since < 8000000);
	assert_int_equal(
		gvm_exit_send(&w->caller, &(struct gvm_record){.type = GVM_REC_HALTED}, w->now),
		-EPIPE);
	free(w);
}

static void refusals(void **state)
{
	struct world *w = malloc(sizeof(*w));
	struct gvm_record halted = {.type = GVM_REC_HALTED}, back;
	struct message *m;
	u8 buf[GVM_RECORD_MAX];

	(void)state;
	assert_non_null(w);
	world_open(w, 3);
	w->act_at = NEVER;
	assert_int_equal(gvm_exit_send(&w->caller, &halted, w->now), 0);
	m = &w->net[0];
	m->bytes[0]++;
	assert_int_equal(gvm_exit_server_rx(&w->server, m->bytes, m->len, w->now), -ESTALE);
	m->bytes[0]--;
	m->bytes[4]++;
	assert_int_equal(gvm_exit_server_rx(&w->server, m->bytes, m->len, w->now), -ESTALE);
	m->bytes[4]--;
	m->bytes[16] = 1; /* an acknowledgement of what was never sent */
	assert_int_equal(gvm_exit_server_rx(&w->server, m->bytes, m->len, w->now), -EBADMSG);
	m->bytes[16] = 0;
	assert_int_equal(gvm_exit_server_rx(&w->server, m->bytes, m->len - 1, w->now), -EBADMSG);
	assert_int_equal(w->server.link.received, 0);
	assert_int_equal(gvm_exit_server_rx(&w->server, m->bytes, m->len, w->now), 0);
	assert_int_equal(w->server.link.received, 1);
	/* What only a master says, said by an executor. */
	assert_int_equal(gvm_exit_send(&w->caller, &(struct gvm_record){.type = GVM_REC_NMI}, 1),
			 -EINVAL);
	assert_int_equal(gvm_exit_answer(&w->server, 1, 0, NULL, 0, w->now), -EINVAL);
	back = (struct gvm_record){.type = GVM_REC_MMIO, .count = 9};
	assert_int_equal(gvm_record_encode(buf, &back), -EINVAL);
	back = (struct gvm_record){.type = GVM_REC_PIO, .size = 3, .count = 1};
	assert_int_equal(gvm_record_encode(buf, &back), -EINVAL);
	back = (struct gvm_record){
		.type = GVM_REC_PIO, .flags = GVM_ACCESS_POSTED, .size = 1, .count = 1};
	assert_int_equal(gvm_record_encode(buf, &back), -EINVAL);
	assert_int_equal(gvm_record_decode(&back, GVM_REC_IRQ, buf, 9), -EBADMSG);
	assert_int_equal(gvm_record_decode(&back, 99, buf, 0), -EBADMSG);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calm),
		cmocka_unit_test(storms),
		cmocka_unit_test(slow_and_dead),
		cmocka_unit_test(refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
