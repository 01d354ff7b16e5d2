// SPDX-License-Identifier: GPL-2.0-or-later
#include "uffd.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../common_include/giantvm_config.h"

#ifndef UFFDIO_CONTINUE_MODE_WP
#define UFFDIO_CONTINUE_MODE_WP ((__u64)1 << 1)
#endif

#define READ_BATCH 16

static int xioctl(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg) ? -errno : 0;
}

static bool is_userfaultfd(int fd)
{
	static const char wanted[] = "anon_inode:[userfaultfd]";
	char path[40], target[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target));
	return n == (ssize_t)sizeof(wanted) - 1 && !memcmp(target, wanted, sizeof(wanted) - 1);
}

int gvm_uffd_check(int fd, u64 features, const char **missing)
{
	static const struct {
		u64 bit;
		const char *name;
	} needed[] = {
		{UFFD_FEATURE_MISSING_SHMEM, "missing faults on shared memory"},
		{UFFD_FEATURE_MINOR_SHMEM, "minor faults on shared memory (Linux 5.14)"},
		{UFFD_FEATURE_PAGEFAULT_FLAG_WP, "write protection"},
		{UFFD_FEATURE_WP_HUGETLBFS_SHMEM, "write protection of shared memory (Linux 6.1)"},
	};
	int flags = fcntl(fd, F_GETFL);
	size_t i;

	if (!is_userfaultfd(fd) || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(needed); i++) {
		if (features & needed[i].bit)
			continue;
		*missing = needed[i].name;
		return -EOPNOTSUPP;
	}
	return 0;
}

bool gvm_uffd_can_continue_wp(int fd, u64 addr)
{
	struct uffdio_continue c = {
		.range = {addr, GVM_PAGE_SIZE},
		.mode = UFFDIO_CONTINUE_MODE_WP | UFFDIO_CONTINUE_MODE_DONTWAKE,
	};

	/* An unknown mode is refused before the page is looked for and not found. */
	return xioctl(fd, UFFDIO_CONTINUE, &c) != -EINVAL;
}

unsigned int gvm_uffd_read(int fd, struct gvm_uffd_fault *faults, unsigned int max)
{
	struct uffd_msg msgs[READ_BATCH];
	unsigned int i, n = 0;
	ssize_t got;

	if (max > READ_BATCH)
		max = READ_BATCH;
	got = read(fd, msgs, max * sizeof(*msgs));
	if (got < 0)
		return 0;
	for (i = 0; i < (size_t)got / sizeof(*msgs); i++) {
		u64 flags = msgs[i].arg.pagefault.flags;
		struct gvm_uffd_fault *f = &faults[n];

		if (msgs[i].event != UFFD_EVENT_PAGEFAULT)
			continue;
		f->addr = msgs[i].arg.pagefault.address;
		f->hints = flags & UFFD_PAGEFAULT_FLAG_WRITE ? GVM_FAULT_WRITE : 0;
		if (flags & UFFD_PAGEFAULT_FLAG_WP)
			f->hints |= GVM_FAULT_WP | GVM_FAULT_WRITE;
		else
			f->hints |= flags & UFFD_PAGEFAULT_FLAG_MINOR ? GVM_FAULT_MINOR
								      : GVM_FAULT_MISSING;
		n++;
	}
	return n;
}

int gvm_uffd_wake(int fd, u64 addr, u64 len)
{
	struct uffdio_range r = {addr, len};

	return xioctl(fd, UFFDIO_WAKE, &r);
}

static int write_protect(int fd, u64 addr, u64 len, u64 mode)
{
	struct uffdio_writeprotect w = {.range = {addr, len}, .mode = mode};
	int err;

	do {
		err = xioctl(fd, UFFDIO_WRITEPROTECT, &w);
	} while (err == -EAGAIN);
	return err;
}

