// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Ours: attaches to a master as QEMU does and measures what the floor programs
 * measure: bench_pages socket=PATH [cpu=N] [pages=N] [run=N] [n=FAULTS]
 * [random=PAGES] [threads=N] [only=seq|fault|random].
 *
 * First every page is written; the master's budget is smaller than the RAM, so
 * most of them then live at the slaves and nowhere else. Every touch that is
 * measured is of a page that is not in the memory object any more, while the
 * budget is exhausted: what it costs to make room is inside the figures.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../client/gvm_client.h"
#include "touch.h"

struct settings {
	char socket[108];
	char only[16];
	char fill[16];
	uint64_t n, random;
	unsigned int threads;
	struct ram ram;
};

static bool wanted(const struct settings *s, const char *part)
{
	return !s->only[0] || !strcmp(s->only, part);
}

static void on_event(void *opaque, const struct gvm_ipc_event *event)
{
	(void)opaque;
	errno = 0;
	die("the node says: %s", event->message);
}

static void attach(struct settings *s, struct gvm_client *c)
{
	errno = 0;
	if (gvm_client_open(c, s->socket, s->ram.pages * PAGE_BYTES) < 0)
		die("%s", c->error);
	c->on_event = on_event;
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

	puts("filled");
	fflush(stdout);
	c->on_event = NULL;
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
	       sscanf(o, "threads=%u", &s->threads) == 1 || sscanf(o, "only=%15s", s->only) == 1 ||
	       sscanf(o, "fill=%15s", s->fill) == 1;
}

int main(int argc, char **argv)
{
	struct settings s = {.socket = GVM_IPC_SOCKET, .n = 5000, .random = 20000, .threads = 4};
	struct gvm_client c;
	int i;

	s.ram = (struct ram){.pages = 65536, .cpu = -1};
	for (i = 1; i < argc; i++)
		if (!option(&s, argv[i]))
			die("unknown option %s", argv[i]);
	pin_to(s.ram.cpu);
	attach(&s, &c);
	if (strcmp(s.fill, "no"))
		fill(&s.ram);
	if (!strcmp(s.fill, "only"))
		return leave_pages(&c);
	if (wanted(&s, "seq"))
		measure_sequential(&s.ram, s.ram.pages);
	if (wanted(&s, "fault"))
		measure_faults(&s.ram, false, s.n);
	if (wanted(&s, "random"))
		measure_random(&s.ram, s.threads, s.random);
	if (wanted(&s, "fault"))
		measure_faults(&s.ram, true, s.n);
	gvm_client_detach(&c);
	return 0;
}
