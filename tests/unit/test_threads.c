// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The logic under real threads: nodes with several workers each, guests whose
 * accesses race with recalls and evictions, a network in memory that loses
 * some. Every vCPU counts in words of shared pages; no count may be lost. Made
 * for ThreadSanitizer, and right without it.
 */
#include <time.h>
#include <unistd.h>

#include "test.h"

#define AGENTS	   2
#define WORKERS	   2 /* a node */
#define VCPUS	   2 /* an agent */
#define PAGES	   48
#define HOT	   3
#define BUDGET	   16
#define COUNTS	   (getenv("GVM_SLOW") ? 100000 : 10000)
#define VM	   1
#define LOSS_IN	   200 /* one datagram of so many */
#define LIMIT_SECS 120

struct datagram {
	struct datagram *next;
	size_t len;
	u8 data[GVM_DATAGRAM_MAX];
};

struct page {
	pthread_mutex_t lock;
	pthread_cond_t mapped;
	u8 bytes[GVM_PAGE_SIZE];
	bool present;
	enum gvm_prot prot, pending;
	u32 maps; /* grows with every page_map */
};

struct host {
	struct cluster *cluster;
	struct gvm_node *node;
	u32 id;
	pthread_mutex_t lock;
	pthread_cond_t arrived;
	struct datagram *head, **tail;
	u64 due;
	struct page pages[PAGES];
	u64 mapping; /* a bit a page: page_map was answered GVM_PENDING */
	pthread_t workers[WORKERS];
};

struct cluster {
	struct host hosts[1 + AGENTS];
	struct gvm_route route;
	bool stop;
	u64 lent[(PAGES + 8) * GVM_PAGE_SIZE / 8];
};

static __thread u64 chance;

static bool one_in(u32 n)
{
	if (!chance)
		chance = (u64)(uintptr_t)&chance;
	return test_random(&chance) % n == 0;
}

static u64 op_time(void *ctx)
{
	struct timespec ts;

	(void)ctx;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000 + (u64)ts.tv_nsec / 1000;
}

static void *op_alloc(void *ctx, size_t size)
{
	(void)ctx;
	return calloc(1, size);
}

static void op_free(void *ctx, void *p)
{
	(void)ctx;
	free(p);
}

static void *op_packet(void *ctx, size_t size, bool atomic)
{
	(void)ctx, (void)atomic;
	return malloc(size);
}

static void deliver(struct host *to, const u8 *data, size_t len)
{
	struct datagram *d = malloc(sizeof(*d));

	d->next = NULL;
	d->len = len;
	memcpy(d->data, data, len);
	pthread_mutex_lock(&to->lock);
	*to->tail = d;
	to->tail = &d->next;
	pthread_cond_signal(&to->arrived);
	pthread_mutex_unlock(&to->lock);
}

static int op_send(void *ctx, void *pkt, size_t len, size_t seg, u32 target)
{
	struct cluster *c = ((struct host *)ctx)->cluster;
	size_t at;
	u32 i;

	for (i = 0; i < 1 + AGENTS; i++)
		for (at = 0; c->hosts[i].id == target && at < len; at += seg)
			if (!one_in(LOSS_IN))
				deliver(&c->hosts[i], (u8 *)pkt + at, min_t(size_t, seg, len - at));
	free(pkt);
	return 0;
}

static void op_log(void *ctx, int level, const char *fmt, ...)
{
	(void)ctx, (void)level, (void)fmt;
}

static void *op_page_buffer(void *ctx, u64 page, enum gvm_prot prot)
{
	(void)prot;
	return ((struct host *)ctx)->pages[page].bytes;
}

static void map_page(struct page *p, enum gvm_prot prot)
{
	pthread_mutex_lock(&p->lock);
	p->present = true;
	p->prot = max_t(enum gvm_prot, p->prot, prot);
	p->maps++;
	pthread_cond_broadcast(&p->mapped);
	pthread_mutex_unlock(&p->lock);
}

/* A quarter of the mappings is finished later, by a worker. */
static int op_page_map(void *ctx, u64 page, enum gvm_prot prot, bool zero)
{
	struct host *h = ctx;
	struct page *p = &h->pages[page];

	if (zero && !p->present)
		memset(p->bytes, 0, GVM_PAGE_SIZE);
	if (!one_in(4)) {
		map_page(p, prot);
		return 0;
	}
	pthread_mutex_lock(&p->lock);
	p->pending = prot;
	pthread_mutex_unlock(&p->lock);
	__atomic_fetch_or(&h->mapping, 1ULL << page, __ATOMIC_RELEASE);
	return GVM_PENDING;
}

