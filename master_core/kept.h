/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a master that was told to stop leaves for the next one: where the pages
 * are that its slaves keep. A text file.
 */
#ifndef GIANTVM_KEPT_H
#define GIANTVM_KEPT_H

#include "logic_core.h"

struct gvm_kept {
	u32 vm_id;
	u32 node_id;
	u64 ram_pages;
	u32 epoch;
	u32 stripe_shift;
	u32 nmembers;
	struct gvm_member *members;
};

#define GVM_KEPT_ERROR_MAX 512

/* 0, or a negative errno and a sentence in error. The file is whole or not there. */
int gvm_kept_save(const char *path, const struct gvm_kept *k, char *error);
int gvm_kept_load(const char *path, struct gvm_kept *k, char *error);
void gvm_kept_free(struct gvm_kept *k);

#endif
