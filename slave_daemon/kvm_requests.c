// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What other threads ask of a vCPU, and how they get it out of the guest: the
 * request is noted, immediate_exit is set, and a signal goes to the thread if it
 * is inside. Whatever comes between the runner's look at the requests and its
 * KVM_RUN makes that return at once, since immediate_exit stays set.
 */
#include <signal.h>
#include <time.h>

#include "kvm_internal.h"

/* Under the lock. */
static void attention(struct gvm_exec_vcpu *v)
{
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_RELAXED);
	if (v->in_guest)
		pthread_kill(v->thread, v->vm->signal);
	pthread_cond_broadcast(&v->changed);
}

void kvm_request_irq(struct gvm_exec_vcpu *v, int vector)
{
	pthread_mutex_lock(&v->lock);
	if (v->req.vector != vector) {
		v->req.vector = vector;
		attention(v);
	}
	pthread_mutex_unlock(&v->lock);
}

void kvm_request_nmi(struct gvm_exec_vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	if (v->req.nmis < 2)
		v->req.nmis++;
	attention(v);
	pthread_mutex_unlock(&v->lock);
}

void kvm_request_init(struct gvm_exec_vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	v->req.init = true;
	v->req.sipi = false;
	attention(v);
	pthread_mutex_unlock(&v->lock);
}

void kvm_request_sipi(struct gvm_exec_vcpu *v, u8 vector)
{
	pthread_mutex_lock(&v->lock);
	v->req.sipi = true;
	v->req.sipi_vector = vector;
	attention(v);
	pthread_mutex_unlock(&v->lock);
}

void kvm_request_kick(struct gvm_exec_vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	v->req.kick = true;
	attention(v);
	pthread_mutex_unlock(&v->lock);
}

static struct timespec deadline(s64 timeout_us)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += timeout_us / 1000000;
	ts.tv_nsec += timeout_us % 1000000 * 1000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_nsec -= 1000000000;
		ts.tv_sec++;
	}
	return ts;
}

/* Under the lock. until: NULL for ever. */
static int changed(struct gvm_exec_vcpu *v, const struct timespec *until)
{
	return until ? -pthread_cond_timedwait(&v->changed, &v->lock, until)
		     : -pthread_cond_wait(&v->changed, &v->lock);
}

int kvm_requests_paused(struct gvm_exec_vcpu *v, s64 timeout_us)
{
	struct timespec until = deadline(timeout_us);
	int err = 0;

	pthread_mutex_lock(&v->lock);
	while (v->in_guest && !err)
		err = changed(v, timeout_us < 0 ? NULL : &until);
	err = v->in_guest ? err : 0;
	pthread_mutex_unlock(&v->lock);
	return err;
}

/* What would make run do something else than report HALT or WAIT once more. */
static bool runnable(const struct gvm_exec_vcpu *v)
{
	if (v->req.kick || v->req.init)
		return true;
	if (v->mp_state == GVM_MP_WAIT_SIPI)
		return v->req.sipi;
	if (v->mp_state == GVM_MP_WAIT_INIT)
		return false;
	return v->mp_state != GVM_MP_HALTED || v->req.nmis ||
	       (v->req.vector != GVM_NO_VECTOR && v->if_flag &&
		v->req.vector >> 4 > (int)v->run->cr8);
}

int kvm_requests_wait(struct gvm_exec_vcpu *v, s64 timeout_us)
{
	struct timespec until = deadline(timeout_us);
	int err = 0;

	pthread_mutex_lock(&v->lock);
	while (!runnable(v) && !err)
		err = changed(v, timeout_us < 0 ? NULL : &until);
	err = runnable(v) ? 0 : err;
	pthread_mutex_unlock(&v->lock);
	return err;
}

struct kvm_requests kvm_requests_take(struct gvm_exec_vcpu *v)
{
	struct kvm_requests r;

	pthread_mutex_lock(&v->lock);
	r = v->req;
	v->req.nmis = 0;
	v->req.init = v->req.sipi = v->req.kick = false;
	__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&v->lock);
	return r;
}

bool kvm_enter(struct gvm_exec_vcpu *v)
{
	bool go;

	pthread_mutex_lock(&v->lock);
	go = !v->run->immediate_exit;
	v->in_guest = go;
	v->thread = pthread_self();
	pthread_mutex_unlock(&v->lock);
	return go;
}

void kvm_leave(struct gvm_exec_vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	v->in_guest = false;
	pthread_cond_broadcast(&v->changed);
	pthread_mutex_unlock(&v->lock);
}

bool kvm_vector_taken(struct gvm_exec_vcpu *v, int vector)
{
	bool same;

	pthread_mutex_lock(&v->lock);
	same = v->req.vector == vector;
	if (same)
		v->req.vector = GVM_NO_VECTOR;
	pthread_mutex_unlock(&v->lock);
	return same;
}
