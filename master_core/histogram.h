/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A latency histogram: 16 buckets an octave (at most 6 % off), lock-free to
 * fill from any thread.
 */
#ifndef GIANTVM_HISTOGRAM_H
#define GIANTVM_HISTOGRAM_H

#include "../common_include/platform_defs.h"

#define GVM_HISTOGRAM_SUB     4 /* log2 of the buckets an octave */
#define GVM_HISTOGRAM_BUCKETS ((40 - GVM_HISTOGRAM_SUB) << GVM_HISTOGRAM_SUB)

struct gvm_histogram {
	u64 count[GVM_HISTOGRAM_BUCKETS];
	u64 total;
};

/* value: microseconds, or any other unit as long as it is always the same. */
void gvm_histogram_add(struct gvm_histogram *h, u64 value);

/* The value below which permille of the samples lie; 0 when there are none. */
u64 gvm_histogram_percentile(const struct gvm_histogram *h, unsigned int permille);

#endif
