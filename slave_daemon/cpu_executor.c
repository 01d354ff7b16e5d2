// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The KVM engine: VMs and their memory slots, vCPUs. Interrupt controllers are
 * the master's: KVM's own is never created. The slots lie over a mapping that
 * belongs to the caller, who may have a userfaultfd behind it.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kvm_internal.h"

#define TSS_ADDRESS	 0xfeffd000UL /* three pages that no machine uses */
#define IDENTITY_ADDRESS 0xfeffc000ULL

/* Its arrival is all that matters. */
static void on_kick(int sig)
{
	(void)sig;
}

static int install_signal(struct gvm_exec_vm *vm, int wanted, char *error)
{
	struct sigaction action = {.sa_handler = on_kick};

	vm->signal = wanted ? wanted : SIGRTMIN + 2;
	if (sigaction(vm->signal, &action, NULL))
		return kvm_fail(error, -errno, "signal %d cannot be used", vm->signal);
	return 0;
}

static bool capable(const struct gvm_exec_vm *vm, int capability)
{
	return ioctl(vm->fd, KVM_CHECK_EXTENSION, capability) > 0;
}

static bool enabled(struct gvm_exec_vm *vm, u32 capability)
{
	struct kvm_enable_cap cap = {.cap = capability, .args = {1}};

	return capable(vm, capability) && !ioctl(vm->fd, KVM_ENABLE_CAP, &cap);
}

static int check_host(struct gvm_exec_vm *vm, char *error)
{
	static const struct {
		int capability;
		const char *name;
	} needed[] = {
		{KVM_CAP_USER_MEMORY, "USER_MEMORY"},
		{KVM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT"},
		{KVM_CAP_XSAVE, "XSAVE"},
		{KVM_CAP_XCRS, "XCRS"},
		{KVM_CAP_DEBUGREGS, "DEBUGREGS"},
		{KVM_CAP_VCPU_EVENTS, "VCPU_EVENTS"},
		{KVM_CAP_EXT_CPUID, "EXT_CPUID"},
		{KVM_CAP_READONLY_MEM, "READONLY_MEM"},
		{KVM_CAP_USER_NMI, "USER_NMI"},
	};
	int xsave = ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);
	int sync = ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(needed); i++)
		if (!capable(vm, needed[i].capability))
			return kvm_fail(error, -ENOTSUP, "this host's KVM has no %s",
					needed[i].name);
	vm->xsave_size = max_t(u32, xsave > 0 ? xsave : 0, sizeof(struct kvm_xsave));
	vm->has_sync_regs = sync > 0 && sync & KVM_SYNC_X86_REGS;
	vm->has_smm = capable(vm, KVM_CAP_X86_SMM);
	vm->has_payload = enabled(vm, KVM_CAP_EXCEPTION_PAYLOAD);
	vm->has_triple_fault = enabled(vm, KVM_CAP_X86_TRIPLE_FAULT_EVENT);
	vm->has_sregs2 = capable(vm, KVM_CAP_SREGS2);
	return 0;
}

static int open_kvm(struct gvm_exec_vm *vm, char *error)
{
	u64 identity = IDENTITY_ADDRESS;
	int size;

	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm < 0)
		return kvm_fail(error, -errno, "cannot open /dev/kvm");
	if (ioctl(vm->kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return kvm_fail(error, -ENOTSUP, "/dev/kvm speaks another version");
	vm->fd = ioctl(vm->kvm, KVM_CREATE_VM, 0);
	if (vm->fd < 0)
		return kvm_fail(error, -errno, "KVM creates no VM");
	size = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < (int)sizeof(struct kvm_run))
		return kvm_fail(error, -ENOTSUP, "KVM's run area has %d bytes", size);
	vm->run_size = size;
	if (ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) ||
	    ioctl(vm->fd, KVM_SET_TSS_ADDR, TSS_ADDRESS))
		return kvm_fail(error, -errno, "KVM does not take the address of its own pages");
	return 0;
}

