#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A QEMU that crashes leaves nothing behind: the master and the slaves give its
# memory back and serve the next one.
. "$(dirname "$0")/../lib/guest.sh"

# falls_to SECONDS LIMIT COMMAND...: waits until what the command prints is at most that.
falls_to() {
	local end=$((SECONDS + $1)) limit=$2

	shift 2
	until [ "$("$@")" -le "$limit" ]; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.1
	done
}

cluster_open
small_cluster
memcheck 1 hold=1
guest_says 1 holding 90 || give_up "the guest fills its memory"
stop guest1 KILL
check "the master gives the guest's memory back" \
	falls_to 15 0 resident_bytes master1
for name in slave0 slave1 slave2; do
	check "$name gives the guest's memory back" falls_to 15 4096 lent_kb $name
done
still_running "nobody else is harmed" gateway0 slave0 slave1 slave2 master1
memcheck 1 seed=2
guest_passes "the next guest works" 1 120
finish
