// SPDX-License-Identifier: GPL-2.0-or-later
/* Requests: schedule, generations, the ring, the window. */
#include "../../master_core/rpc.h"
#include "world.h"

#define NOBODY	    (GVM_MAX_SLAVES - 1)
#define TIMER_SLACK 300 /* a wheel bucket, and a timer that is late */

static u32 answered, failed;

static void count(struct gvm_node *n, struct gvm_req *q, int status)
{
	(void)n, (void)q;
	if (status)
		failed++;
	else
		answered++;
}

/* A PING, which any node answers. */
static u64 ping(struct sim_host *h, u32 target, bool windowed)
{
	static u8 body[GVM_REGISTER_BODY];
	struct gvm_req_params p = {.target = target,
				   .type = MSG_PING,
				   .body = body,
				   .body_len = sizeof(body),
				   .windowed = windowed,
				   .done = count};

	return gvm_req_start(h->node, &p);
}

static struct world *start(void)
{
	struct sim_config cfg = world_config(1, 1);
	struct world *w = world_create(&cfg);

	answered = failed = 0;
	return w;
}

static void blocking_call(void **state)
{
	struct world *w = start();
	struct sim_host *a = world_agent(w, 0), *home = world_home(w, 0);
	struct gvm_vm_body b = {0};
	u8 body[GVM_VM_BODY] = {0}, reply[8], guard[8] = {0};

	(void)state;
	assert_true(world_write(a, 1));
	assert_int_equal(world_vm_call(a, home, MSG_VM_STAT, &b), 0);
	assert_int_equal(b.touched_pages, 1);
	/* A buffer that is smaller than the answer gets what fits. */
	assert_int_equal(gvm_rpc_call(a->node, home->cfg.id, MSG_VM_STAT, 1, 2, body, sizeof(body),
				      reply, 4),
			 4);
	assert_memory_equal(reply + 4, guard, 0);
	assert_int_equal(gvm_rpc_call(a->node, home->cfg.id, MSG_VM_STAT, 1, 2, body,
				      GVM_VM_BODY + 1, reply, 4),
			 -EINVAL);
	world_destroy(w);
}

/* 50 tries; the first repetition after 2 ms at most; doubling; never 100 ms apart; then -EIO. */
static void schedule(void **state)
{
	struct world *w = start();
	struct traffic *t = &w->traffic;
	u8 body[GVM_VM_BODY] = {0};
	u64 began = w->sim.now, gap, before = 0;
	u32 i;

	(void)state;
	t->watch_type = MSG_VM_STAT;
	assert_int_equal(gvm_rpc_call(world_agent(w, 0)->node, NOBODY, MSG_VM_STAT, 1, 1, body,
				      sizeof(body), body, sizeof(body)),
			 -EIO);
	assert_int_equal(t->nwatched, GVM_RPC_TRIES);
	for (i = 1; i < t->nwatched; i++) {
		gap = t->times[i] - t->times[i - 1];
		assert_in_range(gap, i == 1 ? 0 : before * 3 / 2 - TIMER_SLACK,
				GVM_RTO_MAX_US + TIMER_SLACK);
		if (i == 1)
			assert_in_range(gap, GVM_RTO_MIN_US - TIMER_SLACK,
					GVM_RTO_FIRST_US + TIMER_SLACK);
		before = min_t(u64, gap, 60000);
	}
	assert_in_range(w->sim.now - began, 2000000, GVM_RPC_TRIES * 100000ULL);
	assert_int_equal(world_stats(world_agent(w, 0)).rpc_failures, 1);
	world_destroy(w);
}

