#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# run.sh OUT EXECUTIONS: that many executions in all, spread over the fuzzers, then
# the line coverage that wire.c has reached. Ends with `N passed, N failed`. An input
# that breaks something is kept in OUT and named.
set -uo pipefail
out=$1
total=$2
passed=0
failed=0

say() {
	printf '%s: %s\n' "$1" "$2"
}

# fuzz NAME EXECUTIONS LONGEST_INPUT
fuzz() {
	local dir=$out/$1.corpus log=$out/$1.log

	mkdir -p "$dir"
	LLVM_PROFILE_FILE=$out/$1.profraw "$out/$1" -runs="$2" -seed=1 -max_len="$3" \
		-timeout=20 -print_final_stats=1 -verbosity=0 -artifact_prefix="$out/$1-" \
		"$dir" >"$log" 2>&1
	if [ $? -eq 0 ]; then
		passed=$((passed + 1))
		say "$1" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log") executions"
	else
		failed=$((failed + 1))
		say "$1" "FAILED; the end of $log:"
		tail -n 30 "$log" | sed 's/^/  | /'
	fi
}

fuzz fuzz_wire $((total * 6 / 10)) 4400
fuzz fuzz_node $((total * 3 / 10)) 2048
fuzz fuzz_list $((total * 1 / 10)) 256

if llvm-profdata-14 merge -o "$out/wire.profdata" "$out/fuzz_wire.profraw" &&
	lines=$(llvm-cov-14 export -summary-only -instr-profile "$out/wire.profdata" \
		"$out/fuzz_wire" | python3 -c '
import json, sys
for f in json.load(sys.stdin)["data"][0]["files"]:
    if f["filename"].endswith("/wire.c"):
        n = f["summary"]["lines"]
        print("%d of %d lines, %.1f %%" % (n["covered"], n["count"], n["percent"]))'); then
	say "line coverage of wire.c" "$lines"
else
	failed=$((failed + 1))
	say "line coverage of wire.c" "could not be measured"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
