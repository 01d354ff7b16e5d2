#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 600
# Builds for other scales work, and do not mix with the ordinary one.
. "$(dirname "$0")/../lib/guest.sh"

cluster_open
RAM=256
DATA=96
BUDGET=48
for bits in 8 20; do
	if ! make -C "$GVM_TOP" -s -j2 GVM_SLAVE_BITS=$bits BUILD="$GVM_BUILD/bits$bits" \
		>"$C_DIR/make.out" 2>&1; then
		tail -n 20 "$C_DIR/make.out"
		give_up "GVM_SLAVE_BITS=$bits builds"
	fi
	pass "GVM_SLAVE_BITS=$bits builds"
	C_BIN=$GVM_BUILD/bits$bits
	small_cluster
	memcheck 1
	guest_passes "a guest with GVM_SLAVE_BITS=$bits" 1 120
	for name in master1 slave0 slave1 slave2; do
		stop $name
	done
	[ $bits = 20 ] || stop gateway0
done
C_BIN=$GVM_BUILD/bits8 slave 9 16M
ended slave9 20 || give_up "a slave of another scale ends"
check "a slave of another scale is refused" test "$C_STATUS" -ne 0
check "with a sentence" grep -qi 'bits' "$C_DIR/slave9.log"
finish
