/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For programs over the logic's own tables: memory that is counted, and numbers by chance. */
#ifndef GVM_BENCH_TABLES_H
#define GVM_BENCH_TABLES_H

#include "../master_core/unified_driver.h"

struct counted {
	u64 asked; /* bytes asked for and not given back */
	u64 taken; /* the same with what malloc adds: its head and rounding */
	u64 blocks;
};

/* Only the table calls; ctx is a struct counted. */
extern const struct dsm_driver_ops counted_ops;

/* This thread's own time: what others do on the machine does not count, but for the caches. */
u64 cpu_ns(void);

u64 chance(u64 x); /* a number that looks random, the same for the same x */

#endif
