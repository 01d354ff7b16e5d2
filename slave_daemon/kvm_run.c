// SPDX-License-Identifier: GPL-2.0-or-later
/* The run loop: events in, KVM_RUN, exits out. */
#include <signal.h>

#include "kvm_internal.h"

#define APIC_BASE_BSP 0x100

static bool vector_deliverable(const struct gvm_exec_vcpu *v, int vector)
{
	return vector != GVM_NO_VECTOR && vector >> 4 > (int)v->run->cr8;
}

/* INIT and SIPI change the whole state, which only the vCPU's own thread may do. */
static int apply_init(struct gvm_exec_vcpu *v, char *error)
{
	struct gvm_vcpu_state *s = &v->scratch;
	int err = kvm_state_get(v, s, error);

	if (err)
		return err;
	gvm_vcpu_state_init(s);
	s->reg[GVM_RDX] = v->signature;
	if (s->apic_base & APIC_BASE_BSP)
		s->mp_state = GVM_MP_RUNNING;
	return kvm_state_set(v, s, error);
}

static int apply_sipi(struct gvm_exec_vcpu *v, u8 vector, char *error)
{
	int err;

	if (v->mp_state != GVM_MP_WAIT_SIPI && v->mp_state != GVM_MP_SIPI)
		return 0;
	err = kvm_state_get(v, &v->scratch, error);
	if (err)
		return err;
	gvm_vcpu_state_sipi(&v->scratch, vector);
	return kvm_state_set(v, &v->scratch, error);
}

static int apply(struct gvm_exec_vcpu *v, const struct kvm_requests *r, char *error)
{
	unsigned int i;
	int err = r->init ? apply_init(v, error) : 0;

	if (!err && r->sipi)
		err = apply_sipi(v, r->sipi_vector, error);
	else if (!err && v->mp_state == GVM_MP_SIPI)
		err = apply_sipi(v, v->sipi_vector, error);
	if (v->mp_state == GVM_MP_HALTED && r->nmis)
		v->mp_state = GVM_MP_RUNNING;
	/* One that waits for INIT or SIPI loses them, as the real thing does. */
	for (i = 0; !err && i < r->nmis && v->mp_state == GVM_MP_RUNNING; i++)
		if (ioctl(v->fd, KVM_NMI, 0))
			err = kvm_fail(error, -errno, "vCPU %u does not take an NMI", v->index);
	if (v->mp_state == GVM_MP_HALTED && v->if_flag && vector_deliverable(v, r->vector))
		v->mp_state = GVM_MP_RUNNING;
	return err;
}

/*
 * Delivers the vector or asks for the window. 1: it is on its way, the caller
 * must hear of it before the guest runs.
 */
static int deliver(struct gvm_exec_vcpu *v, int vector, struct gvm_exit *exit, char *error)
{
	struct kvm_interrupt irq = {.irq = vector};

	v->run->request_interrupt_window = 0;
	if (!vector_deliverable(v, vector))
		return 0;
	if (!v->run->ready_for_interrupt_injection || !v->if_flag) {
		v->run->request_interrupt_window = 1;
		return 0;
	}
	if (!kvm_vector_taken(v, vector))
		return 0; /* the offer has changed; attention keeps it from entering */
	if (ioctl(v->fd, KVM_INTERRUPT, &irq))
		return kvm_fail(error, -errno, "vCPU %u does not take interrupt %d", v->index,
				vector);
	v->run->ready_for_interrupt_injection = 0;
	exit->kind = GVM_EXIT_TAKEN;
	exit->vector = vector;
	return 1;
}

/* KVM_RUN until it is more than a signal. 0 or a negative errno. */
static int enter(struct gvm_exec_vcpu *v)
{
	int err;

	if (!kvm_enter(v))
		return -EINTR;
	err = ioctl(v->fd, KVM_RUN, 0) ? -errno : 0;
	kvm_leave(v);
	if (err == -EAGAIN)
		err = -EINTR;
	v->unfinished = false;
	v->if_flag = v->run->if_flag;
	return err;
}

int kvm_complete(struct gvm_exec_vcpu *v)
{
	int err;

	if (v->stashed)
		return -EBUSY;
	if (!v->unfinished)
		return 0;
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_RELAXED);
	err = ioctl(v->fd, KVM_RUN, 0) ? -errno : 0;
	v->unfinished = false;
	v->if_flag = v->run->if_flag;
	if (err == -EINTR)
		return 0;
	v->stashed = !err;
	return err ? err : -EBUSY;
}

static bool waits(const struct gvm_exec_vcpu *v, struct gvm_exit *exit)
{
	if (v->mp_state == GVM_MP_RUNNING)
		return false;
	exit->kind = v->mp_state == GVM_MP_HALTED ? GVM_EXIT_HALT : GVM_EXIT_WAIT;
	return true;
}

/* What comes before the guest. true: exit is to be handed out. */
static bool prepare(struct gvm_exec_vcpu *v, struct gvm_exit *exit)
{
	struct kvm_requests r;
	char error[GVM_EXEC_ERROR_MAX];
	int err;

	/* KVM_RUN says whether an interrupt can be taken even when it does not enter. */
	v->unfinished |= v->refresh;
	v->refresh = false;
	err = kvm_complete(v);
	if (err == -EBUSY) {
		v->stashed = false;
		return kvm_exit_decode(v, exit);
	}
	if (err) {
		kvm_exit_error(v, exit, err, "KVM_RUN fails");
		return true;
	}
	r = kvm_requests_take(v);
	err = apply(v, &r, error);
	if (r.kick && !err) {
		exit->kind = GVM_EXIT_KICKED;
		return true;
	}
	if (!err && waits(v, exit))
		return true;
	if (!err)
		err = deliver(v, r.vector, exit, error);
	if (err < 0)
		kvm_exit_error(v, exit, err, error);
	return err != 0;
}

/* An access is completed by the KVM_RUN that goes on, unless somebody wants something. */
static bool may_go_on(struct gvm_exec_vcpu *v)
{
	return v->unfinished && !v->run->request_interrupt_window &&
	       !__atomic_load_n(&v->run->immediate_exit, __ATOMIC_RELAXED) &&
	       __atomic_load_n(&v->req.vector, __ATOMIC_RELAXED) == GVM_NO_VECTOR;
}

/* A process may have every signal blocked in its threads; this one must come through. */
static void let_kicks_in(const struct gvm_exec_vcpu *v)
{
	static __thread int open_for;
	sigset_t set;

	if (open_for == v->vm->signal)
		return;
	sigemptyset(&set);
	sigaddset(&set, v->vm->signal);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	open_for = v->vm->signal;
}

void kvm_run(struct gvm_exec_vcpu *v, struct gvm_exit *exit)
{
	bool done;
	int err;

	let_kicks_in(v);
	memset(exit, 0, offsetof(struct gvm_exit, text));
	exit->text[0] = '\0';
	do {
		done = !may_go_on(v) && prepare(v, exit);
		if (done)
			break;
		err = enter(v);
		if (!err)
			done = kvm_exit_decode(v, exit);
		else if (err != -EINTR) {
			kvm_exit_error(v, exit, err, "KVM_RUN fails");
			done = true;
		}
	} while (!done);
	exit->cr8 = v->run->cr8;
}