/* After a few answers the first repetition follows the round trip, not the default. */
static void measured_round_trip(void **state)
{
	struct world *w = start();
	struct traffic *t = &w->traffic;
	u32 home = world_home(w, 0)->cfg.id, i;

	(void)state;
	for (i = 0; i < 20; i++) {
		assert_true(ping(world_agent(w, 0), home, false));
		world_run(w, 100);
	}
	assert_int_equal(answered, 20);
	t->drop_to = home;
	t->watch_type = MSG_PING;
	assert_true(ping(world_agent(w, 0), home, false));
	world_run(w, 100000);
	assert_in_range(t->times[1] - t->times[0], GVM_RTO_MIN_US - TIMER_SLACK,
			GVM_RTO_MIN_US + TIMER_SLACK);
	t->drop_to = GVM_NO_NODE;
	world_run(w, 200000);
	assert_int_equal(answered, 21);
	world_destroy(w);
}

/* A reply to an id that was given out again is counted and dropped, as is another's. */
static void stale_replies(void **state)
{
	struct world *w = start();
	struct sim_host *a = world_agent(w, 0);
	u8 body[GVM_REGISTER_BODY] = {0}, datagram[GVM_HEADER_SIZE + GVM_REGISTER_BODY];
	struct gvm_header h = {.magic = GVM_MAGIC,
			       .version = GVM_VERSION,
			       .msg_type = MSG_PING,
			       .flags = GVM_FLAG_RESP,
			       .slave_id = a->cfg.id,
			       .src_id = NOBODY};
	u64 id = ping(a, NOBODY, false), seen;
	size_t seg, len;

	(void)state;
	assert_true(id);
	h.req_id = id + (1U << GVM_REQ_SLOTS_SHIFT); /* the slot's next generation */
	len = gvm_wire_build(datagram, &h, body, sizeof(body), NULL, 0, &seg);
	seen = world_stats(a).rx_stale_reply;
	gvm_node_rx(a->node, datagram, len);
	h.req_id = id;
	h.src_id = NOBODY - 1;
	len = gvm_wire_build(datagram, &h, body, sizeof(body), NULL, 0, &seg);
	gvm_node_rx(a->node, datagram, len);
	assert_int_equal(answered, 0);
	assert_int_equal(world_stats(a).rx_stale_reply, seen + 2);
	h.src_id = NOBODY;
	len = gvm_wire_build(datagram, &h, body, sizeof(body), NULL, 0, &seg);
	gvm_node_rx(a->node, datagram, len);
	assert_int_equal(answered, 1);
	gvm_node_rx(a->node, datagram, len);
	assert_int_equal(answered, 1);
	assert_int_equal(world_stats(a).rx_stale_reply, seen + 3);
	world_destroy(w);
}

static void ring_full(void **state)
{
	const u32 slots = 1U << GVM_REQ_SLOTS_SHIFT;
	u64 *ids = calloc(slots, sizeof(*ids)), again;
	struct world *w = start();
	struct sim_host *a = world_agent(w, 0);
	u32 i;

	(void)state;
	assert_non_null(ids);
	for (i = 0; i < slots; i++) {
		ids[i] = ping(a, NOBODY, false);
		assert_true(ids[i]);
	}
	assert_int_equal(ping(a, NOBODY, false), 0);
	assert_int_equal(world_stats(a).req_ring_full, 1);
	assert_int_equal(world_vm_call(a, world_home(w, 0), MSG_VM_STAT, &(struct gvm_vm_body){0}),
			 -EBUSY);
	gvm_req_cancel(a->node, ids[17]);
	gvm_req_cancel(a->node, ids[17]);
	again = ping(a, NOBODY, false);
	assert_true(again);
	assert_int_equal(again & (slots - 1), ids[17] & (slots - 1));
	assert_int_not_equal(again, ids[17]);
	assert_int_equal(ping(a, NOBODY, false), 0);
	world_run(w, 10000000);
	assert_int_equal(failed, slots);
	assert_int_equal(answered, 0);
	assert_true(ping(a, world_home(w, 0)->cfg.id, false));
	world_run(w, 1000);
	assert_int_equal(answered, 1);
	free(ids);
	world_destroy(w);
}

