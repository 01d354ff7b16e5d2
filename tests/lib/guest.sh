# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by the scripts of tests/guest: a cluster, guests in it, what they said.
# shellcheck shell=bash
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../deploy/common.sh"
. "$GVM_TOP/deploy/cluster.sh"
. "$GVM_TOP/tests/lib/tap.sh"
TOOLS=$GVM_BUILD/guest

# Sizes of the ordinary guest test: more data than the budget holds, but quick.
RAM=320       # MiB of the guest
DATA=160      # MiB that it fills
BUDGET=80     # MiB that the master may keep
LENT=128M     # by each of three slaves

# The patched QEMU, the kernel and the initramfs, unless the caller has found them.
[ -n "${G_QEMU:-}" ] || guest_files || exit 1

small_cluster() {
	cluster 3 "$LENT" "${BUDGET}M" "$@" || give_up "the cluster starts" "see the logs"
}

# memcheck VM [SETTING...]: a guest that fills and reads back its memory.
memcheck() {
	local vm=$1 words='' setting

	shift
	for setting in "$@"; do
		words+=" gvm.$setting"
	done
	guest "$vm" "$RAM" "gvm.work=memcheck gvm.mb=$DATA gvm.random=4000$words"
}

guest_says() {
	log_has "guest$1" "GVM-GUEST: $2" "$3"
}

# Lets a guest that holds go on.
go_on() {
	echo >&"$G_INPUT"
}

# guest_ends NAME VM SECONDS: the guest came to its verdict and it was right, QEMU ended well.
guest_passes() {
	local log=$C_DIR/guest$2.log

	if ! ended "guest$2" "$3"; then
		fail "$1" "no end within $3 s"
	elif [ "$C_STATUS" -ne 0 ]; then
		fail "$1" "QEMU ended with status $C_STATUS"
	elif ! grep -q 'GVM-GUEST: verdict PASS' "$log" || grep -q 'verdict FAIL' "$log"; then
		fail "$1" "the guest did not say that all was right"
	else
		pass "$1"
	fi
}

# still_running NAME PROCESS...
still_running() {
	local name=$1 process

	shift
	for process in "$@"; do
		alive "$process" || { fail "$name" "$process is gone"; return; }
	done
	pass "$name"
}

# --- where the memory is ---------------------------------------------------------

# Samples what of the guest's RAM a master keeps, until it ends: sampled_max, in bytes.
sample_resident() {
	sampler "$1" "$C_DIR/resident" </dev/null >>"$C_DIR/sampler.log" 2>&1 &
	C_PID[sampler]=$!
	C_NAMES+=(sampler)
}

sampler() {
	local now max=0 n=0

	trap - EXIT
	trap 'exit 0' TERM
	while alive "$1"; do
		now=$(resident_bytes "$1")
		n=$((n + 1))
		[ "$now" -le "$max" ] || max=$now
		echo "$max $n" >"$2.new" && mv "$2.new" "$2"
		sleep 0.05
	done
}

sampled_max() {
	cut -d' ' -f1 "$C_DIR/resident"
}

sampled_times() {
	cut -d' ' -f2 "$C_DIR/resident"
}

# KiB of a process that are its own: not the guest's RAM.
private_kb() {
	awk '/^RssAnon:/ { print $2 }' "/proc/${C_PID[$1]}/status"
}

rss_kb() {
	awk '/^VmRSS:/ { print $2 }' "/proc/${C_PID[$1]}/status"
}

needs_root() {
	is_root || { skip "$1" "needs root: network namespaces, device modes"; finish; }
}
