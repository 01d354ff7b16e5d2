// SPDX-License-Identifier: GPL-2.0-or-later
#include "options.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>

#include "../master_core/parse.h"
#include "../master_core/workers.h"

#define THREADS_MAX	 64
#define THREADS_DEFAULT	 4
#define MICROSECONDS_MAX 1000000

static const char help[] =
	"Usage: giantvm_slave --id N --mem SIZE --gateway IP:PORT [OPTION]...\n"
	"Lends memory to GiantVM guests.\n\n"
	"  --id N             this slave's id\n"
	"  --mem SIZE         memory to lend, e.g. 512M or 4G; used as pages arrive\n"
	"  --gateway IP:PORT  this slave's gateway, or\n"
	"  --gateways FILE    `ID IP PORT` lines, one of them for this slave's gateway\n"
	"  --bind IP          address to listen on (default 127.0.0.1)\n"
	"  --port P           UDP port (default 9000)\n"
	"  --threads N        receiving threads, each with its own socket, pinned to a\n"
	"                     processor (default: one a processor, at most 4)\n"
	"  --spin US          poll so long before sleeping (default 20 with 4 processors\n"
	"                     or more, else 0)\n"
	"  --control PATH     Unix socket that answers `status`\n"
	"  --insecure         allow an address other than loopback\n"
	"  --help\n";

enum {
	OPT_ID = 256,
	OPT_MEM,
	OPT_GATEWAY,
	OPT_GATEWAYS,
	OPT_BIND,
	OPT_PORT,
	OPT_THREADS,
	OPT_SPIN,
	OPT_CONTROL,
	OPT_INSECURE,
	OPT_HELP
};

static const struct option options[] = {
	{"id", required_argument, NULL, OPT_ID},
	{"mem", required_argument, NULL, OPT_MEM},
	{"gateway", required_argument, NULL, OPT_GATEWAY},
	{"gateways", required_argument, NULL, OPT_GATEWAYS},
	{"bind", required_argument, NULL, OPT_BIND},
	{"port", required_argument, NULL, OPT_PORT},
	{"threads", required_argument, NULL, OPT_THREADS},
	{"spin", required_argument, NULL, OPT_SPIN},
	{"control", required_argument, NULL, OPT_CONTROL},
	{"insecure", no_argument, NULL, OPT_INSECURE},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static int complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int complain(const char *fmt, ...)
{
	va_list ap;

	fputs("giantvm_slave: error: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return -EINVAL;
}

static int number(const char *name, const char *s, u64 min, u64 max, u64 *out)
{
	if (!gvm_parse_number(s, min, max, out))
		return 0;
	return complain("%s '%s' is not a number from %llu to %llu", name, s,
			(unsigned long long)min, (unsigned long long)max);
}

static int set_memory(struct slave_options *o, const char *s)
{
	if (gvm_parse_size(s, &o->memory) || o->memory < GVM_PAGE_SIZE)
		return complain("--mem '%s' is not a size such as 512M or 4G", s);
	o->memory &= ~(u64)(GVM_PAGE_SIZE - 1);
	return 0;
}

static int set_gateway(struct slave_options *o, const char *s)
{
	o->gateway.sin_family = AF_INET;
	if (gvm_parse_endpoint(s, &o->gateway.sin_addr.s_addr, &o->gateway.sin_port))
		return complain("--gateway '%s' is not of the form IP:PORT", s);
	return 0;
}

static int set_bind(struct slave_options *o, const char *s)
{
	return gvm_parse_ip(s, &o->bind.sin_addr.s_addr)
		       ? complain("--bind '%s' is not an IPv4 address", s)
		       : 0;
}

static int apply(struct slave_options *o, int opt, const char *arg)
{
	u64 v = 0;
	int err = 0;

	switch (opt) {
	case OPT_ID:
		err = number("--id", arg, 0, GVM_MAX_SLAVES - 1, &v);
		o->id = (u32)v;
		return err;
	case OPT_MEM:
		return set_memory(o, arg);
	case OPT_GATEWAY:
		return set_gateway(o, arg);
	case OPT_GATEWAYS:
		o->gateways_file = arg;
		return 0;
	case OPT_BIND:
		return set_bind(o, arg);
	case OPT_PORT:
		err = number("--port", arg, 1, 65535, &v);
		o->bind.sin_port = htons((u16)v);
		return err;
	case OPT_THREADS:
		err = number("--threads", arg, 1, THREADS_MAX, &v);
		o->threads = (unsigned int)v;
		return err;
	case OPT_SPIN:
		err = number("--spin", arg, 0, MICROSECONDS_MAX, &v);
		o->spin_us = (unsigned int)v;
		return err;
	case OPT_CONTROL:
		o->control_path = arg;
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

static int check(const struct slave_options *o)
{
	char ip[INET_ADDRSTRLEN];

	if (o->id == GVM_NO_NODE)
		return complain("--id is missing");
	if (!o->memory)
		return complain("--mem is missing: how much memory does this slave lend?");
	if (!o->gateway.sin_port == !o->gateways_file)
		return complain("give one of --gateway IP:PORT and --gateways FILE");
	if (gvm_ip_is_loopback(o->bind.sin_addr.s_addr) || o->insecure)
		return 0;
	inet_ntop(AF_INET, &o->bind.sin_addr, ip, sizeof(ip));
	return complain("%s is not a loopback address: traffic is neither authenticated nor "
			"encrypted yet, so it needs --insecure",
			ip);
}

int slave_options_parse(struct slave_options *o, int argc, char **argv)
{
	unsigned int cpus = gvm_usable_cpus();
	int opt, err = 0;

	memset(o, 0, sizeof(*o));
	o->id = GVM_NO_NODE;
	o->threads = cpus < THREADS_DEFAULT ? cpus : THREADS_DEFAULT;
	o->spin_us = gvm_default_spin_us();
	o->bind.sin_family = AF_INET;
	o->bind.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	o->bind.sin_port = htons(GVM_DEFAULT_PORT);
	while (!err && (opt = getopt_long(argc, argv, "", options, NULL)) != -1)
		err = apply(o, opt, optarg);
	if (!err && optind < argc)
		err = complain("'%s' is not an option", argv[optind]);
	return err ? err : check(o);
}
