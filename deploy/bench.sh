#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ./gvm bench: installs and builds what the measurements need, then runs bench/run.
set -euo pipefail
. "$(dirname "$0")/common.sh"

[ -x "$GVM_TOP/bench/run" ] || die "bench/run is not there: this tree has no measurements yet"
need build guest firmware test
build_programs
exec "$GVM_TOP/bench/run" "$@"
