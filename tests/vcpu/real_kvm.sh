#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# real_kvm.sh OUT: the same tests where KVM is real: Debian's 6.1 kernel in a machine
# whose AMD-V QEMU emulates. Without nested paging, which this QEMU does not get right.
# Ends with `N passed, N failed`.
set -uo pipefail
cd "$(dirname "$0")" || exit 2
out=$1
. ../../deploy/common.sh
. ../../deploy/cluster.sh
programs=(test_kvm_state test_guests test_agent)

give_up() {
	echo "not ok - $1"
	echo "0 passed, 1 failed"
	exit 1
}

kernel=$("$GVM_TOP/deploy/guest_kernel.sh" 6.1) || give_up "Debian's 6.1 kernel is there"
MODULES=$(sed -n 's/^MODULES=//p' <<<"$kernel")
VMLINUX=$(sed -n 's/^VMLINUX=//p' <<<"$kernel")
qemu=$(qemu_path) || give_up "QEMU is there"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

fill() {
	local name lib

	mkdir -p "$root"/{bin,proc,sys,dev,tmp,guests}
	cp /usr/bin/busybox "$root/bin/"
	for name in "${programs[@]}"; do
		cp "$out/$name" "$root/bin/"
		for lib in $(ldd "$out/$name" | grep -oE '/[^ ]+'); do
			install -D "$lib" "$root$lib"
		done
	done
	cp "$out"/guests/*.bin "$root/guests/"
	for name in virt/lib/irqbypass arch/x86/kvm/kvm drivers/crypto/ccp/ccp \
		arch/x86/kvm/kvm-amd; do
		cp "$MODULES/kernel/$name.ko" "$root/" || return 1
	done
	{
		printf '#!/bin/busybox sh\n/bin/busybox --install -s /bin\n'
		printf 'mount -t proc p /proc\nmount -t sysfs s /sys\nmount -t devtmpfs d /dev\n'
		printf 'insmod /irqbypass.ko; insmod /kvm.ko; insmod /ccp.ko\n'
		printf 'insmod /kvm-amd.ko npt=0\nexport GUESTS=/guests CMOCKA_MESSAGE_OUTPUT=TAP\n'
		for name in "${programs[@]}"; do
			printf 'timeout 120 %s; echo "status of %s: $?"\n' "$name" "$name"
		done
		printf 'poweroff -f\n'
	} >"$root/init"
	chmod +x "$root/init"
	(cd "$root" && find . | cpio --quiet -o -H newc -R 0:0) | gzip -1 >"$work/ird"
}

fill || give_up "an initramfs with KVM's modules is made"
timeout 400 "$qemu" -accel tcg,thread=single -cpu max,+svm -m 512 -display none -serial stdio \
	-monitor none -no-reboot -kernel "$VMLINUX" -initrd "$work/ird" \
	-append 'console=ttyS0 panic=-1 tsc_early_khz=2300000 tsc=reliable quiet' \
	</dev/null 2>&1 | tr -d '\r' >"$work/log"
passed=$(grep -c '^ok ' "$work/log")
failed=$(grep -c '^not ok ' "$work/log")
for name in "${programs[@]}"; do
	grep -q "^status of $name: 0" "$work/log" || failed=$((failed + 1))
done
[ "$failed" -eq 0 ] || tail -n 60 "$work/log"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
