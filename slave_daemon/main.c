// SPDX-License-Identifier: GPL-2.0-or-later
/* giantvm_slave: a node that lends memory. */
#include <arpa/inet.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "../master_core/control.h"
#include "../master_core/gateway_list.h"
#include "../master_core/node_status.h"
#include "../master_core/parse.h"
#include "lent_memory.h"
#include "options.h"

#define MMAP_THRESHOLD (128 << 10) /* tables beyond it are touched page by page */

struct slave {
	struct slave_options opt;
	struct gvm_logger log;
	struct gvm_lent_memory memory;
	struct gvm_backend *backend;
	struct gvm_control *control;
	int signals;
	int refused; /* an eventfd: a gateway does not take this slave */
};

static void on_refused(void *ctx, const char *sentence)
{
	struct slave *s = ctx;
	u64 one = 1;

	gvm_logf(&s->log, GVM_LOG_ERR, "%s", sentence);
	if (write(s->refused, &one, sizeof(one)) < 0)
		abort(); /* an eventfd that was never read has room */
}

static void run_status(void *ctx, char *args, FILE *out)
{
	struct slave *s = ctx;
	struct gvm_node_stats stats;
	bool taken = gvm_registration_accepted(gvm_backend_registration(s->backend));

	(void)args;
	gvm_node_stats(gvm_backend_node(s->backend), &stats);
	fprintf(out,
		"{\"program\":\"giantvm_slave\",\"health\":\"%s\",\"mode\":\"%s\",\"id\":%u,"
		"\"slave_bits\":%u,\"threads\":%u,\"lent_pages\":%llu,\"reserved_pages\":%llu,"
		"\"held_pages\":%llu,",
		taken ? "ok" : "waiting", gvm_status_mode(&s->opt.bind), s->opt.id, GVM_SLAVE_BITS,
		s->opt.threads, (unsigned long long)s->memory.pages,
		(unsigned long long)stats.reserved_pages, (unsigned long long)stats.stored_pages);
	gvm_status_gateways(out, s->backend);
	fputc(',', out);
	gvm_status_counters(out, s->backend);
	fputs("}\n", out);
}

static void print_range(FILE *out, const struct gvm_heat_range *r, u32 index, const char *sep)
{
	fprintf(out,
		"%s{\"range\":%u,\"faults\":%llu,\"upgrades\":%llu,\"invalidations\":%llu,"
		"\"transfers\":%llu}",
		sep, index, (unsigned long long)r->n[GVM_HEAT_FAULTS],
		(unsigned long long)r->n[GVM_HEAT_UPGRADES],
		(unsigned long long)r->n[GVM_HEAT_INVALIDATIONS],
		(unsigned long long)r->n[GVM_HEAT_TRANSFERS]);
}

/* hot VM: what is shared of it here, and how hotly. */
static void run_hot(void *ctx, char *args, FILE *out)
{
	struct slave *s = ctx;
	struct gvm_heat_report *report = malloc(sizeof(*report));
	unsigned int i;
	u64 vm;
	const char *sep = "";

	if (!report || gvm_parse_number(args, 0, GVM_MAX_NODES, &vm) ||
	    gvm_home_heat(gvm_backend_node(s->backend), (u32)vm, report)) {
		gvm_control_error(out, "slave %u holds no pages of VM '%s'", s->opt.id, args);
		free(report);
		return;
	}
	fprintf(out, "{\"slave\":%u,\"vm\":%u,\"ram_pages\":%llu,\"ranges_of_ram\":%u,\"pages\":[",
		s->opt.id, (u32)vm, (unsigned long long)report->ram_pages, GVM_HEAT_RANGES);
	for (i = 0; i < report->nhot; i++)
		fprintf(out, "%s{\"page\":%llu,\"transfers\":%llu,\"error\":%llu}", i ? "," : "",
			(unsigned long long)report->hot[i].page,
			(unsigned long long)report->hot[i].count,
			(unsigned long long)report->hot[i].error);
	fputs("],\"ranges\":[", out);
	for (i = 0; i < GVM_HEAT_RANGES; i++) {
		if (!report->ranges[i].n[GVM_HEAT_FAULTS])
			continue;
		print_range(out, &report->ranges[i], i, sep);
		sep = ",";
	}
	fputs("]}\n", out);
	free(report);
}

static const struct gvm_control_command commands[] = {
	{"status", run_status},
	{"hot", run_hot},
	{NULL, NULL},
};

static int open_memory(struct slave *s)
{
	u64 available = gvm_host_available();
	int err = gvm_lent_open(&s->memory, s->opt.memory);

	if (err)
		gvm_logf(&s->log, GVM_LOG_ERR, "cannot lend %llu MiB: %s",
			 (unsigned long long)(s->opt.memory >> 20), strerror(-err));
	else if (available && available < s->opt.memory)
		gvm_logf(&s->log, GVM_LOG_WARN,
			 "lends %llu MiB, but this host has only %llu MiB available now",
			 (unsigned long long)(s->opt.memory >> 20),
			 (unsigned long long)(available >> 20));
	return err;
}

