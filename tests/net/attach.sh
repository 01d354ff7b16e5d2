#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# attach.sh [CLUSTER SIZE]: test programs attach to a master as QEMU does, with more RAM
# than it may keep, in every way it can serve them. GVM_BUILD has the programs.
set -uo pipefail
. "$(dirname "$0")/../../deploy/common.sh"
. "$GVM_TOP/deploy/cluster.sh"
. "$GVM_TOP/tests/lib/tap.sh"

RAM=${RAM:-64}      # MiB
BUDGET=${BUDGET:-16} # MiB that the master may keep
ROUNDS=${ROUNDS:-3000}
LENT=48M            # by each of three slaves
LIMIT=${LIMIT:-120} # seconds for a program

# attach NAME [OPTION...]: in the background; its output is in NAME.log.
attach() {
	local name=$1

	shift
	spawn "$name" "$C_BIN/attach_test" "$C_DIR/vm1.sock" "${RAM}M" --budget "${BUDGET}M" \
		--rounds "$ROUNDS" "$@"
}

# attached NAME PROCESS...: they came to their ends and found every page as it was written.
attached() {
	local name=$1 process status=0

	shift
	for process in "$@"; do
		ended "$process" "$LIMIT" && [ "$C_STATUS" -eq 0 ] || status=1
	done
	check "$name" test "$status" -eq 0
}

# Nothing may be left of a VM whose client has gone.
nothing_left() {
	local status=0 i

	log_has master1 'VM 1 closed' 20 || status=1
	for i in 0 1 2; do
		control "slave$i" status --json | grep -q '"held_pages":0,' || status=1
	done
	check "$1" test "$status" -eq 0
}

restart_master() {
	stop master1 TERM 30
	master 1 "${BUDGET}M" --min-slaves 3 "$@"
	master_ready 1 || give_up "the master starts with $*"
}

cluster_open
cluster 3 "$LENT" "${BUDGET}M" || give_up "the cluster starts"

attach one
attached "one client, two threads, four times the budget" one
nothing_left "the homes keep nothing of it"

restart_master
attach left --part 0:2
attach right --part 1:2
attached "two clients on one RAM" left right

restart_master --threads 2
attach one --threads 4
attached "two serving threads" one

restart_master --copy-reads --threads 2
attach left --part 0:2
attach right --part 1:2
attached "two clients, read-only pages by copying, as before Linux 6.12" left right

restart_master --prefetch 0 --stripe 64K
attach one
attached "no prefetch, small stripes" one

restart_master
attach killed
log_has killed '^check:' "$LIMIT" || give_up "the client comes to its second sweep"
stop killed KILL
nothing_left "a client that was killed leaves nothing"

restart_master
attach one
log_has one '^fill:' "$LIMIT" || give_up "the client comes to its second sweep"
kill -STOP "${C_PID[slave1]}"
check "a slave that stops is named" log_has master1 'slave 1 does not answer.*page 0x' 30
check "the status says stalled" grep -q '"stalled"' <(control master1 status --json)
kill -CONT "${C_PID[slave1]}"
attached "the client goes on when the slave does" one
check "the clients are told so" log_has master1 'the guest goes on' 5

restart_master
attach one
log_has one '^fill:' "$LIMIT" || give_up "the client comes to its second sweep"
stop slave1 KILL
slave 1 "$LENT"
slave_ready 1 || give_up "the slave starts again"
check "a page lost with its slave is named" log_has master1 'slave 1 has lost page 0x' 60
check "the status says lost" grep -q '"lost"' <(control master1 status --json)
check_not "nobody is told to go on" grep -q 'the guest goes on' "$C_DIR/master1.log"
stop one KILL
finish
