#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 600
# On a kernel that is too old (Debian's 5.10, in a plain QEMU) user mode refuses with
# a sentence, and never half works.
. "$(dirname "$0")/../lib/guest.sh"

adds=(--add "$GVM_TOP/tests/guest/in-old-kernel=/bin/in-old-kernel"
	--add "$TOOLS/ramtool=/bin/ramtool")
for program in giantvm_gateway giantvm_slave giantvm_master_user; do
	adds+=(--add "$GVM_BUILD/$program=/bin/$program")
done
cluster_open
if ! kernel=$("$GVM_TOP/deploy/guest_kernel.sh" 5.10); then
	skip "a kernel too old" "Debian's 5.10 kernel could not be fetched"
	finish
fi
G_KERNEL=$(sed -n 's/^VMLINUX=//p' <<<"$kernel")
G_INITRD=$("$GVM_TOP/deploy/initramfs.sh" --kernel 5.10 "${adds[@]}") ||
	give_up "an initramfs with our programs is made"
G_ACCEL=tcg,thread=multi
guest 1 512 gvm.work=/bin/in-old-kernel
guest_passes "user mode refuses a kernel that is too old, with a sentence" 1 120
sed 1d "$C_DIR/guest1.log" | grep -i kernel | sed 's/^/# /'
finish
