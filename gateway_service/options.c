// SPDX-License-Identifier: GPL-2.0-or-later
#include "gateway.h"

#include <arpa/inet.h>
#include <getopt.h>

#include "../master_core/parse.h"

#define THREADS_MAX   64
#define MICROS_MAX    1000000
#define DEFAULT_FLUSH 50

static const char help[] =
	"Usage: giantvm_gateway --id G [OPTION]...\n"
	"Relays between clients and the slaves of one gateway.\n\n"
	"  --id G             this gateway's id; it serves the slaves whose id shifted is G\n"
	"  --bind IP          address to listen on (default 127.0.0.1)\n"
	"  --port P           UDP port (default 9000)\n"
	"  --slaves FILE      `ID IP PORT` lines: slaves that are known before they register\n"
	"  --reply MODE       direct: slaves answer clients themselves (default);\n"
	"                     relay: answers go through this gateway too\n"
	"  --threads N        receiving threads (default 1)\n"
	"  --flush-us US      longest time a small message is held back (default 50)\n"
	"  --spin-us US       poll this long before sleeping (default 0)\n"
	"  --control PATH     Unix socket that answers `status`\n"
	"  --stats-file PATH  where to write the counters at the end\n"
	"  --insecure         allow an address other than loopback\n"
	"  --help\n";

enum {
	OPT_ID = 256,
	OPT_BIND,
	OPT_PORT,
	OPT_SLAVES,
	OPT_REPLY,
	OPT_THREADS,
	OPT_FLUSH,
	OPT_SPIN,
	OPT_CONTROL,
	OPT_STATS,
	OPT_INSECURE,
	OPT_HELP
};

static const struct option options[] = {
	{"id", required_argument, NULL, OPT_ID},
	{"bind", required_argument, NULL, OPT_BIND},
	{"port", required_argument, NULL, OPT_PORT},
	{"slaves", required_argument, NULL, OPT_SLAVES},
	{"reply", required_argument, NULL, OPT_REPLY},
	{"threads", required_argument, NULL, OPT_THREADS},
	{"flush-us", required_argument, NULL, OPT_FLUSH},
	{"spin-us", required_argument, NULL, OPT_SPIN},
	{"control", required_argument, NULL, OPT_CONTROL},
	{"stats-file", required_argument, NULL, OPT_STATS},
	{"insecure", no_argument, NULL, OPT_INSECURE},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static int complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int complain(const char *fmt, ...)
{
	va_list ap;

	fputs("giantvm_gateway: error: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return GW_EXIT_USAGE;
}

static int number(const char *name, const char *s, u64 min, u64 max, u32 *out)
{
	u64 v;

	if (gvm_parse_number(s, min, max, &v))
		return complain("%s '%s' is not a number from %llu to %llu", name, s,
				(unsigned long long)min, (unsigned long long)max);
	*out = v;
	return 0;
}

static int set_bind(struct gw_options *o, const char *s)
{
	if (gvm_parse_ip(s, &o->bind.sin_addr.s_addr))
		return complain("--bind '%s' is not an IPv4 address", s);
	return 0;
}

static int set_port(struct gw_options *o, const char *s)
{
	u32 port = 0;
	int err = number("--port", s, 1, 65535, &port);

	if (!err)
		o->bind.sin_port = htons(port);
	return err;
}

static int set_reply(struct gw_options *o, const char *s)
{
	o->direct = !strcmp(s, "direct");
	if (!o->direct && strcmp(s, "relay"))
		return complain("--reply '%s' is neither direct nor relay", s);
	return 0;
}

static int set_id(struct gw_options *o, const char *s, bool *seen)
{
	*seen = true;
	return number("--id", s, 0, GVM_MAX_GATEWAYS - 1, &o->id);
}

static int apply(struct gw_options *o, int opt, const char *s, bool *id_seen)
{
	switch (opt) {
	case OPT_ID:
		return set_id(o, s, id_seen);
	case OPT_BIND:
		return set_bind(o, s);
	case OPT_PORT:
		return set_port(o, s);
	case OPT_SLAVES:
		o->slaves_file = s;
		return 0;
	case OPT_REPLY:
		return set_reply(o, s);
	case OPT_THREADS:
		return number("--threads", s, 1, THREADS_MAX, &o->threads);
	case OPT_FLUSH:
		return number("--flush-us", s, 0, MICROS_MAX, &o->flush_us);
	case OPT_SPIN:
		return number("--spin-us", s, 0, MICROS_MAX, &o->spin_us);
	case OPT_CONTROL:
		o->control_path = s;
		return 0;
	case OPT_STATS:
		o->stats_path = s;
		return 0;
	case OPT_INSECURE:
		o->insecure = true;
		return 0;
	case OPT_HELP:
		fputs(help, stdout);
		return GW_EXIT_HELP;
	default:
		return GW_EXIT_USAGE; /* getopt_long has said what is wrong */
	}
}

static int check(const struct gw_options *o, bool id_seen)
{
	char ip[INET_ADDRSTRLEN];

	if (!id_seen)
		return complain("--id is missing");
	if (gvm_ip_is_loopback(o->bind.sin_addr.s_addr) || o->insecure)
		return 0;
	inet_ntop(AF_INET, &o->bind.sin_addr, ip, sizeof(ip));
	return complain("%s is not a loopback address: traffic is neither authenticated nor "
			"encrypted yet, so it needs --insecure",
			ip);
}

int gw_options_parse(struct gw_options *o, int argc, char **argv)
{
	bool id_seen = false;
	int opt, err = 0;

	*o = (struct gw_options){.direct = true, .threads = 1, .flush_us = DEFAULT_FLUSH};
	o->bind.sin_family = AF_INET;
	o->bind.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	o->bind.sin_port = htons(GVM_DEFAULT_PORT);
	while (!err && (opt = getopt_long(argc, argv, "", options, NULL)) != -1)
		err = apply(o, opt, optarg, &id_seen);
	if (!err && optind < argc)
		err = complain("'%s' is not an option", argv[optind]);
	return err ? err : check(o, id_seen);
}
