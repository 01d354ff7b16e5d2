// SPDX-License-Identifier: GPL-2.0-or-later
#include "logger.h"

#include <stdio.h>
#include <unistd.h>

void gvm_logger_init(struct gvm_logger *l, const char *program, long id)
{
	if (id < 0)
		snprintf(l->name, sizeof(l->name), "%s", program);
	else
		snprintf(l->name, sizeof(l->name), "%s[%ld]", program, id);
	l->level = GVM_LOG_INFO;
}

static const char *level_prefix(int level)
{
	switch (level) {
	case GVM_LOG_ERR:
		return "error: ";
	case GVM_LOG_WARN:
		return "warning: ";
	default:
		return "";
	}
}

/* One write per line, so that the lines of several threads do not mix. */
void gvm_vlog(const struct gvm_logger *l, int level, const char *fmt, va_list ap)
{
	char line[1024];
	size_t room = sizeof(line) - 1;
	int n;

	if (level > l->level)
		return;
	n = snprintf(line, room, "%s: %s", l->name, level_prefix(level));
	if (n < 0)
		return;
	n += vsnprintf(line + n, room - (size_t)n, fmt, ap);
	if (n < 0)
		return;
	if ((size_t)n >= room)
		n = (int)room - 1;
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}

void gvm_logf(const struct gvm_logger *l, int level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	gvm_vlog(l, level, fmt, ap);
	va_end(ap);
}
