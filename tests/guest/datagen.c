// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * datagen MIB SEED: writes generated data to standard output. Run in the guest
 * and on the host it gives the same bytes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "pattern.h"

int main(int argc, char **argv)
{
	uint64_t page[PATTERN_WORDS];
	struct pattern p = {.generation = 1};
	uint64_t pages;

	if (argc != 3 || !(pages = strtoull(argv[1], NULL, 10) << 8)) {
		fprintf(stderr, "usage: datagen MIB SEED\n");
		return 2;
	}
	p.seed = strtoull(argv[2], NULL, 10);
	for (p.index = 0; p.index < pages; p.index++) {
		pattern_fill(page, &p);
		if (fwrite(page, sizeof(page), 1, stdout) != 1) {
			perror("datagen: write");
			return 1;
		}
	}
	if (fflush(stdout)) {
		perror("datagen: write");
		return 1;
	}
	return 0;
}
