// SPDX-License-Identifier: GPL-2.0-or-later
/* gvm_module COMMAND...: the module's part of gvm_ctl by itself, for the tests in a guest. */
#include <stdio.h>

#include "../../ctl_tool/module.h"

int main(int argc, char **argv)
{
	if (argc > 1)
		return module_run(GVM_DEVICE, argc - 1, argv + 1);
	fprintf(stderr, "usage: gvm_module load|gateways|status|create|destroy ...\n");
	return 2;
}
