#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# fuzz.sh OUT EXECUTIONS FUZZER...: that many executions of each. An input that breaks
# one is kept in OUT and named. Ends with `N passed, N failed`.
set -uo pipefail
out=$1
total=$2
shift 2
passed=0
failed=0

for name in "$@"; do
	mkdir -p "$out/$name.corpus"
	if "$out/$name" -runs="$total" -seed=1 -max_len=16000 -timeout=20 -print_final_stats=1 \
		-verbosity=0 -artifact_prefix="$out/$name-" "$out/$name.corpus" \
		>"$out/$name.log" 2>&1; then
		passed=$((passed + 1))
		echo "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$out/$name.log") executions"
	else
		failed=$((failed + 1))
		echo "$name: FAILED; the end of $out/$name.log:"
		tail -n 30 "$out/$name.log" | sed 's/^/  | /'
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
