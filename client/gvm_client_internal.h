/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files of the client library. */
#ifndef GVM_CLIENT_INTERNAL_H
#define GVM_CLIENT_INTERNAL_H

#include "gvm_client.h"

/* Writes the sentence to c->error and returns -err. */
int gvm_client_fail(struct gvm_client *c, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Opens a userfaultfd and registers [base, base + size) with it: sets uffd and features. */
int gvm_pager_register(struct gvm_client *c);

#endif
