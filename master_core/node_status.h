/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parts of a status answer that every node has. */
#ifndef GIANTVM_NODE_STATUS_H
#define GIANTVM_NODE_STATUS_H

#include <stdio.h>

#include "user_backend.h"

/* "counters":{...},"net":{...} without a comma before or after. */
void gvm_status_counters(FILE *out, struct gvm_backend *b);
/* "gateways":[...] */
void gvm_status_gateways(FILE *out, struct gvm_backend *b);
/* The word that says whether traffic is protected: "insecure" or "loopback". */
const char *gvm_status_mode(const struct sockaddr_in *bind);

#endif
