// SPDX-License-Identifier: GPL-2.0-or-later
#include "options.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>

#include "parse.h"
#include "workers.h"

#define CONTROL_PATH	 "/tmp/giantvm.ctl"
#define THREADS_MAX	 64
#define WAIT_MAX	 86400
#define PREFETCH_MAX	 1024
#define MICROSECONDS_MAX 1000000
#define BUDGET_DEFAULT	 (1ULL << 30)
#define BUDGET_MIN	 (4ULL << 20)
#define STRIPE_MAX	 (1ULL << 40)
#define RESIDENCE_US	 200
#define ACK_DELAY_US	 500
#define PREFETCH_DEFAULT 32

static const char help[] =
	"Usage: giantvm_master_user [OPTION]...\n"
	"Serves the RAM of one guest from the memory that slaves lend.\n\n"
	"  --vm-id V          number of the VM (default 1)\n"
	"  --id NODE          this node's id (default: the first client id + V)\n"
	"  --gateways FILE    `ID IP PORT` lines; without it, see gvm_ctl load\n"
	"  --bind IP          address to listen on (default 127.0.0.1)\n"
	"  --port P           UDP port (default 8000)\n"
	"  --socket PATH      Unix socket for QEMU (default " GVM_IPC_SOCKET ")\n"
	"  --shm NAME         name of the memory object (default " GVM_IPC_SHM ")\n"
	"  --budget SIZE      local memory for the guest's pages (default 1G)\n"
	"  --min-slaves N     wait for so many slaves (default 1)\n"
	"  --wait SECS        for at most so long (default 10)\n"
	"  --threads N        threads that serve faults (default 1)\n"
	"  --prefetch PAGES   most pages to fetch ahead (default 32, 0: none)\n"
	"  --stripe SIZE      RAM in a row with one home, a power of two (default 2M)\n"
	"  --spin US          poll so long before sleeping (default 20 with 4 processors\n"
	"                     or more, else 0)\n"
	"  --residence US     least time a page stays once it was given (default 200)\n"
	"  --ack-delay US     longest time an acknowledgement waits for company (default 500)\n"
	"  --control PATH     socket for gvm_ctl (default " CONTROL_PATH ")\n"
	"  --state FILE       what a stopped VM leaves for --adopt (default: PATH.vm)\n"
	"  --adopt            continue with the pages that a stopped master left\n"
	"  --map FILE         write down where the VM's pages live, for masters that join it\n"
	"  --join FILE        serve the VM of another master, by what its --map wrote\n"
	"  --copy-reads       map read-only pages as kernels before 6.12 need it\n"
	"  --insecure         allow an address other than loopback\n"
	"  --help\n";

enum {
	OPT_VM = 256,
	OPT_ID,
	OPT_GATEWAYS,
	OPT_BIND,
	OPT_PORT,
	OPT_SOCKET,
	OPT_SHM,
	OPT_BUDGET,
	OPT_MIN_SLAVES,
	OPT_WAIT,
	OPT_THREADS,
	OPT_PREFETCH,
	OPT_STRIPE,
	OPT_SPIN,
	OPT_RESIDENCE,
	OPT_ACK_DELAY,
	OPT_CONTROL,
	OPT_STATE,
	OPT_ADOPT,
	OPT_MAP,
	OPT_JOIN,
	OPT_COPY_READS,
	OPT_INSECURE,
	OPT_HELP
};

