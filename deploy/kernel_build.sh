#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Builds giantvm.ko for Debian's kernels, against their header packages, which
# are fetched into the cache and not installed. Prints the module's path, one a
# line.
#
# Usage: kernel_build.sh [--test] [--sparse] [5.10|6.1|6.12]...  (default: all three)
# --test builds in the hooks of tests/kernel; such a module is not for use.
# W=1 and other settings of kbuild are taken from the environment (KBUILD).
set -euo pipefail
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/debian.sh"

hooks=
sparse=
all=()
while [ $# -gt 0 ]; do
	case $1 in
	--test) hooks=1 ;;
	--sparse) sparse=2 ;;
	-*) die "kernel_build.sh: unknown argument '$1'" ;;
	*) all+=("$1") ;;
	esac
	shift
done
[ ${#all[@]} -gt 0 ] || all=(5.10 6.1 6.12)
need build

# The packages of the headers for the image that is in the cache.
header_packages() {
	local kbuild

	kbuild=$(apt-cache "${APT[@]}" show "linux-headers-$1" 2>/dev/null |
		sed -n 's/^Depends:.*\(linux-kbuild-[0-9][^ ,]*\).*/\1/p' | head -n 1)
	[ -n "$kbuild" ] || return 1
	echo "linux-headers-$1 linux-headers-${1%-amd64}-common $kbuild"
}

# Paths in the headers' makefiles are those of an installed package.
relocate() {
	local file

	for file in "$1"/usr/src/linux-headers-*-amd64/Makefile; do
		sed -i "s|\([ =]\)/usr/|\1$1/usr/|g" "$file"
	done
}

fetch_headers() {
	local version=$1 packages deb

	packages=$(header_packages "$version") || { debian_update; packages=$(header_packages "$version"); } ||
		die "Debian $suite has no linux-headers-$version"
	rm -rf "$dir/headers.new"
	mkdir -p "$dir/headers.new"
	# shellcheck disable=SC2086 # one word a package
	(cd "$dir/headers.new" && debian_download $packages)
	for deb in "$dir/headers.new"/*.deb; do
		dpkg -x "$deb" "$dir/headers.new"
		rm -f "$deb"
	done
	rm -rf "$dir/headers"
	mv "$dir/headers.new" "$dir/headers"
	relocate "$dir/headers"
	echo "$version" >"$dir/headers/version"
}

# The sources as links, so that objects of different kernels do not meet.
link_sources() {
	rm -rf "$1/master_core" "$1/common_include"
	mkdir -p "$1/master_core"
	ln -s "$GVM_TOP/common_include" "$1/common_include"
	ln -s "$GVM_TOP"/master_core/*.[ch] "$GVM_TOP/master_core/Kbuild" "$1/master_core/"
}

build() {
	local version headers out log

	debian_open "$1"
	version=$("$GVM_TOP/deploy/guest_kernel.sh" "$1" | sed -n 's/^VERSION=//p')
	exec 8>"$dir/headers.lock"
	flock 8
	[ "$(cat "$dir/headers/version" 2>/dev/null)" = "$version" ] || fetch_headers "$version"
	exec 8>&-
	headers=$dir/headers/usr/src/linux-headers-$version
	out=$GVM_BUILD/kernel-$1${hooks:+-test}
	log=$out/make.log
	mkdir -p "$out"
	link_sources "$out"
	say "building giantvm.ko for Linux $version"
	# Without pahole there is no BTF of a module; nothing here needs it.
	nice make -C "$headers" M="$out/master_core" -j"$(nproc)" \
		CC="${CC:-gcc}" CONFIG_DEBUG_INFO_BTF_MODULES= W="${W:-1}" ${sparse:+C=$sparse} \
		${hooks:+GVM_KERNEL_TEST=1} \
		${GVM_SLAVE_BITS:+GVM_SLAVE_BITS=$GVM_SLAVE_BITS} modules >"$log" 2>&1 || {
		grep -E 'error|warning' -A4 "$log" | head -n 60 >&2
		die "giantvm.ko does not build for Linux $version; the whole output is in $log"
	}
	if grep -E 'warning:' "$log" >&2; then
		die "warnings for Linux $version; the whole output is in $log"
	fi
	printf '%s\n' "$out/master_core/giantvm.ko"
}

for series in "${all[@]}"; do
	build "$series"
done
