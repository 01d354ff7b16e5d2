// SPDX-License-Identifier: GPL-2.0-or-later
/* sim --seed S [--seeds N]: runs N seeds from S on and tells of each that fails. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sim.h"

#define SECONDS_A_SEED 60

struct options {
	s64 seed, seeds, homes, agents, vms, loss, accesses, page, ram, budget;
	bool verbose, first;
};

static volatile sig_atomic_t stuck_seed;

/* A lock taken twice or an endless loop in the logic: virtual time stands still. */
static void on_alarm(int sig)
{
	char line[80];
	int n = snprintf(line, sizeof(line), "sim: seed %d is stuck\n0 passed, 1 failed\n",
			 (int)stuck_seed);

	(void)sig;
	if (write(STDOUT_FILENO, line, n) < 0)
		_exit(2);
	_exit(1);
}

static void usage(const char *name)
{
	printf("Usage: %s [--seed S] [--seeds N] [--homes N] [--agents N] [--vms N]\n"
	       "          [--accesses N] [--ram PAGES] [--budget PAGES] [--loss PPM]\n"
	       "          [--verbose] [--page P] [--first]\n"
	       "--first: end with the first seed that fails.\n"
	       "Without options everything is drawn from the seed.\n",
	       name);
}

/* Options with a number: the option's value is its index here, plus one. */
static int parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{"seed", 1, NULL, 1},	 {"seeds", 1, NULL, 2},	    {"homes", 1, NULL, 3},
		{"agents", 1, NULL, 4},	 {"vms", 1, NULL, 5},	    {"loss", 1, NULL, 6},
		{"page", 1, NULL, 7},	 {"accesses", 1, NULL, 8},  {"ram", 1, NULL, 9},
		{"budget", 1, NULL, 10}, {"verbose", 0, NULL, 'V'}, {"first", 0, NULL, 'F'},
		{NULL, 0, NULL, 0}};
	s64 *numbers[] = {&o->seed, &o->seeds, &o->homes,    &o->agents, &o->vms,
			  &o->loss, &o->page,  &o->accesses, &o->ram,	 &o->budget};
	char *end;
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'V') {
			o->verbose = true;
		} else if (c == 'F') {
			o->first = true;
		} else if (c >= 1 && c <= (int)ARRAY_SIZE(numbers)) {
			*numbers[c - 1] = (s64)strtoull(optarg, &end, 0);
			if (*end || end == optarg)
				return -EINVAL;
		} else {
			return -EINVAL;
		}
	}
	return optind == argc ? 0 : -EINVAL;
}

static void overrule(u32 *value, s64 option)
{
	if (option >= 0)
		*value = (u32)option;
}

static void configure(struct sim_config *cfg, const struct options *o, u64 seed)
{
	sim_config_draw(cfg, seed);
	overrule(&cfg->homes, o->homes);
	overrule(&cfg->agents, o->agents);
	overrule(&cfg->vms, o->vms);
	overrule(&cfg->loss_ppm, o->loss);
	overrule(&cfg->accesses, o->accesses);
	overrule(&cfg->ram_pages, o->ram);
	overrule(&cfg->budget_pages, o->budget);
	cfg->verbose = o->verbose;
	cfg->trace_page = o->page;
}

static void add_counts(struct sim_counts *sum, const struct sim_counts *c)
{
	sum->events += c->events;
	sum->accesses += c->accesses;
	sum->reads += c->reads;
	sum->writes += c->writes;
	sum->faults += c->faults;
	sum->sent += c->sent;
	sum->lost += c->lost;
	sum->duplicated += c->duplicated;
	sum->mangled += c->mangled;
	sum->joined += c->joined;
	sum->cuts += c->cuts;
	sum->errors += c->errors;
	sum->prefetches += c->prefetches;
	sum->evictions += c->evictions;
	sum->fenced += c->fenced;
	sum->presumed_fenced += c->presumed_fenced;
	sum->longest_us = max_t(u64, sum->longest_us, c->longest_us);
}

static bool run_seed(const struct options *o, u64 seed, struct sim_counts *sum)
{
	struct sim_config cfg;
	struct sim s;

	configure(&cfg, o, seed);
	stuck_seed = (sig_atomic_t)seed;
	alarm(SECONDS_A_SEED);
	sim_create(&s, &cfg);
	sim_run(&s);
	sim_destroy(&s);
	add_counts(sum, &s.counts);
	alarm(0);
	if (!s.failed)
		return true;
	printf("sim: seed %llu failed %s\n", (unsigned long long)seed, s.reason);
	return false;
}

/* The command that shows this failure again, message by message. */
static void print_replay(char **argv, u64 seed)
{
	int i;

	printf("sim: replay with: %s --verbose --seed %llu", argv[0], (unsigned long long)seed);
	for (i = 1; argv[i]; i++)
		if (strncmp(argv[i], "--seed", 6) == 0)
			i += argv[i + 1] && !strchr(argv[i], '=');
		else
			printf(" %s", argv[i]);
	putchar('\n');
}

#define N(x) ((unsigned long long)(x))
static void print_counts(const struct sim_counts *c)
{
	printf("sim: %llu events; %llu reads, %llu writes, %llu faults, %llu prefetches, "
	       "%llu evictions, %llu errors\n",
	       N(c->events), N(c->reads), N(c->writes), N(c->faults), N(c->prefetches),
	       N(c->evictions), N(c->errors));
	printf("sim: datagrams: %llu sent, %llu lost, %llu doubled, %llu defaced, %llu joined; "
	       "%llu partitions, %llu copies fenced, %llu presumed fenced\n",
	       N(c->sent), N(c->lost), N(c->duplicated), N(c->mangled), N(c->joined), N(c->cuts),
	       N(c->fenced), N(c->presumed_fenced));
}

int main(int argc, char **argv)
{
	struct options o = {.seed = 1,
			    .seeds = 1,
			    .homes = -1,
			    .agents = -1,
			    .vms = -1,
			    .loss = -1,
			    .accesses = -1,
			    .page = -1,
			    .ram = -1,
			    .budget = -1};
	struct sim_counts sum = {0};
	s64 i, failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (parse(&o, argc, argv)) {
		usage(argv[0]);
		return 2;
	}
	signal(SIGALRM, on_alarm);
	for (i = 0; i < o.seeds; i++) {
		if (run_seed(&o, o.seed + i, &sum))
			continue;
		if (failed++ == 0)
			print_replay(argv, o.seed + i);
		if (o.first)
			o.seeds = i + 1;
	}
	print_counts(&sum);
	printf("%llu passed, %llu failed\n", (unsigned long long)(o.seeds - failed),
	       (unsigned long long)failed);
	return failed != 0;
}