int gvm_uffd_protect(int fd, u64 addr, u64 len)
{
	int err = write_protect(fd, addr, len, UFFDIO_WRITEPROTECT_MODE_WP);
	u64 end = addr + len;

	/* A hole where the client has unmapped something must not save its neighbours. */
	for (; err == -ENOENT && len > GVM_PAGE_SIZE && addr < end; addr += GVM_PAGE_SIZE) {
		int e = write_protect(fd, addr, GVM_PAGE_SIZE, UFFDIO_WRITEPROTECT_MODE_WP);

		if (e && e != -ENOENT)
			return e;
	}
	return err;
}

int gvm_uffd_unprotect(int fd, u64 addr, u64 len)
{
	return write_protect(fd, addr, len, 0);
}

/* One call of the kernel; *done: the bytes it did before it met an error. */
static int fill_call(int fd, const struct gvm_uffd_fill *f, enum gvm_fill how, u64 addr, u64 len,
		     s64 *done)
{
	struct uffdio_continue cont = {.range = {addr, len}};
	struct uffdio_zeropage zero = {.range = {addr, len}};
	struct uffdio_copy copy = {.dst = addr, .len = len};
	int err;

	switch (how) {
	case GVM_FILL_CACHED:
		cont.mode = f->wp ? UFFDIO_CONTINUE_MODE_WP : 0;
		err = xioctl(fd, UFFDIO_CONTINUE, &cont);
		*done = cont.mapped;
		return err;
	case GVM_FILL_COPY:
		copy.src = (u64)(uintptr_t)(f->src + (addr - f->addr));
		copy.mode = f->wp ? UFFDIO_COPY_MODE_WP : 0;
		err = xioctl(fd, UFFDIO_COPY, &copy);
		*done = copy.copy;
		return err;
	default:
		err = xioctl(fd, UFFDIO_ZEROPAGE, &zero);
		*done = zero.zeropage;
		return err;
	}
}

/* Mapped already: raise its protection if asked to, and let who waits try again. */
static int refresh(int fd, const struct gvm_uffd_fill *f, u64 addr)
{
	return f->wp ? gvm_uffd_wake(fd, addr, GVM_PAGE_SIZE)
		     : gvm_uffd_unprotect(fd, addr, GVM_PAGE_SIZE);
}

/* The page at addr has bytes in the memory object or is mapped: which, only trying tells. */
static int fill_existing(int fd, struct gvm_uffd_fill *f, enum gvm_fill how, u64 addr)
{
	s64 done;
	int err;

	if (how == GVM_FILL_CACHED)
		return refresh(fd, f, addr);
	if (f->wp && !f->can_continue_wp) {
		f->blocked = true;
		return 0;
	}
	do {
		done = 0;
		err = fill_call(fd, f, GVM_FILL_CACHED, addr, GVM_PAGE_SIZE, &done);
	} while (err == -EAGAIN);
	if (err == -EEXIST)
		return refresh(fd, f, addr);
	return err == -EFAULT ? gvm_uffd_wake(fd, addr, GVM_PAGE_SIZE) : err;
}

int gvm_uffd_fill(int fd, struct gvm_uffd_fill *f)
{
	u64 addr = f->addr, end = f->addr + f->len;
	int err, gone = 0;

	while (addr < end) {
		s64 done = 0;

		err = fill_call(fd, f, f->how, addr, end - addr, &done);
		if (!err)
			return gone;
		if (done > 0) {
			addr += (u64)done;
			continue;
		}
		if (err == -EAGAIN)
			continue;
		if (err == -EEXIST)
			err = fill_existing(fd, f, f->how, addr);
		else if (err == -EFAULT && f->how == GVM_FILL_CACHED)
			err = gvm_uffd_wake(fd, addr, GVM_PAGE_SIZE);
		if (err == -ENOENT)
			gone = err;
		else if (err)
			return err;
		addr += GVM_PAGE_SIZE;
	}
	return gone;
}
