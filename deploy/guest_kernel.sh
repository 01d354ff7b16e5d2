#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Fetches Debian's stock kernel for guests into the cache, without installing
# it, and prints one NAME=VALUE a line: VERSION, VMLINUZ (as packaged), VMLINUX
# (the same kernel uncompressed: boots faster, through PVH) and MODULES (the
# directory /lib/modules/VERSION of the package, with modules.dep made).
#
# Usage: guest_kernel.sh [6.1|5.10|6.12]
set -euo pipefail
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/debian.sh"

series=${1:-6.1}
# The image that the meta package depends on.
image_package() {
	apt-cache "${APT[@]}" show linux-image-amd64 2>/dev/null |
		sed -n 's/^Depends:.*\(linux-image-[0-9][^ ,]*\).*/\1/p' |
		grep -F "$series." | head -n 1
}

download() {
	local package

	debian_update
	package=$(image_package) || true
	[ -n "$package" ] || die "Debian $suite has no linux-image of series $series"
	(cd "$dir" && rm -f -- *.deb && debian_download "$package")
}

# A bzImage carries the kernel as a compressed ELF: its setup header says where.
extract_vmlinux() {
	local in=$1 out=$2 sects offset length start

	sects=$(od -An -tu1 -j497 -N1 "$in" | tr -d ' ')
	offset=$(od -An -tu4 -j584 -N4 "$in" | tr -d ' ')
	length=$(od -An -tu4 -j588 -N4 "$in" | tr -d ' ')
	start=$(((sects + 1) * 512 + offset))
	# The last four bytes are the uncompressed size, not part of the stream.
	dd if="$in" of="$out.z" bs=1M iflag=skip_bytes,count_bytes status=none \
		skip="$start" count="$((length - 4))"
	case $(od -An -tx1 -N4 "$out.z" | tr -d ' ') in
	fd377a58) xz -dc <"$out.z" >"$out" ;;
	28b52ffd) zstd -dcq <"$out.z" >"$out" ;;
	1f8b*) gzip -dc <"$out.z" >"$out" ;;
	*) die "$in is compressed in a way this script does not know" ;;
	esac
	rm -f "$out.z"
	[ "$(head -c 4 "$out" | tail -c 3)" = ELF ] || die "what $in holds is not an ELF kernel"
}

unpack() {
	local deb version

	deb=$(echo "$dir"/*.deb)
	rm -rf "$dir/root"
	dpkg -x "$deb" "$dir/root"
	version=$(basename "$dir"/root/boot/vmlinuz-*)
	version=${version#vmlinuz-}
	extract_vmlinux "$dir/root/boot/vmlinuz-$version" "$dir/vmlinux"
	busybox depmod -b "$dir/root" "$version"
	echo "$version" >"$dir/version.new"
	mv "$dir/version.new" "$dir/version"
	rm -f "$deb"
}

debian_open "$series"
exec 9>"$dir/lock"
flock 9
if [ ! -e "$dir/version" ]; then
	need guest
	download
	unpack
fi
version=$(<"$dir/version")
cat <<END
VERSION=$version
VMLINUZ=$dir/root/boot/vmlinuz-$version
VMLINUX=$dir/vmlinux
MODULES=$dir/root/lib/modules/$version
END
