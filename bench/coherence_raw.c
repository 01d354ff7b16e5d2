// SPDX-License-Identifier: GPL-2.0-or-later
/* The floor of a transfer: raw UDP round trips between two processes that block. */
#define _GNU_SOURCE
#include "coherence.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "touch.h"

#define ASK	   64
#define ANSWER	   4160 /* a header and a page */
#define ROUNDTRIPS 4000

static int udp_socket(struct sockaddr_in *at)
{
	struct timeval limit = {.tv_sec = 2};
	socklen_t len = sizeof(*at);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*at = (struct sockaddr_in){.sin_family = AF_INET};
	at->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)at, sizeof(*at)) ||
	    getsockname(fd, (struct sockaddr *)at, &len))
		die("no UDP socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

static void answer_all(int fd)
{
	static uint8_t page[ANSWER];
	struct sockaddr_in from;
	socklen_t len;

	for (;;) {
		len = sizeof(from);
		if (recvfrom(fd, page, ASK, 0, (struct sockaddr *)&from, &len) == ASK)
			sendto(fd, page, ANSWER, 0, (struct sockaddr *)&from, len);
	}
}

/* A process that ends with this one. */
static pid_t start_answering(int fd, int cpu)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin_to(cpu);
	answer_all(fd);
	_exit(0);
}

void coherence_raw(const struct coherence *c)
{
	static uint8_t page[ANSWER];
	struct sockaddr_in at, own;
	int there = udp_socket(&at), fd = udp_socket(&own);
	uint64_t *ns = calloc(ROUNDTRIPS, sizeof(*ns)), start, i;
	pid_t pid = start_answering(there, c->services);

	if (!ns || connect(fd, (struct sockaddr *)&at, sizeof(at)))
		die("no UDP socket");
	for (i = 0; i < ROUNDTRIPS; i++) {
		start = now_ns();
		if (send(fd, page, ASK, 0) != ASK || recv(fd, page, ANSWER, 0) != ANSWER)
			die("no answer over loopback");
		ns[i] = now_ns() - start;
	}
	kill(pid, SIGKILL);
	coherence_print("raw_round_trip", ns, ROUNDTRIPS);
	free(ns);
	close(there);
	close(fd);
}
