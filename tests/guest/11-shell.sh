#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 660
# ./gvm demo --shell leaves the user at the guest's prompt.
. "$(dirname "$0")/../lib/guest.sh"

cluster_open
mkfifo "$C_DIR/keys"
exec {keys}<>"$C_DIR/keys"
C_STDIN[demo]=/dev/fd/$keys
spawn demo "$GVM_TOP/gvm" demo --shell
log_has demo "'exit' switches" 600 || give_up "the prompt comes"
pass "the prompt comes"
echo "echo the-answer-is-\$((40 + 2)); uname -r" >&"$keys"
check "the guest's shell answers" log_has demo '^the-answer-is-42' 30
check "it runs Debian's kernel" log_has demo '^6\.1\..*-amd64' 10
echo exit >&"$keys"
ended demo 60 || give_up "'exit' ends the demo"
check "the demo ends well" test "$C_STATUS" -eq 0
finish
