/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel module's control device: what gvm_ctl does for a master, and VMs. */
#ifndef GIANTVM_CTL_MODULE_H
#define GIANTVM_CTL_MODULE_H

#include "../common_include/giantvm_ioctl.h"

/* Whether path is a character device: then it is the module's, not a master's socket. */
int module_is_device(const char *path);
/* Opens the device and runs a command on it. The program's exit status. */
int module_run(const char *device, int argc, char **argv);

/* module_vm.c */
int module_create(int fd, int argc, char **argv);
int module_destroy(int fd, int argc, char **argv);

/* Says what went wrong, after "gvm_ctl: "; returns EXIT_FAILURE. */
int module_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
