#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# run.sh PROGRAM...: runs cmocka programs one after the other and ends with
# `N passed, N failed`.
set -uo pipefail
passed=0
failed=0

for program in "$@"; do
	log=$program.log
	CMOCKA_MESSAGE_OUTPUT=TAP timeout "${LIMIT:-300}" "$program" >"$log" 2>&1
	status=$?
	ok=$(grep -c '^ok ' "$log")
	bad=$(grep -c '^not ok ' "$log")
	[ "$status" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
	[ "$status" -ne 0 ] || [ "$((ok + bad))" -gt 0 ] || bad=1
	passed=$((passed + ok))
	failed=$((failed + bad))
	printf '%s: %d passed, %d failed\n' "$(basename "$program")" "$ok" "$bad"
	[ "$bad" -eq 0 ] && continue
	echo "  status $status; $log says:"
	sed 's/^/  | /' "$log" | tail -n 40
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