static void vm_close(struct gvm_exec_vm *vm)
{
	if (!vm)
		return;
	kvm_host_close(vm);
	if (vm->fd >= 0)
		close(vm->fd);
	if (vm->kvm >= 0)
		close(vm->kvm);
	free(vm->ranges);
	free(vm);
}

static bool range_valid(const struct gvm_exec_vm *vm, const struct gvm_range *r)
{
	u64 mask = GVM_PAGE_SIZE - 1;

	return r->size && !((r->gpa | r->size | r->offset) & mask) && r->size <= vm->ram_size &&
	       r->offset <= vm->ram_size - r->size && r->gpa + r->size > r->gpa;
}

static int ranges_check(const struct gvm_exec_vm *vm, const struct gvm_range *r, unsigned int n,
			char *error)
{
	unsigned int i, j;

	for (i = 0; i < n; i++) {
		if (!range_valid(vm, &r[i]))
			return kvm_fail(
				error, -EINVAL, "range %u of the RAM map, %#llx bytes at %#llx", i,
				(unsigned long long)r[i].size, (unsigned long long)r[i].gpa);
		for (j = 0; j < i; j++)
			if (r[i].gpa < r[j].gpa + r[j].size && r[j].gpa < r[i].gpa + r[i].size)
				return kvm_fail(error, -EINVAL, "ranges %u and %u of the RAM map",
						j, i);
	}
	return 0;
}

static int slot_set(struct gvm_exec_vm *vm, unsigned int slot, const struct gvm_range *r,
		    char *error)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = r->rom ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = r->gpa,
		.memory_size = r->size,
		.userspace_addr = (uintptr_t)vm->ram + r->offset,
	};

	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region))
		return kvm_fail(error, -errno, "KVM does not take %#llx bytes of RAM at %#llx",
				(unsigned long long)r->size, (unsigned long long)r->gpa);
	vm->ranges[slot] = *r;
	return 0;
}

static bool range_same(const struct gvm_range *a, const struct gvm_range *b)
{
	return a->gpa == b->gpa && a->size == b->size && a->offset == b->offset && a->rom == b->rom;
}

static bool range_among(const struct gvm_range *r, const struct gvm_range *list, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (range_same(r, &list[i]))
			return true;
	return false;
}

static int slots_grow(struct gvm_exec_vm *vm, unsigned int n, char *error)
{
	struct gvm_range *grown;

	if (n <= vm->nslots)
		return 0;
	grown = realloc(vm->ranges, n * sizeof(*grown));
	if (!grown)
		return kvm_fail(error, -ENOMEM, "the RAM map");
	memset(grown + vm->nslots, 0, (n - vm->nslots) * sizeof(*grown));
	vm->ranges = grown;
	vm->nslots = n;
	return 0;
}

static int slot_add(struct gvm_exec_vm *vm, const struct gvm_range *r, char *error)
{
	unsigned int slot = 0;

	while (vm->ranges[slot].size)
		slot++;
	return slot_set(vm, slot, r, error);
}

/* First what goes, then what comes: KVM refuses slots that overlap. */
static int vm_set_map(struct gvm_exec_vm *vm, const struct gvm_range *ranges, unsigned int n,
		      char *error)
{
	unsigned int i;
	int err = ranges_check(vm, ranges, n, error);

	if (!err)
		err = slots_grow(vm, n, error);
	for (i = 0; i < vm->nslots && !err; i++) {
		struct gvm_range none = {.gpa = vm->ranges[i].gpa, .offset = vm->ranges[i].offset};

		if (vm->ranges[i].size && !range_among(&vm->ranges[i], ranges, n))
			err = slot_set(vm, i, &none, error);
	}
	for (i = 0; i < n && !err; i++)
		if (!range_among(&ranges[i], vm->ranges, vm->nslots))
			err = slot_add(vm, &ranges[i], error);
	return err;
}

