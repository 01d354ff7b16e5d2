/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef GIANTVM_SLAVE_OPTIONS_H
#define GIANTVM_SLAVE_OPTIONS_H

#include <netinet/in.h>

#include "../common_include/giantvm_protocol.h"

struct slave_options {
	u32 id;
	u64 memory; /* bytes */
	struct sockaddr_in bind;
	struct sockaddr_in gateway; /* of this slave; port 0: from the list */
	const char *gateways_file;
	unsigned int threads;
	unsigned int spin_us;
	const char *control_path;
	bool insecure;
};

/* 0: go on; 1: help was printed; -EINVAL: what is wrong was said. */
int slave_options_parse(struct slave_options *o, int argc, char **argv);

#endif
