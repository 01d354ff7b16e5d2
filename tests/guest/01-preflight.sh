#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The pre-flight says what is short, ./gvm refuses what it does not know.
set -uo pipefail
. "$(dirname "$0")/../lib/tap.sh"
top=$(cd "$(dirname "$0")/../.." && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

machine() {
	mkdir -p "$dir/sys/fs" "$dir/sys/vm" "$dir/sys/net/core" "$dir/dev"
	echo "$1" >"$dir/sys/fs/file-max"
	echo 260000 >"$dir/sys/vm/max_map_count"
	echo 10240 >"$dir/sys/vm/nr_hugepages"
	echo 1 >"$dir/sys/vm/unprivileged_userfaultfd"
	echo 4194304 >"$dir/sys/net/core/rmem_max"
	echo 4194304 >"$dir/sys/net/core/wmem_max"
}

preflight() {
	GVM_KERNEL_RELEASE=$release GVM_SYSCTL_ROOT=$dir/sys GVM_DEV_ROOT=$dir/dev \
		"$top/deploy/sysctl_check.sh" "$@" >"$dir/out" 2>&1
}

# Runs ./gvm, which is to say no.
gvm() {
	"$top/gvm" "$@" >"$dir/out" 2>&1
}

says() {
	grep -qE "$1" "$dir/out"
}

release=6.1.0-50-amd64
machine 2000000
check "a machine that has all passes" preflight
machine 1000
check_not "one with fs.file-max short does not" preflight
check "it says what is short" says 'SHORT.*fs.file-max = 1000.*2000000'
check "nothing was changed" test "$(cat "$dir/sys/fs/file-max")" = 1000
check "--apply sets it" preflight --apply
check "the setting has changed" test "$(cat "$dir/sys/fs/file-max")" = 2000000
release=5.10.0-28-amd64
check_not "a kernel too old does not pass" preflight
check "it says so" says 'SHORT.*kernel 5.10.*6.1'
check_not "an unknown option is refused" preflight --really

# Suites that are promised but not there: never to be taken for passed.
later=$(sed -n 's/^LATER=(\(.*\))$/\1/p' "$top/tests/run.sh")
for suite in $later; do
	check_not "./gvm test $suite is refused" gvm test $suite
	check "it says that it comes later" says "'$suite' comes with a later release"
	check_not "and claims no result" says 'passed'
done
check_not "an unknown suite is refused" gvm test nonsense
check_not "an unknown command is refused" gvm nonsense
check_not "./gvm demo --kernel is refused" gvm demo --kernel
check "it says that it comes later" says 'later release'
finish
