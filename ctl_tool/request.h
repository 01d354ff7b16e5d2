/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One request to a program's control socket. */
#ifndef GVM_CTL_REQUEST_H
#define GVM_CTL_REQUEST_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Sends line (without its end) to the socket at path and returns the whole
 * answer, to be freed; NULL after saying on stderr what went wrong. peer: the
 * process that answered, may be NULL.
 */
char *ctl_request(const char *path, const char *line, pid_t *peer);

#endif