static void finish_mappings(struct host *h)
{
	u64 bits = __atomic_exchange_n(&h->mapping, 0, __ATOMIC_ACQUIRE);
	u32 page;

	for (page = 0; bits >> page; page++) {
		enum gvm_prot prot;

		if (!(bits >> page & 1))
			continue;
		pthread_mutex_lock(&h->pages[page].lock);
		prot = h->pages[page].pending;
		pthread_mutex_unlock(&h->pages[page].lock);
		map_page(&h->pages[page], prot);
		gvm_agent_mapped(h->node, page);
	}
}

static int op_page_protect(void *ctx, const u64 *pages, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		struct page *p = &((struct host *)ctx)->pages[pages[i]];

		pthread_mutex_lock(&p->lock);
		if (p->prot == GVM_PROT_WRITE)
			p->prot = GVM_PROT_READ;
		pthread_mutex_unlock(&p->lock);
	}
	return 0;
}

static void *op_page_data(void *ctx, u64 page)
{
	return ((struct host *)ctx)->pages[page].bytes;
}

static void op_page_drop(void *ctx, u64 page)
{
	struct page *p = &((struct host *)ctx)->pages[page];

	pthread_mutex_lock(&p->lock);
	p->prot = GVM_PROT_NONE;
	p->present = false;
	memset(p->bytes, 0xa5, GVM_PAGE_SIZE);
	pthread_mutex_unlock(&p->lock);
}

/* Nothing here is ever lost: whoever waits asks again. */
static void op_page_error(void *ctx, u64 page, u32 node, int status)
{
	struct page *p = &((struct host *)ctx)->pages[page];

	(void)node, (void)status;
	pthread_mutex_lock(&p->lock);
	p->maps++;
	pthread_cond_broadcast(&p->mapped);
	pthread_mutex_unlock(&p->lock);
}

