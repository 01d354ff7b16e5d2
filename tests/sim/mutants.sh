#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# mutants.sh OUT [NAME...]: builds the simulator with each mistake of mutants.txt in
# a copy of the logic, and expects it to fail within SEEDS seeds.
set -uo pipefail
cd "$(dirname "$0")" || exit 2
out=$1
shift
seeds=${SEEDS:-6000}
noticed=0
missed=0

# try NAME FILE EXPRESSION
try() {
	local dir=$out/mutant-$1 src=$out/mutant-$1/master_core

	rm -rf "$dir"
	mkdir -p "$dir"
	cp -r ../../common_include ../../master_core "$dir" || return 2
	sed -i "$3" "$src/$2"
	if cmp -s "$src/$2" "../../master_core/$2"; then
		echo "mutant $1: the expression changes nothing in $2"
		return 1
	fi
	if ! make -s sim LOGIC_DIR="$src" OUT="$dir/obj" CFLAGS='-O1 -Wno-error -DGVM_REQ_SLOTS_SHIFT=5' >"$dir/log" 2>&1; then
		echo "mutant $1: does not build, see $dir/log"
		return 1
	fi
	if "$dir/obj/sim" --first --seeds "$seeds" >"$dir/log" 2>&1; then
		echo "mutant $1: not noticed in $seeds seeds"
		return 1
	fi
	echo "mutant $1: $(grep -m1 failed "$dir/log")"
	rm -rf "$dir"
}

while read -r name file expression; do
	[[ $name == \#* || -z $name ]] && continue
	[ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
	if try "$name" "$file" "$expression"; then
		noticed=$((noticed + 1))
	else
		missed=$((missed + 1))
	fi
done <mutants.txt
echo "$noticed passed, $missed failed"
[ "$missed" -eq 0 ]
