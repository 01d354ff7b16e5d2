# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by test scripts: results in TAP. A script ends with finish; one that
# ends before it has failed, whatever it printed.
# shellcheck shell=bash

T_COUNT=0
T_FAILED=0

pass() {
	T_COUNT=$((T_COUNT + 1))
	printf 'ok %d - %s\n' "$T_COUNT" "$1"
}

# fail NAME [WHY]
fail() {
	T_COUNT=$((T_COUNT + 1))
	T_FAILED=$((T_FAILED + 1))
	printf 'not ok %d - %s\n' "$T_COUNT" "$1"
	[ -z "${2:-}" ] || printf '# %s\n' "$2"
}

# check NAME COMMAND...: passes if the command succeeds.
check() {
	local name=$1

	shift
	if "$@"; then
		pass "$name"
	else
		fail "$name" "status $? of: $*"
	fi
}

# check_not NAME COMMAND...: passes if the command fails.
check_not() {
	local name=$1

	shift
	if "$@"; then
		fail "$name" "succeeded: $*"
	else
		pass "$name"
	fi
}

# at_most NAME VALUE LIMIT; at_least NAME VALUE LIMIT
at_most() {
	if [ -n "$2" ] && [ "$2" -le "$3" ]; then
		pass "$1 ($2 <= $3)"
	else
		fail "$1" "${2:-nothing} is more than $3"
	fi
}

at_least() {
	if [ -n "$2" ] && [ "$2" -ge "$3" ]; then
		pass "$1 ($2 >= $3)"
	else
		fail "$1" "${2:-nothing} is less than $3"
	fi
}

skip() {
	T_COUNT=$((T_COUNT + 1))
	printf 'ok %d - %s # SKIP %s\n' "$T_COUNT" "$1" "$2"
}

finish() {
	[ "$T_FAILED" -eq 0 ] || ! declare -F cluster_tails >/dev/null || cluster_tails 15
	printf '1..%d\n' "$T_COUNT"
	exit "$((T_FAILED > 0))"
}

# For a test that cannot go on after a failure.
give_up() {
	fail "$@"
	finish
}
