/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Answers, for people to read. */
#ifndef GVM_CTL_SHOW_H
#define GVM_CTL_SHOW_H

#include <jansson.h>

void show_status(const json_t *answer);
void show_hot(const json_t *answer);
void show_gateways(const json_t *answer);

#endif
