#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# run.sh BUILD [slow]: litmus tests across four nodes of one VM, each process in a
# network namespace of its own (MTU 1500), without and with loss; and a build whose
# coherence is broken, which they have to notice.
set -uo pipefail
cd "$(dirname "$0")" || exit 2
. ../../deploy/common.sh
. ../../deploy/cluster.sh
passed=0
failed=0
out=$1
NODES=4
if [ "${2:-}" = slow ]; then
	rounds=100000 lossy=100000 locks=20000
else
	rounds=${ROUNDS:-10000} lossy=${ROUNDS:-10000} locks=${LOCKS_ROUNDS:-2000}
fi
SHAPES=(SB SB+mfence MP LB IRIW CoRR 2+2W)
LOCKS=(increments 'ticket lock' 'MCS lock' ring)

if ! is_root; then
	echo "network namespaces need root"
	echo "0 passed, 1 failed"
	exit 1
fi

# The nodes of VM 1: the first opens it, the others join.
nodes() {
	local i map=$C_DIR/vm1.map

	master 1 16M --min-slaves 2 --map "$map" "$@"
	master_ready 1 || return 1
	for ((i = 2; i <= NODES; i++)); do
		place "master$i"
		bind_options "master$i"
		spawn "master$i" "$C_BIN/giantvm_master_user" --vm-id 1 \
			--id $((131072 + i)) "${BIND[@]}" --budget 16M \
			--gateways "$C_DIR/gateways" --socket "$C_DIR/vm$i.sock" \
			--shm "/giantvm_ram_$$_$i" --control "$C_DIR/master$i.ctl" \
			--min-slaves 2 --join "$map" "$@"
		master_ready "$i" || return 1
	done
}

site() {
	local i

	cluster_netns || return 1
	gateway 0
	for i in 0 1; do
		slave "$i" 128M || return 1
	done
	for i in 0 1; do
		slave_ready "$i" || return 1
	done
	nodes
}

sockets() {
	local i

	SOCKETS=()
	for ((i = 1; i <= NODES; i++)); do
		SOCKETS+=(--node "$C_DIR/vm$i.sock")
	done
}

# litmus ROUNDS TEST...: each with its own verdict.
litmus() {
	local n=$1 test line

	shift
	sockets
	for test in "$@"; do
		line=$(timeout 1800 "$out/litmus" "${SOCKETS[@]}" --rounds "$n" --test "$test" 2>&1 |
			head -n 1)
		echo "  $line"
		[[ $line == ok* ]] && passed=$((passed + 1)) || failed=$((failed + 1))
	done
}

# The same programs with one rule of coherence broken must be caught.
broken_build() {
	local dir=$out/litmus-broken

	rm -rf "$dir"
	mkdir -p "$dir"
	cp -r ../../common_include ../../master_core ../../slave_daemon ../../gateway_service \
		../../client ../../common.mk "$dir" || return 1
	# The home grants a write without taking the other copies away first.
	sed -i 's/return e->state == DIR_SHARED && t->ask.mode == GVM_MODE_WRITE &&/return 0 \&\&/' \
		"$dir/master_core/directory.c"
	cmp -s "$dir/master_core/directory.c" ../../master_core/directory.c && return 1
	make -s -C "$dir/slave_daemon" BUILD="$dir/build" CFLAGS='-O2 -g -Wno-error' &&
		cp "$out/giantvm_gateway" "$out/giantvm_master_user" "$dir/build"
}

run_site() {
	local title=$1

	shift
	(
		passed=0 failed=0
		cluster_open
		if site; then
			"$@"
		else
			cluster_tails 8
			failed=1
		fi
		[ -z "${C_LOSS:-}" ] || echo "# the rules dropped $(cluster_dropped) datagrams"
		echo "$passed $failed" >"$out/litmus.result"
		cluster_close
	)
	read -r p f <"$out/litmus.result" || f=1 p=0
	echo "# $title: $p passed, $f failed"
	passed=$((passed + p))
	failed=$((failed + f))
}

everything() {
	litmus "$1" "${SHAPES[@]}"
	litmus "$2" "${LOCKS[@]}"
}

broken_is_caught() {
	litmus 2000 MP CoRR SB+mfence 2+2W >"$out/litmus-broken.log"
	sed 's/^/  with it:/' "$out/litmus-broken.log"
	local caught=$failed

	passed=0 failed=0
	if grep -q ' [1-9][0-9]* forbidden' "$out/litmus-broken.log" && [ "$caught" -gt 0 ]; then
		echo "  the broken build is caught"
		passed=1
	else
		echo "  the broken build went unnoticed"
		failed=1
	fi
}

run_site "no loss" everything "$rounds" "$locks"
C_LOSS=3
run_site "3 % loss" everything "$lossy" "$((locks / 4))"
C_LOSS=
if broken_build; then
	C_BIN=$out/litmus-broken/build
	run_site "a broken rule" broken_is_caught
else
	echo "the broken build cannot be made"
	failed=$((failed + 1))
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