static void op_arm(void *ctx, u64 when)
{
	struct host *h = ctx;
	u64 due = __atomic_load_n(&h->due, __ATOMIC_RELAXED);

	while (when < due && !__atomic_compare_exchange_n(&h->due, &due, when, false,
							  __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

static const struct dsm_driver_ops ops = {.alloc_large_table = op_alloc,
					  .free_large_table = op_free,
					  .alloc_packet = op_packet,
					  .free_packet = op_free,
					  .send_packet = op_send,
					  .log = op_log,
					  .get_time_us = op_time,
					  .page_buffer = op_page_buffer,
					  .page_map = op_page_map,
					  .page_protect = op_page_protect,
					  .page_data = op_page_data,
					  .page_drop = op_page_drop,
					  .page_error = op_page_error,
					  .arm_timer = op_arm};

static struct datagram *take(struct host *h)
{
	struct datagram *d;
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += 500000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&h->lock);
	if (!h->head)
		pthread_cond_timedwait(&h->arrived, &h->lock, &ts);
	d = h->head;
	if (d) {
		h->head = d->next;
		if (!h->head)
			h->tail = &h->head;
	}
	pthread_mutex_unlock(&h->lock);
	return d;
}

static void *worker(void *arg)
{
	struct host *h = arg;

	while (!__atomic_load_n(&h->cluster->stop, __ATOMIC_RELAXED)) {
		struct datagram *d = take(h);

		if (d)
			gvm_node_rx(h->node, d->data, d->len);
		free(d);
		gvm_node_flush(h->node);
		finish_mappings(h);
		if (__atomic_load_n(&h->due, __ATOMIC_RELAXED) <= op_time(h)) {
			__atomic_store_n(&h->due, (u64)-1, __ATOMIC_RELAXED);
			op_arm(h, gvm_node_tick(h->node));
		}
	}
	return NULL;
}

/* Adds one to a word of the page, at an instant when the agent may write it; the sum. */
static u64 count_up(struct host *h, u64 page, u32 word)
{
	struct page *p = &h->pages[page];
	u64 value;

	pthread_mutex_lock(&p->lock);
	while (p->prot != GVM_PROT_WRITE) {
		u32 seen = p->maps;

		pthread_mutex_unlock(&p->lock);
		gvm_agent_fault(h->node, page, true);
		pthread_mutex_lock(&p->lock);
		while (p->maps == seen && p->prot != GVM_PROT_WRITE)
			pthread_cond_wait(&p->mapped, &p->lock);
	}
	memcpy(&value, p->bytes + word * 8, sizeof(value));
	value++;
	memcpy(p->bytes + word * 8, &value, sizeof(value));
	pthread_mutex_unlock(&p->lock);
	return value;
}

struct vcpu {
	struct host *host;
	pthread_t thread;
	u64 counts[PAGES];
};

static void *vcpu_run(void *arg)
{
	struct vcpu *v = arg;
	u64 seed = (u64)(uintptr_t)v, i, page;

	for (i = 0; i < (u64)COUNTS; i++) {
		page = test_random(&seed) % (one_in(2) ? HOT : PAGES);
		count_up(v->host, page, 17);
		v->counts[page]++;
	}
	return NULL;
}

static void host_init(struct cluster *c, u32 i, u32 id)
{
	struct host *h = &c->hosts[i];
	struct gvm_node_config cfg = {.id = id, .boot_id = 1000 + id};
	u32 k;

	h->cluster = c;
	h->id = id;
	h->tail = &h->head;
	h->due = (u64)-1;
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->arrived, NULL);
	for (k = 0; k < PAGES; k++) {
		pthread_mutex_init(&h->pages[k].lock, NULL);
		pthread_cond_init(&h->pages[k].mapped, NULL);
	}
	if (i == 0) {
		cfg.lent_base = (u8 *)c->lent;
		cfg.lent_pages = sizeof(c->lent) / GVM_PAGE_SIZE;
	} else {
		cfg.budget_pages = BUDGET;
		cfg.prefetch_max = 4;
		cfg.residence_us = 100;
		cfg.ack_delay_us = 50;
	}
	h->node = gvm_node_create(&cfg, &ops, h);
	assert_non_null(h->node);
}

/* VM_OPEN, by hand: the home answers at once, within gvm_node_rx. */
static void open_vm(struct cluster *c)
{
	struct gvm_vm_body b = {.ram_pages = PAGES,
				.reserve_pages = PAGES,
				.home_boot = 1000 + c->hosts[0].id,
				.client_boot = 1};
	struct gvm_header h = {.magic = GVM_MAGIC,
			       .version = GVM_VERSION,
			       .msg_type = MSG_VM_OPEN,
			       .slave_id = c->hosts[0].id,
			       .src_id = c->hosts[1].id,
			       .vm_id = VM,
			       .epoch = c->route.epoch};
	u8 body[GVM_VM_BODY], d[GVM_HEADER_SIZE + GVM_VM_BODY];
	struct gvm_node_stats st;
	size_t seg, len;

	gvm_vm_body_encode(body, &b);
	len = gvm_wire_build(d, &h, body, sizeof(body), NULL, 0, &seg);
	gvm_node_rx(c->hosts[0].node, d, len);
	gvm_node_stats(c->hosts[0].node, &st);
	assert_int_equal(st.reserved_pages, PAGES);
}

static struct cluster *cluster_create(void)
{
	struct gvm_member home = {.id = 5, .weight = 1, .boot_id = 1005};
	struct cluster *c = calloc(1, sizeof(*c));
	u32 i, k;

	assert_non_null(c);
	assert_int_equal(gvm_route_build(&c->route, &home, 1, 1, 2, &ops, NULL), 0);
	host_init(c, 0, home.id);
	for (i = 1; i <= AGENTS; i++) {
		host_init(c, i, GVM_MAX_SLAVES + i);
		assert_int_equal(gvm_agent_attach(c->hosts[i].node, VM, PAGES, &c->route), 0);
	}
	open_vm(c);
	for (i = 0; i <= AGENTS; i++)
		for (k = 0; k < WORKERS; k++)
			assert_int_equal(
				pthread_create(&c->hosts[i].workers[k], NULL, worker, &c->hosts[i]),
				0);
	return c;
}

static void cluster_destroy(struct cluster *c)
{
	u32 i, k;

	__atomic_store_n(&c->stop, true, __ATOMIC_RELAXED);
	for (i = 0; i <= AGENTS; i++)
		for (k = 0; k < WORKERS; k++)
			pthread_join(c->hosts[i].workers[k], NULL);
	for (i = 0; i <= AGENTS; i++) {
		struct datagram *d;

		gvm_node_destroy(c->hosts[i].node);
		while ((d = c->hosts[i].head)) {
			c->hosts[i].head = d->next;
			free(d);
		}
	}
	gvm_route_free(&c->route, &ops, NULL);
	free(c);
}

static void no_count_is_lost(void **state)
{
	struct cluster *c = cluster_create();
	struct vcpu vcpus[AGENTS * VCPUS] = {0};
	u64 page, value, sum;
	u32 i;

	(void)state;
	alarm(LIMIT_SECS);
	for (i = 0; i < AGENTS * VCPUS; i++) {
		vcpus[i].host = &c->hosts[1 + i / VCPUS];
		assert_int_equal(pthread_create(&vcpus[i].thread, NULL, vcpu_run, &vcpus[i]), 0);
	}
	for (i = 0; i < AGENTS * VCPUS; i++)
		pthread_join(vcpus[i].thread, NULL);
	for (page = 0; page < PAGES; page++) {
		for (i = 0, sum = 0; i < AGENTS * VCPUS; i++)
			sum += vcpus[i].counts[page];
		/* One more, on whichever agent: it finds the sum of all. */
		value = count_up(&c->hosts[1 + page % AGENTS], page, 17);
		assert_int_equal(value, sum + 1);
	}
	alarm(0);
	cluster_destroy(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(no_count_is_lost)};

	return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
