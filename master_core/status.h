/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a master answers on its control socket. */
#ifndef GIANTVM_STATUS_H
#define GIANTVM_STATUS_H

#include "control.h"
#include "master.h"

/* Their context is the gvm_master. */
extern const struct gvm_control_command gvm_master_commands[];

/* Loads a gateway list file at the start. 0 or a negative errno, said in the log. */
int gvm_master_load_gateways(struct gvm_master *m, const char *path);

#endif
