/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -accel giantvm: the guest's RAM comes from a node, its vCPUs are run by TCG
 * or KVM as usual. This file has the options and the order of starting.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/module.h"
#include "exec/memory.h"
#include "hw/boards.h"
#include "migration/blocker.h"
#include "sysemu/cpu-timers.h"
#include "sysemu/hostmem.h"
#include "sysemu/runstate.h"
#include "sysemu/sysemu.h"
#include "giantvm-int.h"

bool giantvm_allowed;
static GiantvmState *giantvm;

GiantvmState *giantvm_state(void)
{
	return giantvm;
}

static bool is_kernel_mode(GiantvmState *s)
{
	return strcmp(s->mode, "kernel") == 0;
}

/* What would bring in every page, or have time of its own. */
static bool check_settings(GiantvmState *s, Error **errp)
{
	if (icount_enabled())
		error_setg(errp, "-icount is not possible with -accel giantvm");
	else if (enable_mlock)
		error_setg(errp, "-overcommit mem-lock=on would bring every page to this machine: "
				 "not possible with -accel giantvm");
	else
		return true;
	return false;
}

static bool open_kernel_module(Error **errp)
{
	int fd = open(GIANTVM_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0 && (errno == ENOENT || errno == ENXIO || errno == ENODEV))
		error_setg(errp,
			   "mode=kernel needs " GIANTVM_DEVICE ", which is not there: load the "
			   "giantvm module, or use -accel giantvm,mode=user with a node process");
	else if (fd < 0)
		error_setg_errno(errp, errno,
				 "mode=kernel cannot open " GIANTVM_DEVICE
				 " (mode=user needs no device)");
	else
		error_setg(errp, "mode=kernel: this QEMU cannot take RAM from " GIANTVM_DEVICE
				 ": use -accel giantvm,mode=user");
	if (fd >= 0)
		close(fd);
	return false;
}

static bool connect_node(GiantvmState *s, Error **errp)
{
	if (is_kernel_mode(s))
		return open_kernel_module(errp);
	if (gvm_client_connect(&s->client, s->socket) < 0) {
		error_setg(errp, "%s", s->client.error);
		return false;
	}
	return true;
}

static void block_migration(void)
{
	Error *reason = NULL;

	error_setg(&reason, "the guest's RAM lives on other machines: -accel giantvm can be "
			    "neither migrated nor saved");
	migrate_add_blocker(reason, &error_fatal);
}

static void machine_done(Notifier *n, void *data)
{
	GiantvmState *s = container_of(n, GiantvmState, machine_done);

	if (!s->ram || !host_memory_backend_is_mapped(s->ram)) {
		error_report(
			"the machine's RAM does not come from the node: leave out -machine "
			"memory-backend and -numa memdev, or name a " TYPE_MEMORY_BACKEND_GIANTVM
			" object there");
		exit(1);
	}
	if (runstate_check(RUN_STATE_INMIGRATE)) {
		error_report("-incoming is not possible with -accel giantvm");
		exit(1);
	}
	block_migration();
}

static int giantvm_init_machine(MachineState *ms)
{
	GiantvmState *s = GIANTVM_ACCEL(ms->accelerator);
	Error *err = NULL;

	giantvm = s;
	if (!check_settings(s, &err) || !connect_node(s, &err))
		goto fail;
	/* A page that QEMU discards (balloon) would come back as zeroes from nowhere. */
	if (ram_block_discard_disable(true) < 0) {
		error_setg(&err, "something already discards the guest's RAM");
		goto fail;
	}
	if (!giantvm_engine_start(s, ms, &err)) {
		ram_block_discard_disable(false);
		goto fail;
	}
	giantvm_events_init(s);
	s->machine_done.notify = machine_done;
	qemu_add_machine_init_done_notifier(&s->machine_done);
	return 0;

fail:
	error_report_err(err);
	gvm_client_detach(&s->client);
	giantvm = NULL;
	return -EINVAL;
}

static bool one_of(const char *value, const char *name, const char *a, const char *b, Error **errp)
{
	if (strcmp(value, a) == 0 || strcmp(value, b) == 0)
		return true;
	error_setg(errp, "%s=%s: must be %s or %s", name, value, a, b);
	return false;
}

