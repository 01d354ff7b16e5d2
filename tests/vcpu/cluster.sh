#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# cluster.sh PROGRAMS OUT: two vCPUs of one VM, each run by KVM on a node of its own,
# over coherent memory whose homes are two slaves. Ends with `N passed, N failed`.
set -uo pipefail
cd "$(dirname "$0")" || exit 2
C_BIN=$1
out=$2
. ../../deploy/common.sh
. ../../deploy/cluster.sh
export GUESTS=$out/guests
passed=0
failed=0

verdict() {
	if [ "$2" -eq 0 ]; then
		passed=$((passed + 1))
		echo "ok - $1"
	else
		failed=$((failed + 1))
		echo "not ok - $1"
	fi
}

second_node() {
	place master2
	bind_options master2
	spawn master2 "$C_BIN/giantvm_master_user" --vm-id 1 --id 131074 "${BIND[@]}" \
		--budget 16M --gateways "$C_DIR/gateways" --socket "$C_DIR/vm2.sock" \
		--shm "/giantvm_ram_$$_2" --control "$C_DIR/master2.ctl" --min-slaves 2 \
		--join "$C_DIR/vm1.map"
	master_ready 2
}

site() {
	gateway 0
	slave 0 64M && slave 1 64M && slave_ready 0 && slave_ready 1 || return 1
	master 1 16M --min-slaves 2 --map "$C_DIR/vm1.map"
	master_ready 1 && second_node
}

# both GUEST: the one loads it and starts, then the other starts.
both() {
	local first second

	spawn vcpu1 "$out/vcpu_node" "$C_DIR/vm1.sock" "$1" load
	log_has vcpu1 '^loaded' 20
	spawn vcpu2 timeout 120 "$out/vcpu_node" "$C_DIR/vm2.sock" "$1"
	ended vcpu2 120
	second=$C_STATUS
	log_has vcpu1 'status' 20
	kill "${C_PID[vcpu1]}"
	ended vcpu1 20
	first=$C_STATUS
	grep -h status "$C_DIR/vcpu1.log" "$C_DIR/vcpu2.log"
	verdict "$1 on two nodes at once" $((first | second))
}

# Guests whose exits a master elsewhere serves, moved between the nodes as they run.
moves() {
	local log=$C_DIR/agents.log

	CMOCKA_MESSAGE_OUTPUT=TAP timeout 200 "$out/test_agent" "$C_DIR/vm1.sock" \
		"$C_DIR/vm2.sock" >"$log" 2>&1
	verdict "guests that move between the two nodes" $?
	[ "$failed" -eq 0 ] || cat "$log"
	grep 'status' "$log"
}

if [ ! -w /dev/kvm ]; then
	echo "ok - two nodes # SKIP /dev/kvm cannot be opened"
	echo "0 passed, 0 failed"
	exit 0
fi
cluster_open
if site; then
	both lock
	moves
else
	verdict "a gateway, two slaves and two nodes" 1
fi
[ "$failed" -eq 0 ] || cluster_tails 15
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
