/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The slaves that hold a VM's pages: which they are, and requests to all of them. */
#ifndef GIANTVM_MEMBERS_H
#define GIANTVM_MEMBERS_H

#include "logic_core.h"
#include "roster.h"

struct gvm_members {
	struct gvm_member *list; /* by ascending id */
	u64 *room;		 /* the free pages of each */
	u32 count;
	u64 lent_pages, free_pages;
};

/* The slaves that are alive now and have room. 0 or -ENOMEM. */
int gvm_members_collect(struct gvm_members *m, struct gvm_roster *r, u64 now);
void gvm_members_free(struct gvm_members *m);
/* How many slaves are alive, with room or without. */
u32 gvm_members_alive(struct gvm_roster *r, u64 now);

/* One request to a home, and what came of it. */
struct gvm_vm_call {
	u32 target;
	struct gvm_vm_body body; /* the request, then the answer */
	int status;		 /* 0 or a negative errno, of the answer or of getting one */
};

/* Makes n requests, several at a time, and returns when each has ended. May sleep. */
void gvm_vm_calls(struct gvm_node *n, u16 type, u32 vm_id, u32 epoch, struct gvm_vm_call *calls,
		  u32 count);

/*
 * Gives the members weights such that each gets a share of ram_pages by what it
 * has free, and never more than that; shares: room for one number a member.
 * Members without a share are left out. -ENOSPC: whole stripes do not fit.
 */
int gvm_members_place(struct gvm_members *m, u64 ram_pages, u32 stripe_shift, u64 *shares);

#endif
