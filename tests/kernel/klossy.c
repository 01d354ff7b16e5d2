// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * klossy PORT TO PERCENT SEED: a bad line on loopback between one client and the
 * gateway at port TO: PERCENT of the datagrams are lost, as many doubled, as many
 * swapped with the next one, in both directions.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../guest/pattern.h"

struct line {
	unsigned char held[65536];
	ssize_t held_len; /* 0: nothing */
};

static uint64_t dice;
static unsigned int percent;

static bool strikes(void)
{
	dice = pattern_next(dice);
	return (dice >> 16) % 100 < percent;
}

static void put(int sock, const void *buf, ssize_t len, const struct sockaddr_in *to)
{
	if (sendto(sock, buf, (size_t)len, 0, (const struct sockaddr *)to, sizeof(*to)) < 0)
		return; /* one more that is lost */
}

static void pass_on(struct line *l, int sock, const unsigned char *buf, ssize_t len,
		    const struct sockaddr_in *to)
{
	if (strikes())
		return;
	if (!l->held_len && strikes()) {
		memcpy(l->held, buf, (size_t)len);
		l->held_len = len;
		return;
	}
	put(sock, buf, len, to);
	if (strikes())
		put(sock, buf, len, to);
	if (l->held_len)
		put(sock, l->held, l->held_len, to);
	l->held_len = 0;
}

static int open_socket(unsigned short port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons(port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int sock = socket(AF_INET, SOCK_DGRAM, 0), big = 4 << 20;

	setsockopt(sock, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big));
	return bind(sock, (struct sockaddr *)&a, sizeof(a)) ? -1 : sock;
}

int main(int argc, char **argv)
{
	static struct line forth, back;
	static unsigned char buf[65536];
	struct sockaddr_in gateway = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in client = {0}, from;
	struct pollfd p[2];

	if (argc != 5) {
		fprintf(stderr, "usage: klossy PORT TO PERCENT SEED\n");
		return 2;
	}
	gateway.sin_port = htons((unsigned short)atoi(argv[2]));
	percent = (unsigned int)atoi(argv[3]);
	dice = pattern_mix(strtoull(argv[4], NULL, 10)) | 1;
	p[0] = (struct pollfd){.fd = open_socket((unsigned short)atoi(argv[1])), .events = POLLIN};
	p[1] = (struct pollfd){.fd = open_socket(0), .events = POLLIN};
	if (p[0].fd < 0 || p[1].fd < 0) {
		perror("klossy");
		return 1;
	}
	printf("klossy: ready\n");
	fflush(stdout);
	while (poll(p, 2, -1) > 0) {
		socklen_t size = sizeof(from);
		int back_way = !(p[0].revents & POLLIN);
		ssize_t len = recvfrom(p[back_way].fd, buf, sizeof(buf), 0,
				       (struct sockaddr *)&from, &size);

		if (len <= 0)
			continue;
		if (back_way) {
			pass_on(&back, p[0].fd, buf, len, &client);
		} else {
			client = from;
			pass_on(&forth, p[1].fd, buf, len, &gateway);
		}
	}
	return 1;
}
