#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The gateway is killed while the guest works and comes back within 3 s.
. "$(dirname "$0")/../lib/guest.sh"

# Seconds without a gateway.
away=2

cluster_open
small_cluster
memcheck 1 hold=1
guest_says 1 holding 90 || give_up "the guest fills its memory"
stop gateway0 KILL
go_on
timeout "$away" tail --pid="${C_PID[guest1]}" -f /dev/null
check "the guest is still there" alive guest1
gateway 0
guest_passes "the guest's data agree after a gateway's death and return" 1 120
still_running "slaves and master go on" slave0 slave1 slave2 master1
finish