static int open_backend(struct slave *s)
{
	struct gvm_backend_config cfg = {
		.node = {.id = s->opt.id,
			 .lent_base = s->memory.base,
			 .lent_pages = s->memory.pages},
		.bind = s->opt.bind,
		.threads = s->opt.threads,
		.spin_us = s->opt.spin_us,
		.pin = true,
		.log = &s->log,
		.refused = on_refused,
		.ctx = s,
	};
	int err = gvm_backend_create(&s->backend, &cfg);
	char ip[INET_ADDRSTRLEN];

	if (!err)
		return 0;
	inet_ntop(AF_INET, &s->opt.bind.sin_addr, ip, sizeof(ip));
	if (err == -EADDRINUSE)
		gvm_logf(&s->log, GVM_LOG_ERR, "UDP port %u of %s is in use by another process",
			 ntohs(s->opt.bind.sin_port), ip);
	else
		gvm_logf(&s->log, GVM_LOG_ERR, "cannot start on %s:%u: %s", ip,
			 ntohs(s->opt.bind.sin_port), strerror(-err));
	return err;
}

static int set_gateway(struct slave *s, u32 ip, u16 port)
{
	return gvm_addresses_set_gateway(gvm_backend_addresses(s->backend),
					 s->opt.id >> GVM_ROUTING_SHIFT, ip, port);
}

static int load_gateway(struct slave *s)
{
	u32 wanted = s->opt.id >> GVM_ROUTING_SHIFT;
	struct gvm_gateway_list list = {0};
	const struct gvm_gateway_entry *e;
	char error[GVM_LIST_ERROR_MAX];
	int err;

	if (!s->opt.gateways_file)
		return set_gateway(s, s->opt.gateway.sin_addr.s_addr, s->opt.gateway.sin_port);
	err = gvm_gateway_list_load(&list, s->opt.gateways_file, GVM_MAX_GATEWAYS, error);
	if (err) {
		gvm_logf(&s->log, GVM_LOG_ERR, "%s", error);
		return err;
	}
	e = gvm_gateway_list_find(&list, wanted);
	if (e)
		err = set_gateway(s, e->ip, e->port);
	else
		gvm_logf(&s->log, GVM_LOG_ERR, "%s has no gateway %u, which serves slave %u",
			 s->opt.gateways_file, wanted, s->opt.id);
	gvm_gateway_list_free(&list);
	return e ? err : -ENOENT;
}

static int open_control(struct slave *s)
{
	struct gvm_control_config cfg = {
		.path = s->opt.control_path, .commands = commands, .ctx = s, .log = &s->log};

	return s->opt.control_path ? gvm_control_open(&s->control, &cfg) : 0;
}

/* Before any thread is started, so that every thread has them blocked. */
static int open_descriptors(struct slave *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC);
	s->refused = eventfd(0, EFD_CLOEXEC);
	if (s->signals >= 0 && s->refused >= 0)
		return 0;
	gvm_logf(&s->log, GVM_LOG_ERR, "cannot open a descriptor: %s", strerror(errno));
	return -errno;
}

static int serve(struct slave *s)
{
	struct pollfd fds[2] = {{.fd = s->signals, .events = POLLIN},
				{.fd = s->refused, .events = POLLIN}};
	struct gvm_node_stats stats;
	int err = gvm_backend_start(s->backend);

	if (err) {
		gvm_logf(&s->log, GVM_LOG_ERR, "cannot start a thread: %s", strerror(-err));
		return EXIT_FAILURE;
	}
	gvm_logf(&s->log, GVM_LOG_INFO, "lends %llu MiB with %u threads%s",
		 (unsigned long long)(s->opt.memory >> 20), s->opt.threads,
		 gvm_ip_is_loopback(s->opt.bind.sin_addr.s_addr) ? "" : ", insecure");
	while (poll(fds, 2, -1) < 0 && errno == EINTR)
		;
	gvm_backend_stop(s->backend);
	if (fds[1].revents)
		return EXIT_FAILURE;
	gvm_node_stats(gvm_backend_node(s->backend), &stats);
	gvm_logf(&s->log, GVM_LOG_INFO, "stopped, held %llu pages",
		 (unsigned long long)stats.stored_pages);
	return EXIT_SUCCESS;
}

static void release(struct slave *s)
{
	gvm_control_close(s->control);
	gvm_backend_destroy(s->backend);
	gvm_lent_close(&s->memory);
	if (s->signals >= 0)
		close(s->signals);
	if (s->refused >= 0)
		close(s->refused);
}

int main(int argc, char **argv)
{
	struct slave s = {.signals = -1, .refused = -1};
	int code = EXIT_FAILURE;
	int err = slave_options_parse(&s.opt, argc, argv);

	if (err)
		return err > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
	gvm_logger_init(&s.log, "giantvm_slave", s.opt.id);
	if (!open_descriptors(&s) && !open_memory(&s) && !open_backend(&s) && !load_gateway(&s) &&
	    !open_control(&s))
		code = serve(&s);
	release(&s);
	return code;
}