static const struct option options[] = {
	{"vm-id", required_argument, NULL, OPT_VM},
	{"id", required_argument, NULL, OPT_ID},
	{"gateways", required_argument, NULL, OPT_GATEWAYS},
	{"bind", required_argument, NULL, OPT_BIND},
	{"port", required_argument, NULL, OPT_PORT},
	{"socket", required_argument, NULL, OPT_SOCKET},
	{"shm", required_argument, NULL, OPT_SHM},
	{"budget", required_argument, NULL, OPT_BUDGET},
	{"min-slaves", required_argument, NULL, OPT_MIN_SLAVES},
	{"wait", required_argument, NULL, OPT_WAIT},
	{"threads", required_argument, NULL, OPT_THREADS},
	{"prefetch", required_argument, NULL, OPT_PREFETCH},
	{"stripe", required_argument, NULL, OPT_STRIPE},
	{"spin", required_argument, NULL, OPT_SPIN},
	{"residence", required_argument, NULL, OPT_RESIDENCE},
	{"ack-delay", required_argument, NULL, OPT_ACK_DELAY},
	{"control", required_argument, NULL, OPT_CONTROL},
	{"state", required_argument, NULL, OPT_STATE},
	{"adopt", no_argument, NULL, OPT_ADOPT},
	{"map", required_argument, NULL, OPT_MAP},
	{"join", required_argument, NULL, OPT_JOIN},
	{"copy-reads", no_argument, NULL, OPT_COPY_READS},
	{"insecure", no_argument, NULL, OPT_INSECURE},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static int complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int complain(const char *fmt, ...)
{
	va_list ap;

	fputs("giantvm_master: error: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return -EINVAL;
}

/* Options with a number, and what it may be. */
struct number_option {
	int opt;
	const char *name;
	u64 min, max;
	size_t offset; /* of an unsigned int */
};

#define NUMBER(opt, name, min, max, field)                                                         \
	{                                                                                          \
		opt, name, min, max, offsetof(struct master_options, field)                        \
	}

static const struct number_option numbers[] = {
	NUMBER(OPT_VM, "--vm-id", 0, GVM_MAX_NODES - GVM_MAX_SLAVES - 1, vm_id),
	NUMBER(OPT_ID, "--id", GVM_MAX_SLAVES, GVM_MAX_NODES - 1, node_id),
	NUMBER(OPT_MIN_SLAVES, "--min-slaves", 1, GVM_MAX_SLAVES, min_slaves),
	NUMBER(OPT_WAIT, "--wait", 0, WAIT_MAX, wait_seconds),
	NUMBER(OPT_THREADS, "--threads", 1, THREADS_MAX, threads),
	NUMBER(OPT_PREFETCH, "--prefetch", 0, PREFETCH_MAX, prefetch),
	NUMBER(OPT_SPIN, "--spin", 0, MICROSECONDS_MAX, spin_us),
	NUMBER(OPT_RESIDENCE, "--residence", 0, MICROSECONDS_MAX, residence_us),
	NUMBER(OPT_ACK_DELAY, "--ack-delay", 0, MICROSECONDS_MAX, ack_delay_us),
};

static int number(const char *name, const char *s, u64 min, u64 max, u64 *out)
{
	if (!gvm_parse_number(s, min, max, out))
		return 0;
	return complain("%s '%s' is not a number from %llu to %llu", name, s,
			(unsigned long long)min, (unsigned long long)max);
}

/* 1: not such an option. */
static int apply_number(struct master_options *o, int opt, const char *arg)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		const struct number_option *n = &numbers[i];
		u64 v = 0;
		int err;

		if (n->opt != opt)
			continue;
		err = number(n->name, arg, n->min, n->max, &v);
		*(unsigned int *)((char *)o + n->offset) = (unsigned int)v;
		return err;
	}
	return 1;
}

static int set_bind(struct master_options *o, const char *s)
{
	return gvm_parse_ip(s, &o->bind.sin_addr.s_addr)
		       ? complain("--bind '%s' is not an IPv4 address", s)
		       : 0;
}

static int set_port(struct master_options *o, const char *s)
{
	u64 v = 0;
	int err = number("--port", s, 1, 65535, &v);

	o->bind.sin_port = htons((u16)v);
	return err;
}

static int set_budget(struct master_options *o, const char *s)
{
	if (gvm_parse_size(s, &o->budget))
		return complain("--budget '%s' is not a size such as 512M or 4G", s);
	if (o->budget < BUDGET_MIN)
		return complain("--budget %s is too small: at least %lluM", s, BUDGET_MIN >> 20);
	return 0;
}

