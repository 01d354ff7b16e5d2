// SPDX-License-Identifier: GPL-2.0-or-later
#include "status.h"

#include <stdlib.h>
#include <unistd.h>

#include "gateway_list.h"
#include "node_status.h"

/* What is read of the VM at once, so that nobody waits for a slow slave under the lock. */
struct snapshot {
	bool open, lost;
	u64 ram_pages;
	u32 epoch;
	unsigned int clients;
	struct gvm_vm_call *calls; /* one a member */
	u32 nmembers;
	u64 resident_bytes;
};

static void copy_members(struct snapshot *s, const struct master_vm *vm)
{
	const struct gvm_route *r = &vm->route;
	u32 i;

	s->calls = calloc(r->nmembers, sizeof(*s->calls));
	if (!s->calls)
		return;
	s->nmembers = r->nmembers;
	for (i = 0; i < r->nmembers; i++) {
		s->calls[i].target = r->members[i].id;
		s->calls[i].body.home_boot = r->members[i].boot_id;
		s->calls[i].body.client_boot = vm->client_boot;
	}
}

static void take_snapshot(struct gvm_master *m, struct snapshot *s)
{
	memset(s, 0, sizeof(*s));
	pthread_mutex_lock(&m->lock);
	s->open = m->vm.open;
	s->lost = m->vm.lost;
	s->ram_pages = m->vm.ram_pages;
	s->epoch = m->vm.epoch;
	s->clients = m->vm.clients;
	if (s->open) {
		copy_members(s, &m->vm);
		s->resident_bytes = gvm_pager_resident(m->vm.pager);
	}
	pthread_mutex_unlock(&m->lock);
}

static const char *health(struct gvm_master *m, const struct snapshot *s)
{
	if (__atomic_load_n(&m->closing, __ATOMIC_ACQUIRE))
		return "closing";
	if (s->lost)
		return "lost";
	if (gvm_stalls_count(gvm_backend_stalls(m->backend)))
		return "stalled";
	if (!gvm_registration_accepted(gvm_backend_registration(m->backend)))
		return "waiting";
	return "ok";
}

/* Where the VM's pages live. */
static void print_homes(struct gvm_master *m, const struct snapshot *s, FILE *out)
{
	u32 i;

	gvm_vm_calls(gvm_backend_node(m->backend), MSG_VM_STAT, m->opt.vm_id, s->epoch, s->calls,
		     s->nmembers);
	fputs("\"homes\":[", out);
	for (i = 0; i < s->nmembers; i++) {
		const struct gvm_vm_call *c = &s->calls[i];

		fprintf(out, "%s{\"id\":%u", i ? "," : "", c->target);
		if (c->status) {
			fputs(",\"error\":", out);
			gvm_json_string(out, c->status == -EIO ? "does not answer"
							       : strerror(-c->status));
		} else {
			fprintf(out,
				",\"reserved_pages\":%llu,\"stored_pages\":%llu,"
				"\"touched_pages\":%llu",
				(unsigned long long)c->body.reserve_pages,
				(unsigned long long)c->body.stored_pages,
				(unsigned long long)c->body.touched_pages);
		}
		fputc('}', out);
	}
	fputc(']', out);
}

static void print_nodes(struct gvm_master *m, FILE *out)
{
	struct gvm_roster *r = gvm_backend_roster(m->backend);
	struct gvm_roster_entry e;
	u64 now = gvm_now_us();
	u32 from = 0;

	fputs("\"nodes\":[", out);
	while (gvm_roster_next(r, from, &e)) {
		fprintf(out,
			"%s{\"id\":%u,\"alive\":%s,\"lent_pages\":%llu,\"free_pages\":%llu,"
			"\"age_ms\":%llu}",
			from ? "," : "", e.id, gvm_roster_alive(&e, now) ? "true" : "false",
			(unsigned long long)e.lent_pages, (unsigned long long)e.free_pages,
			(unsigned long long)(now > e.heard_us ? now - e.heard_us : 0) / 1000);
		from = e.id + 1;
	}
	fputc(']', out);
}

