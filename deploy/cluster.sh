# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced: a gateway, slaves, a master and guests on this machine, in a directory
# and on ports of their own; with cluster_netns each in a network namespace of its
# own. Whatever was started here is ended by cluster_close, by its process id.
#
# Every process has a name (gateway0, slave2, master1, guest1) and a log,
# $C_DIR/NAME.log, new at every start. Settings, before cluster_open:
#   C_BIN     directory of the programs      C_AS    words put before every command
#   C_PARENT  where the directory is made    C_KEEP  not empty: the directory stays
# shellcheck shell=bash

declare -A C_PID C_PORT C_IP C_STDIN C_STDOUT
C_BIN=${C_BIN:-$GVM_BUILD}
C_AS=()
C_NAMES=()
C_OLD_LOGS=0
C_NS=
C_DIR=

cluster_open() {
	C_DIR=$(mktemp -d "${C_PARENT:-${TMPDIR:-/tmp}}/gvm.XXXXXX")
	trap cluster_close EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	: >"$C_DIR/gateways"
}

# --- processes -----------------------------------------------------------------

alive() {
	[ -n "${C_PID[$1]:-}" ] && kill -0 "${C_PID[$1]}" 2>/dev/null
}

# spawn NAME COMMAND...: in the background; in the name's namespace, but for guests:
# they reach their master by its socket in the file system.
spawn() {
	local name=$1 log=$C_DIR/$1.log

	shift
	if [ -e "$log" ]; then
		mv "$log" "$log.$((++C_OLD_LOGS))"
	else
		C_NAMES+=("$name")
	fi
	if [ -n "$C_NS" ] && [[ $name != guest* ]]; then
		cluster_namespace "$name"
		set -- ip netns exec "$C_NS-$name" "${C_AS[@]}" "$@"
	else
		set -- "${C_AS[@]}" "$@"
	fi
	printf '+ %s\n' "$*" >>"$log"
	"$@" 2>>"$log" >>"${C_STDOUT[$name]:-$log}" <"${C_STDIN[$name]:-/dev/null}" &
	C_PID[$name]=$!
}

# ended NAME SECONDS: waits until the process is gone; its exit status is in C_STATUS.
ended() {
	local pid=${C_PID[$1]:-}

	C_STATUS=127
	[ -n "$pid" ] || return 0
	timeout "$2" tail --pid="$pid" -s 0.05 -f /dev/null || return 1
	C_STATUS=0
	{ wait "$pid" || C_STATUS=$?; } 2>/dev/null
	unset "C_PID[$1]"
}

# stop NAME [SIGNAL] [SECONDS]: ends it; by force if it does not go in time.
stop() {
	alive "$1" || { unset "C_PID[$1]"; return 0; }
	kill "-${2:-TERM}" "${C_PID[$1]}" 2>/dev/null || true
	ended "$1" "${3:-5}" && return 0
	kill -CONT "${C_PID[$1]}" 2>/dev/null || true
	kill -KILL "${C_PID[$1]}" 2>/dev/null || true
	ended "$1" 5 || true
}

# log_has NAME PATTERN SECONDS: waits for a line; fails when time or process ends first.
log_has() {
	local file=$C_DIR/$1.log

	[ -n "${C_PID[$1]:-}" ] || { grep -qE -- "$2" "$file"; return; }
	(
		set +o pipefail
		timeout "$3" tail --pid="${C_PID[$1]}" -s 0.05 -n +1 -f "$file" 2>/dev/null |
			grep -qE -m1 -- "$2"
	)
}

cluster_close() {
	local status=$? name

	trap - EXIT
	for name in "${C_NAMES[@]}"; do
		[[ $name != guest* ]] || stop "$name" TERM 3
	done
	for name in "${C_NAMES[@]}"; do
		[[ $name != master* ]] || stop "$name" TERM 3
	done
	for name in "${C_NAMES[@]}"; do
		alive "$name" && kill "${C_PID[$name]}" 2>/dev/null
	done
	for name in "${C_NAMES[@]}"; do
		stop "$name" TERM 2
	done
	[ -z "$C_NS" ] || cluster_netns_off
	if [ -n "${C_KEEP:-}" ]; then
		say "logs are in $C_DIR"
	else
		rm -rf "$C_DIR"
	fi
	return "$status"
}

# The end of every log, for a failure.
cluster_tails() {
	local name

	for name in "${C_NAMES[@]}"; do
		printf -- '--- %s (last lines)\n' "$name" >&2
		tail -n "${1:-12}" "$C_DIR/$name.log" | cut -c1-300 >&2
	done
}

