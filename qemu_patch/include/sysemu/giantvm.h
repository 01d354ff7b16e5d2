/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the rest of QEMU knows of the giantvm accelerator. */
#ifndef SYSEMU_GIANTVM_H
#define SYSEMU_GIANTVM_H

/* A host memory backend whose pages live on other machines: hw/giantvm/giantvm_mem.c. */
#define TYPE_MEMORY_BACKEND_GIANTVM "memory-backend-giantvm"

extern bool giantvm_allowed;
#define giantvm_enabled() (giantvm_allowed)

#endif
