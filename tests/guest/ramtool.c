// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VM's RAM without a VM: attaches to a master as QEMU does.
 *
 * ramtool SOCKET MIB write SEED   fills the RAM, then waits until the node leaves
 * ramtool SOCKET MIB check SEED   reads it and compares
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../client/gvm_client.h"
#include "pattern.h"

static int write_all(struct gvm_client *c, struct pattern *p)
{
	for (p->index = 0; p->index < c->size / PATTERN_PAGE; p->index++)
		pattern_fill((uint64_t *)(c->base + p->index * PATTERN_PAGE), p);
	printf("ramtool: wrote %llu pages\n", (unsigned long long)p->index);
	return 0;
}

static int check_all(struct gvm_client *c, struct pattern *p)
{
	uint64_t bad = 0, sum;

	for (p->index = 0; p->index < c->size / PATTERN_PAGE; p->index++)
		bad += pattern_check((uint64_t *)(c->base + p->index * PATTERN_PAGE), p, &sum) <
		       PATTERN_WORDS;
	printf("ramtool: checked %llu pages, %llu differ\n", (unsigned long long)p->index,
	       (unsigned long long)bad);
	return bad != 0;
}

/* Tells what the node says, until it is gone. */
static int listen_to(struct gvm_client *c)
{
	struct gvm_client_msg m;

	while (!gvm_client_next(c, &m, -1))
		if (m.type == GVM_IPC_EVENT)
			printf("ramtool: event %u: %s\n", m.event.kind, m.event.message);
	printf("ramtool: %s\n", c->error);
	return 0;
}

int main(int argc, char **argv)
{
	struct pattern p = {.generation = 1};
	struct gvm_client c;
	int ret;

	if (argc != 5 || (strcmp(argv[3], "write") && strcmp(argv[3], "check"))) {
		fprintf(stderr, "usage: ramtool SOCKET MIB write|check SEED\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	p.seed = strtoull(argv[4], NULL, 10);
	if (gvm_client_open(&c, argv[1], strtoull(argv[2], NULL, 10) << 20) < 0) {
		fprintf(stderr, "ramtool: %s\n", c.error);
		return 3;
	}
	if (!strcmp(argv[3], "write"))
		ret = write_all(&c, &p) || listen_to(&c);
	else
		ret = check_all(&c, &p);
	gvm_client_detach(&c);
	return ret;
}
