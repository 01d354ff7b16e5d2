// SPDX-License-Identifier: GPL-2.0-or-later
#include "module.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../master_core/gateway_list.h"

#define EXIT_USAGE 2
#define MIB	   (1 << 20)

#define NAME(name) #name,
static const char *const counters[] = {GVM_KERNEL_COUNTERS(NAME)};
static const char *const states[] = {"created", "starting", "running", "dead"};

int module_fail(const char *format, ...)
{
	va_list ap;

	fputs("gvm_ctl: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	return EXIT_FAILURE;
}

int module_is_device(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISCHR(st.st_mode);
}

static const char *ip_text(uint32_t ip, char *buf)
{
	return inet_ntop(AF_INET, &ip, buf, INET_ADDRSTRLEN);
}

/* Gateways that the list does not name any more are taken out. */
static int set_gateways(int fd, const struct gvm_gateway_list *list)
{
	struct gvm_ioctl_gateway_info old = {.version = GVM_IOCTL_VERSION};
	size_t i;

	for (; !ioctl(fd, IOCTL_GET_GATEWAY, &old); old.gw_id++) {
		struct gvm_ioctl_gateway none = {.gw_id = old.gw_id};

		if (!gvm_gateway_list_find(list, old.gw_id) && ioctl(fd, IOCTL_SET_GATEWAY, &none))
			return -errno;
	}
	for (i = 0; i < list->count; i++) {
		const struct gvm_gateway_entry *e = &list->entries[i];
		struct gvm_ioctl_gateway g = {.gw_id = e->id, .ip = e->ip, .port = e->port};

		if (ioctl(fd, IOCTL_SET_GATEWAY, &g))
			return -errno;
	}
	return 0;
}

static int run_load(int fd, int argc, char **argv)
{
	struct gvm_gateway_list list = {0};
	char error[GVM_LIST_ERROR_MAX];
	int err;

	if (argc != 2)
		return module_fail("load takes the name of a file"), EXIT_USAGE;
	if (gvm_gateway_list_load(&list, argv[1], GVM_MAX_GATEWAYS, error))
		return module_fail("%s; nothing was changed", error);
	err = set_gateways(fd, &list);
	if (!err)
		printf("%zu gateways loaded\n", list.count);
	gvm_gateway_list_free(&list);
	return err ? module_fail("the module refuses a gateway: %s", strerror(-err)) : 0;
}

static int run_gateways(int fd, int argc, char **argv)
{
	struct gvm_ioctl_gateway_info g = {.version = GVM_IOCTL_VERSION};
	char ip[INET_ADDRSTRLEN];

	(void)argv;
	if (argc != 1)
		return module_fail("gateways takes no argument"), EXIT_USAGE;
	for (; !ioctl(fd, IOCTL_GET_GATEWAY, &g); g.gw_id++)
		printf("gateway %u at %s:%u\n", g.gw_id, ip_text(g.ip, ip), ntohs(g.port));
	return errno == ENOENT ? 0 : module_fail("cannot read the gateways: %s", strerror(errno));
}

static void show_text(const struct gvm_ioctl_stat *s)
{
	char ip[INET_ADDRSTRLEN];
	uint32_t i;

	printf("VM %u %s%s: %llu MiB, node %u at %s:%u\n", s->vm_id, states[s->state & 3],
	       s->flags & GVM_VMF_INSECURE ? " (insecure)" : "",
	       (unsigned long long)s->ram_size / MIB, s->node_id, ip_text(s->bind_ip, ip),
	       ntohs(s->bind_port));
	for (i = 0; i < s->counters && i < GVM_KC_COUNT; i++)
		if (s->counter[i])
			printf("  %s %llu\n", counters[i], (unsigned long long)s->counter[i]);
	for (i = 0; i < GVM_STAT_LATENCIES; i++)
		if (s->latency[i])
			printf("  faults below %lu us: %llu\n", 2UL << i,
			       (unsigned long long)s->latency[i]);
}

static void show_json(const struct gvm_ioctl_stat *s, int first)
{
	char ip[INET_ADDRSTRLEN];
	uint32_t i;

	printf("%s{\"vm_id\": %u, \"node_id\": %u, \"state\": \"%s\", \"ram_size\": %llu, "
	       "\"bind\": \"%s:%u\", \"insecure\": %s, \"counters\": {",
	       first ? "" : ", ", s->vm_id, s->node_id, states[s->state & 3],
	       (unsigned long long)s->ram_size, ip_text(s->bind_ip, ip), ntohs(s->bind_port),
	       s->flags & GVM_VMF_INSECURE ? "true" : "false");
	for (i = 0; i < s->counters && i < GVM_KC_COUNT; i++)
		printf("%s\"%s\": %llu", i ? ", " : "", counters[i],
		       (unsigned long long)s->counter[i]);
	printf("}, \"fault_us\": [");
	for (i = 0; i < GVM_STAT_LATENCIES; i++)
		printf("%s%llu", i ? ", " : "", (unsigned long long)s->latency[i]);
	printf("]}");
}

static int run_status(int fd, int argc, char **argv)
{
	int json = argc == 2 && !strcmp(argv[1], "--json"), n = 0;
	struct gvm_ioctl_stat s = {.version = GVM_IOCTL_VERSION};

	if (argc > 2 || (argc == 2 && !json))
		return module_fail("status takes nothing but --json"), EXIT_USAGE;
	if (json)
		printf("{\"role\": \"module\", \"vms\": [");
	for (; !ioctl(fd, IOCTL_VM_STAT, &s); s.vm_id++, n++) {
		if (json)
			show_json(&s, !n);
		else
			show_text(&s);
		s.version = GVM_IOCTL_VERSION;
	}
	if (json)
		printf("]}\n");
	else if (!n)
		printf("no VM\n");
	return errno == ENOENT ? 0 : module_fail("cannot read the status: %s", strerror(errno));
}

static const struct {
	const char *name;
	int (*run)(int fd, int argc, char **argv);
} commands[] = {
	{"load", run_load},	   {"gateways", run_gateways},	{"status", run_status},
	{"create", module_create}, {"destroy", module_destroy},
};

int module_run(const char *device, int argc, char **argv)
{
	int fd = open(device, O_RDWR | O_CLOEXEC), code;
	size_t i;

	if (fd < 0)
		return module_fail("cannot open %s: %s", device, strerror(errno));
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].name, argv[0]))
			break;
	if (i < sizeof(commands) / sizeof(commands[0])) {
		code = commands[i].run(fd, argc, argv);
	} else {
		code = EXIT_USAGE;
		module_fail("the kernel module knows no command '%s'", argv[0]);
	}
	close(fd);
	return code;
}
