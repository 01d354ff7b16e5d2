/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Strict parsing of command line values: the whole string, or -EINVAL / -ERANGE. */
#ifndef GIANTVM_PARSE_H
#define GIANTVM_PARSE_H

#include "../common_include/platform_defs.h"

/* A decimal number from min to max. */
int gvm_parse_number(const char *s, u64 min, u64 max, u64 *out);

/* Bytes, with an optional suffix K, M, G or T (powers of 1024). */
int gvm_parse_size(const char *s, u64 *out);

/* "IP" and "IP:PORT"; results in network byte order. */
int gvm_parse_ip(const char *s, u32 *ip);
int gvm_parse_endpoint(const char *s, u32 *ip, u16 *port);

/* Whether ip (network byte order) is one of the loopback network's. */
bool gvm_ip_is_loopback(u32 ip);

#endif
