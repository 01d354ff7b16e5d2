# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by the scripts of this tree: messages, the cache, packages.
# shellcheck shell=bash

GVM_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
GVM_BUILD=${GVM_BUILD:-$GVM_TOP/build}
GVM_CACHE=${GVM_CACHE:-${HOME:-/root}/.cache/giantvm}
PATH=$PATH:/usr/sbin:/sbin
export GVM_TOP GVM_BUILD GVM_CACHE PATH LC_ALL=C

# Messages go to stderr: standard output is for a script's answer.
say() {
	printf 'gvm: %s\n' "$*" >&2
}

die() {
	printf 'gvm: error: %s\n' "$*" >&2
	exit 1
}

is_root() {
	[ "$(id -u)" = 0 ]
}

# Runs a command with the privilege to administer this machine.
as_root() {
	if is_root; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "this needs root and there is no sudo: run as root: $*"
	fi
}

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# The packages that a purpose needs, as Debian 12 names them.
packages_for() {
	case $1 in
	build) echo gcc libc6-dev make libjansson-dev ;;
	guest) echo busybox-static cpio e2fsprogs xz-utils zstd ca-certificates ;;
	firmware) echo seabios qemu-system-data ipxe-qemu ;;
	test) echo iproute2 nftables libcmocka-dev ;;
	model) echo spin gcc libc6-dev make ;;
	fuzz) echo clang-14 libclang-rt-14-dev llvm-14 python3 ;;
	*) die "no list of packages for '$1'" ;;
	esac
}

# need PURPOSE...: installs what is missing of the purposes' packages, and says what.
need() {
	local purpose pkg missing=()

	command -v apt-get >/dev/null ||
		die "this machine has no apt-get: install by hand what deploy/common.sh lists for: $*"
	for purpose in "$@"; do
		for pkg in $(packages_for "$purpose"); do
			installed "$pkg" || missing+=("$pkg")
		done
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	say "installing with apt-get: ${missing[*]}"
	apt_install "${missing[@]}" ||
		die "apt-get could not install ${missing[*]}: see its messages above"
}

apt_install() {
	local quiet=(-o Dpkg::Use-Pty=0 -qq)

	as_root env DEBIAN_FRONTEND=noninteractive apt-get "${quiet[@]}" install -y \
		--no-install-recommends "$@" >/dev/null 2>&1 && return 0
	as_root apt-get -qq update >&2 || return 1
	as_root env DEBIAN_FRONTEND=noninteractive apt-get "${quiet[@]}" install -y \
		--no-install-recommends "$@" >&2
}

# Builds the programs; the compiler's output is shown only if it fails.
build_programs() {
	local log=$GVM_BUILD/make.log

	mkdir -p "$GVM_BUILD"
	say "building the programs (make)"
	make -s -C "$GVM_TOP" -j"$(nproc)" >"$log" 2>&1 && return 0
	tail -n 30 "$log" >&2
	die "make failed; the whole output is in $log"
}

# The path of the patched QEMU; builds it the first time.
qemu_path() {
	local path

	path=$("$GVM_TOP/deploy/qemu_build.sh" | tail -n 1) || path=
	[ -x "$path" ] || die "deploy/qemu_build.sh did not give a QEMU"
	printf '%s\n' "$path"
}

may_userfaultfd() {
	[ -w /dev/userfaultfd ] || is_root ||
		[ "$(cat /proc/sys/vm/unprivileged_userfaultfd 2>/dev/null)" = 1 ]
}

# Lets this user serve page faults, if need be with the administrator's help.
allow_userfaultfd() {
	local group

	may_userfaultfd && return
	group=$(id -gn)
	[ -e /dev/userfaultfd ] ||
		die "this kernel has no /dev/userfaultfd: run as root, or use Linux 6.1 or later"
	say "opening /dev/userfaultfd to the group $group, until the next boot"
	as_root chgrp "$group" /dev/userfaultfd && as_root chmod 0660 /dev/userfaultfd
	may_userfaultfd || die "$(id -un) may not use userfaultfd: see deploy/sysctl_check.sh"
}
