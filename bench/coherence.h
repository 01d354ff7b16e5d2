/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef GVM_BENCH_COHERENCE_H
#define GVM_BENCH_COHERENCE_H

#include <stdint.h>

#define COHERENCE_NODES 16

struct coherence {
	uint8_t *ram[COHERENCE_NODES]; /* the VM's RAM as each node maps it */
	unsigned int nodes;
	int cpus[2];  /* of the touching threads */
	int services; /* of everything else */
	unsigned int pages, rounds;
	unsigned int settle_us; /* longer than residence and delayed acknowledgements */
	unsigned int seconds;
};

/* Sorts ns and prints `NAME_p50 VALUE us N` and the p99. */
void coherence_print(const char *name, uint64_t *ns, uint64_t n);

/* coherence_raw.c: one round trip with a process at c->services; 64 bytes for 4160. */
void coherence_raw(const struct coherence *c);

#endif
