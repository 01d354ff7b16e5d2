// SPDX-License-Identifier: GPL-2.0-or-later
#include "unix_socket.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 16

static int set_address(struct sockaddr_un *addr, const char *path, char *error)
{
	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	if (!*path || strlen(path) >= sizeof(addr->sun_path)) {
		snprintf(error, GVM_UNIX_ERROR_MAX, "%s: a socket's path has 1 to %zu bytes", path,
			 sizeof(addr->sun_path) - 1);
		return -ENAMETOOLONG;
	}
	strcpy(addr->sun_path, path);
	return 0;
}

/* Two processes that start at once must not both find the old socket dead. */
static int lock_directory(const char *path)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char *slash;
	int fd;

	strcpy(dir, path);
	slash = strrchr(dir, '/');
	if (!slash)
		strcpy(dir, ".");
	else
		slash[slash == dir] = '\0';
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (fd >= 0 && flock(fd, LOCK_EX))
		if (errno != EINTR)
			break;
	return fd;
}

static bool is_live(const struct sockaddr_un *addr, int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool live;

	if (fd < 0)
		return true;
	live = !connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) || errno != ECONNREFUSED;
	close(fd);
	return live;
}

static int remove_dead(const struct sockaddr_un *addr, int type, char *error)
{
	struct stat st;

	if (lstat(addr->sun_path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(error, GVM_UNIX_ERROR_MAX, "%s exists and is not a socket",
			 addr->sun_path);
		return -EEXIST;
	}
	if (is_live(addr, type)) {
		snprintf(error, GVM_UNIX_ERROR_MAX, "%s is in use by another process",
			 addr->sun_path);
		return -EADDRINUSE;
	}
	return unlink(addr->sun_path) ? -errno : 0;
}

/* The mode is set before anybody can connect: fchmod counts for the file that bind makes. */
static int bind_private(int fd, const struct sockaddr_un *addr)
{
	if (fchmod(fd, 0600) || bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) ||
	    chmod(addr->sun_path, 0600) || listen(fd, BACKLOG))
		return -errno;
	return 0;
}

int gvm_unix_listen(const char *path, int type, char *error)
{
	struct sockaddr_un addr;
	int fd = -1, lock, err;

	error[0] = '\0';
	err = set_address(&addr, path, error);
	if (err)
		return err;
	lock = lock_directory(path);
	err = remove_dead(&addr, type, error);
	if (!err) {
		fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		err = fd < 0 ? -errno : bind_private(fd, &addr);
	}
	if (lock >= 0)
		close(lock);
	if (!err)
		return fd;
	if (!error[0])
		snprintf(error, GVM_UNIX_ERROR_MAX, "cannot listen at %s: %s", path,
			 strerror(-err));
	if (fd >= 0)
		close(fd);
	return err;
}

int gvm_unix_accept(int fd, int flags, int *spare)
{
	int conn;

	if (*spare < 0)
		*spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	conn = accept4(fd, NULL, NULL, flags | SOCK_CLOEXEC);
	if (conn >= 0 || (errno != EMFILE && errno != ENFILE) || *spare < 0)
		return conn;
	close(*spare);
	conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	if (conn >= 0)
		close(conn);
	*spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	errno = EMFILE;
	return -1;
}

bool gvm_unix_peer_allowed(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return false;
	return cred.uid == 0 || cred.uid == geteuid();
}
