#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 600
# The attack again, on programs built with the address and undefined-behaviour sanitizers.
top=$(cd "$(dirname "$0")/../.." && pwd)
export C_BIN=${GVM_BUILD:-$top/build}/san-address,undefined
make -s -C "$top" -j2 SAN=address,undefined BUILD="$C_BIN" || exit 1
export ASAN_OPTIONS=detect_leaks=0
exec "$top/tests/guest/31-bad-packets.sh"
