#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# bench/coherence.sh [NAME...] [--json] [--runs N]: several nodes of one VM share
# pages; what each kind of sharing costs, beside raw UDP round trips of the same
# run. docs/SCALE.md says what each figure is.
set -euo pipefail
. "$(dirname "$0")/../deploy/common.sh"
. "$GVM_TOP/deploy/cluster.sh"

TOOLS=$GVM_BUILD/bench
NODES=16
DELAY_US=1000
ALL=(read_shared upgrade transfer ping_pong false_sharing upgrade_15_sharers
	upgrade_15_sharers_sim dir_scale copyset_cost)

json=
runs=3
names=()

options() {
	while [ $# -gt 0 ]; do
		case $1 in
		--json) json=yes ;;
		--runs)
			runs=${2:-}
			[[ $runs =~ ^[1-9][0-9]*$ ]] || die "coherence: --runs wants a number"
			shift
			;;
		-*) die "coherence: unknown option '$1'; there are --json and --runs N" ;;
		*)
			[[ " ${ALL[*]} " == *" $1 "* ]] ||
				die "coherence: no figure '$1'; there are ${ALL[*]}"
			names+=("$1")
			;;
		esac
		shift
	done
	[ ${#names[@]} -gt 0 ] || names=("${ALL[@]}")
}

wants() {
	local name

	for name in "$@"; do
		[[ " ${names[*]} " != *" $name "* ]] || return 0
	done
	return 1
}

broken() {
	say "FAILED: $*"
	cluster_tails 8
	exit 1
}

# Ahead of everything else on this machine: what others do must not be measured.
realtime() {
	REALTIME=(chrt -f 10)
	"${REALTIME[@]}" true 2>/dev/null && return
	REALTIME=()
	say "no real-time priority here: other work makes the figures worse"
}

# --- a VM of several nodes -----------------------------------------------------------

# The nodes' gateway is a proxy that delays what passes it, both ways.
far_gateway() {
	C_STDIN[proxy]=$C_DIR/proxy.in
	mkfifo "$C_DIR/proxy.in"
	exec {P_INPUT}<>"$C_DIR/proxy.in"
	place proxy
	spawn proxy "$TOOLS/delay_proxy" port="${C_PORT[proxy]}" to="${C_PORT[gateway0]}" \
		delay=$DELAY_US
	log_has proxy '^ready' 10 || broken "the proxy did not start"
	echo "0 127.0.0.1 ${C_PORT[proxy]}" >"$C_DIR/far"
}

# node I GATEWAYS OPTION...: the first opens the VM, the others join it.
node() {
	local i=$1 gateways=$2 role=(--map "$C_DIR/vm.map")

	shift 2
	[ "$i" = 1 ] || role=(--join "$C_DIR/vm.map")
	place "master$i"
	bind_options "master$i"
	spawn "master$i" "$C_BIN/giantvm_master_user" --vm-id 1 --id $((FIRST_CLIENT + i)) \
		"${BIND[@]}" --budget 16M --gateways "$gateways" --socket "$C_DIR/vm$i.sock" \
		--shm "/giantvm_ram_$$_$i" --control "$C_DIR/master$i.ctl" --min-slaves 2 \
		--prefetch 0 "${role[@]}" "$@"
	master_ready "$i" || broken "node $i did not become ready"
}

# site KIND N: near: as it is by default; eager: no page has a residence; far: delayed.
site() {
	local i gateways=$C_DIR/gateways more=()

	C_AS=("${REALTIME[@]}" taskset -c 0)
	gateway 0
	for i in 0 1; do
		slave "$i" 64M
	done
	for i in 0 1; do
		slave_ready "$i" || broken "slave $i did not register"
	done
	case $1 in
	eager) more=(--residence 0) ;;
	far)
		far_gateway
		gateways=$C_DIR/far
		;;
	esac
	SITE_NODES=()
	for ((i = 1; i <= $2; i++)); do
		node "$i" "$gateways" "${more[@]}"
		SITE_NODES+=(node="$C_DIR/vm$i.sock")
	done
}

