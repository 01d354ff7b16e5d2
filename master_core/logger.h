/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One line a message to stderr: `giantvm_slave[2]: text`. */
#ifndef GIANTVM_LOGGER_H
#define GIANTVM_LOGGER_H

#include <stdarg.h>

#include "unified_driver.h"

struct gvm_logger {
	char name[48];
	int level; /* messages above it are not written */
};

void gvm_logger_init(struct gvm_logger *l, const char *program, long id);
void gvm_vlog(const struct gvm_logger *l, int level, const char *fmt, va_list ap);
void gvm_logf(const struct gvm_logger *l, int level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
