/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Comparing two states field by field, each by its name. */
#ifndef GVM_STATE_FIELDS_H
#define GVM_STATE_FIELDS_H

#include "../../common_include/giantvm_vcpu.h"

/* A field that differs is told to report, with its values. Returns how many do. */
typedef void (*state_report)(void *ctx, const char *field, u64 a, u64 b);
unsigned int state_compare(const struct gvm_vcpu_state *a, const struct gvm_vcpu_state *b,
			   state_report report, void *ctx);

/* Prints to standard error. */
void state_print_difference(void *ctx, const char *field, u64 a, u64 b);

/* Gives every scalar field a value of its own that the wire can carry. */
void state_fill(struct gvm_vcpu_state *s);

#endif
