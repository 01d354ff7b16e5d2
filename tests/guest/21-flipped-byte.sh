#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The data really come from the slaves: a byte changed in a slave's memory is seen
# by the guest's check, in that page and in no other.
. "$(dirname "$0")/../lib/guest.sh"

cluster_open
small_cluster
memcheck 1 hold=1
guest_says 1 holding 90 || give_up "the guest fills its memory"
# What was written first has left the master long ago.
flipped=$("$TOOLS/flip" "${C_PID[slave1]}" 0 $((DATA << 5)) 3) ||
	give_up "generated pages are found in a slave's memory" "flip found none"
pass "generated pages are found in a slave's memory"
go_on
ended guest1 120 || give_up "the guest comes to an end"
check "the guest's check fails" grep -q 'verdict FAIL' "$C_DIR/guest1.log"
seen=$(sed -n 's/.*mismatch page=\([0-9]*\).*/\1/p' "$C_DIR/guest1.log" | sort -un)
check "it names the changed pages, and only them" \
	test "$seen" = "$(sort -un <<<"$flipped")"
finish
