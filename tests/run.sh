#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# ./gvm test [SUITE...]: runs the suites and ends with `N passed, N failed`.
# A suite is a Makefile under tests/ (unit, model, fuzz, sim, litmus, net) or scripts that print
# TAP (tests/guest/*.sh; those named slow-*.sh belong to the slow suite).
set -uo pipefail
. "$(dirname "$0")/../deploy/common.sh"

ORDINARY=(unit sim net guest)
LATER=(model kernel)
LOGS=$GVM_BUILD/test
passed=0
failed=0
skipped=0

export CMOCKA_MESSAGE_OUTPUT=TAP

# tally NAME LOG STATUS SECONDS: counts TAP lines and `N passed, N failed` lines; a
# command that says nothing of the kind counts as one test, by its status.
tally() {
	local name=$1 log=$2 status=$3 seconds=$4 ok bad skips

	skips=$(grep -cE '^(not )?ok .*# SKIP' "$log")
	ok=$(grep -E '^ok ' "$log" | grep -cv '# SKIP')
	bad=$(grep -E '^not ok ' "$log" | grep -cv '# SKIP')
	read -r ok bad < <(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$log" |
		awk -v ok="$ok" -v bad="$bad" '{ ok += $1; bad += $2 } END { print ok, bad }')
	if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
		bad=1
	elif [ "$status" -eq 0 ] && [ "$((ok + bad + skips))" -eq 0 ]; then
		ok=1
	fi
	# A script that ended early, or tested nothing, has failed.
	if [[ $name == guest/* ]] && [ "$(plan_of "$log")" != "$((ok + bad + skips))" ]; then
		bad=$((bad + 1))
	fi
	passed=$((passed + ok))
	failed=$((failed + bad))
	skipped=$((skipped + skips))
	printf '%-34s %4d passed, %d failed%s  (%d s)\n' "$name" "$ok" "$bad" \
		"$([ "$skips" -eq 0 ] || echo ", $skips skipped")" "$seconds"
	sed -nE '/# SKIP/s/^(not )?ok [0-9]* -? ?/    skipped: /p' "$log"
	[ "$bad" -eq 0 ] && return
	grep -E '^not ok ' "$log" | grep -v '# SKIP' | sed 's/^/    /'
	printf '    status %d; the end of %s:\n' "$status" "$log"
	tail -n 25 "$log" | cut -c1-300 | sed 's/^/    | /'
}

# The number of tests that a TAP script says it has run.
plan_of() {
	sed -n 's/^1\.\.\([1-9][0-9]*\)$/\1/p' "$1" | tail -n 1
}

# one NAME SECONDS COMMAND...
one() {
	local name=$1 limit=$2 log status start=$SECONDS

	shift 2
	log=$LOGS/${name//[^A-Za-z0-9._-]/_}.log
	[ ! -t 2 ] || printf '%-34s ...\r' "$name" >&2
	timeout --kill-after=20 "$limit" "$@" >"$log" 2>&1 </dev/null
	status=$?
	[ "$status" -ne 124 ] || echo "not ok 0 - took longer than $limit s" >>"$log"
	tally "$name" "$log" "$status" "$((SECONDS - start))"
}

has_makefile() {
	[ -e "$GVM_TOP/tests/$1/Makefile" ]
}

make_suite() {
	local name=$1 target=$2 limit=$3

	shift 3
	has_makefile "$name" || { printf '%-34s not in this tree\n' "$name"; return; }
	one "$name${*:+ $*}$([ "$target" = run ] || echo " $target")" "$limit" \
		nice make -s -C "$GVM_TOP/tests/$name" "$target" BUILD="$GVM_BUILD" "$@"
}


suite_unit() {
	need build test fuzz
	build_programs
	make_suite unit run 600
	make_suite unit run 600 GVM_SLAVE_BITS=8
	make_suite unit run 600 GVM_SLAVE_BITS=20
	make_suite unit run 600 SAN=address,undefined
	make_suite unit run 600 SAN=thread
	make_suite fuzz run 900
}

suite_sim() {
	need build test
	build_programs
	make_suite sim run 900
	make_suite sim run 600 GVM_SLAVE_BITS=8 SEEDS=200
	make_suite sim run 600 GVM_SLAVE_BITS=20 SEEDS=200
	make_suite sim run 600 SAN=address,undefined SEEDS=200
}


# Small guests of our own on /dev/kvm: not among the ordinary suites yet.
suite_vcpu() {
	need build test fuzz
	build_programs
	make_suite vcpu run 900
}

suite_litmus() {
	need build test
	build_programs
	make_suite litmus run 1500
}

suite_net() {
	need build test
	build_programs
	make_suite net run 900
}

guest_scripts() {
	local script

	need build guest firmware test
	allow_userfaultfd
	build_programs
	. "$GVM_TOP/deploy/cluster.sh"
	guest_files || die "without a QEMU, a kernel and an initramfs there is no guest to test"
	export G_QEMU G_KERNEL G_VMLINUZ G_INITRD
	make -s -C "$GVM_TOP/tests/guest" OUT="$GVM_BUILD/guest" || die "tests/guest does not build"
	for script in "$@"; do
		one "guest/$(basename "$script" .sh)" "$(limit_of "$script")" "$script"
	done
}

# A script may state how long it may take: `# limit: SECONDS`.
limit_of() {
	local limit

	limit=$(sed -n 's/^# limit: \([0-9]*\)$/\1/p' "$1")
	echo "${limit:-300}"
}

suite_guest() {
	guest_scripts "$GVM_TOP"/tests/guest/[0-9]*.sh
}

suite_slow() {
	need build test fuzz
	build_programs
	for name in unit fuzz sim litmus net; do
		make_suite "$name" slow 7200
	done
	guest_scripts "$GVM_TOP"/tests/guest/slow-*.sh
}

for name in "$@"; do
	[[ " ${LATER[*]} " != *" $name "* ]] ||
		die "the suite '$name' comes with a later release: there is nothing to run for it yet"
	declare -F "suite_$name" >/dev/null ||
		die "there is no suite '$name'; there are: ${ORDINARY[*]} litmus vcpu slow (later: ${LATER[*]})"
done
mkdir -p "$LOGS"
for name in "${@:-${ORDINARY[@]}}"; do
	"suite_$name"
done
[ "$skipped" -eq 0 ] || echo "$skipped skipped, for the reasons given above"
[ $# -gt 0 ] || echo "not in this release: ${LATER[*]}; the long forms: ./gvm test slow"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
