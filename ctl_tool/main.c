// SPDX-License-Identifier: GPL-2.0-or-later
/* gvm_ctl: asks running programs, and tells them things. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <arpa/inet.h>

#include "../master_core/gateway_list.h"
#include "request.h"
#include "show.h"

#define DEFAULT_SOCKET "/tmp/giantvm.ctl"
#define EXIT_USAGE     2
#define ENTRY_MAX      48 /* "ID IP PORT;" */

static const char help[] =
	"Usage: gvm_ctl [-s SOCKET] COMMAND\n"
	"Asks a master, slave or gateway through its control socket.\n\n"
	"  load FILE        take the gateways of a list (`ID IP PORT` lines) into a master\n"
	"  status [--json]  health, nodes, where the pages are, latency, counters\n"
	"  hot VM [--json]  (a slave) the pages that change hands most, and where\n"
	"  gateways         a master's or slave's gateways\n"
	"  stop             write every page home, keep them there, and end\n\n"
	"  -s SOCKET        control socket (default " DEFAULT_SOCKET ")\n"
	"  --help\n";

/* Says what an answer complains of. The answer as JSON, or NULL. */
static json_t *parse_answer(const char *answer)
{
	json_error_t why;
	json_t *o = json_loads(answer, 0, &why);
	const char *error;

	if (!o) {
		fprintf(stderr, "gvm_ctl: the answer is no JSON: %s\n", why.text);
		return NULL;
	}
	error = json_string_value(json_object_get(o, "error"));
	if (!error)
		return o;
	fprintf(stderr, "gvm_ctl: %s\n", error);
	json_decref(o);
	return NULL;
}

static json_t *ask(const char *socket, const char *line, pid_t *peer)
{
	char *answer = ctl_request(socket, line, peer);
	json_t *o = answer ? parse_answer(answer) : NULL;

	free(answer);
	return o;
}

static int run_status(const char *socket, int argc, char **argv)
{
	bool json = argc == 2 && !strcmp(argv[1], "--json");
	json_t *o;

	if (argc > 2 || (argc == 2 && !json)) {
		fprintf(stderr, "gvm_ctl: status takes nothing but --json\n");
		return EXIT_USAGE;
	}
	o = ask(socket, "status", NULL);
	if (!o)
		return EXIT_FAILURE;
	if (json) {
		json_dumpf(o, stdout, JSON_COMPACT);
		putchar('\n');
	} else {
		show_status(o);
	}
	json_decref(o);
	return EXIT_SUCCESS;
}

static int run_hot(const char *socket, int argc, char **argv)
{
	bool json = argc == 3 && !strcmp(argv[2], "--json");
	char line[64];
	json_t *o;

	if (argc < 2 || argc > 3 || (argc == 3 && !json) || strlen(argv[1]) > 20) {
		fprintf(stderr, "gvm_ctl: hot takes the number of a VM, and --json\n");
		return EXIT_USAGE;
	}
	snprintf(line, sizeof(line), "hot %s", argv[1]);
	o = ask(socket, line, NULL);
	if (!o)
		return EXIT_FAILURE;
	if (json) {
		json_dumpf(o, stdout, JSON_COMPACT);
		putchar('\n');
	} else {
		show_hot(o);
	}
	json_decref(o);
	return EXIT_SUCCESS;
}

static int run_gateways(const char *socket, int argc, char **argv)
{
	json_t *o;

	(void)argv;
	if (argc != 1) {
		fprintf(stderr, "gvm_ctl: gateways takes no argument\n");
		return EXIT_USAGE;
	}
	o = ask(socket, "status", NULL);
	if (!o)
		return EXIT_FAILURE;
	show_gateways(o);
	json_decref(o);
	return EXIT_SUCCESS;
}

/* The list as one line, or NULL without memory. */
static char *load_line(const struct gvm_gateway_list *list)
{
	size_t room = 16 + list->count * ENTRY_MAX, len, i;
	char *line = malloc(room), ip[INET_ADDRSTRLEN];

	if (!line)
		return NULL;
	len = (size_t)snprintf(line, room, "load ");
	for (i = 0; i < list->count; i++) {
		const struct gvm_gateway_entry *e = &list->entries[i];

		inet_ntop(AF_INET, &e->ip, ip, sizeof(ip));
		len += (size_t)snprintf(line + len, room - len, "%u %s %u;", e->id, ip,
					ntohs(e->port));
	}
	return line;
}

static int run_load(const char *socket, int argc, char **argv)
{
	struct gvm_gateway_list list = {0};
	char error[GVM_LIST_ERROR_MAX];
	char *line;
	json_t *o;

	if (argc != 2) {
		fprintf(stderr, "gvm_ctl: load takes the name of a file\n");
		return EXIT_USAGE;
	}
	if (gvm_gateway_list_load(&list, argv[1], GVM_MAX_GATEWAYS, error)) {
		fprintf(stderr, "gvm_ctl: %s; nothing was changed\n", error);
		return EXIT_FAILURE;
	}
	line = load_line(&list);
	o = line ? ask(socket, line, NULL) : NULL;
	free(line);
	if (o)
		printf("%zu gateways loaded\n", list.count);
	gvm_gateway_list_free(&list);
	if (!o)
		return EXIT_FAILURE;
	json_decref(o);
	return EXIT_SUCCESS;
}

/* Opened before the request, so that the number cannot be another process's. */
static int wait_for_end(pid_t pid, int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	while (poll(&p, 1, -1) < 0)
		if (errno != EINTR)
			break;
	printf("process %d has ended\n", pid);
	return p.revents ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run_stop(const char *socket, int argc, char **argv)
{
	int pidfd, code;
	pid_t pid = 0;
	json_t *o;

	(void)argv;
	if (argc != 1) {
		fprintf(stderr, "gvm_ctl: stop takes no argument\n");
		return EXIT_USAGE;
	}
	o = ask(socket, "status", &pid);
	if (!o)
		return EXIT_FAILURE;
	json_decref(o);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		fprintf(stderr, "gvm_ctl: cannot watch process %d: %s\n", pid, strerror(errno));
		return EXIT_FAILURE;
	}
	o = ask(socket, "stop", NULL);
	code = o ? wait_for_end(pid, pidfd) : EXIT_FAILURE;
	close(pidfd);
	if (o)
		json_decref(o);
	return code;
}

static const struct {
	const char *name;
	int (*run)(const char *socket, int argc, char **argv);
} commands[] = {
	{"load", run_load},	    {"status", run_status}, {"hot", run_hot},
	{"gateways", run_gateways}, {"stop", run_stop},
};

static int run(const char *socket, int argc, char **argv)
{
	size_t i;

	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].name, argv[0]))
			return commands[i].run(socket, argc, argv);
	fprintf(stderr, "gvm_ctl: unknown command '%s'; see gvm_ctl --help\n", argv[0]);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"socket", required_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	const char *socket = DEFAULT_SOCKET;
	int opt;

	while ((opt = getopt_long(argc, argv, "+s:h", options, NULL)) != -1) {
		if (opt == 's') {
			socket = optarg;
		} else if (opt == 'h') {
			fputs(help, stdout);
			return EXIT_SUCCESS;
		} else {
			return EXIT_USAGE;
		}
	}
	if (optind == argc) {
		fputs(help, stderr);
		return EXIT_USAGE;
	}
	return run(socket, argc - optind, argv + optind);
}
