#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Makes the initramfs of a test guest: busybox, the kernel's virtio and ext4
# modules, the check programs of tests/guest, mke2fs, and our init. Prints its
# path. It lies in the cache under the hash of everything that went into it.
#
# Usage: initramfs.sh [--kernel 6.1|5.10|6.12] [--add FILE=/PATH]...
# --add puts one more file into the guest, with the libraries it needs.
set -euo pipefail
. "$(dirname "$0")/common.sh"

series=6.1
adds=()
while [ $# -gt 0 ]; do
	case $1 in
	--kernel) series=$2 && shift 2 ;;
	--add) adds+=("$2") && shift 2 ;;
	*) die "initramfs.sh: unknown argument '$1'" ;;
	esac
done

need guest build
kernel=$("$GVM_TOP/deploy/guest_kernel.sh" "$series")
MODULES=$(sed -n 's/^MODULES=//p' <<<"$kernel")
modules=(virtio_pci virtio_mmio virtio_blk virtio_net crc32c_generic ext4)
programs=(memcheck datagen mix)
make -s -C "$GVM_TOP/tests/guest" guest OUT="$GVM_BUILD/guest" >&2

# The files of a module and of what it depends on, as modules.dep names them.
module_files() {
	local name

	for name in "${modules[@]}"; do
		sed -n "s|^\(\S*/$name\.ko\(\.xz\)\{0,1\}\):|\1|p" "$MODULES/modules.dep"
	done | tr ' ' '\n' | sort -u | sed '/^$/d'
}

# The shared libraries of a program, loader included.
libraries() {
	ldd "$1" 2>/dev/null | grep -oE '/[^ ]+' | sort -u || true
}

inputs() {
	local name

	echo /usr/bin/busybox
	command -v mke2fs
	libraries "$(command -v mke2fs)"
	printf '%s\n' "$GVM_TOP/deploy/guest/init" "$GVM_TOP/deploy/guest/work.sh" "$0"
	for name in "${programs[@]}"; do
		echo "$GVM_BUILD/guest/$name"
	done
	for name in "${adds[@]}"; do
		echo "${name%%=*}"
	done
	module_files | sed "s|^|$MODULES/|"
}

put() {
	install -D -m 0755 "$1" "$root$2"
}

put_with_libraries() {
	local lib

	put "$1" "$2"
	for lib in $(libraries "$1"); do
		put "$lib" "$lib"
	done
}

fill() {
	local name applet version

	version=$(basename "$MODULES")
	mkdir -p "$root"/{bin,sbin,dev,proc,sys,tmp,mnt,etc,run}
	put /usr/bin/busybox /bin/busybox
	for applet in $(/usr/bin/busybox --list); do
		[ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
	done
	ln -s /bin/modprobe "$root/sbin/modprobe"
	rm -f "$root/bin/mke2fs" "$root/bin/mkfs.ext2"
	put_with_libraries "$(command -v mke2fs)" /bin/mke2fs
	put "$GVM_TOP/deploy/guest/init" /init
	put "$GVM_TOP/deploy/guest/work.sh" /lib/guest/work.sh
	for name in "${programs[@]}"; do
		put "$GVM_BUILD/guest/$name" "/bin/$name"
	done
	for name in "${adds[@]}"; do
		put_with_libraries "${name%%=*}" "${name#*=}"
	done
	for name in $(module_files); do
		put "$MODULES/$name" "/lib/modules/$version/$name"
	done
	/usr/bin/busybox depmod -b "$root" "$version"
}

hash=$({
	echo "$series" "$kernel" "${adds[*]}"
	inputs | xargs sha256sum
} | sha256sum | cut -c1-16)
out=$GVM_CACHE/initramfs-$hash.gz
if [ ! -e "$out" ]; then
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	root=$work/root
	fill
	(cd "$root" && find . | cpio --quiet -o -H newc -R 0:0) | gzip -1 >"$work/ird"
	mkdir -p "$GVM_CACHE"
	cp "$work/ird" "$out.$$" && mv "$out.$$" "$out"
fi
printf '%s\n' "$out"
