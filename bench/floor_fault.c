// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The floor of single faults: floor_fault [cpu=N] [services=N] [pages=N] [run=N]
 * [relay] [copy] [n=FAULTS] [threads=N]. One userfaultfd thread, one request and
 * one 4 KiB reply a fault; for the random throughput as many as touching threads.
 */
#include <stdio.h>

#include "floor.h"

int main(int argc, char **argv)
{
	static struct floor f = {
		.pages = 49152, .handlers = 1, .ahead = 1, .cpu = -1, .services = -1};
	unsigned int threads = 0;
	uint64_t n = 5000;
	int i;

	for (i = 1; i < argc; i++)
		if (!floor_option(&f, argv[i]) && sscanf(argv[i], "n=%lu", &n) != 1 &&
		    sscanf(argv[i], "threads=%u", &threads) != 1)
			die("unknown option %s", argv[i]);
	if (threads)
		f.handlers = threads;
	floor_start(&f);
	if (threads) {
		measure_random(&f.ram, threads, n);
		return 0;
	}
	measure_faults(&f.ram, false, n);
	floor_empty(&f);
	measure_faults(&f.ram, true, n);
	return 0;
}
