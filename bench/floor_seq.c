// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The floor of a sequential scan: floor_seq [cpu=N] [services=N] [pages=N] [relay]
 * [gso] [copy] [n=PAGES] [ahead=16]. A fault brings that page and those after it.
 */
#include <stdio.h>

#include "floor.h"

int main(int argc, char **argv)
{
	static struct floor f = {
		.pages = 49152, .handlers = 1, .ahead = 16, .cpu = -1, .services = -1};
	uint64_t n = UINT64_MAX;
	int i;

	for (i = 1; i < argc; i++)
		if (!floor_option(&f, argv[i]) && sscanf(argv[i], "n=%lu", &n) != 1 &&
		    sscanf(argv[i], "ahead=%u", &f.ahead) != 1)
			die("unknown option %s", argv[i]);
	if (!f.ahead || f.ahead > FLOOR_AHEAD_MAX)
		die("ahead is 1 to %d pages", FLOOR_AHEAD_MAX);
	floor_start(&f);
	measure_sequential(&f.ram, n);
	return 0;
}
