// SPDX-License-Identifier: GPL-2.0-or-later
#include "histogram.h"

#define SUB_COUNT (1U << GVM_HISTOGRAM_SUB)

static unsigned int bucket_of(u64 value)
{
	unsigned int shift, b;

	if (value < SUB_COUNT)
		return (unsigned int)value;
	shift = 63 - (unsigned int)__builtin_clzll(value) - GVM_HISTOGRAM_SUB;
	b = ((shift + 1) << GVM_HISTOGRAM_SUB) + (unsigned int)((value >> shift) & (SUB_COUNT - 1));
	return b < GVM_HISTOGRAM_BUCKETS ? b : GVM_HISTOGRAM_BUCKETS - 1;
}

/* The middle of a bucket's range. */
static u64 bucket_value(unsigned int b)
{
	unsigned int shift;

	if (b < SUB_COUNT)
		return b;
	shift = (b >> GVM_HISTOGRAM_SUB) - 1;
	return ((u64)(SUB_COUNT + (b & (SUB_COUNT - 1))) << shift) + ((1ULL << shift) >> 1);
}

void gvm_histogram_add(struct gvm_histogram *h, u64 value)
{
	__atomic_fetch_add(&h->count[bucket_of(value)], 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&h->total, 1, __ATOMIC_RELAXED);
}

u64 gvm_histogram_percentile(const struct gvm_histogram *h, unsigned int permille)
{
	u64 total = __atomic_load_n(&h->total, __ATOMIC_RELAXED);
	u64 wanted = (total * permille + 999) / 1000;
	u64 seen = 0;
	unsigned int b;

	if (!total)
		return 0;
	for (b = 0; b < GVM_HISTOGRAM_BUCKETS; b++) {
		seen += __atomic_load_n(&h->count[b], __ATOMIC_RELAXED);
		if (seen >= wanted)
			return bucket_value(b);
	}
	return bucket_value(GVM_HISTOGRAM_BUCKETS - 1);
}
