// SPDX-License-Identifier: GPL-2.0-or-later
/* kioctl [COUNT SEED]: control requests that must be refused, each with the right errno. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../common_include/giantvm_ioctl.h"
#include "../guest/pattern.h"

static unsigned int wrong;

static void expect(int fd, unsigned long cmd, const void *arg, int want, const char *what)
{
	int r = ioctl(fd, cmd, arg), got = r < 0 ? errno : 0;

	if (got == want)
		return;
	wrong++;
	printf("kioctl: %s: %s, not %s\n", what, strerror(got), strerror(want));
}

static struct gvm_ioctl_create good_create(void)
{
	return (struct gvm_ioctl_create){.version = GVM_IOCTL_VERSION,
					 .vm_id = 77,
					 .ram_size = 1 << 20,
					 .budget = 1 << 20,
					 .bind_ip = 0x0100007f,
					 .uid = GVM_UID_ANY};
}

static void create_refused(int fd)
{
	struct gvm_ioctl_create c;

#define REFUSED(field, value, err)                                                                 \
	c = good_create();                                                                         \
	c.field = value;                                                                           \
	expect(fd, IOCTL_VM_CREATE, &c, err, "create with " #field " = " #value)
	REFUSED(version, 0, EPROTO);
	REFUSED(version, 2, EPROTO);
	REFUSED(ram_size, 0, EINVAL);
	REFUSED(ram_size, 4097, EINVAL);
	REFUSED(ram_size, ~0ULL & ~4095ULL, EINVAL);
	REFUSED(budget, 0, EINVAL);
	REFUSED(budget, ~0ULL & ~4095ULL, EINVAL);
	REFUSED(node_id, 5, EINVAL);
	REFUSED(node_id, 0x7fffffff, EINVAL);
	REFUSED(vm_id, 0x7fffffff, EINVAL);
	REFUSED(flags, 0x80, EINVAL);
	REFUSED(reserved, 1, EINVAL);
	REFUSED(prefetch, 1 << 20, EINVAL);
	REFUSED(residence_us, 1 << 30, EINVAL);
	REFUSED(bind_ip, 0x0100000a, EPERM);
#undef REFUSED
	expect(fd, IOCTL_VM_CREATE, NULL, EFAULT, "create from nowhere");
}

static void others_refused(int fd)
{
	struct gvm_ioctl_gateway g = {.gw_id = 1U << 24, .ip = 1, .port = 1};
	struct gvm_ioctl_vm v = {.version = GVM_IOCTL_VERSION, .vm_id = 4000};
	struct gvm_ioctl_start s = {.version = GVM_IOCTL_VERSION, .vm_id = 4000, .nmembers = 1};
	struct gvm_ioctl_nodes n = {.version = GVM_IOCTL_VERSION, .vm_id = 4000, .count = 1};
	struct gvm_ioctl_stat t = {.version = GVM_IOCTL_VERSION, .vm_id = 0xfffffff0};

	expect(fd, IOCTL_SET_GATEWAY, &g, ERANGE, "a gateway out of range");
	g = (struct gvm_ioctl_gateway){.port = 1};
	expect(fd, IOCTL_SET_GATEWAY, &g, EINVAL, "a gateway without an address");
	expect(fd, IOCTL_SET_GATEWAY, NULL, EFAULT, "a gateway from nowhere");
	expect(fd, IOCTL_VM_OPEN, &v, ENOENT, "open of a VM that is not there");
	expect(fd, IOCTL_VM_DESTROY, &v, ENOENT, "destruction of a VM that is not there");
	v.version = 9;
	expect(fd, IOCTL_VM_OPEN, &v, EPROTO, "open of another version");
	expect(fd, IOCTL_VM_DESTROY, &v, EPROTO, "destruction of another version");
	expect(fd, IOCTL_VM_START, &s, ENOENT, "start of a VM that is not there");
	s.nmembers = 0;
	expect(fd, IOCTL_VM_START, &s, EINVAL, "start without members");
	s.nmembers = 0xffffffff;
	expect(fd, IOCTL_VM_START, &s, EINVAL, "start with too many members");
	expect(fd, IOCTL_VM_NODES, &n, ENOENT, "nodes of a VM that is not there");
	n.count = 1 << 20;
	expect(fd, IOCTL_VM_NODES, &n, EINVAL, "too many nodes");
	expect(fd, IOCTL_VM_STAT, &t, ENOENT, "the status of no VM");
	expect(fd, _IO('G', 99), NULL, ENOTTY, "an unknown request");
	expect(fd, _IO('X', 1), NULL, ENOTTY, "somebody else's request");
}

/* A VM that is created and cannot be started wrongly, used before it is, or made twice. */
static void half_made(int fd)
{
	struct gvm_ioctl_create c = good_create();
	struct gvm_ioctl_member m[2] = {{.id = 1, .weight = 1}, {.id = 0, .weight = 1}};
	struct gvm_ioctl_start s = {.version = GVM_IOCTL_VERSION,
				    .vm_id = 77,
				    .epoch = 1,
				    .stripe_shift = 9,
				    .nmembers = 2,
				    .members = (uintptr_t)m};
	struct gvm_ioctl_vm v = {.version = GVM_IOCTL_VERSION, .vm_id = 77};

	expect(fd, IOCTL_VM_CREATE, &c, 0, "a good VM");
	expect(fd, IOCTL_VM_CREATE, &c, EEXIST, "the same VM again");
	expect(fd, IOCTL_VM_OPEN, &v, ENODEV, "open before start");
	expect(fd, IOCTL_VM_START, &s, EINVAL, "members out of order");
	m[0].id = 0;
	m[1].id = 1U << 30;
	expect(fd, IOCTL_VM_START, &s, EINVAL, "a member out of range");
	m[1].id = 1;
	m[1].weight = 0;
	expect(fd, IOCTL_VM_START, &s, EINVAL, "a member without weight");
	m[1].weight = 1;
	s.stripe_shift = 60;
	expect(fd, IOCTL_VM_START, &s, EINVAL, "a huge stripe");
	s.stripe_shift = 9;
	s.epoch = 0;
	expect(fd, IOCTL_VM_START, &s, EINVAL, "epoch 0");
	s.epoch = 1;
	s.members = 16;
	expect(fd, IOCTL_VM_START, &s, EFAULT, "members from nowhere");
	v.flags = 0x100;
	expect(fd, IOCTL_VM_DESTROY, &v, EINVAL, "destruction with unknown flags");
	v.flags = 0;
	expect(fd, IOCTL_VM_DESTROY, &v, 0, "destruction");
}