end_site() {
	local i name

	for ((i = NODES; i >= 1; i--)); do
		[ -z "${C_PID[master$i]:-}" ] || stop "master$i" TERM 10
	done
	for name in proxy slave0 slave1 gateway0; do
		stop "$name"
	done
	for name in "${C_NAMES[@]}"; do
		rm -f "$C_DIR/$name.log"
	done
	C_NAMES=()
	rm -f "$C_DIR/proxy.in" "$C_DIR/gateways"
	: >"$C_DIR/gateways"
}

# tool KIND OPTION...: lines `NAME VALUE UNIT SAMPLES` into the data.
tool() {
	local kind=$1 out

	shift
	out=$(timeout 300 "${TOOL_AS[@]}" "$TOOLS/coherence" "${SITE_NODES[@]}" "$@" \
		2>"$C_DIR/tool.err") ||
		broken "coherence ended with status $?: $(cat "$C_DIR/tool.err")"
	awk -v kind="$kind" 'NF == 4 { print kind, $1, $2, $3, $4 }' <<<"$out" >>"$C_DIR/data"
}

# What is wanted of single accesses, between two looks at the raw round trip.
accesses() {
	local list=raw

	! wants read_shared || list+=,read
	! wants upgrade || list+=,upgrade
	! wants transfer || list+=,transfer
	! wants ping_pong || list+=,ping_pong
	echo "$list,raw"
}

# one_run KIND LIST: two threads that never stop have no priority.
one_run() {
	TOOL_AS=("${REALTIME[@]}")
	[ "$2" = raw,raw ] || tool "$1" measure="$2" rounds=20 cpu=0 services=0
	TOOL_AS=()
	! wants false_sharing ||
		tool "$1" measure=false_sharing cpu=0 cpu2=$((CPUS - 1)) seconds=1
}

near_figures() {
	local i nodes=3

	! wants upgrade || nodes=$NODES
	site near "$nodes"
	for ((i = 1; i <= runs; i++)); do
		say "sharing, run $i of $runs"
		one_run near "$(accesses)"
	done
	end_site
	wants ping_pong false_sharing || return 0
	site eager 2
	for ((i = 1; i <= runs; i++)); do
		say "sharing without residence, run $i of $runs"
		one_run eager "raw$(wants ping_pong && echo ,ping_pong),raw"
	done
	end_site
}

far_figures() {
	local i

	site far $NODES
	TOOL_AS=("${REALTIME[@]}")
	for ((i = 1; i <= runs; i++)); do
		say "upgrades over $DELAY_US us a hop, run $i of $runs"
		tool far measure=upgrade cpu=0 services=0 pages=8 rounds=8 settle=20000
	done
	end_site
}

# --- the report ----------------------------------------------------------------------

report() {
	sort -k1,1 -k2,2 -k3,3g "$C_DIR/data" | awk -v json="$json" -v wanted="${names[*]}" \
		-f "$GVM_TOP/bench/coherence.awk"
}

options "$@"
CPUS=$(nproc)
FIRST_CLIENT=$((1 << ${GVM_SLAVE_BITS:-17}))
realtime
make -s -C "$GVM_TOP/bench" -f scale.mk BUILD="$GVM_BUILD" >&2
cluster_open
: >"$C_DIR/data"
load=$(cut -d' ' -f1 /proc/loadavg)
! wants read_shared upgrade transfer ping_pong false_sharing || near_figures
! wants upgrade_15_sharers || far_figures
if wants upgrade_15_sharers_sim; then
	"$TOOLS/coherence_sim" >>"$C_DIR/data" || say "coherence_sim: beyond its target"
fi
report
status=0
if [ -z "$json" ]; then
	! wants dir_scale || "$TOOLS/dir_scale" || status=1
	! wants copyset_cost || "$TOOLS/copyset_cost" || status=1
fi
say "load of the machine before this run: $load (other work makes the figures worse)"
exit $status
