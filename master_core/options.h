/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef GIANTVM_MASTER_OPTIONS_H
#define GIANTVM_MASTER_OPTIONS_H

#include <netinet/in.h>

#include "../common_include/giantvm_protocol.h"

struct master_options {
	u32 vm_id;
	u32 node_id;
	struct sockaddr_in bind;
	const char *gateways_file; /* NULL: they are loaded through the control socket */
	const char *socket_path;
	const char *shm_name;
	const char *control_path;
	const char *state_path; /* NULL: socket_path with .vm appended */
	const char *map_path;	/* NULL: none is written */
	const char *join_path;	/* NULL: the VM is this master's own */
	u64 budget;		/* bytes */
	u32 stripe_shift;	/* log2 pages */
	unsigned int min_slaves;
	unsigned int wait_seconds;
	unsigned int threads;
	unsigned int prefetch;
	unsigned int spin_us;
	unsigned int residence_us;
	unsigned int ack_delay_us;
	bool copy_reads;
	bool adopt;
	bool insecure;
};

/* 0: go on; 1: help was printed; -EINVAL: what is wrong was said. */
int master_options_parse(struct master_options *o, int argc, char **argv);

#endif