static void noise(int fd, unsigned long count, uint64_t x)
{
	static unsigned char buf[4096];
	unsigned long i;
	size_t k;

	for (i = 0; i < count; i++) {
		for (k = 0; k < sizeof(buf) / 8; k += 1 + (i & 7)) {
			x = pattern_next(x);
			memcpy(buf + 8 * k, &x, 8);
		}
		/* Often the right version, or nothing behind it would be reached. */
		if (i & 1)
			memcpy(buf, &(uint32_t){GVM_IOCTL_VERSION}, 4);
		x = pattern_next(x);
		/* Not NODES, which may wait, and not SET_GATEWAY, which may be right. */
		ioctl(fd,
		      _IOC((x >> 8) & 3, 'G', (x & 1) ? 3 : 5 + (x >> 16) % 30,
			   (x >> 24) % 2 ? 64 : (x >> 32) & 0x3fff),
		      buf);
		ioctl(fd, i % 3 ? IOCTL_VM_START : IOCTL_VM_CREATE, buf);
	}
}

static void unprivileged(void)
{
	struct gvm_ioctl_create c = good_create();
	struct gvm_ioctl_gateway g = {.gw_id = 0, .ip = 1, .port = 1};
	struct gvm_ioctl_stat t = {.version = GVM_IOCTL_VERSION};
	int fd = open(GVM_DEVICE, O_RDWR);

	if (setgid(65534) || setuid(65534) || fd < 0)
		_exit(1);
	expect(fd, IOCTL_VM_CREATE, &c, EPERM, "create by an ordinary user");
	expect(fd, IOCTL_SET_GATEWAY, &g, EPERM, "a gateway by an ordinary user");
	expect(fd, IOCTL_VM_STAT, &t, EPERM, "status by an ordinary user");
	if (open(GVM_DEVICE, O_RDWR) >= 0 || errno != EACCES)
		wrong++;
	_exit(wrong != 0);
}

int main(int argc, char **argv)
{
	int fd = open(GVM_DEVICE, O_RDWR), status;

	if (fd < 0) {
		printf("kioctl: %s: %s\n", GVM_DEVICE, strerror(errno));
		return 2;
	}
	if (!fork())
		unprivileged();
	wait(&status);
	wrong += status != 0;
	create_refused(fd);
	others_refused(fd);
	half_made(fd);
	noise(fd, argc > 1 ? strtoul(argv[1], NULL, 10) : 2000,
	      argc > 2 ? strtoull(argv[2], NULL, 10) : 1);
	printf("kioctl: %u answers were wrong\n", wrong);
	return wrong != 0;
}