/* What is in flight to one peer is bounded; loss narrows it, answers open it again. */
static void window(void **state)
{
	struct world *w = start();
	struct sim_host *a = world_agent(w, 0);
	u32 home = world_home(w, 0)->cfg.id, i;

	(void)state;
	w->traffic.drop_to = home;
	for (i = 0; i < 600; i++)
		assert_true(ping(a, home, true));
	assert_int_equal(w->traffic.messages[MSG_PING], GVM_WINDOW_START);
	world_run(w, 400000);
	w->traffic.drop_to = GVM_NO_NODE;
	world_run(w, 3000000);
	assert_int_equal(answered, 600);
	/* After so much loss it is narrow: a burst goes out in small parts. */
	world_forget_traffic(w);
	for (i = 0; i < 600; i++)
		assert_true(ping(a, home, true));
	assert_in_range(w->traffic.messages[MSG_PING], GVM_WINDOW_MIN, GVM_WINDOW_MAX);
	world_run(w, 3000000);
	assert_int_equal(answered, 1200);
	for (i = 0; i < 20000; i++) {
		assert_true(ping(a, home, true));
		if (i % 512 == 511)
			world_run(w, 2000);
	}
	world_run(w, 1000000);
	assert_int_equal(answered, 21200);
	world_forget_traffic(w);
	for (i = 0; i < 600; i++)
		assert_true(ping(a, home, true));
	assert_in_range(w->traffic.messages[MSG_PING], GVM_WINDOW_START, GVM_WINDOW_MAX);
	world_run(w, 1000000);
	assert_int_equal(failed, 0);
	world_destroy(w);
}

/* One peer that is silent does not hold up requests to another. */
static void peers_are_independent(void **state)
{
	struct world *w = start();
	struct sim_host *a = world_agent(w, 0);
	u32 i;

	(void)state;
	for (i = 0; i < 500; i++)
		assert_true(ping(a, NOBODY, true));
	assert_true(ping(a, world_home(w, 0)->cfg.id, true));
	world_run(w, 100);
	assert_int_equal(answered, 1);
	world_destroy(w);
}

/* Datagrams that are not ours, not whole, or of another time are counted, each as what it is. */
static void strange_datagrams(void **state)
{
	struct world *w = start();
	struct sim_host *a = world_agent(w, 0);
	struct gvm_header h = {.magic = GVM_MAGIC,
			       .version = GVM_VERSION,
			       .msg_type = MSG_VCPU_EXIT,
			       .slave_id = a->cfg.id,
			       .src_id = 1};
	struct gvm_node_stats before = world_stats(a), after;
	u8 d[GVM_HEADER_SIZE + 8];
	size_t seg, len;

	(void)state;
	len = gvm_wire_build(d, &h, d, 0, NULL, 0, &seg);
	gvm_node_rx(a->node, d, len);	  /* nobody handles it */
	gvm_node_rx(a->node, d, len - 1); /* truncated */
	d[6]++;
	gvm_node_rx(a->node, d, len); /* another version */
	memset(d, 0xee, sizeof(d));
	gvm_node_rx(a->node, d, sizeof(d));
	h.slave_id++;
	len = gvm_wire_build(d, &h, d, 0, NULL, 0, &seg);
	gvm_node_rx(a->node, d, len); /* for another */
	gvm_node_rx(a->node, d, 0);
	after = world_stats(a);
	assert_int_equal(after.rx_unexpected, before.rx_unexpected + 1);
	assert_int_equal(after.rx_bad, before.rx_bad + 2);
	assert_int_equal(after.rx_version, before.rx_version + 1);
	assert_int_equal(after.rx_not_mine, before.rx_not_mine + 1);
	world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocking_call),
		cmocka_unit_test(schedule),
		cmocka_unit_test(measured_round_trip),
		cmocka_unit_test(stale_replies),
		cmocka_unit_test(ring_full),
		cmocka_unit_test(window),
		cmocka_unit_test(peers_are_independent),
		cmocka_unit_test(strange_datagrams),
	};

	return cmocka_run_group_tests_name("rpc", tests, NULL, NULL);
}
