// SPDX-License-Identifier: GPL-2.0-or-later
#include "host.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define CPUID_MAX 512

static const struct gvm_range map[] = {
	{.gpa = 0, .size = HOST_HOLE},
	{.gpa = HOST_HOLE + 0x10000, .size = 0x1f0000, .offset = HOST_HOLE + 0x10000},
	{.gpa = HOST_ROM, .size = 0x100000, .offset = HOST_ROM, .rom = true},
};

bool host_usable(char *error)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);

	if (vm < 0)
		snprintf(error, GVM_EXEC_ERROR_MAX, "no VM of /dev/kvm: %s", strerror(errno));
	if (vm >= 0)
		close(vm);
	if (kvm >= 0)
		close(kvm);
	return vm >= 0;
}

/* What a master would send: here, all that the host offers but KVM's own leaves. */
static int read_cpuid(struct host *h)
{
	struct kvm_cpuid2 *list = calloc(1, sizeof(*list) + CPUID_MAX * sizeof(list->entries[0]));
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	unsigned int i;
	int err = -1;

	h->cpuid = calloc(CPUID_MAX, sizeof(*h->cpuid));
	if (list && h->cpuid && kvm >= 0) {
		list->nent = CPUID_MAX;
		err = ioctl(kvm, KVM_GET_SUPPORTED_CPUID, list);
	}
	for (i = 0; !err && i < list->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &list->entries[i];

		if (e->function >> 8 != 0x400000)
			h->cpuid[h->ncpuid++] = (struct gvm_cpuid_entry){
				e->function, e->index, e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
				e->eax,	     e->ebx,   e->ecx,
				e->edx};
	}
	if (kvm >= 0)
		close(kvm);
	free(list);
	return err;
}

static int open_vm(struct host *h, unsigned int nvcpus)
{
	struct gvm_exec_vm_config cfg = {
		.ram = h->ram, .ram_size = HOST_RAM, .ranges = map, .nranges = ARRAY_SIZE(map)};
	unsigned int i;
	int err;

	h->x = &gvm_executor_kvm;
	err = read_cpuid(h);
	if (err)
		snprintf(h->error, sizeof(h->error), "this host's CPUID cannot be read");
	else
		err = h->x->vm_open(&h->vm, &cfg, h->error);
	for (i = 0; i < nvcpus && !err; i++) {
		struct gvm_exec_vcpu_config v = {
			.index = i, .cpuid = h->cpuid, .ncpuid = h->ncpuid};

		err = h->x->vcpu_open(&h->v[i], h->vm, &v, h->error);
	}
	if (err)
		fprintf(stderr, "%s\n", h->error);
	return err;
}

int host_open(struct host *h, unsigned int nvcpus, int memfd)
{
	memset(h, 0, sizeof(*h));
	h->memfd = memfd >= 0 ? memfd : memfd_create("guest", MFD_CLOEXEC);
	if (h->memfd < 0 || ftruncate(h->memfd, HOST_RAM))
		return -1;
	h->ram = mmap(NULL, HOST_RAM, PROT_READ | PROT_WRITE, MAP_SHARED, h->memfd, 0);
	return h->ram == MAP_FAILED ? -1 : open_vm(h, nvcpus);
}

int host_open_over(struct host *h, unsigned int nvcpus, u8 *ram)
{
	memset(h, 0, sizeof(*h));
	h->memfd = -1;
	h->ram = ram;
	return open_vm(h, nvcpus);
}

void host_close(struct host *h)
{
	unsigned int i;

	for (i = 0; i < HOST_VCPUS; i++)
		if (h->v[i])
			h->x->vcpu_close(h->v[i]);
	if (h->vm)
		h->x->vm_close(h->vm);
	if (h->memfd >= 0) {
		munmap(h->ram, HOST_RAM);
		close(h->memfd);
	}
	free(h->cpuid);
}
