#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 240
# A slave that is killed and comes back empty: the guest's pages are lost, the guest
# is stopped, and no page is taken for zeroes.
. "$(dirname "$0")/../lib/guest.sh"

cluster_open
small_cluster
memcheck 1 hold=1
guest_says 1 holding 90 || give_up "the guest fills its memory"
stop slave1 KILL
slave 1 "$LENT"
check "the new slave 1 registers" slave_ready 1
go_on
ended guest1 90 || give_up "QEMU ends" "it still runs"
check "QEMU's status is not 0 ($C_STATUS)" test "$C_STATUS" -ne 0
check "a message says that memory is lost" grep -qiE 'lost' "$C_DIR/guest1.log"
check "and names slave and page" grep -qE '(slave|node) 1\b.*page' "$C_DIR/guest1.log"
check_not "no wrong data was seen" grep -q 'GVM-GUEST: mismatch' "$C_DIR/guest1.log"
check_not "the guest did not come to a verdict" grep -q 'GVM-GUEST: verdict' "$C_DIR/guest1.log"
finish
