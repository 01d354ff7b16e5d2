/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program's control socket: a request is one line, a command and its
 * arguments; the answer is one JSON value up to the end of the stream. Served
 * by a thread of its own, one request after the other.
 */
#ifndef GIANTVM_CONTROL_H
#define GIANTVM_CONTROL_H

#include <stdio.h>

#include "logger.h"

struct gvm_control;

struct gvm_control_command {
	const char *name;
	/* Writes the answer to out. args: the rest of the line, may be changed. */
	void (*run)(void *ctx, char *args, FILE *out);
};

struct gvm_control_config {
	const char *path;
	const struct gvm_control_command *commands; /* up to one without a name */
	void *ctx;
	const struct gvm_logger *log;
};

/* 0 or a negative errno; what is wrong has been logged. */
int gvm_control_open(struct gvm_control **out, const struct gvm_control_config *cfg);
/* Removes the socket. NULL is allowed. */
void gvm_control_close(struct gvm_control *c);

/* {"error": sentence} */
void gvm_control_error(FILE *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* s with quotes around it, escaped as JSON wants it. */
void gvm_json_string(FILE *out, const char *s);

#endif
