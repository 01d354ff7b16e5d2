// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * marker SECONDS TEXT COMMAND...: runs the command and passes on those lines it
 * prints that contain TEXT, each after the milliseconds since the start. Ends with
 * the command's status, or with 124 and the last line when it is not done in time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "touch.h"

struct watch {
	const char *text;
	uint64_t start, deadline;
	char line[4096];
	size_t len;
};

static pid_t start(char **command, int *out)
{
	int fds[2];
	pid_t pid;

	if (pipe(fds))
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		execvp(command[0], command);
		die("%s", command[0]);
	}
	close(fds[1]);
	*out = fds[0];
	return pid;
}

static void line_ends(struct watch *w)
{
	w->line[w->len] = 0;
	if (strstr(w->line, w->text))
		printf("%.1f %s\n", (now_ns() - w->start) / 1e6, w->line);
	w->len = 0;
}

static void take(struct watch *w, const char *bytes, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (bytes[i] == '\n' || w->len == sizeof(w->line) - 1)
			line_ends(w);
		if (bytes[i] != '\n' && bytes[i] != '\r')
			w->line[w->len++] = bytes[i];
	}
}

/* false: the time is over. */
static bool follow(struct watch *w, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char bytes[1024];
	ssize_t n;

	for (;;) {
		uint64_t now = now_ns();

		if (now >= w->deadline)
			return false;
		if (poll(&p, 1, (int)((w->deadline - now) / 1000000 + 1)) <= 0)
			continue;
		n = read(fd, bytes, sizeof(bytes));
		if (n <= 0)
			return true;
		take(w, bytes, n);
	}
}

int main(int argc, char **argv)
{
	struct watch w = {0};
	bool in_time;
	int out, status;
	pid_t pid;

	if (argc < 4)
		die("usage: marker SECONDS TEXT COMMAND...");
	w.text = argv[2];
	w.start = now_ns();
	w.deadline = w.start + strtoull(argv[1], NULL, 10) * 1000000000;
	pid = start(argv + 3, &out);
	in_time = follow(&w, out);
	if (!in_time) {
		kill(pid, SIGKILL);
		fprintf(stderr, "marker: error: %s did not end within %s s, its last line: %.*s\n",
			argv[3], argv[1], (int)w.len, w.line);
	}
	if (waitpid(pid, &status, 0) < 0)
		die("waitpid");
	return in_time && WIFEXITED(status) ? WEXITSTATUS(status) : 124;
}
