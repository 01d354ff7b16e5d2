#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 900
# The gateway dies and returns eight times while a guest works.
. "$(dirname "$0")/../lib/guest.sh"

cluster_open
RAM=512
DATA=352
BUDGET=96
LENT=256M
small_cluster
memcheck 1 threads=2 random=60000
for round in 1 2 3 4 5 6 7 8; do
	timeout 2 tail --pid="${C_PID[guest1]}" -f /dev/null
	alive guest1 || break
	stop gateway0 KILL
	timeout 1 tail --pid="${C_PID[guest1]}" -f /dev/null
	gateway 0
done
at_least "the gateway was restarted while the guest worked, times" "$round" 4
guest_passes "the guest's data agree" 1 600
still_running "slaves and master go on" slave0 slave1 slave2 master1
finish
