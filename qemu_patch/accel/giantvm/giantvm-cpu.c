/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vCPUs. Each one is in a tier: run by the engine of this process (TCG or
 * KVM), or on a slave. Every vCPU is in the first tier here, so the table of
 * functions that QEMU calls is the engine's, and a tier gets its own thread
 * function by another create_vcpu_thread.
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "hw/boards.h"
#include "sysemu/cpu-timers.h"
#include "sysemu/cpus.h"
#include "sysemu/runstate.h"
#include "accel/kvm/kvm-cpus.h"
#include "accel/tcg/tcg-cpus.h"
#include "giantvm-int.h"

static CpusAccel giantvm_cpus;

static const char *default_engine(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0 || !accel_find("kvm")) {
		if (fd >= 0)
			close(fd);
		return "tcg";
	}
	close(fd);
	return "kvm";
}

static const CpusAccel *engine_cpus(const char *engine)
{
#ifdef CONFIG_KVM
	if (strcmp(engine, "kvm") == 0)
		return &kvm_cpus;
#endif
#ifdef CONFIG_TCG
	if (strcmp(engine, "tcg") == 0)
		return &tcg_cpus;
#endif
	return NULL;
}

static AccelState *engine_new(GiantvmState *s, Error **errp)
{
	AccelClass *ac = accel_find(s->engine);
	AccelState *engine;

	if (!ac || !engine_cpus(s->engine)) {
		error_setg(errp, "engine=%s is not in this build of QEMU", s->engine);
		return NULL;
	}
	if (s->thread && strcmp(s->engine, "tcg")) {
		error_setg(errp, "thread=%s is for engine=tcg, not for engine=%s", s->thread,
			   s->engine);
		return NULL;
	}
	engine = ACCEL(object_new_with_class(OBJECT_CLASS(ac)));
	object_apply_compat_props(OBJECT(engine)); /* -machine kernel-irqchip=..., -tb-size */
	if (s->thread && !object_property_set_str(OBJECT(engine), "thread", s->thread, errp)) {
		object_unref(OBJECT(engine));
		return NULL;
	}
	return engine;
}

bool giantvm_engine_start(GiantvmState *s, MachineState *ms, Error **errp)
{
	AccelState *engine;
	int ret;

	if (!s->engine)
		s->engine = g_strdup(default_engine());
	engine = engine_new(s, errp);
	if (!engine)
		return false;
	ret = accel_init_machine(engine, ms);
	if (ret < 0) {
		error_setg_errno(errp, -ret, "engine=%s does not start", s->engine);
		return false;
	}
	giantvm_cpus = *engine_cpus(s->engine);
	cpus_register_accel(&giantvm_cpus);
	return true;
}

void giantvm_cpus_hold(void)
{
	CPUState *cpu;

	if (!runstate_is_running())
		return;
	cpu_disable_ticks();
	CPU_FOREACH(cpu)
	{
		cpu->stop = true;
		qemu_cpu_kick(cpu);
	}
}

void giantvm_cpus_release(void)
{
	if (!runstate_is_running())
		return;
	cpu_enable_ticks();
	resume_all_vcpus();
}
