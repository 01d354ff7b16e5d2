#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 600
# Every machine type, several CPUs, both ways of loading the kernel.
. "$(dirname "$0")/../lib/guest.sh"

cluster_open
small_cluster
RAM=256
DATA=112
one_machine() {
	G_MACHINE=$1 G_CPUS=$2 G_KERNEL=$3 memcheck 1 "threads=$2"
	guest_passes "$1 with $2 cpus, $(basename "$3")" 1 120
}
one_machine pc 1 "$G_VMLINUZ"
one_machine pc 4 "$G_KERNEL"
one_machine q35 2 "$G_KERNEL"
one_machine microvm 1 "$G_KERNEL"
one_machine microvm 2 "$G_KERNEL"
still_running "the same master served them all" master1 slave0 slave1 slave2
finish
