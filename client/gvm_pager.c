/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The client's userfaultfd: opened, its features agreed on, the RAM registered. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <grp.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gvm_client.h"
#include "gvm_client_internal.h"

#define UFFD_DEVICE "/dev/userfaultfd"

/* Kernel headers older than the kernels that are supported (QEMU brings its own) lack these. */
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif
#ifndef UFFDIO_REGISTER_MODE_MINOR
#define UFFDIO_REGISTER_MODE_MINOR ((__u64)1 << 2)
#endif
#ifndef UFFD_FEATURE_MINOR_SHMEM
#define UFFD_FEATURE_MINOR_SHMEM (1 << 10)
#endif
#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1 << 12)
#endif
#define UFFD_IOCTL_WRITEPROTECT ((__u64)1 << 6)
#define UFFD_IOCTL_CONTINUE	((__u64)1 << 7)

#define FEATURES                                                                                   \
	(UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_PAGEFAULT_FLAG_WP |  \
	 UFFD_FEATURE_WP_HUGETLBFS_SHMEM)

static int too_old(struct gvm_client *c, const char *what)
{
	return gvm_client_fail(c, ENOTSUP,
			       "the kernel is too old: its userfaultfd has no %s on shared memory; "
			       "Linux 6.1 or later is needed",
			       what);
}

static int no_permission(struct gvm_client *c)
{
	const char *advice = "ask for read and write access to it, or set "
			     "vm.unprivileged_userfaultfd=1";
	struct group *gr;
	struct stat st;

	if (stat(UFFD_DEVICE, &st) < 0)
		return gvm_client_fail(c, EPERM,
				       "no permission for userfaultfd, and there is no " UFFD_DEVICE
				       " (Linux 6.1 or later has one): %s",
				       "run as root, or set vm.unprivileged_userfaultfd=1");
	gr = getgrgid(st.st_gid);
	return gvm_client_fail(
		c, EACCES,
		"no permission for userfaultfd: " UFFD_DEVICE
		" belongs to group %s with mode %04o and this user may not open it: %s",
		gr ? gr->gr_name : "?", st.st_mode & 07777U, advice);
}

/*
 * The device first: who may open it gets faults of the kernel's own accesses
 * (a read(2) into the RAM, KVM) without any privilege.
 */
static int open_uffd(struct gvm_client *c)
{
	int dev, fd;

	dev = open(UFFD_DEVICE, O_RDWR | O_CLOEXEC);
	if (dev >= 0) {
		fd = ioctl(dev, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
		close(dev);
		if (fd >= 0)
			return fd;
	}
	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0)
		return fd;
	if (errno == EPERM || errno == EACCES)
		return no_permission(c);
	if (errno == ENOSYS)
		return gvm_client_fail(c, ENOTSUP,
				       "the kernel has no userfaultfd: Linux 6.1 or later with "
				       "CONFIG_USERFAULTFD is needed");
	return gvm_client_fail(c, errno, "cannot open a userfaultfd: %s", strerror(errno));
}

/* A userfaultfd tells its features once and is then no use for asking for some of them. */
static int offered_features(struct gvm_client *c, uint64_t *features)
{
	struct uffdio_api api = {.api = UFFD_API};
	int fd = open_uffd(c), ret;

	if (fd < 0)
		return fd;
	ret = ioctl(fd, UFFDIO_API, &api) < 0 ? -errno : 0;
	close(fd);
	if (ret < 0)
		return gvm_client_fail(c, -ret,
				       "the kernel does not tell its userfaultfd features: %s",
				       strerror(-ret));
	*features = api.features;
	return 0;
}

static int check_features(struct gvm_client *c, uint64_t offered)
{
	if (!(offered & UFFD_FEATURE_MISSING_SHMEM))
		return too_old(c, "missing faults");
	if (!(offered & UFFD_FEATURE_MINOR_SHMEM))
		return too_old(c, "minor faults");
	if (!(offered & UFFD_FEATURE_PAGEFAULT_FLAG_WP) ||
	    !(offered & UFFD_FEATURE_WP_HUGETLBFS_SHMEM))
		return too_old(c, "write protection");
	return 0;
}

int gvm_pager_register(struct gvm_client *c)
{
	struct uffdio_api api = {.api = UFFD_API, .features = FEATURES};
	struct uffdio_register reg = {
		.range = {.start = (uintptr_t)c->base, .len = c->size},
		.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR |
			UFFDIO_REGISTER_MODE_WP,
	};
	uint64_t offered = 0;
	int fd, ret;

	ret = offered_features(c, &offered);
	if (ret == 0)
		ret = check_features(c, offered);
	if (ret < 0)
		return ret;
	fd = open_uffd(c);
	if (fd < 0)
		return fd;
	if (ioctl(fd, UFFDIO_API, &api) < 0)
		ret = gvm_client_fail(c, errno,
				      "the kernel refuses the userfaultfd features %#llx: %s",
				      (unsigned long long)FEATURES, strerror(errno));
	else if (ioctl(fd, UFFDIO_REGISTER, &reg) < 0)
		ret = gvm_client_fail(c, errno,
				      "cannot register %llu bytes of RAM with userfaultfd: %s",
				      (unsigned long long)c->size, strerror(errno));
	else if (!(reg.ioctls & UFFD_IOCTL_WRITEPROTECT) || !(reg.ioctls & UFFD_IOCTL_CONTINUE))
		ret = too_old(c, "write protection and minor faults together");
	if (ret < 0) {
		close(fd);
		return ret;
	}
	c->uffd = fd;
	c->features = FEATURES;
	return 0;
}