static int vm_open(struct gvm_exec_vm **out, const struct gvm_exec_vm_config *cfg, char *error)
{
	struct gvm_exec_vm *vm = calloc(1, sizeof(*vm));
	int err;

	if (!vm)
		return kvm_fail(error, -ENOMEM, "a VM");
	vm->kvm = vm->fd = -1;
	vm->ram = cfg->ram;
	vm->ram_size = cfg->ram_size;
	err = open_kvm(vm, error);
	if (!err)
		err = check_host(vm, error);
	if (!err)
		err = kvm_host_open(vm, error);
	if (!err)
		err = install_signal(vm, cfg->kick_signal, error);
	if (!err)
		err = vm_set_map(vm, cfg->ranges, cfg->nranges, error);
	if (err)
		vm_close(vm);
	else
		*out = vm;
	return err;
}

static void vcpu_close(struct gvm_exec_vcpu *v)
{
	if (!v)
		return;
	if (v->run)
		munmap(v->run, v->vm->run_size);
	if (v->fd >= 0)
		close(v->fd);
	pthread_cond_destroy(&v->changed);
	pthread_mutex_destroy(&v->lock);
	free(v->xsave);
	free(v->msrs);
	free(v);
}

static int vcpu_prepare(struct gvm_exec_vcpu *v, char *error)
{
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&v->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_mutex_init(&v->lock, NULL);
	v->req.vector = GVM_NO_VECTOR;
	v->fd = -1;
	v->xsave = calloc(1, v->vm->xsave_size);
	return v->xsave ? 0 : kvm_fail(error, -ENOMEM, "vCPU %u", v->index);
}

static int vcpu_create(struct gvm_exec_vcpu *v, char *error)
{
	v->fd = ioctl(v->vm->fd, KVM_CREATE_VCPU, (unsigned long)v->index);
	if (v->fd < 0)
		return kvm_fail(error, -errno, "KVM creates no vCPU %u", v->index);
	v->run = mmap(NULL, v->vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED) {
		v->run = NULL;
		return kvm_fail(error, -errno, "the run area of vCPU %u", v->index);
	}
	if (v->vm->has_sync_regs)
		v->run->kvm_valid_regs = KVM_SYNC_X86_REGS;
	return 0;
}

static int vcpu_power_on(struct gvm_exec_vcpu *v, char *error)
{
	struct gvm_vcpu_state *s = &v->scratch;
	u64 tsc;
	int err = kvm_state_get(v, s, error);

	if (err)
		return err;
	tsc = s->tsc;
	gvm_vcpu_state_reset(s, v->index);
	s->reg[GVM_RDX] = v->signature;
	s->tsc = tsc;
	return kvm_state_set(v, s, error);
}

static int vcpu_open(struct gvm_exec_vcpu **out, struct gvm_exec_vm *vm,
		     const struct gvm_exec_vcpu_config *cfg, char *error)
{
	struct gvm_exec_vcpu *v = calloc(1, sizeof(*v));
	int err;

	if (!v)
		return kvm_fail(error, -ENOMEM, "vCPU %u", cfg->index);
	v->vm = vm;
	v->index = cfg->index;
	err = vcpu_prepare(v, error);
	if (!err)
		err = vcpu_create(v, error);
	if (!err)
		err = kvm_cpuid_set(v, cfg, error);
	if (!err)
		err = kvm_msrs_choose(v, cfg, error);
	if (!err)
		err = vcpu_power_on(v, error);
	if (err)
		vcpu_close(v);
	else
		*out = v;
	return err;
}

const struct gvm_executor gvm_executor_kvm = {
	.name = "kvm",
	.vm_open = vm_open,
	.vm_close = vm_close,
	.vm_set_map = vm_set_map,
	.vcpu_open = vcpu_open,
	.vcpu_close = vcpu_close,
	.get_state = kvm_state_get,
	.set_state = kvm_state_set,
	.run = kvm_run,
	.wait = kvm_requests_wait,
	.irq = kvm_request_irq,
	.nmi = kvm_request_nmi,
	.init = kvm_request_init,
	.sipi = kvm_request_sipi,
	.kick = kvm_request_kick,
	.paused = kvm_requests_paused,
};