# --- where the memory is ---------------------------------------------------------

# KiB of its lent memory that a slave uses, as the kernel counts them.
lent_kb() {
	cat "/proc/${C_PID[$1]}/smaps" 2>/dev/null |
		awk '/^[0-9a-f]+-[0-9a-f]+ / { lent = /giantvm_lent/ }
		     lent && /^Rss:/ { kb += $2 }
		     END { print kb + 0 }'
}

# Bytes of the guest's RAM that a master has in this machine's memory.
resident_bytes() {
	local fd blocks

	for fd in /proc/"${C_PID[$1]}"/fd/*; do
		[[ $(readlink "$fd") == *giantvm_ram* ]] || continue
		blocks=$(stat -L -c %b "$fd" 2>/dev/null) || continue
		echo "$((blocks * 512))"
		return
	done
	echo 0
}

# --- network -------------------------------------------------------------------

# A UDP port of 127.0.0.1 that nobody has and that was not given out here: in PORT.
free_port() {
	local hex

	while :; do
		PORT=$((20000 + (RANDOM * 32768 + RANDOM) % 30000))
		hex=$(printf ':%04X ' "$PORT")
		grep -q "$hex" /proc/net/udp /proc/net/tcp && continue
		[[ " ${C_PORT[*]} " == *" $PORT "* ]] || return 0
	done
}

# Gives NAME its address and port, the same again after a restart.
place() {
	local name=$1

	[ -z "${C_PORT[$name]:-}" ] || return 0
	free_port
	C_PORT[$name]=$PORT
	C_IP[$name]=127.0.0.1
	[ -z "$C_NS" ] || cluster_namespace "$name"
}

# From here on every process lives in a namespace of its own, all joined by a
# bridge with MTU 1500. Datagrams are cut before they cross, as a real card does.
cluster_netns() {
	C_NS=gvm$$
	C_NS_COUNT=0
	C_NS_LIST=("$C_NS-sw")
	ip netns add "$C_NS-sw" && ip -n "$C_NS-sw" link add br0 type bridge &&
		ip -n "$C_NS-sw" link set br0 up
}

cluster_namespace() {
	local ns=$C_NS-$1 port

	[[ " ${C_NS_LIST[*]} " != *" $ns "* ]] || return 0
	C_NS_COUNT=$((C_NS_COUNT + 1))
	C_NS_LIST+=("$ns")
	port=p$C_NS_COUNT
	C_IP[$1]=10.77.0.$C_NS_COUNT
	ip netns add "$ns"
	ip -n "$ns" link add eth0 mtu 1500 type veth peer name "$port" netns "$C_NS-sw"
	ip -n "$C_NS-sw" link set "$port" mtu 1500 master br0 up
	ip -n "$ns" addr add "${C_IP[$1]}/24" dev eth0
	ip -n "$ns" link set eth0 gso_max_segs 1 up
	ip -n "$ns" link set lo up
	[ -z "${C_LOSS:-}" ] || namespace_loss "$ns" "$C_LOSS"
}

# Drops that share of the datagrams that arrive, in every namespace: both directions.
namespace_loss() {
	ip netns exec "$1" nft -f - <<-END
		table inet loss {
			chain in {
				type filter hook input priority 0;
				meta l4proto udp numgen random mod 100 < $2 counter drop
			}
		}
	END
}

# How many datagrams the loss rules dropped in all.
cluster_dropped() {
	local ns

	for ns in "${C_NS_LIST[@]:1}"; do
		ip netns exec "$ns" nft list ruleset
	done | sed -n 's/.*counter packets \([0-9]*\).*/\1/p' | awk '{ n += $1 } END { print n + 0 }'
}

cluster_netns_off() {
	local ns

	for ns in "${C_NS_LIST[@]}"; do
		ip netns del "$ns" 2>/dev/null || true
	done
	C_NS=
}

# --- the parts -----------------------------------------------------------------

bind_options() {
	BIND=(--bind "${C_IP[$1]}" --port "${C_PORT[$1]}")
	[ -z "$C_NS" ] || BIND+=(--insecure)
}

# gateway G [OPTION...]
gateway() {
	local name=gateway$1 id=$1

	shift
	place "$name"
	bind_options "$name"
	grep -q "^$id " "$C_DIR/gateways" ||
		echo "$id ${C_IP[$name]} ${C_PORT[$name]}" >>"$C_DIR/gateways"
	spawn "$name" "$C_BIN/giantvm_gateway" --id "$id" "${BIND[@]}" \
		--control "$C_DIR/$name.ctl" "$@"
}

