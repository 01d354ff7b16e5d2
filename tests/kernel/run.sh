#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The kernel module's tests: for each of Debian's kernels a virtual machine (QEMU,
# TCG) that loads the module, runs gateway and slaves, and tests it.
#
# Usage: run.sh [--only NAME,NAME] [--rounds N] [5.10|6.1|6.12]...
set -uo pipefail
cd "$(dirname "$0")" || exit 2
. ../../deploy/common.sh

append=${KERNEL_APPEND:-}
all=()
while [ $# -gt 0 ]; do
	case $1 in
	--only) append+=" kernel.only=$2" && shift ;;
	--rounds) append+=" kernel.rounds=$2" && shift ;;
	-*) die "run.sh: unknown argument '$1'" ;;
	*) all+=("$1") ;;
	esac
	shift
done
[ ${#all[@]} -gt 0 ] || all=(5.10 6.1 6.12)
LIMIT=${LIMIT:-900} # seconds for one machine
out=$GVM_BUILD/kernel-tests

emulator() {
	command -v qemu-system-x86_64 || qemu_path
}

# boot SERIES MODULE DIRECTORY: the console is in DIRECTORY/console, the results in DIRECTORY/tap.
boot() {
	local kernel vmlinux initrd adds=() name

	kernel=$("$GVM_TOP/deploy/guest_kernel.sh" "$1") || return 1
	vmlinux=$(sed -n 's/^VMLINUX=//p' <<<"$kernel")
	for name in gvm_module kmem kioctl klossy badpackets; do
		adds+=(--add "$out/$name=/bin/$name")
	done
	for name in giantvm_gateway giantvm_slave giantvm_master_user; do
		adds+=(--add "$GVM_BUILD/$name=/bin/$name")
	done
	adds+=(--add "$2=/lib/giantvm.ko" --add "${SUITE:-$PWD/suite}=/bin/suite")
	initrd=$("$GVM_TOP/deploy/initramfs.sh" --kernel "$1" "${adds[@]}") || return 1
	timeout --kill-after=10 "$LIMIT" nice "$QEMU" -accel tcg,thread=multi -cpu max -smp 2 \
		-m 1280 -nodefaults -nographic -no-reboot -kernel "$vmlinux" -initrd "$initrd" \
		-append "console=ttyS0 panic=-1 gvm.work=/bin/suite$append" \
		-serial "file:$3/console" -serial "file:$3/tap" </dev/null >"$3/qemu" 2>&1
}

passed=0
failed=0
QEMU=${QEMU:-$(emulator)} || die "there is no QEMU"
for series in "${all[@]}"; do
	module=$("$GVM_TOP/deploy/kernel_build.sh" --test "$series") && make -s OUT="$out" ||
		die "what the tests need does not build"
	dir=$out/$series
	mkdir -p "$dir"
	rm -f "$dir"/*
	SECONDS=0
	boot "$series" "$module" "$dir"
	tr -d '\r' <"$dir/tap" >"$dir/results"
	sed "s/^\(\(not \)\{0,1\}ok [0-9]*\) - /\1 - $series: /; /^1\.\./d" "$dir/results"
	ok=$(grep -c '^ok ' "$dir/results")
	bad=$(grep -c '^not ok ' "$dir/results")
	plan=$(sed -n 's/^1\.\.//p' "$dir/results")
	if [ "$plan" != "$((ok + bad))" ]; then
		bad=$((bad + 1))
		echo "not ok $((ok + bad)) - $series: the suite came to its end"
		tail -n 40 "$dir/console" | tr -d '\r' | sed 's/^/# /'
	fi
	echo "# Linux $series: $ok passed, $bad failed in $SECONDS s; console in $dir/console"
	passed=$((passed + ok))
	failed=$((failed + bad))
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