static int set_stripe(struct master_options *o, const char *s)
{
	u64 size;

	if (gvm_parse_size(s, &size) || size < GVM_PAGE_SIZE || size > STRIPE_MAX ||
	    size & (size - 1))
		return complain("--stripe '%s' is not a power of two of at least 4K", s);
	o->stripe_shift = (u32)__builtin_ctzll(size) - GVM_PAGE_SHIFT;
	return 0;
}

static int apply(struct master_options *o, int opt, const char *arg)
{
	switch (opt) {
	case OPT_GATEWAYS:
		o->gateways_file = arg;
		return 0;
	case OPT_BIND:
		return set_bind(o, arg);
	case OPT_PORT:
		return set_port(o, arg);
	case OPT_SOCKET:
		o->socket_path = arg;
		return 0;
	case OPT_SHM:
		o->shm_name = arg;
		return 0;
	case OPT_BUDGET:
		return set_budget(o, arg);
	case OPT_STRIPE:
		return set_stripe(o, arg);
	case OPT_CONTROL:
		o->control_path = arg;
		return 0;
	case OPT_STATE:
		o->state_path = arg;
		return 0;
	case OPT_ADOPT:
		o->adopt = true;
		return 0;
	case OPT_MAP:
		o->map_path = arg;
		return 0;
	case OPT_JOIN:
		o->join_path = arg;
		return 0;
	case OPT_COPY_READS:
		o->copy_reads = true;
		return 0;
	case OPT_INSECURE:
		o->insecure = true;
		return 0;
	case OPT_HELP:
		fputs(help, stdout);
		return 1;
	default:
		return -EINVAL; /* getopt_long has said what is wrong */
	}
}

static int check(const struct master_options *o)
{
	char ip[INET_ADDRSTRLEN];

	if (o->join_path && (o->adopt || o->map_path))
		return complain("--join goes with neither --adopt nor --map");
	if (strlen(o->shm_name) > 240 || !*o->shm_name)
		return complain("--shm: a name has 1 to 240 bytes");
	if (gvm_ip_is_loopback(o->bind.sin_addr.s_addr) || o->insecure)
		return 0;
	inet_ntop(AF_INET, &o->bind.sin_addr, ip, sizeof(ip));
	return complain("%s is not a loopback address: traffic is neither authenticated nor "
			"encrypted yet, so it needs --insecure",
			ip);
}

static void set_defaults(struct master_options *o)
{
	memset(o, 0, sizeof(*o));
	o->vm_id = 1;
	o->node_id = GVM_NO_NODE;
	o->bind.sin_family = AF_INET;
	o->bind.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	o->bind.sin_port = htons(GVM_DEFAULT_MASTER_PORT);
	o->socket_path = GVM_IPC_SOCKET;
	o->shm_name = GVM_IPC_SHM;
	o->control_path = CONTROL_PATH;
	o->budget = BUDGET_DEFAULT;
	o->stripe_shift = GVM_STRIPE_SHIFT;
	o->min_slaves = 1;
	o->wait_seconds = 10;
	o->threads = 1;
	o->prefetch = PREFETCH_DEFAULT;
	o->spin_us = gvm_default_spin_us();
	o->residence_us = RESIDENCE_US;
	o->ack_delay_us = ACK_DELAY_US;
}

int master_options_parse(struct master_options *o, int argc, char **argv)
{
	int opt, err = 0;

	set_defaults(o);
	while (!err && (opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		err = apply_number(o, opt, optarg);
		if (err > 0)
			err = apply(o, opt, optarg);
	}
	if (!err && optind < argc)
		err = complain("'%s' is not an option", argv[optind]);
	if (err)
		return err;
	if (o->node_id == GVM_NO_NODE)
		o->node_id = GVM_MAX_SLAVES + o->vm_id;
	return check(o);
}
