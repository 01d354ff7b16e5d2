// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Round trips of a page request (84 bytes) and its answer (4 KiB as three
 * fragments) over loopback: straight, through a minimal relay, through the
 * gateway with answers relayed, and with answers straight back. Every process
 * is pinned to one core. GATEWAY names the gateway's binary.
 */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "net_helpers.h"
#include "../../slave_daemon/net_uring.h"

#define SLAVE_ID  1
#define CLIENT_ID GVM_MAX_SLAVES
#define WARM_UP	  2000

struct server {
	struct gvm_net *net;
	bool direct;
	struct sockaddr_in gateway, client;
};

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e6 + ts.tv_nsec / 1e3;
}

static struct gvm_net *open_net(struct gvm_pkt_pool *pool)
{
	struct gvm_net_config c = {.flags = GVM_NET_GRO, .pool = pool};
	struct gvm_net *net;

	c.bind.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (gvm_net_open(&net, 1, &c))
		abort();
	return net;
}

static void send_message(struct gvm_net *net, u32 src, u32 dest, u16 type, u64 req_id,
			 const u8 *body, size_t len, const struct sockaddr_in *to)
{
	struct gvm_header h = {.magic = GVM_MAGIC,
			       .msg_type = type,
			       .version = GVM_VERSION,
			       .slave_id = dest,
			       .src_id = src,
			       .req_id = req_id};
	u8 *pkt = gvm_net_pkt_alloc(net, gvm_wire_size(len));
	size_t seg, bytes = gvm_wire_build(pkt, &h, body, len, NULL, 0, &seg);

	gvm_net_send(net, pkt, bytes, seg, to);
}

static void send_register(struct gvm_net *net, u32 id, const struct sockaddr_in *to)
{
	struct gvm_register_body b = {.boot_id = id + 1, .slave_bits = GVM_SLAVE_BITS};
	u8 body[GVM_REGISTER_BODY];

	gvm_register_encode(body, &b);
	send_message(net, id, GVM_TO_GATEWAY, MSG_REGISTER, 0, body, sizeof(body), to);
	gvm_net_flush(net);
}

static void serve(void *ctx, const u8 *d, size_t len, const struct sockaddr_in *from)
{
	static u8 page[GVM_MSG_MAX];
	struct server *s = ctx;
	struct gvm_addr_body a;
	struct gvm_header h;
	const u8 *body;
	int n;

	for (; (n = gvm_wire_next(&h, &body, d, len)) > 0; d += n, len -= n) {
		if (h.msg_type == MSG_NODE_ADDR && !gvm_addr_decode(&a, body, h.length)) {
			s->direct = a.direct;
			s->client = (struct sockaddr_in){
				.sin_family = AF_INET, .sin_port = a.port, .sin_addr.s_addr = a.ip};
		}
		if (h.msg_type == MSG_MEM_READ)
			send_message(s->net, SLAVE_ID, h.src_id, MSG_MEM_ACK, h.req_id, page,
				     sizeof(page), s->direct ? &s->client : from);
	}
}

static void run_server(struct server *s)
{
	u64 registered = 0;

	for (;;) {
		if (s->gateway.sin_port && now_us() - registered > GVM_REGISTER_PERIOD_US) {
			send_register(s->net, SLAVE_ID, &s->gateway);
			registered = now_us();
		}
		if (gvm_net_wait(s->net, 0, GVM_REGISTER_PERIOD_US) <= 0)
			continue;
		while (gvm_net_recv(s->net, serve, s) == GVM_BATCH)
			gvm_net_flush(s->net);
		gvm_net_flush(s->net);
	}
}

struct client {
	struct gvm_net *net;
	struct sockaddr_in to;
	u64 req_id;
	u32 parts, registered;
	u64 all_parts; /* of any request */
};

static void take(void *ctx, const u8 *d, size_t len, const struct sockaddr_in *from)
{
	struct client *c = ctx;
	struct gvm_header h;
	const u8 *body;
	int n;

	(void)from;
	for (; (n = gvm_wire_next(&h, &body, d, len)) > 0; d += n, len -= n) {
		c->registered += h.msg_type == MSG_REGISTER_ACK;
		if (h.msg_type != MSG_MEM_ACK)
			continue;
		c->parts += h.req_id == c->req_id;
		c->all_parts++;
	}
}

static void ask(struct client *c)
{
	static const u8 body[GVM_PAGE_BODY];

	send_message(c->net, CLIENT_ID, SLAVE_ID, MSG_MEM_READ, ++c->req_id, body, sizeof(body),
		     &c->to);
}

