// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Ours: attaches to a master as QEMU does and measures what the floor programs
 * measure: bench_pages socket=PATH [cpu=N] [pages=N] [run=N] [n=FAULTS]
 * [random=PAGES] [seq=PAGES] [threads=N] [measure=seq,read,random,write]
 * [fill=only|no] [stay=yes].
 *
 * A fill writes every page. The master's budget is smaller than the RAM, or it is
 * stopped and another one goes on (--adopt): either way the pages that are measured
 * live at the slaves and nowhere else, and each touch is of a page that is not in
 * the memory object. stay: the RAM stays attached until the master has been
 * stopped, which then leaves the pages at the slaves for the next.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../client/gvm_client.h"
#include "touch.h"

struct settings {
	char socket[108];
	char measure[64]; /* what, and in which order */
	char fill[16];
	char stay[16];
	uint64_t n, random, seq;
	unsigned int threads;
	struct ram ram;
};

static void attach(struct settings *s, struct gvm_client *c)
{
	errno = 0;
	if (gvm_client_open(c, s->socket, s->ram.pages * PAGE_BYTES) < 0)
		die("%s", c->error);
	s->ram.base = c->base;
}

static void fill(const struct ram *ram)
{
	uint64_t page, bytes[PAGE_WORDS];

	for (page = 0; page < ram->pages; page++) {
		page_fill(bytes, page);
		memcpy(ram->base + page * PAGE_BYTES, bytes, PAGE_BYTES);
	}
}

/* Stays until the master is told to stop, which then leaves the pages at the slaves. */
static int leave_pages(struct gvm_client *c)
{
	struct gvm_client_msg m;

	puts("done");
	fflush(stdout);
	while (gvm_client_next(c, &m, -1) == 0)
		;
	gvm_client_detach(c);
	return 0;
}

static int option(struct settings *s, const char *o)
{
	return sscanf(o, "socket=%107s", s->socket) == 1 || sscanf(o, "cpu=%d", &s->ram.cpu) == 1 ||
	       sscanf(o, "pages=%lu", &s->ram.pages) == 1 ||
	       sscanf(o, "run=%u", &s->ram.run) == 1 || sscanf(o, "n=%lu", &s->n) == 1 ||
	       sscanf(o, "random=%lu", &s->random) == 1 ||
	       sscanf(o, "threads=%u", &s->threads) == 1 || sscanf(o, "seq=%lu", &s->seq) == 1 ||
	       sscanf(o, "measure=%63s", s->measure) == 1 || sscanf(o, "fill=%15s", s->fill) == 1 ||
	       sscanf(o, "stay=%15s", s->stay) == 1;
}

static void measure(const struct settings *s, const char *what)
{
	if (!strcmp(what, "seq"))
		measure_sequential(&s->ram, s->seq);
	else if (!strcmp(what, "random"))
		measure_random(&s->ram, s->threads, s->random);
	else if (!strcmp(what, "read") || !strcmp(what, "write"))
		measure_faults(&s->ram, what[0] == 'w', s->n);
	else
		die("nothing to measure is called %s", what);
}

int main(int argc, char **argv)
{
	struct settings s = {.socket = GVM_IPC_SOCKET,
			     .measure = "seq,read,random,write",
			     .n = 5000,
			     .random = 20000,
			     .seq = UINT64_MAX,
			     .threads = 4};
	struct gvm_client c;
	char *what, *rest;
	int i;

	s.ram = (struct ram){.pages = 65536, .cpu = -1};
	for (i = 1; i < argc; i++)
		if (!option(&s, argv[i]))
			die("unknown option %s", argv[i]);
	pin_to(s.ram.cpu);
	attach(&s, &c);
	if (strcmp(s.fill, "no"))
		fill(&s.ram);
	what = strcmp(s.fill, "only") ? strtok_r(s.measure, ",", &rest) : NULL;
	for (; what; what = strtok_r(NULL, ",", &rest))
		measure(&s, what);
	if (s.stay[0])
		return leave_pages(&c);
	gvm_client_detach(&c);
	return 0;
}
