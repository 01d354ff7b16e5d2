// SPDX-License-Identifier: GPL-2.0-or-later
/* The gateway's start, its wait for signals and requests, and its end. */
#include "gateway.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "../master_core/gateway_list.h"

#define CLIENTS_MAX 65536
#define POOL_BYTES  (64UL << 20)

static int load_static(struct gateway *gw)
{
	struct gvm_gateway_list list = {0};
	char error[GVM_LIST_ERROR_MAX];
	int err = 0;

	if (!gw->opt.slaves_file)
		return 0;
	if (gvm_gateway_list_load(&list, gw->opt.slaves_file, GVM_MAX_SLAVES, error)) {
		gvm_logf(&gw->log, GVM_LOG_ERR, "%s", error);
		return -EINVAL;
	}
	for (size_t i = 0; i < list.count; i++) {
		const struct gvm_gateway_entry *e = &list.entries[i];

		if (e->id - gw->first_slave < gw->nslaves)
			gw_nodes_set_static(gw->nodes, e->id, e->ip, e->port);
		else
			err = -ERANGE;
	}
	gvm_gateway_list_free(&list);
	if (err)
		gvm_logf(
			&gw->log, GVM_LOG_ERR,
			"%s: names a slave that gateway %u does not serve: its slaves are %u to %u",
			gw->opt.slaves_file, gw->opt.id, gw->first_slave,
			gw->first_slave + gw->nslaves - 1);
	return err;
}

static int open_sockets(struct gateway *gw)
{
	struct gvm_net_config cfg = {.bind = gw->opt.bind, .flags = GVM_NET_GRO, .pool = gw->pool};
	int err = gvm_net_open(gw->nets, gw->opt.threads, &cfg);
	char ip[INET_ADDRSTRLEN];

	if (!err)
		return 0;
	inet_ntop(AF_INET, &gw->opt.bind.sin_addr, ip, sizeof(ip));
	if (err == -EADDRINUSE)
		gvm_logf(&gw->log, GVM_LOG_ERR, "UDP port %u of %s is in use by another process",
			 ntohs(gw->opt.bind.sin_port), ip);
	else
		gvm_logf(&gw->log, GVM_LOG_ERR, "cannot listen on %s:%u: %s", ip,
			 ntohs(gw->opt.bind.sin_port), strerror(-err));
	return err;
}

static int allocate(struct gateway *gw)
{
	gw->nodes = gw_nodes_create(gw->first_slave, gw->nslaves, CLIENTS_MAX);
	gw->buffers = gvm_agg_table_create(gw->nslaves);
	gw->pool = gvm_pkt_pool_create(POOL_BYTES);
	gw->threads = calloc(gw->opt.threads, sizeof(*gw->threads));
	gw->nets = calloc(gw->opt.threads, sizeof(*gw->nets));
	if (gw->nodes && gw->buffers && gw->pool && gw->threads && gw->nets)
		return 0;
	gvm_logf(&gw->log, GVM_LOG_ERR, "not enough memory for the tables of %u slaves",
		 gw->nslaves);
	return -ENOMEM;
}

static void init(struct gateway *gw)
{
	gvm_logger_init(&gw->log, "giantvm_gateway", gw->opt.id);
	gvm_lock_init(&gw->log_lock);
	gw->first_slave = gw->opt.id << GVM_ROUTING_SHIFT;
	gw->nslaves = 1U << GVM_ROUTING_SHIFT;
	gw->started_us = gw_now_us();
	gw->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (getrandom(&gw->boot_id, sizeof(gw->boot_id), 0) != sizeof(gw->boot_id))
		gw->boot_id = gw->started_us;
}

static void release(struct gateway *gw)
{
	gvm_agg_table_destroy(gw->buffers, &gw_agg_ops, gw);
	for (u32 i = 0; gw->nets && i < gw->opt.threads; i++)
		gvm_net_close(gw->nets[i]);
	gvm_pkt_pool_destroy(gw->pool);
	gw_nodes_destroy(gw->nodes);
	free(gw->threads);
	free(gw->nets);
	if (gw->stop_fd >= 0)
		close(gw->stop_fd);
	pthread_mutex_destroy(&gw->log_lock);
}

/* Blocked in every thread; they come through the descriptor. */
static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

/* 0 when told to end, GW_EXIT_FAILED when a thread could not go on. */
static int wait_for_end(struct gateway *gw, int signal_fd, int control_fd)
{
	struct pollfd p[] = {{.fd = signal_fd, .events = POLLIN},
			     {.fd = gw->stop_fd, .events = POLLIN},
			     {.fd = control_fd, .events = POLLIN}};

	for (;;) {
		if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
			return GW_EXIT_FAILED;
		if (p[0].revents)
			return 0;
		if (p[1].revents)
			return GW_EXIT_FAILED;
		if (p[2].revents)
			gw_control_serve(gw, control_fd);
	}
}

static int write_stats(struct gateway *gw)
{
	FILE *out;

	if (!gw->opt.stats_path)
		return 0;
	out = fopen(gw->opt.stats_path, "we");
	if (out)
		gw_status_write(gw, out);
	if (out && !ferror(out) && !fclose(out))
		return 0;
	gvm_logf(&gw->log, GVM_LOG_ERR, "cannot write the counters to %s: %s", gw->opt.stats_path,
		 strerror(errno));
	return GW_EXIT_FAILED;
}

static void log_ready(const struct gateway *gw)
{
	char ip[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &gw->opt.bind.sin_addr, ip, sizeof(ip));
	gvm_logf(&gw->log, GVM_LOG_INFO, "ready on %s:%u for slaves %u to %u%s", ip,
		 ntohs(gw->opt.bind.sin_port), gw->first_slave, gw->first_slave + gw->nslaves - 1,
		 gw->opt.insecure ? ", insecure" : "");
}

static int serve(struct gateway *gw, int signal_fd)
{
	int control_fd = -1, code = GW_EXIT_FAILED;
	int err;

	if (gw->opt.control_path) {
		control_fd = gw_control_open(gw);
		if (control_fd < 0)
			return code;
	}
	err = gw_workers_start(gw);
	if (!err) {
		log_ready(gw);
		code = wait_for_end(gw, signal_fd, control_fd);
		gw_workers_stop(gw);
		if (!code)
			code = write_stats(gw);
	} else {
		gvm_logf(&gw->log, GVM_LOG_ERR, "cannot start a thread: %s", strerror(-err));
	}
	gw_control_close(gw, control_fd);
	return code;
}

int main(int argc, char **argv)
{
	struct gateway gw = {0};
	int code = gw_options_parse(&gw.opt, argc, argv);
	int signal_fd;

	if (code)
		return code == GW_EXIT_HELP ? 0 : code;
	init(&gw);
	code = GW_EXIT_FAILED;
	signal_fd = open_signals();
	if (signal_fd < 0 || gw.stop_fd < 0)
		gvm_logf(&gw.log, GVM_LOG_ERR, "cannot open a descriptor: %s", strerror(errno));
	else if (!allocate(&gw) && !load_static(&gw) && !open_sockets(&gw))
		code = serve(&gw, signal_fd);
	release(&gw);
	if (signal_fd >= 0)
		close(signal_fd);
	return code;
}
