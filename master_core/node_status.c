// SPDX-License-Identifier: GPL-2.0-or-later
#include "node_status.h"

#include <arpa/inet.h>

#include "parse.h"

struct field {
	const char *name;
	size_t offset;
};

#define NODE(name)                                                                                 \
	{                                                                                          \
#name, offsetof(struct gvm_node_stats, name)                                       \
	}
#define NET(name)                                                                                  \
	{                                                                                          \
#name, offsetof(struct gvm_backend_stats, net.name)                                \
	}
#define BACKEND(name)                                                                              \
	{                                                                                          \
#name, offsetof(struct gvm_backend_stats, name)                                    \
	}

static const struct field node_fields[] = {
	NODE(rx_messages),	NODE(rx_bad),	    NODE(rx_version),	 NODE(rx_stale_reply),
	NODE(rx_unexpected),	NODE(rx_not_mine),  NODE(tx_messages),	 NODE(tx_errors),
	NODE(retransmits),	NODE(rpc_failures), NODE(req_ring_full), NODE(faults_read),
	NODE(faults_write),	NODE(fault_errors), NODE(upgrades),	 NODE(prefetches),
	NODE(prefetch_refused), NODE(pages_in),	    NODE(pages_in_zero), NODE(writebacks),
	NODE(writebacks_zero),	NODE(evictions),    NODE(grants),	 NODE(invalidations_tx),
	NODE(invalidations_rx), NODE(transfers),    NODE(home_full),	 NODE(home_refused),
	NODE(resident_pages),	NODE(stored_pages), NODE(touched_pages), NODE(reserved_pages),
};

static const struct field net_fields[] = {
	NET(rx_calls),
	NET(rx_datagrams),
	NET(rx_bytes),
	NET(rx_truncated),
	NET(rx_errors),
	NET(rx_overflow),
	NET(tx_calls),
	NET(tx_sends),
	NET(tx_datagrams),
	NET(tx_bytes),
	NET(tx_packets),
	NET(tx_packed),
	NET(tx_gso),
	NET(tx_full),
	NET(tx_errors),
	NET(tx_again),
	NET(rcvbuf),
	NET(sndbuf),
	NET(gso),
	NET(gro),
	BACKEND(tx_no_route),
	BACKEND(rx_control),
	BACKEND(rx_control_refused),
};

static void print_fields(FILE *out, const struct field *fields, size_t n, const void *from)
{
	size_t i;

	for (i = 0; i < n; i++) {
		u64 value;

		memcpy(&value, (const char *)from + fields[i].offset, sizeof(value));
		fprintf(out, "%s\"%s\":%llu", i ? "," : "", fields[i].name,
			(unsigned long long)value);
	}
}

void gvm_status_counters(FILE *out, struct gvm_backend *b)
{
	struct gvm_backend_stats backend;
	struct gvm_node_stats node;

	gvm_node_stats(gvm_backend_node(b), &node);
	gvm_backend_stats(b, &backend);
	fputs("\"counters\":{", out);
	print_fields(out, node_fields, ARRAY_SIZE(node_fields), &node);
	fputs("},\"net\":{", out);
	print_fields(out, net_fields, ARRAY_SIZE(net_fields), &backend);
	fputc('}', out);
}

static const char *state_name(const struct gvm_gateway_status *s)
{
	switch (s->state) {
	case GVM_REGISTRATION_ACCEPTED:
		return "accepted";
	case GVM_REGISTRATION_REFUSED:
		return "refused";
	default:
		return "silent";
	}
}

void gvm_status_gateways(FILE *out, struct gvm_backend *b)
{
	struct gvm_registration *r = gvm_backend_registration(b);
	struct gvm_gateway_status s;
	char ip[INET_ADDRSTRLEN];
	u64 now = gvm_now_us();
	u32 from = 0;

	fputs("\"gateways\":[", out);
	while (gvm_registration_status(r, from, &s)) {
		inet_ntop(AF_INET, &s.addr.sin_addr, ip, sizeof(ip));
		fprintf(out, "%s{\"id\":%u,\"ip\":\"%s\",\"port\":%u,\"state\":\"%s\"",
			from ? "," : "", s.id, ip, ntohs(s.addr.sin_port), state_name(&s));
		if (s.heard_us)
			fprintf(out, ",\"age_ms\":%llu",
				(unsigned long long)(now > s.heard_us ? now - s.heard_us : 0) /
					1000);
		fputc('}', out);
		from = s.id + 1;
	}
	fputc(']', out);
}

const char *gvm_status_mode(const struct sockaddr_in *bind)
{
	return gvm_ip_is_loopback(bind->sin_addr.s_addr) ? "loopback" : "insecure";
}
