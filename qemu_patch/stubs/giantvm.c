/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For programs that link the block layer without an accelerator. */
#include "qemu/osdep.h"
#include "sysemu/giantvm.h"

bool giantvm_allowed;
