#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A slave that is stopped for a while stalls the guest; when it goes on so does the guest.
. "$(dirname "$0")/../lib/guest.sh"

# Seconds of the slave's stop.
stopped=${STOPPED:-2}

cluster_open
small_cluster
memcheck 1 hold=1
guest_says 1 holding 90 || give_up "the guest fills its memory"
kill -STOP "${C_PID[slave1]}"
start=${EPOCHREALTIME/./}
go_on
timeout "$stopped" tail --pid="${C_PID[guest1]}" -f /dev/null
check_not "the guest waits for the stopped slave" grep -q 'pass read:' "$C_DIR/guest1.log"
check "QEMU is still there" alive guest1
kill -CONT "${C_PID[slave1]}"
guest_says 1 'pass read:' 60
took=$(((${EPOCHREALTIME/./} - start) / 1000))
at_least "reading took longer than the stop, in ms" "$took" $((stopped * 1000))
guest_passes "the guest goes on and its data agree" 1 120
finish