static unsigned long long load(const u64 *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* Since the node started, whatever VM it was. */
static void print_pager(struct gvm_master *m, FILE *out)
{
	struct gvm_pager_totals *t = &m->totals;

	fprintf(out,
		"\"fault_us\":{\"count\":%llu,\"p50\":%llu,\"p99\":%llu},\"pager\":{"
		"\"fault_events\":%llu,\"map_calls\":%llu,\"maps\":%llu,\"protect_calls\":%llu,"
		"\"protects\":%llu,\"punch_calls\":%llu,\"drops\":%llu}",
		load(&t->latency.total),
		(unsigned long long)gvm_histogram_percentile(&t->latency, 500),
		(unsigned long long)gvm_histogram_percentile(&t->latency, 990), load(&t->faults),
		load(&t->map_calls), load(&t->maps), load(&t->protect_calls), load(&t->protects),
		load(&t->punch_calls), load(&t->drops));
}

static void print_vm(struct gvm_master *m, const struct snapshot *s, FILE *out)
{
	fprintf(out,
		"\"vm\":{\"id\":%u,\"attached\":%s,\"clients\":%u,\"ram_bytes\":%llu,"
		"\"budget_bytes\":%llu,\"resident_bytes\":%llu,",
		m->opt.vm_id, s->open ? "true" : "false", s->clients,
		(unsigned long long)(s->ram_pages << GVM_PAGE_SHIFT),
		(unsigned long long)m->opt.budget, (unsigned long long)s->resident_bytes);
	print_homes(m, s, out);
	fputs("},", out);
	print_pager(m, out);
}

static void run_status(void *ctx, char *args, FILE *out)
{
	struct gvm_master *m = ctx;
	struct snapshot s;

	(void)args;
	take_snapshot(m, &s);
	fprintf(out,
		"{\"program\":\"giantvm_master_user\",\"health\":\"%s\",\"mode\":\"%s\","
		"\"id\":%u,\"slave_bits\":%u,\"threads\":%u,\"stalled_pages\":%u,\"socket\":",
		health(m, &s), gvm_status_mode(&m->opt.bind), m->opt.node_id, GVM_SLAVE_BITS,
		m->opt.threads, gvm_stalls_count(gvm_backend_stalls(m->backend)));
	gvm_json_string(out, m->opt.socket_path);
	fputc(',', out);
	print_vm(m, &s, out);
	fputc(',', out);
	print_nodes(m, out);
	fputc(',', out);
	gvm_status_gateways(out, m->backend);
	fputc(',', out);
	gvm_status_counters(out, m->backend);
	fputs("}\n", out);
	free(s.calls);
}

static void run_gateways(void *ctx, char *args, FILE *out)
{
	struct gvm_master *m = ctx;

	(void)args;
	fputc('{', out);
	gvm_status_gateways(out, m->backend);
	fputs("}\n", out);
}

static void set_gateways(struct gvm_master *m, const struct gvm_gateway_list *list)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		gvm_addresses_set_gateway(gvm_backend_addresses(m->backend), list->entries[i].id,
					  list->entries[i].ip, list->entries[i].port);
}

/* The lines of a list, a semicolon at the end of each: all of them are taken or none. */
static void run_load(void *ctx, char *args, FILE *out)
{
	struct gvm_gateway_list list = {0};
	char error[GVM_LIST_ERROR_MAX];
	char *p;

	for (p = args; *p; p++)
		if (*p == ';')
			*p = '\n';
	if (gvm_gateway_list_parse(&list, args, strlen(args), "load", GVM_MAX_GATEWAYS, error)) {
		gvm_control_error(out, "%s", error);
		return;
	}
	set_gateways(ctx, &list);
	fprintf(out, "{\"loaded\":%zu}\n", list.count);
	gvm_gateway_list_free(&list);
}

static void run_stop(void *ctx, char *args, FILE *out)
{
	struct gvm_master *m = ctx;
	u64 one = 1;

	(void)args;
	if (write(m->stop, &one, sizeof(one)) == sizeof(one))
		fputs("{\"stopping\":true}\n", out);
	else
		gvm_control_error(out, "cannot tell the node to stop: %s", strerror(errno));
}

const struct gvm_control_command gvm_master_commands[] = {
	{"status", run_status}, {"gateways", run_gateways}, {"load", run_load}, {"stop", run_stop},
	{NULL, NULL},
};

int gvm_master_load_gateways(struct gvm_master *m, const char *path)
{
	struct gvm_gateway_list list = {0};
	char error[GVM_LIST_ERROR_MAX];
	int err = gvm_gateway_list_load(&list, path, GVM_MAX_GATEWAYS, error);

	if (err) {
		gvm_logf(&m->log, GVM_LOG_ERR, "%s", error);
		return err;
	}
	set_gateways(m, &list);
	gvm_gateway_list_free(&list);
	return 0;
}
