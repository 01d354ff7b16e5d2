/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Included before master_core/dir_table.c when dir_scale is built: counts the entries looked at. */
extern unsigned long long dir_probes;
#define GVM_DIR_PROBE() ((void)dir_probes++)
