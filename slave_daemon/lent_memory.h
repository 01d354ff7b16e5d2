/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory that a slave lends: one sparse mapping, occupied as pages arrive. */
#ifndef GIANTVM_LENT_MEMORY_H
#define GIANTVM_LENT_MEMORY_H

#include "../common_include/platform_defs.h"

#define GVM_LENT_NAME "giantvm_lent" /* as /proc/PID/maps shows it */

struct gvm_lent_memory {
	u8 *base;
	u64 pages;
};

/* bytes: whole pages. 0 or a negative errno. */
int gvm_lent_open(struct gvm_lent_memory *m, u64 bytes);
void gvm_lent_close(struct gvm_lent_memory *m);

/* The host's memory that is available now, in bytes; 0 if it cannot be told. */
u64 gvm_host_available(void);

#endif
