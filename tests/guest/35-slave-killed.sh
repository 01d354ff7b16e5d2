#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 240
# A slave that dies with pages only it held stops the guest, with a message that
# names slave and page. It never reads zeroes or stale bytes.
. "$(dirname "$0")/../lib/guest.sh"

cluster_open
small_cluster
memcheck 1 hold=1
guest_says 1 holding 90 || give_up "the guest fills its memory"
stop slave1 KILL
go_on
# 50 tries with a back-off of at most 100 ms.
check "a message names slave and page" log_has guest1 '(slave|node) 1\b.*page' 60
grep -hE '(slave|node) 1\b.*page' "$C_DIR/guest1.log" | head -n 2 | sed 's/^/# /'
check_not "no wrong data was seen" grep -q 'GVM-GUEST: mismatch' "$C_DIR/guest1.log"
check_not "the guest did not come to a verdict" grep -q 'GVM-GUEST: verdict' "$C_DIR/guest1.log"
still_running "the others go on, and QEMU holds its guest" gateway0 slave0 slave2 master1 guest1
check "status names the slave that is gone" \
	grep -q '^slave 1: .*gone' <(control master1 status)
stop guest1 TERM 15
check "QEMU ends when it is told to, with a status that is not 0 ($C_STATUS)" \
	test "$C_STATUS" -ne 0 -a "$C_STATUS" -lt 128
finish
