#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Builds QEMU 5.2.0 with the giantvm accelerator and prints the path of the
# binary as the last line of standard output. Progress goes to stderr.
#
# The source is Debian bullseye's source package, fetched with apt and a package
# list of our own; GVM_QEMU_TARBALL names a local copy instead. Everything lies
# in $GVM_CACHE/qemu (~/.cache/giantvm/qemu): the binaries under the hash of all
# that went into them, and one source and one build directory, in which a
# changed patch is an incremental build.
set -euo pipefail
. "$(dirname "$0")/common.sh"

tarball_sha256=be5ae7ddc88d68af81c7b2435b95c1cad4e9416c9a1426ee5a6a4b9a9c0bf87e
tarball_name=qemu_5.2+dfsg.orig.tar.xz
work=$GVM_CACHE/qemu
log=$work/build.log
packages=(gcc libc6-dev make ninja-build meson pkg-config python3 libglib2.0-dev
	libpixman-1-dev zlib1g-dev libslirp-dev ccache patch xz-utils diffutils)
headers=(giantvm_config.h giantvm_protocol.h platform_defs.h)
configure_options=(
	--target-list=x86_64-softmmu --cc="ccache gcc" --meson=/usr/bin/meson
	--ninja=/usr/bin/ninja --disable-git-update --disable-werror --enable-kvm
	--enable-slirp=system --disable-blobs
	--firmwarepath=/usr/share/qemu:/usr/share/seabios:/usr/lib/ipxe/qemu
	--disable-docs --disable-tools --disable-guest-agent --disable-capstone
	--disable-fdt --audio-drv-list= --with-pkgversion=giantvm
)

