// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A gateway that is far away: delay_proxy port=P to=PORT delay=US [cpu=N]. Stands
 * on 127.0.0.1:P for the gateway at 127.0.0.1:PORT and hands every datagram on, either
 * way, so much later than it arrived. Each node that sends gets a socket of its
 * own towards the other side, so the gateway sees as many addresses as there are nodes, and
 * what comes to that socket, from the gateway or straight from a slave, goes to
 * the node from the proxy's address. Prints `ready`, and ends with its input.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "touch.h"

#define NODES_MAX 64
#define QUEUE	  8192 /* a power of two; datagrams on their way */
#define DATAGRAM  2048
#define SOCKBUF	  (8 << 20)

struct held {
	uint64_t due; /* ns, CLOCK_REALTIME as the kernel stamps arrivals */
	int fd;
	struct sockaddr_in to;
	size_t len;
	uint8_t data[DATAGRAM];
};

struct proxy {
	struct sockaddr_in gateway;
	uint64_t delay_ns;
	struct pollfd polled[2 + NODES_MAX]; /* input, the proxy's address, a socket a node */
	struct sockaddr_in nodes[NODES_MAX];
	unsigned int count;
	struct held *queue;
	uint64_t first, last;
	uint64_t dropped;
};

static uint64_t realtime_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int open_socket(uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), size = SOCKBUF;
	int on = 1;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) ||
	    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)))
		die("no UDP socket on port %u", port);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	return fd;
}

/* The socket that stands for this node at the gateway. */
static int socket_of(struct proxy *p, const struct sockaddr_in *node)
{
	unsigned int i;

	for (i = 0; i < p->count; i++)
		if (p->nodes[i].sin_port == node->sin_port &&
		    p->nodes[i].sin_addr.s_addr == node->sin_addr.s_addr)
			return p->polled[2 + i].fd;
	errno = 0;
	if (p->count == NODES_MAX)
		die("more than %d nodes", NODES_MAX);
	p->nodes[p->count] = *node;
	p->polled[2 + p->count] = (struct pollfd){.fd = open_socket(0), .events = POLLIN};
	return p->polled[2 + p->count++].fd;
}

/* When the datagram arrived; how late the proxy reads it does not count. */
static uint64_t arrival(struct msghdr *m)
{
	struct cmsghdr *c;
	struct timespec t;

	for (c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
			memcpy(&t, CMSG_DATA(c), sizeof(t));
			return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
		}
	}
	return realtime_ns();
}

/* One datagram of the socket polled[at]; false: there is none. */
static bool take(struct proxy *p, unsigned int at)
{
	union {
		char buf[CMSG_SPACE(sizeof(struct timespec))];
		struct cmsghdr align;
	} control;
	struct held *h = &p->queue[p->last & (QUEUE - 1)];
	struct sockaddr_in from;
	struct iovec iov = {h->data, sizeof(h->data)};
	struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov};
	ssize_t len;

	m.msg_iovlen = 1;
	m.msg_control = &control;
	m.msg_controllen = sizeof(control);
	len = recvmsg(p->polled[at].fd, &m, 0);
	if (len < 0)
		return false;
	if (p->last - p->first == QUEUE - 1 || (m.msg_flags & MSG_TRUNC)) {
		p->dropped++;
		return true;
	}
	h->due = arrival(&m) + p->delay_ns;
	h->len = (size_t)len;
	h->fd = at == 1 ? socket_of(p, &from) : p->polled[1].fd;
	h->to = at == 1 ? p->gateway : p->nodes[at - 2];
	p->last++;
	return true;
}

static void hand_on(struct proxy *p)
{
	while (p->first != p->last) {
		const struct held *h = &p->queue[p->first & (QUEUE - 1)];

		if (h->due > realtime_ns())
			return;
		if (sendto(h->fd, h->data, h->len, 0, (const struct sockaddr *)&h->to,
			   sizeof(h->to)) < 0)
			p->dropped++;
		p->first++;
	}
}

/* How long until the next datagram goes on; NULL: none is there. */
static const struct timespec *time_left(const struct proxy *p, struct timespec *t)
{
	uint64_t now = realtime_ns(), due = p->queue[p->first & (QUEUE - 1)].due, left;

	if (p->first == p->last)
		return NULL;
	left = due > now ? due - now : 0;
	*t = (struct timespec){(time_t)(left / 1000000000), (long)(left % 1000000000)};
	return t;
}

static void run(struct proxy *p)
{
	struct timespec t;
	unsigned int i;

	while (!p->polled[0].revents) {
		if (ppoll(p->polled, 2 + p->count, time_left(p, &t), NULL) < 0)
			die("ppoll");
		hand_on(p);
		for (i = 1; i < 2 + p->count; i++)
			while ((p->polled[i].revents & POLLIN) && take(p, i))
				;
		hand_on(p);
	}
}

int main(int argc, char **argv)
{
	struct proxy p = {.polled = {{.fd = 0, .events = POLLIN}}};
	unsigned int port = 0, to = 0, delay = 0;
	int i, cpu = -1;

	for (i = 1; i < argc; i++)
		if (sscanf(argv[i], "port=%u", &port) != 1 && sscanf(argv[i], "to=%u", &to) != 1 &&
		    sscanf(argv[i], "delay=%u", &delay) != 1 &&
		    sscanf(argv[i], "cpu=%d", &cpu) != 1)
			die("unknown option %s", argv[i]);
	if (!port || !to || port > 65535 || to > 65535)
		die("usage: delay_proxy port=P to=PORT delay=US [cpu=N]");
	pin_to(cpu);
	prctl(PR_SET_TIMERSLACK, 1);
	p.gateway = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)to)};
	p.gateway.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	p.delay_ns = delay * 1000ULL;
	p.queue = calloc(QUEUE, sizeof(*p.queue));
	if (!p.queue)
		die("no memory");
	p.polled[1] = (struct pollfd){.fd = open_socket((uint16_t)port), .events = POLLIN};
	puts("ready");
	fflush(stdout);
	run(&p);
	fprintf(stderr, "delay_proxy: %llu datagrams handed on, %llu dropped\n",
		(unsigned long long)p.first, (unsigned long long)p.dropped);
	return 0;
}