# slave ID SIZE [OPTION...]: does not wait; see slave_ready.
slave() {
	local name=slave$1 id=$1 size=$2

	shift 2
	place "$name"
	bind_options "$name"
	spawn "$name" "$C_BIN/giantvm_slave" --id "$id" --mem "$size" "${BIND[@]}" \
		--gateways "$C_DIR/gateways" --threads "${C_THREADS:-1}" \
		--control "$C_DIR/$name.ctl" "$@"
}

slave_ready() {
	log_has "slave$1" 'registered with gateway' 20
}

# master VM BUDGET [OPTION...]
master() {
	local vm=$1 name=master$1 budget=$2

	shift 2
	place "$name"
	bind_options "$name"
	spawn "$name" "$C_BIN/giantvm_master_user" --vm-id "$vm" "${BIND[@]}" --budget "$budget" \
		--gateways "$C_DIR/gateways" --socket "$C_DIR/vm$vm.sock" \
		--shm "/giantvm_ram_$$_$vm" --control "$C_DIR/$name.ctl" "$@"
}

master_ready() {
	log_has "master$1" 'ready on' 30
}

# cluster NSLAVES MEM-EACH BUDGET [MASTER OPTION...]: all of it, until the master is ready.
cluster() {
	local n=$1 mem=$2 budget=$3 i

	shift 3
	gateway 0
	for ((i = 0; i < n; i++)); do
		slave "$i" "$mem"
	done
	for ((i = 0; i < n; i++)); do
		slave_ready "$i" || { fault_in "slave$i" "did not register"; return 1; }
	done
	master 1 "$budget" --min-slaves "$n" "$@"
	master_ready 1 || { fault_in master1 "did not become ready"; return 1; }
}

fault_in() {
	say "$1 $2:"
	cluster_tails 8
}

# guest VM MIB WORK [QEMU OPTION...]: WORK is what follows on the kernel's command line.
# Settings: G_MACHINE (pc), G_CPUS (1), G_KERNEL, G_INITRD, G_QEMU, G_ENGINE (tcg),
# G_ACCEL (the whole -accel value, to run it without us). What the guest prints goes
# to guestVM.log, what is written to descriptor G_INPUT arrives at its terminal,
# unless C_STDIN and C_STDOUT of guestVM say otherwise.
guest() {
	local vm=$1 mib=$2 work=$3 name=guest$1 accel cpu=max

	shift 3
	# microvm's timers are too few to find the TSC's frequency reliably.
	[ "${G_MACHINE:-pc}" != microvm ] || work="tsc_early_khz=$(tsc_khz) $work"
	[ "${G_ENGINE:-tcg}" = tcg ] || cpu=host
	accel=giantvm,mode=user,socket=$C_DIR/vm$vm.sock,engine=${G_ENGINE:-tcg}
	if [ -z "${C_STDIN[$name]:-}" ]; then
		C_STDIN[$name]=$C_DIR/$name.in
		mkfifo "$C_DIR/$name.in"
		exec {G_INPUT}<>"$C_DIR/$name.in"
	fi
	spawn "$name" "$G_QEMU" -accel "${G_ACCEL:-$accel}" -M "${G_MACHINE:-pc}" -cpu "$cpu" \
		-smp "${G_CPUS:-1}" -m "$mib" -nodefaults -display none -no-reboot \
		-chardev "stdio,id=c0,signal=off${G_CONSOLE_LOG:+,logfile=$G_CONSOLE_LOG}" \
		-serial chardev:c0 \
		-kernel "$G_KERNEL" -initrd "$G_INITRD" \
		-append "console=ttyS0 panic=-1 quiet tsc=reliable $work" "$@"
}

tsc_khz() {
	awk '/^cpu MHz/ { print int($4 * 1000); exit }' /proc/cpuinfo
}

# What a guest needs from outside: kernel, initramfs, QEMU.
guest_files() {
	local kernel

	kernel=$("$GVM_TOP/deploy/guest_kernel.sh") || return 1
	G_VMLINUZ=$(sed -n 's/^VMLINUZ=//p' <<<"$kernel")
	G_KERNEL=$(sed -n 's/^VMLINUX=//p' <<<"$kernel")
	G_INITRD=$("$GVM_TOP/deploy/initramfs.sh") || return 1
	G_QEMU=$(qemu_path) || return 1
}

# control NAME COMMAND...: asks a process over its control socket.
control() {
	"$C_BIN/gvm_ctl" -s "$C_DIR/$1.ctl" "${@:2}"
}