# The files that go into the source tree, as "FILE IN-THE-TREE" lines.
overlay() {
	local f

	cd "$GVM_TOP"
	for f in qemu_patch/{accel,hw,include,stubs}/**; do
		[ ! -f "$f" ] || echo "$f ${f#qemu_patch/}"
	done
	for f in client/*.[ch]; do
		echo "$f giantvm/$f"
	done
	for f in "${headers[@]}"; do
		echo "common_include/$f giantvm/common_include/$f"
	done
}

content_key() {
	{
		echo "$tarball_sha256"
		cd "$GVM_TOP"
		overlay | cut -d' ' -f1 | xargs sha256sum
		sha256sum qemu_patch/*.patch deploy/qemu_build.sh
	} | sha256sum | cut -c1-16
}

install_packages() {
	local p missing=()

	for p in "${packages[@]}"; do
		installed "$p" || missing+=("$p")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	say "installing with apt-get, to build QEMU: ${missing[*]}"
	apt_install "${missing[@]}" ||
		die "apt-get could not install ${missing[*]}: see its messages above"
}

is_tarball() {
	[ "$(sha256sum <"$1" | cut -d' ' -f1)" = "$tarball_sha256" ]
}

download() {
	local dir=$work/apt key=/usr/share/keyrings/debian-archive-keyring.gpg
	local hint="or name a local copy of $tarball_name with GVM_QEMU_TARBALL"
	local apt=(-o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null
		-o Dir::State::lists="$dir/lists" -o Dir::Cache="$dir" -o Debug::NoLocking=1
		-o APT::Sandbox::User="$(id -un)" -qq)

	mkdir -p "$dir/lists/partial" "$dir/archives/partial" "$dir/source"
	echo "deb-src [signed-by=$key] http://deb.debian.org/debian bullseye main" \
		>"$dir/sources.list"
	say "fetching the list of Debian bullseye's source packages"
	apt-get "${apt[@]}" update >&2 ||
		die "apt-get update of bullseye failed: check the network, $hint"
	say "fetching QEMU 5.2.0's source (19 MB)"
	(cd "$dir/source" && apt-get "${apt[@]}" source --download-only qemu >&2) ||
		die "apt-get source qemu failed: check the network, $hint"
	[ -f "$dir/source/$tarball_name" ] ||
		die "Debian bullseye's qemu has no $tarball_name any more: $hint"
	mv "$dir/source/$tarball_name" "$1"
	rm -rf "$dir"
}

# Puts the checked tarball at $work/$tarball_name.
get_tarball() {
	local out=$work/$tarball_name new=$work/tarball.new

	if [ -f "$out" ] && is_tarball "$out"; then
		return 0
	fi
	if [ -n "${GVM_QEMU_TARBALL:-}" ]; then
		[ -r "$GVM_QEMU_TARBALL" ] ||
			die "GVM_QEMU_TARBALL=$GVM_QEMU_TARBALL cannot be read"
		cp "$GVM_QEMU_TARBALL" "$new"
	else
		download "$new"
	fi
	is_tarball "$new" || {
		rm -f "$new"
		die "${GVM_QEMU_TARBALL:-the downloaded $tarball_name} does not have the sha256" \
			"$tarball_sha256: get Debian bullseye's $tarball_name and name it with" \
			"GVM_QEMU_TARBALL"
	}
	mv "$new" "$out"
}

# The patched source, in $work/want.
make_source() {
	local f from to

	say "unpacking and patching QEMU 5.2.0"
	rm -rf "$work/want"
	mkdir "$work/want"
	tar -xJf "$work/$tarball_name" -C "$work/want" --strip-components=1
	for f in "$GVM_TOP"/qemu_patch/*.patch; do
		patch -d "$work/want" -p1 --no-backup-if-mismatch -F0 <"$f" >>"$log" 2>&1 ||
			die "$f does not apply to QEMU 5.2.0: see $log"
	done
	overlay | while read -r from to; do
		install -D -m 0644 "$GVM_TOP/$from" "$work/want/$to"
	done
}

# Makes src equal to want; only what differs gets a new time stamp.
update_source() {
	local line

	if [ ! -d "$work/src" ]; then
		mv "$work/want" "$work/src"
		return 0
	fi
	while IFS= read -r line; do
		case $line in
		"Only in $work/src"*)
			line=${line#Only in }
			rm -rf "${line/: //}"
			;;
		"Only in $work/want"*)
			line=${line#Only in }
			line=${line/: //}
			cp -rP "$line" "$work/src/${line#"$work/want/"}"
			;;
		"Files $work/want/"*)
			line=${line#Files }
			line=${line%% and *}
			cp "$line" "$work/src/${line#"$work/want/"}"
			;;
		esac
	done < <(diff -rq --no-dereference "$work/want" "$work/src" || true)
	rm -rf "$work/want"
}

configure() {
	local stamp=$work/build/configured

	if [ -f "$work/build/build.ninja" ] &&
		[ "$(cat "$stamp" 2>/dev/null)" = "${configure_options[*]}" ]; then
		return 0
	fi
	say "configuring QEMU"
	rm -rf "$work/build"
	mkdir "$work/build"
	(cd "$work/build" && PYTHON=/usr/bin/python3 "$work/src/configure" \
		"${configure_options[@]}" >>"$log" 2>&1) || {
		tail -n 20 "$log" >&2
		die "QEMU's configure failed: see $log; remove $work to start afresh"
	}
	echo "${configure_options[*]}" >"$stamp"
}

# Shows every hundredth step.
show_steps() {
	awk -F'[][/]' '/^\[/ { if ($2 % 100 == 0 || $2 == $3)
		printf "gvm: QEMU: step %d of %d\n", $2, $3; fflush() }' >&2
}

compile() {
	say "building QEMU (some 3 minutes on two cores the first time, see $log)"
	nice ninja -C "$work/build" -j"$(nproc)" qemu-system-x86_64 2>&1 |
		tee -a "$log" | show_steps || {
		grep -A12 '^FAILED' "$log" | tail -n 30 >&2
		die "QEMU did not build: see $log; remove $work to start afresh"
	}
}

# The binary under its key; the newest few stay.
keep() {
	local dir=$work/bin/$key

	mkdir -p "$dir"
	cp "$work/build/qemu-system-x86_64" "$dir/new"
	mv "$dir/new" "$dir/qemu-system-x86_64"
	find "$work/bin" -mindepth 1 -maxdepth 1 -printf '%T@ %p\n' | sort -rn | tail -n +5 |
		cut -d' ' -f2- | xargs -r -d '\n' rm -rf --
}

shopt -s globstar
need firmware
key=$(content_key)
binary=$work/bin/$key/qemu-system-x86_64
if [ ! -x "$binary" ]; then
	mkdir -p "$work" || die "cannot make $work: set GVM_CACHE to a directory you may write"
	exec 9>"$work/lock"
	flock -n 9 || {
		say "another build of QEMU is under way: waiting for it"
		flock 9
	}
fi
if [ ! -x "$binary" ]; then
	export CCACHE_DIR=$work/ccache PATH=/usr/bin:$PATH
	: >"$log"
	install_packages
	get_tarball
	make_source
	update_source
	configure
	compile
	keep
fi
printf '%s\n' "$binary"
