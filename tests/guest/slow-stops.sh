#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 900
# Slaves are stopped and continued in turn, for up to 3 s each, while a guest with
# several CPUs and threads works.
. "$(dirname "$0")/../lib/guest.sh"

cluster_open
RAM=512
DATA=352
BUDGET=96
LENT=256M
small_cluster
G_CPUS=4 memcheck 1 threads=4 random=60000
for i in 0 1 2 0 1 2; do
	alive guest1 || break
	kill -STOP "${C_PID[slave$i]}"
	timeout 3 tail --pid="${C_PID[guest1]}" -f /dev/null
	kill -CONT "${C_PID[slave$i]}"
	timeout 1 tail --pid="${C_PID[guest1]}" -f /dev/null
done
guest_passes "the guest's data agree" 1 600
finish
