/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Listening on a Unix socket that belongs to one user, without taking it from a live process. */
#ifndef GIANTVM_UNIX_SOCKET_H
#define GIANTVM_UNIX_SOCKET_H

#include "../common_include/platform_defs.h"

#define GVM_UNIX_ERROR_MAX 256

/*
 * Listens at path (mode 0600), type SOCK_STREAM or SOCK_SEQPACKET, not
 * blocking. A socket left there by a process that has ended is replaced, a live
 * one and any other file are not touched. The descriptor, or a negative errno
 * and a sentence in error (GVM_UNIX_ERROR_MAX bytes).
 */
int gvm_unix_listen(const char *path, int type, char *error);

/*
 * Accepts a connection, not blocking if flags say SOCK_NONBLOCK; -1: none. When
 * the process has no descriptor left, the one in *spare is given up for a moment
 * to turn the connection away, or it would be offered for ever. *spare: -1 at first.
 */
int gvm_unix_accept(int fd, int flags, int *spare);

/* Whether the peer is this process's user or root. */
bool gvm_unix_peer_allowed(int fd);

#endif
