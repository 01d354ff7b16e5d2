// SPDX-License-Identifier: GPL-2.0-or-later
/* The status as one JSON object. */
#include "gateway.h"

#include <arpa/inet.h>

static const char *const counter_names[] = {
#define GW_NAME(name) #name,
	GW_COUNTERS(GW_NAME)
#undef GW_NAME
};

static unsigned long long counter_sum(struct gateway *gw, enum gw_counter which)
{
	u64 sum = 0;

	for (u32 i = 0; i < gw->opt.threads; i++)
		sum += gw_counter_read(&gw->threads[i].counters, which);
	return sum;
}

static void write_counters(struct gateway *gw, FILE *out)
{
	fputs(",\"counters\":{", out);
	for (int i = 0; i < GW_COUNTER_COUNT; i++)
		fprintf(out, "%s\"%s\":%llu", i ? "," : "", counter_names[i], counter_sum(gw, i));
	fputc('}', out);
}

#define NET_FIELDS(X)                                                                              \
	X(rx_calls)                                                                                \
	X(rx_buffers)                                                                              \
	X(rx_datagrams)                                                                            \
	X(rx_bytes)                                                                                \
	X(rx_truncated)                                                                            \
	X(rx_errors)                                                                               \
	X(rx_overflow)                                                                             \
	X(tx_calls)                                                                                \
	X(tx_sends)                                                                                \
	X(tx_datagrams)                                                                            \
	X(tx_bytes)                                                                                \
	X(tx_packets)                                                                              \
	X(tx_packed)                                                                               \
	X(tx_gso)                                                                                  \
	X(tx_gso_refused)                                                                          \
	X(tx_full)                                                                                 \
	X(tx_errors)                                                                               \
	X(tx_again)

static void write_net(struct gateway *gw, FILE *out)
{
	struct gvm_net_stats sum = {0}, s = {0};

	for (u32 i = 0; i < gw->opt.threads; i++) {
		gvm_net_stats(gw->nets[i], &s);
#define NET_ADD(field) sum.field += s.field;
		NET_FIELDS(NET_ADD)
#undef NET_ADD
	}
	fprintf(out, ",\"net\":{\"gso\":%s,\"gro\":%s,\"rcvbuf\":%llu,\"sndbuf\":%llu",
		s.gso ? "true" : "false", s.gro ? "true" : "false", (unsigned long long)s.rcvbuf,
		(unsigned long long)s.sndbuf);
#define NET_WRITE(field) fprintf(out, ",\"" #field "\":%llu", (unsigned long long)sum.field);
	NET_FIELDS(NET_WRITE)
#undef NET_WRITE
	fputc('}', out);
}

struct node_writer {
	FILE *out;
	u64 now_us;
	bool more;
};

static void write_node(void *ctx, struct gw_node *n)
{
	struct node_writer *w = ctx;
	u64 heard = __atomic_load_n(&n->heard_us, __ATOMIC_RELAXED);
	struct sockaddr_in at = gw_sockaddr(__atomic_load_n(&n->addr, __ATOMIC_RELAXED));
	char ip[INET_ADDRSTRLEN];
	long long age_ms = -1;

	if (heard)
		age_ms = heard < w->now_us ? (w->now_us - heard) / 1000 : 0;
	inet_ntop(AF_INET, &at.sin_addr, ip, sizeof(ip));
	gvm_lock(&n->lock);
	fprintf(w->out,
		"%s{\"id\":%u,\"kind\":\"%s\",\"ip\":\"%s\",\"port\":%u,\"registered\":%s,"
		"\"alive\":%s,\"age_ms\":%lld,\"boot_id\":\"%016llx\",\"lent_pages\":%llu,"
		"\"free_pages\":%llu}",
		w->more ? "," : "", n->id, gw_is_client(n->id) ? "client" : "slave", ip,
		ntohs(at.sin_port), n->registered ? "true" : "false",
		gw_node_alive(n, w->now_us) ? "true" : "false", age_ms,
		(unsigned long long)n->boot_id, (unsigned long long)n->lent_pages,
		(unsigned long long)n->free_pages);
	gvm_unlock(&n->lock);
	w->more = true;
}

void gw_status_write(struct gateway *gw, FILE *out)
{
	struct node_writer w = {.out = out, .now_us = gw_now_us()};
	char ip[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &gw->opt.bind.sin_addr, ip, sizeof(ip));
	fprintf(out,
		"{\"program\":\"giantvm_gateway\",\"id\":%u,\"mode\":\"%s\",\"reply\":\"%s\","
		"\"ip\":\"%s\",\"port\":%u,\"first_slave\":%u,\"slaves\":%u,\"slave_bits\":%u,"
		"\"threads\":%u,\"flush_us\":%u,\"uptime_ms\":%llu",
		gw->opt.id, gw->opt.insecure ? "insecure" : "loopback",
		gw->opt.direct ? "direct" : "relay", ip, ntohs(gw->opt.bind.sin_port),
		gw->first_slave, gw->nslaves, (u32)GVM_SLAVE_BITS, gw->opt.threads,
		gw->opt.flush_us, (unsigned long long)(w.now_us - gw->started_us) / 1000);
	write_counters(gw, out);
	write_net(gw, out);
	fputs(",\"nodes\":[", out);
	gw_nodes_each(gw->nodes, write_node, &w);
	fputs("]}\n", out);
}
