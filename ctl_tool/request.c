// SPDX-License-Identifier: GPL-2.0-or-later
#include "request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_S 30 /* a status asks every slave, and one of them may be silent */
#define ANSWER_MAX (256UL << 20)

static int say(const char *path, const char *what, int err)
{
	fprintf(stderr, "gvm_ctl: %s: %s: %s\n", path, what, strerror(err));
	return -1;
}

static int connect_to(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = PATIENCE_S};
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path))
		return say(path, "cannot connect", ENAMETOOLONG);
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return say(path, "cannot connect", errno);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (!connect(fd, (const struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	say(path,
	    errno == ECONNREFUSED || errno == ENOENT ? "no program listens there"
						     : "cannot connect",
	    errno);
	close(fd);
	return -1;
}

static int send_text(int fd, const char *text)
{
	size_t left = strlen(text);
	ssize_t n;

	while (left) {
		n = send(fd, text, left, MSG_NOSIGNAL);
		if (n <= 0)
			return -1;
		text += n;
		left -= (size_t)n;
	}
	return 0;
}

static char *read_all(int fd)
{
	size_t len = 0, room = 64 << 10;
	char *answer = malloc(room), *more;
	ssize_t n;

	while (answer && (n = recv(fd, answer + len, room - len - 1, 0)) > 0) {
		len += (size_t)n;
		if (len + 1 < room)
			continue;
		more = room < ANSWER_MAX ? realloc(answer, room * 2) : NULL;
		if (!more)
			break;
		answer = more;
		room *= 2;
	}
	if (!answer || n || !len) {
		errno = answer && !n ? ENODATA : errno;
		free(answer);
		return NULL;
	}
	answer[len] = '\0';
	return answer;
}

char *ctl_request(const char *path, const char *line, pid_t *peer)
{
	int fd = connect_to(path);
	struct ucred cred = {0};
	socklen_t len = sizeof(cred);
	char *answer = NULL;

	if (fd < 0)
		return NULL;
	if (peer) {
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
		*peer = cred.pid;
	}
	if (!send_text(fd, line) && !send_text(fd, "\n"))
		answer = read_all(fd);
	if (!answer)
		say(path, "no answer", errno);
	close(fd);
	return answer;
}
