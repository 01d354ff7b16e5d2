// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flip PID FIRST END COUNT: changes one byte in each of up to COUNT generated
 * pages with an index in [FIRST, END) that lie in the memory a slave lends, and
 * prints their indices. Exits 1 if it found none.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pattern.h"

#define LENT_NAME "giantvm_lent"

struct flip {
	int mem;
	uint64_t first, end;
	unsigned long left, done;
};

static int flip_byte(struct flip *f, uint64_t addr, const uint64_t *page)
{
	uint64_t word = page[PATTERN_WORDS / 2] ^ 0x40;

	if (pwrite(f->mem, &word, sizeof(word), addr + PATTERN_PAGE / 2) != sizeof(word))
		return -1;
	printf("%llu\n", (unsigned long long)page[1]);
	f->done++;
	f->left--;
	return 0;
}

static int flip_range(struct flip *f, uint64_t start, uint64_t end)
{
	uint64_t page[PATTERN_WORDS], addr;

	for (addr = start; addr < end && f->left; addr += PATTERN_PAGE) {
		if (pread(f->mem, page, sizeof(page), addr) != sizeof(page))
			return -1;
		if (page[0] != PATTERN_MAGIC || page[1] < f->first || page[1] >= f->end)
			continue;
		if (flip_byte(f, addr, page) < 0)
			return -1;
	}
	return 0;
}

static int flip_process(struct flip *f, FILE *maps)
{
	unsigned long long start, end;
	char line[512];

	while (f->left && fgets(line, sizeof(line), maps))
		if (strstr(line, LENT_NAME) && sscanf(line, "%llx-%llx", &start, &end) == 2 &&
		    flip_range(f, start, end) < 0)
			return -1;
	return 0;
}

int main(int argc, char **argv)
{
	struct flip f = {.mem = -1};
	char path[64];
	FILE *maps;

	if (argc != 5) {
		fprintf(stderr, "usage: flip PID FIRST END COUNT\n");
		return 2;
	}
	f.first = strtoull(argv[2], NULL, 10);
	f.end = strtoull(argv[3], NULL, 10);
	f.left = strtoul(argv[4], NULL, 10);
	snprintf(path, sizeof(path), "/proc/%s/maps", argv[1]);
	maps = fopen(path, "r");
	snprintf(path, sizeof(path), "/proc/%s/mem", argv[1]);
	f.mem = open(path, O_RDWR);
	if (!maps || f.mem < 0 || flip_process(&f, maps) < 0) {
		perror(path);
		return 2;
	}
	fclose(maps);
	close(f.mem);
	return f.done == 0;
}
