/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest RAM from the node: a host memory backend that maps the node's memory
 * object. -accel giantvm makes it the machine's default RAM (create_default_memdev).
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/module.h"
#include "qom/object_interfaces.h"
#include "sysemu/hostmem.h"
#include "accel/giantvm/giantvm-int.h"

static bool check_backend(HostMemoryBackend *backend, GiantvmState *s, Error **errp)
{
	if (!s)
		error_setg(errp, TYPE_MEMORY_BACKEND_GIANTVM " needs -accel giantvm");
	else if (s->ram)
		error_setg(errp, "a node has one RAM: only one " TYPE_MEMORY_BACKEND_GIANTVM
				 " is possible");
	else if (!backend->size)
		error_setg(errp, TYPE_MEMORY_BACKEND_GIANTVM " needs a size");
	else if (backend->prealloc)
		error_setg(errp, "prealloc=on would bring every page to this machine: not "
				 "possible with -accel giantvm");
	else if (!backend->share)
		error_setg(errp, "share=off is not possible with -accel giantvm");
	else
		return true;
	return false;
}

/* The region closes the descriptor it is given, so it gets one of its own. */
static bool map_ram(HostMemoryBackend *backend, int memfd, Error **errp)
{
	g_autofree char *name = host_memory_backend_get_name(backend);
	int fd = fcntl(memfd, F_DUPFD_CLOEXEC, 0);
	Error *err = NULL;

	if (fd < 0) {
		error_setg_errno(errp, errno, "cannot duplicate the RAM's descriptor");
		return false;
	}
	memory_region_init_ram_from_fd(&backend->mr, OBJECT(backend), name, backend->size, true, fd,
				       &err);
	if (err) {
		close(fd);
		error_propagate(errp, err);
	}
	return !err;
}

static void giantvm_memory_alloc(HostMemoryBackend *backend, Error **errp)
{
	GiantvmState *s = giantvm_state();

	if (!check_backend(backend, s, errp))
		return;
	if (gvm_client_attach(&s->client, backend->size) < 0) {
		error_setg(errp, "%s", s->client.error);
		return;
	}
	/* A core dump, or the merging of equal pages, would bring in pages. */
	backend->dump = false;
	backend->merge = false;
	if (!map_ram(backend, s->client.memfd, errp))
		return;
	if (giantvm_serve_ram(s, memory_region_get_ram_ptr(&backend->mr), errp))
		s->ram = backend;
}

static void giantvm_memory_instance_init(Object *obj)
{
	MEMORY_BACKEND(obj)->share = true;
}

static void giantvm_memory_class_init(ObjectClass *oc, void *data)
{
	MEMORY_BACKEND_CLASS(oc)->alloc = giantvm_memory_alloc;
}

static const TypeInfo giantvm_memory_info = {
	.name = TYPE_MEMORY_BACKEND_GIANTVM,
	.parent = TYPE_MEMORY_BACKEND,
	.instance_init = giantvm_memory_instance_init,
	.class_init = giantvm_memory_class_init,
};

static void register_types(void)
{
	type_register_static(&giantvm_memory_info);
}

type_init(register_types);
