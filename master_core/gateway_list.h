/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files of `ID IP PORT` lines: gateway lists, and static slave lists. Blank
 * lines and everything from a # on are skipped.
 */
#ifndef GIANTVM_GATEWAY_LIST_H
#define GIANTVM_GATEWAY_LIST_H

#include "../common_include/giantvm_protocol.h"

struct gvm_gateway_entry {
	u32 id;
	u32 ip;	  /* network byte order */
	u16 port; /* network byte order */
};

/* In ascending order of id, each id once. Zero-initialise before the first load. */
struct gvm_gateway_list {
	struct gvm_gateway_entry *entries;
	size_t count;
};

/* What is wrong, as one sentence: "FILE:LINE: ...". */
#define GVM_LIST_ERROR_MAX 512

/*
 * Reads path; every id must be below id_limit (GVM_MAX_GATEWAYS or
 * GVM_MAX_SLAVES). On success *list is replaced. On error *list is as it was,
 * error (GVM_LIST_ERROR_MAX bytes) says what is wrong and where, and the
 * result is -EINVAL (a bad line, an id twice, no entry at all), -EFBIG, -ENOMEM
 * or the errno of the file.
 */
int gvm_gateway_list_load(struct gvm_gateway_list *list, const char *path, u32 id_limit,
			  char *error);
/* The same for len bytes at text; name stands for the file in errors. */
int gvm_gateway_list_parse(struct gvm_gateway_list *list, const char *text, size_t len,
			   const char *name, u32 id_limit, char *error);
void gvm_gateway_list_free(struct gvm_gateway_list *list);
/* NULL: not in the list. */
const struct gvm_gateway_entry *gvm_gateway_list_find(const struct gvm_gateway_list *list, u32 id);

#endif
