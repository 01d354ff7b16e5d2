#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Garbage, truncated, over-long, wrong-version, forged and stale packets to slave,
# gateway and master, and bad gateway lists, while a guest works: it is unharmed.
. "$(dirname "$0")/../lib/guest.sh"

kinds="garbage truncated overlong version magic stale type fragments"

cluster_open
small_cluster
addresses=()
for name in gateway0 slave0 slave1 slave2 master1; do
	addresses+=(127.0.0.1 "${C_PORT[$name]}")
done
mkfifo "$C_DIR/quiet"
exec {quiet}<>"$C_DIR/quiet"
seed=0
for kind in $kinds; do
	seed=$((seed + 1))
	C_STDIN[bad-$kind]=/dev/fd/$quiet
	spawn "bad-$kind" nice "$TOOLS/badpackets" "$kind" "$seed" 0 "${addresses[@]}"
done
memcheck 1 hold=1
guest_says 1 holding 120 || give_up "the guest fills its memory under attack"

# The control socket, meanwhile.
cp "$C_DIR/gateways" "$C_DIR/bad-list"
printf '0 127.0.0.1 9000\n# comment\n1 localhost 9000\n' >"$C_DIR/bad-list"
check_not "a gateway list with a bad line is refused" \
	control master1 load "$C_DIR/bad-list" 2>"$C_DIR/load.err"
check "the line is named" grep -qE 'line 3|:3' "$C_DIR/load.err"
cat "$C_DIR/load.err" | sed 's/^/# /'
check "the right list is taken" control master1 load "$C_DIR/gateways"

go_on
guest_passes "the guest's data agree" 1 150
still_running "no process was harmed" gateway0 slave0 slave1 slave2 master1
for kind in $kinds; do
	check "$kind packets were being sent" alive "bad-$kind"
done
echo >&"$quiet"
check_not "no sanitizer has anything to say" \
	grep -lE 'Sanitizer|runtime error' "$C_DIR"/*.log
control master1 status --json >"$C_DIR/status.json"
check "the master counted bad packets" grep -qE '"rx_bad": *[1-9]' "$C_DIR/status.json"
check "and wrong versions" grep -qE '"rx_version": *[1-9]' "$C_DIR/status.json"
check "and stale replies" grep -qE '"rx_stale_reply": *[1-9]' "$C_DIR/status.json"
finish
