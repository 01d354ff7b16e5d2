#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Host pre-flight: checks what a node of GiantVM needs from this machine and says
# what is short. Nothing is changed without --apply.
#
# Usage: sysctl_check.sh [--apply [--group NAME]]
#   --apply        raises the settings that are short (root; until the next boot)
#   --group NAME   with --apply: lets this group open /dev/userfaultfd and /dev/kvm
#
# Exit status: 0 all is there, 1 something is short, 2 wrong use.
set -uo pipefail

apply=
group=
short=0
userfault=no
# Where the checks look; the tests put files of their own there.
sysctls=${GVM_SYSCTL_ROOT:-/proc/sys}
devices=${GVM_DEV_ROOT:-/dev}

while [ $# -gt 0 ]; do
	case $1 in
	--apply) apply=yes ;;
	--group)
		group=${2:-}
		shift
		;;
	*)
		sed -n 's/^# \{0,1\}//; 4,12p' "$0" >&2
		exit 2
		;;
	esac
	shift
done

good() {
	printf 'ok     %s\n' "$*"
}

bad() {
	printf 'SHORT  %s\n' "$*"
	short=1
}

note() {
	printf 'note   %s\n' "$*"
}

# setting NAME LEAST WHY
setting() {
	local file=$sysctls/${1//.//} value least=$2

	if [ ! -r "$file" ]; then
		bad "$1 cannot be read"
		return
	fi
	value=$(<"$file")
	if [ "$value" -ge "$least" ] 2>/dev/null; then
		good "$1 = $value (at least $least: $3)"
	elif [ -n "$apply" ] && may_set "$1" "$least" && echo "$least" >"$file" 2>/dev/null &&
		[ "$(<"$file")" -ge "$least" ]; then
		good "$1 raised from $value to $least"
	else
		bad "$1 = $value, wanted at least $least: $3"
	fi
}

# Huge pages are taken from free memory at once: never take what is not there.
may_set() {
	local free_kb

	[ "$1" = vm.nr_hugepages ] || return 0
	free_kb=$(awk '/^MemAvailable/ { print $2 }' /proc/meminfo)
	[ "$((free_kb / 2048))" -ge "$(($2 + $2 / 4))" ] && return 0
	note "not setting $1 to $2: that is $(($2 * 2)) MiB and $((free_kb / 1024)) MiB are free"
	return 1
}

# open_to_group DEVICE
open_to_group() {
	[ -n "$apply" ] && [ -n "$group" ] && [ -e "$1" ] || return 0
	if chgrp "$group" "$1" && chmod 0660 "$1"; then
		good "$1 opened to the group $group"
	else
		bad "$1 could not be opened to the group $group"
	fi
}

check_kernel() {
	local release major minor

	release=${GVM_KERNEL_RELEASE:-$(uname -r)}
	IFS=.- read -r major minor _ <<<"$release"
	if [ "$((major * 1000 + minor))" -ge 6001 ]; then
		good "kernel $release (user mode needs 6.1: write-protection of shared memory)"
	else
		bad "kernel $release: user mode needs 6.1 or later, for userfaultfd" \
			"write-protection of shared memory"
	fi
}

check_userfaultfd() {
	local device=$devices/userfaultfd sysctl=$sysctls/vm/unprivileged_userfaultfd

	open_to_group "$device"
	if [ -r "$device" ] && [ -w "$device" ]; then
		userfault=yes
		good "$device can be opened by $(id -un)"
	elif [ "$(cat "$sysctl" 2>/dev/null)" = 1 ]; then
		userfault=yes
		good "userfaultfd is open to every user (vm.unprivileged_userfaultfd = 1)"
	elif [ "$(id -u)" = 0 ]; then
		userfault=yes
		good "userfaultfd works for root"
	else
		bad "$(id -un) may not use userfaultfd: as root run" \
			"'deploy/sysctl_check.sh --apply --group GROUP' with a group of this user"
	fi
}

check_kvm() {
	local device=$devices/kvm

	open_to_group "$device"
	if [ ! -e "$device" ]; then
		note "no $device: guests run with engine=tcg, many times slower than with KVM"
	elif [ ! -r "$device" ] || [ ! -w "$device" ]; then
		note "$device cannot be opened by $(id -un): guests run with engine=tcg"
	elif ! grep -qE '^flags.* (vmx|svm)( |$)' /proc/cpuinfo; then
		note "$device is there but the processor shows neither vmx nor svm: it may be" \
			"emulated, and engine=tcg the faster one"
	else
		good "$device can be opened: engine=kvm"
	fi
}

check_files() {
	local limit

	limit=$(ulimit -n)
	if [ "$limit" = unlimited ] || [ "$limit" -ge 1024 ]; then
		good "open files of a process: $limit"
	else
		bad "open files of a process: $limit, wanted at least 1024 (ulimit -n)"
	fi
}

[ -z "$group" ] || [ -n "$apply" ] || {
	echo "sysctl_check.sh: --group goes with --apply" >&2
	exit 2
}
check_kernel
check_userfaultfd
check_kvm
check_files
setting fs.file-max 2000000 "sockets and descriptors of a large node"
setting vm.max_map_count 260000 "a guest's RAM is mapped in many pieces"
setting vm.nr_hugepages 10240 "lent memory in huge pages, 20 GiB"
setting net.core.rmem_max 4194304 "receive buffers that hold a burst of pages"
setting net.core.wmem_max 4194304 "send buffers that hold a burst of pages"

echo
echo "Without root, as $(id -un): gateway yes, slave yes, gvm_ctl yes," \
	"master and QEMU $([ "$userfault" = yes ] && echo yes || echo "no (userfaultfd)")."
if [ "$short" -ne 0 ]; then
	echo "Short in the places above. Small set-ups work with the sysctls as they are;"
	echo "kernel and userfaultfd are needed. To set what can be set: $0 --apply (root)."
fi
exit "$short"
