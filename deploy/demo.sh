#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# ./gvm demo: one gateway, three slaves, a master with little memory, and a Linux
# guest that fills, evicts and reads back more than the master could hold.
# --shell leaves the user at the guest's prompt afterwards.
set -uo pipefail
. "$(dirname "$0")/common.sh"
. "$GVM_TOP/deploy/cluster.sh"

SLAVES=3
RAM=768      # MiB of the guest
DATA=520     # MiB that it fills
BUDGET=192   # MiB that the master may keep
LENT=320M    # by each slave
LIMIT=600    # seconds until the demo gives up

shell=
engine=auto
while [ $# -gt 0 ]; do
	case $1 in
	--shell) shell=yes ;;
	--engine)
		engine=${2:-}
		shift
		;;
	--kernel) die "the kernel module comes with a later release: this one has user mode only" ;;
	*) die "demo: unknown argument '$1'; there are --shell and --engine auto|tcg|kvm" ;;
	esac
	shift
done

# KVM where it is real: an emulated one runs a kernel slower than TCG does.
choose_engine() {
	case $engine in
	tcg | kvm) ;;
	auto)
		engine=tcg
		if [ -w /dev/kvm ] && grep -qE '^flags.* (vmx|svm)( |$)' /proc/cpuinfo; then
			engine=kvm
		fi
		;;
	*) die "demo: no engine '$engine'; there are auto, tcg and kvm" ;;
	esac
}

check_host() {
	local free_mb

	free_mb=$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
	[ "$free_mb" -ge 1400 ] ||
		die "the demo needs 1400 MiB of free memory, this machine has $free_mb"
	allow_userfaultfd
}

broken() {
	say "FAILED: $*"
	cluster_tails 15
	C_KEEP=yes
	exit 1
}

# Remembers the most that every slave held and that the master kept, and what the
# master counted last while its guest was there.
observe() {
	local i now

	for ((i = 0; i < SLAVES; i++)); do
		now=$(lent_kb "slave$i")
		[ "$now" -le "${HELD[i]}" ] || HELD[i]=$now
	done
	now=$(($(resident_bytes master1) / 1024))
	[ "$now" -le "$KEPT" ] || KEPT=$now
	control master1 status >"$C_DIR/status.new" 2>&1 &&
		grep -q '^VM 1: attached' "$C_DIR/status.new" &&
		mv "$C_DIR/status.new" "$C_DIR/status"
}

start_guest() {
	local work="gvm.work=memcheck gvm.mb=$DATA gvm.random=20000"

	if [ -z "$shell" ]; then
		guest 1 "$RAM" "$work"
		return
	fi
	exec {terminal}<&0
	C_STDIN[guest1]=/dev/fd/$terminal
	C_STDOUT[guest1]=/dev/stdout
	G_CONSOLE_LOG=$C_DIR/console
	guest 1 "$RAM" "$work gvm.then=shell"
}

# Follows the guest until it ends: shows what it says, looks where the memory is.
follow() {
	local shown=0 lines end=$((SECONDS + LIMIT))

	until ended guest1 0.5; do
		observe
		[ -n "$shell" ] && continue
		lines=$(grep -c . "$C_DIR/guest1.log")
		sed -n "$((shown + 1)),${lines}s/^GVM-GUEST: /  guest: /p" "$C_DIR/guest1.log" >&2
		shown=$lines
		[ "$SECONDS" -lt "$end" ] || broken "the guest did not finish within $LIMIT s"
		for part in gateway0 slave0 slave1 slave2 master1; do
			alive "$part" || broken "$part ended while the guest worked"
		done
	done
	[ -n "$shell" ] || sed -n "$((shown + 1)),\$s/^GVM-GUEST: /  guest: /p" "$C_DIR/guest1.log" >&2
}

verify() {
	local log=$C_DIR/guest1.log i

	[ -z "$shell" ] || log=$C_DIR/console
	[ "$C_STATUS" -eq 0 ] || broken "QEMU ended with status $C_STATUS"
	grep -q 'GVM-GUEST: memcheck PASS bytes=' "$log" || broken "the guest's data do not agree"
	! grep -q 'GVM-GUEST: verdict FAIL' "$log" || broken "the guest says that something failed"
	for ((i = 0; i < SLAVES; i++)); do
		[ "${HELD[i]}" -ge 1024 ] || broken "slave $i held no pages"
	done
	[ "$KEPT" -gt 0 ] || broken "none of the guest's memory was seen at the master"
	[ "$KEPT" -le $((BUDGET * 1024)) ] ||
		broken "the master kept $KEPT KiB of the guest's memory, its budget is $BUDGET MiB"
}

summary() {
	local i

	echo
	echo "A guest with $RAM MiB of RAM wrote and verified $DATA MiB (engine $engine)."
	echo "Where its memory lived (the most at one time, as the kernel counts it):"
	for ((i = 0; i < SLAVES; i++)); do
		printf '  slave %d  %6d MiB\n' "$i" "$((HELD[i] / 1024))"
	done
	printf '  master   %6d MiB of a budget of %d MiB\n' "$((KEPT / 1024))" "$BUDGET"
	echo "What the master counted, as gvm_ctl status had it last:"
	sed 's/^/  /' "$C_DIR/status"
	echo "All data agree."
}

choose_engine
check_host
need build guest firmware
build_programs
say "QEMU, kernel and initramfs"
guest_files || die "QEMU, the guest's kernel or its initramfs is missing: see above"
[ "$engine" = tcg ] || G_ENGINE=$engine
G_KERNEL=$G_VMLINUZ

cluster_open
HELD=()
for ((i = 0; i < SLAVES; i++)); do
	HELD[i]=0
done
KEPT=0
say "starting a gateway, $SLAVES slaves with $LENT each, a master that may keep $BUDGET MiB"
cluster "$SLAVES" "$LENT" "${BUDGET}M" || broken "the cluster does not start"
say "starting a guest with $RAM MiB (kernel $(basename "$G_VMLINUZ"), engine $engine)"
start_guest
follow
[ -s "$C_DIR/status" ] || broken "gvm_ctl status never worked: $(cat "$C_DIR/status.new")"
verify
summary
