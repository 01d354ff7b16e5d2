#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 660
# ./gvm demo, as a newcomer runs it.
. "$(dirname "$0")/../lib/guest.sh"

cluster_open
out=$C_DIR/out
"$GVM_TOP/gvm" demo >"$out" 2>&1
status=$?
check "./gvm demo ends with status 0" test "$status" -eq 0
[ "$status" -eq 0 ] || tail -n 60 "$out"
check "it says that all data agree" grep -q '^All data agree' "$out"
for i in 0 1 2; do
	held=$(sed -n "s/^ *slave $i *\([0-9]*\) MiB.*/\1/p" "$out")
	at_least "slave $i held pages, in MiB" "$held" 64
done
check "at least 500 MiB were verified" grep -qE 'memcheck PASS bytes=5[0-9]{8}' "$out"
check "it tells faults" grep -qi 'fault' "$out"
check "it tells latency" grep -q 'p99' "$out"
check "it tells evictions" grep -qi 'evict' "$out"
finish
