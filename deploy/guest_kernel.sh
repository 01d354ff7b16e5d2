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

series=${1:-6.1}
case $series in
6.1) suite=bookworm ;;
5.10) suite=bullseye ;;
6.12) suite=bookworm-backports ;;
*) die "no Debian kernel known for '$series': 5.10, 6.1 or 6.12" ;;
esac
dir=$GVM_CACHE/kernel-$series

# A package list of our own, so that the machine's sources stay as they are.
apt_options() {
	local key=/usr/share/keyrings/debian-archive-keyring.gpg

	mkdir -p "$dir/apt/lists/partial" "$dir/apt/archives/partial"
	[ -e "$dir/apt/sources.list" ] ||
		echo "deb [arch=amd64 signed-by=$key] http://deb.debian.org/debian $suite main" \
			>"$dir/apt/sources.list"
	APT=(-o Dir::Etc::sourcelist="$dir/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
		-o Dir::State::lists="$dir/apt/lists" -o Dir::Cache="$dir/apt"
		-o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=1 -qq)
}

# The image that the meta package depends on.
image_package() {
	apt-cache "${APT[@]}" show linux-image-amd64 2>/dev/null |
		sed -n 's/^Depends:.*\(linux-image-[0-9][^ ,]*\).*/\1/p' |
		grep -F "$series." | head -n 1
}

download() {
	local package

	say "fetching the package list of Debian $suite"
	apt-get "${APT[@]}" update >&2 || die "apt-get update of $suite failed: is there a network?"
	package=$(image_package) || true
	[ -n "$package" ] || die "Debian $suite has no linux-image of series $series"
	say "fetching $package (not installed, only unpacked into the cache)"
	(cd "$dir" && rm -f -- *.deb && apt-get "${APT[@]}" download "$package" >&2) ||
		die "apt-get download $package failed: is there a network?"
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
	cat >"$dir/result.new" <<-END
		VERSION=$version
		VMLINUZ=$dir/root/boot/vmlinuz-$version
		VMLINUX=$dir/vmlinux
		MODULES=$dir/root/lib/modules/$version
	END
	mv "$dir/result.new" "$dir/result"
	rm -f "$deb"
}

mkdir -p "$dir"
exec 9>"$dir/lock"
flock 9
if [ ! -e "$dir/result" ]; then
	need guest
	apt_options
	download
	unpack
fi
cat "$dir/result"
