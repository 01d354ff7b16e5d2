// SPDX-License-Identifier: GPL-2.0-or-later
#include "lent_memory.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../common_include/giantvm_config.h"

static int map_memory(struct gvm_lent_memory *m, int fd, u64 bytes)
{
	void *base;

	if (ftruncate(fd, (off_t)bytes))
		return -errno;
	base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	/* Pages are given back one by one, and a guest's RAM has no place in a core dump. */
	madvise(base, bytes, MADV_NOHUGEPAGE);
	madvise(base, bytes, MADV_DONTDUMP);
	m->base = base;
	m->pages = bytes >> GVM_PAGE_SHIFT;
	return 0;
}

int gvm_lent_open(struct gvm_lent_memory *m, u64 bytes)
{
	int fd = memfd_create(GVM_LENT_NAME, MFD_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	err = map_memory(m, fd, bytes);
	close(fd);
	return err;
}

void gvm_lent_close(struct gvm_lent_memory *m)
{
	if (m->base)
		munmap(m->base, m->pages << GVM_PAGE_SHIFT);
	m->base = NULL;
}

u64 gvm_host_available(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	char line[128];

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			break;
	fclose(f);
	return (u64)kib * 1024;
}