/* One page; false: the answer did not come. */
static bool round_trip(struct client *c)
{
	c->parts = 0;
	ask(c);
	gvm_net_flush(c->net);
	while (c->parts < GVM_MAX_FRAGS) {
		if (gvm_net_wait(c->net, 0, 20000) <= 0)
			return false;
		gvm_net_recv(c->net, take, c);
	}
	return true;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Keeps window requests under way until pages have come. */
static void stream(struct client *c, u32 window, u32 pages)
{
	u64 asked = 0, got = 0;
	double start = now_us();

	c->all_parts = 0;
	while (got < pages) {
		for (; asked < pages && asked < got + window; asked++)
			ask(c);
		gvm_net_flush(c->net);
		if (gvm_net_wait(c->net, 0, 200000) <= 0)
			break;
		gvm_net_recv(c->net, take, c);
		got = c->all_parts / GVM_MAX_FRAGS;
	}
	printf("    window %3u: %7.0f pages/s (%u pages, %llu missing)\n", window,
	       got * 1e6 / (now_us() - start), pages, (unsigned long long)(pages - got));
}

static void measure(const char *name, struct client *c, int trips)
{
	double *us = calloc(trips, sizeof(*us));
	int lost = 0;

	while (!round_trip(c)) /* until everybody has registered */
		if (c->to.sin_port && !c->registered)
			send_register(c->net, CLIENT_ID, &c->to);
	for (int i = -WARM_UP; i < trips; i++) {
		double start = now_us();

		lost += !round_trip(c);
		if (i >= 0)
			us[i] = now_us() - start;
		if (i % 10000 == 0)
			send_register(c->net, CLIENT_ID, &c->to);
	}
	qsort(us, trips, sizeof(*us), ascending);
	printf("%-28s p50 %6.2f  p99 %6.2f us  (%d trips, %d lost)\n", name, us[trips / 2],
	       us[trips / 100 * 99], trips, lost);
	stream(c, 16, trips * 4);
	stream(c, 64, trips * 4);
	fflush(stdout);
	free(us);
}

static pid_t fork_server(struct gvm_net *net, u16 gateway_port)
{
	struct server s = {.net = net};
	pid_t pid = fork();

	if (pid)
		return pid;
	s.gateway.sin_family = AF_INET;
	s.gateway.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s.gateway.sin_port = htons(gateway_port);
	run_server(&s);
	_exit(0);
}

/* The least a relay can do: blocking receive, send on; knows its two ends. */
static pid_t fork_relay(const struct sockaddr_in *client, const struct sockaddr_in *slave, u16 port)
{
	struct sockaddr_in me = {.sin_family = AF_INET, .sin_port = htons(port)}, from;
	static u8 buf[65536];
	pid_t pid = fork();
	int fd, one = 1, room = 4 << 20;

	if (pid)
		return pid;
	me.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	setsockopt(fd, SOL_UDP, 104 /* UDP_GRO */, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (bind(fd, (struct sockaddr *)&me, sizeof(me)))
		abort();
	for (;;) {
		char control[64] __attribute__((aligned(8)));
		struct iovec iov = {buf, sizeof(buf)};
		struct msghdr m = {.msg_name = &from,
				   .msg_namelen = sizeof(from),
				   .msg_iov = &iov,
				   .msg_iovlen = 1,
				   .msg_control = control,
				   .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(fd, &m, 0);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		u16 seg = c ? *(int *)CMSG_DATA(c) : 0;

		if (n <= 0)
			continue;
		iov.iov_len = n;
		m.msg_name = (void *)(from.sin_port == slave->sin_port ? client : slave);
		m.msg_control = seg ? control : NULL;
		m.msg_controllen = seg ? CMSG_SPACE(sizeof(seg)) : 0;
		if (seg) {
			c->cmsg_type = 103 /* UDP_SEGMENT */;
			c->cmsg_len = CMSG_LEN(sizeof(seg));
			memcpy(CMSG_DATA(c), &seg, sizeof(seg));
		}
		sendmsg(fd, &m, 0);
	}
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void through_gateway(const char *name, struct gvm_pkt_pool *pool, const char *mode,
			    int trips)
{
	struct client c = {.net = open_net(pool)};
	struct gvm_net *net = open_net(pool);
	struct gateway_proc g;
	pid_t server;

	gateway_start(&g, 0, (const char *const[]){"--reply", mode, NULL});
	server = fork_server(net, g.port);
	gvm_net_addr(net, &c.to);
	c.to.sin_port = htons(g.port);
	measure(name, &c, trips);
	end(server);
	gvm_net_close(c.net);
	gvm_net_close(net);
	gateway_stop(&g);
}

static void through_nothing(struct gvm_pkt_pool *pool, int trips)
{
	struct client c = {.net = open_net(pool), .registered = 1};
	struct gvm_net *net = open_net(pool);
	pid_t server = fork_server(net, 0);

	gvm_net_addr(net, &c.to);
	measure("straight", &c, trips);
	end(server);
	gvm_net_close(c.net);
	gvm_net_close(net);
}

static void through_relay(struct gvm_pkt_pool *pool, int trips)
{
	struct client c = {.net = open_net(pool), .registered = 1};
	struct gvm_net *net = open_net(pool);
	struct sockaddr_in client, slave;
	u16 port = free_port();
	pid_t relay, server;

	gvm_net_addr(c.net, &client);
	gvm_net_addr(net, &slave);
	relay = fork_relay(&client, &slave, port);
	server = fork_server(net, 0);
	c.to = client;
	c.to.sin_port = htons(port);
	measure("minimal relay, both ways", &c, trips);
	end(server);
	end(relay);
	gvm_net_close(c.net);
	gvm_net_close(net);
}

int main(int argc, char **argv)
{
	int trips = argc > 1 ? atoi(argv[1]) : 50000;
	struct gvm_pkt_pool *pool = gvm_pkt_pool_create(16 << 20);
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(argc > 2 ? atoi(argv[2]) : 1, &one);
	if (trips < 100 || !pool || sched_setaffinity(0, sizeof(one), &one)) {
		fprintf(stderr, "usage: relay_rtt [TRIPS >= 100 [CPU]]\n");
		return 2;
	}
	for (int run = 0; run < 3; run++) {
		through_nothing(pool, trips);
		through_relay(pool, trips);
		through_gateway("gateway, answers relayed", pool, "relay", trips);
		through_gateway("gateway, answers straight", pool, "direct", trips);
	}
	gvm_pkt_pool_destroy(pool);
	return 0;
}
