/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The least that serves a remote fault: a userfaultfd on a memory object, threads
 * that take a fault, send one UDP request for that page (and those after it) to
 * a relay process, which passes it to a server process, which sends the pages
 * back. No coherence, no loss, no eviction, no bounds: what ours is measured by.
 */
#ifndef GVM_BENCH_FLOOR_H
#define GVM_BENCH_FLOOR_H

#include <netinet/in.h>
#include <pthread.h>

#include "touch.h"

#define FLOOR_AHEAD_MAX 16
#define FLOOR_GSO_PAGES 8 /* 32 KiB a send: two make 16 pages */

struct floor_head {
	uint64_t page;
	uint32_t count;
	struct sockaddr_in reply_to;
};

struct floor {
	uint64_t pages;
	unsigned int handlers; /* threads that serve faults */
	unsigned int ahead;    /* pages a request */
	int cpu, services;     /* of the touching threads; of everything else */
	bool through_relay;    /* replies too, as requests do */
	bool gso;	       /* several pages a send, by UDP_SEGMENT and UDP_GRO */
	bool copy;	       /* UFFDIO_COPY instead of filling in place and UFFDIO_CONTINUE */
	int memfd, uffd;
	uint8_t *own; /* the handlers' mapping */
	struct ram ram;
	struct sockaddr_in relay_addr, server_addr;
};

/* Starts server, relay and handler threads; f->ram may be touched then. */
void floor_start(struct floor *f);
/* Every page is away again. */
void floor_empty(struct floor *f);
/* Reads the common options; returns 0 for what is not one of them (argv[i]). */
int floor_option(struct floor *f, const char *option);

#endif