static void replace(char **field, const char *value)
{
	g_free(*field);
	*field = g_strdup(value);
}

static char *get_mode(Object *obj, Error **errp)
{
	return g_strdup(GIANTVM_ACCEL(obj)->mode);
}

static void set_mode(Object *obj, const char *value, Error **errp)
{
	if (one_of(value, "mode", "kernel", "user", errp))
		replace(&GIANTVM_ACCEL(obj)->mode, value);
}

static char *get_socket(Object *obj, Error **errp)
{
	return g_strdup(GIANTVM_ACCEL(obj)->socket);
}

static void set_socket(Object *obj, const char *value, Error **errp)
{
	replace(&GIANTVM_ACCEL(obj)->socket, value);
}

static char *get_engine(Object *obj, Error **errp)
{
	return g_strdup(GIANTVM_ACCEL(obj)->engine ?: "");
}

static void set_engine(Object *obj, const char *value, Error **errp)
{
	if (one_of(value, "engine", "tcg", "kvm", errp))
		replace(&GIANTVM_ACCEL(obj)->engine, value);
}

static char *get_thread(Object *obj, Error **errp)
{
	return g_strdup(GIANTVM_ACCEL(obj)->thread ?: "");
}

static void set_thread(Object *obj, const char *value, Error **errp)
{
	if (one_of(value, "thread", "single", "multi", errp))
		replace(&GIANTVM_ACCEL(obj)->thread, value);
}

static char *get_on_lost(Object *obj, Error **errp)
{
	return g_strdup(GIANTVM_ACCEL(obj)->stop_when_lost ? "stop" : "exit");
}

static void set_on_lost(Object *obj, const char *value, Error **errp)
{
	if (one_of(value, "on-lost", "exit", "stop", errp))
		GIANTVM_ACCEL(obj)->stop_when_lost = strcmp(value, "stop") == 0;
}

static void giantvm_instance_init(Object *obj)
{
	GiantvmState *s = GIANTVM_ACCEL(obj);

	s->mode = g_strdup("kernel");
	s->socket = g_strdup(GVM_IPC_SOCKET);
	gvm_client_init(&s->client);
}

static void giantvm_instance_finalize(Object *obj)
{
	GiantvmState *s = GIANTVM_ACCEL(obj);

	g_free(s->mode);
	g_free(s->socket);
	g_free(s->engine);
	g_free(s->thread);
}

static void giantvm_class_init(ObjectClass *oc, void *data)
{
	AccelClass *ac = ACCEL_CLASS(oc);

	ac->name = "GiantVM";
	ac->init_machine = giantvm_init_machine;
	ac->allowed = &giantvm_allowed;
	object_class_property_add_str(oc, "mode", get_mode, set_mode);
	object_class_property_set_description(
		oc, "mode", "RAM from " GIANTVM_DEVICE " (kernel) or a node's socket (user)");
	object_class_property_add_str(oc, "socket", get_socket, set_socket);
	object_class_property_set_description(oc, "socket", "the node's Unix socket (mode=user)");
	object_class_property_add_str(oc, "engine", get_engine, set_engine);
	object_class_property_set_description(oc, "engine", "what runs the vCPUs: tcg or kvm");
	object_class_property_add_str(oc, "thread", get_thread, set_thread);
	object_class_property_set_description(oc, "thread", "engine=tcg: single or multi");
	object_class_property_add_str(oc, "on-lost", get_on_lost, set_on_lost);
	object_class_property_set_description(oc, "on-lost",
					      "when pages are lost: exit, or stop the guest");
}

static const TypeInfo giantvm_info = {
	.name = TYPE_GIANTVM_ACCEL,
	.parent = TYPE_ACCEL,
	.class_init = giantvm_class_init,
	.instance_init = giantvm_instance_init,
	.instance_finalize = giantvm_instance_finalize,
	.instance_size = sizeof(GiantvmState),
};

static void register_types(void)
{
	type_register_static(&giantvm_info);
}

type_init(register_types);
