#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A master that is told to stop writes every dirty page home first; one started with
# --adopt goes on with what lies there.
. "$(dirname "$0")/../lib/guest.sh"

# MiB: more than the budget, so that some pages are home already and some are not.
MIB=128

cluster_open
small_cluster
spawn writer "$TOOLS/ramtool" "$C_DIR/vm1.sock" $MIB write 5
log_has writer 'wrote' 60 || give_up "the RAM is written"
stop master1 TERM 30
check "the master ends with status 0 when told to stop" test "$C_STATUS" -eq 0
ended writer 20 || give_up "the client learns that the node has gone"
check "the client was told" grep -q 'event 4' "$C_DIR/writer.log"
master 1 "${BUDGET}M" --min-slaves 3 --adopt
master_ready 1 || give_up "a master with --adopt becomes ready"
spawn reader "$TOOLS/ramtool" "$C_DIR/vm1.sock" $MIB check 5
ended reader 90 || give_up "the reader ends"
check "every page is as it was written" test "$C_STATUS" -eq 0
grep checked "$C_DIR/reader.log" | sed 's/^/# /'
finish
