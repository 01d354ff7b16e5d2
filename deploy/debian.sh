# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by the scripts that take something out of Debian's packages without
# installing them: a package list of our own, so that the machine's sources
# stay as they are. Set by the caller after common.sh: series.
# shellcheck shell=bash

# debian_open SERIES: where its kernel lies (dir), its suite, apt's options (APT).
debian_open() {
	local key=/usr/share/keyrings/debian-archive-keyring.gpg

	case $1 in
	6.1) suite=bookworm ;;
	5.10) suite=bullseye ;;
	6.12) suite=bookworm-backports ;;
	*) die "no Debian kernel known for '$1': 5.10, 6.1 or 6.12" ;;
	esac
	dir=$GVM_CACHE/kernel-$1
	mkdir -p "$dir/apt/lists/partial" "$dir/apt/archives/partial"
	[ -e "$dir/apt/sources.list" ] ||
		echo "deb [arch=amd64 signed-by=$key] http://deb.debian.org/debian $suite main" \
			>"$dir/apt/sources.list"
	APT=(-o Dir::Etc::sourcelist="$dir/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
		-o Dir::State::lists="$dir/apt/lists" -o Dir::Cache="$dir/apt"
		-o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=1 -qq)
}

debian_update() {
	say "fetching the package list of Debian $suite"
	apt-get "${APT[@]}" update >&2 || die "apt-get update of $suite failed: is there a network?"
}

# debian_download PACKAGE...: the .deb files, into the current directory.
debian_download() {
	say "fetching $* (not installed, only unpacked into the cache)"
	apt-get "${APT[@]}" download "$@" >&2 ||
		die "apt-get download $* failed: is there a network?"
}
