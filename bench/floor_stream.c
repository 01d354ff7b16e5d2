// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * For information, no floor of ours: how many 4 KiB pages a second a raw UDP
 * stream carries from one process to another, nobody asking for them and nobody
 * mapping them: floor_stream [cpu=N] [services=N] [ms=N]. The sender runs on
 * services, the receiver on cpu. 15 pages a send (UDP_SEGMENT), UDP_GRO.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "touch.h"

#ifndef SOL_UDP
#define SOL_UDP IPPROTO_UDP
#endif
#define PAGES	15
#define SOCKBUF (8 << 20)

static int udp_socket(struct sockaddr_in *addr)
{
	struct timeval limit = {.tv_sec = 1};
	socklen_t len = sizeof(*addr);
	int fd = socket(AF_INET, SOCK_DGRAM, 0), size = SOCKBUF, on = 1;

	*addr = (struct sockaddr_in){.sin_family = AF_INET};
	addr->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)addr, sizeof(*addr)) ||
	    getsockname(fd, (struct sockaddr *)addr, &len) ||
	    setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof(on)))
		die("no UDP socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

static void send_for_ever(const struct sockaddr_in *to)
{
	static uint8_t pages[PAGES * PAGE_BYTES];
	struct sockaddr_in self;
	int fd = udp_socket(&self), segment = PAGE_BYTES;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (setsockopt(fd, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)))
		die("UDP_SEGMENT");
	for (;;)
		if (sendto(fd, pages, sizeof(pages), 0, (const struct sockaddr *)to, sizeof(*to)) <
		    0)
			die("sendto");
}

int main(int argc, char **argv)
{
	static uint8_t buffer[PAGES * PAGE_BYTES];
	int cpu = -1, services = -1, ms = 500, i, fd;
	uint64_t start, end, now, bytes = 0;
	struct sockaddr_in addr;
	ssize_t n;
	pid_t child;

	for (i = 1; i < argc; i++)
		if (sscanf(argv[i], "cpu=%d", &cpu) != 1 &&
		    sscanf(argv[i], "services=%d", &services) != 1 &&
		    sscanf(argv[i], "ms=%d", &ms) != 1)
			die("unknown option %s", argv[i]);
	fd = udp_socket(&addr);
	child = fork();
	if (child == 0) {
		pin_to(services);
		send_for_ever(&addr);
	}
	if (child < 0)
		die("fork");
	pin_to(cpu);
	start = now_ns();
	end = start + (uint64_t)ms * 1000000;
	do {
		n = recv(fd, buffer, sizeof(buffer), 0);
		if (n < 0)
			die("nothing arrives");
		bytes += n;
		now = now_ns();
	} while (now < end);
	kill(child, SIGKILL);
	printf("raw_udp_stream %.0f pages/s %llu\n",
	       (double)bytes / PAGE_BYTES * 1e9 / (now - start),
	       (unsigned long long)(bytes / PAGE_BYTES));
	return 0;
}
