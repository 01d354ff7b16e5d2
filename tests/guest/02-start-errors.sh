#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Programs that cannot do what they are asked to say why and end with a status that
# is not 0. And how little memory they start with.
. "$(dirname "$0")/../lib/guest.sh"

# refuses NAME PATTERN PROCESS: it ended by itself, not well, with a sentence.
refuses() {
	if ! ended "$3" 20; then
		fail "$1" "$3 still runs"
	elif [ "$C_STATUS" -eq 0 ] || [ "$C_STATUS" -ge 124 ]; then
		fail "$1" "$3 ended with status $C_STATUS"
	elif ! sed 1d "$C_DIR/$3.log" | grep -qiE -- "$2"; then
		fail "$1" "$3 does not say '$2': $(tail -n 1 "$C_DIR/$3.log")"
	else
		pass "$1"
		tail -n 1 "$C_DIR/$3.log" | sed 's/^/# /'
	fi
}

cluster_open
cluster 2 64M 32M || give_up "a small cluster starts"
at_most "resident memory of the master at its start, in KiB" "$(rss_kb master1)" $((32 * 1024))
at_most "resident memory of the gateway at its start, in KiB" "$(rss_kb gateway0)" $((16 * 1024))

taken=${C_PORT[gateway0]}
spawn gateway-port "$C_BIN/giantvm_gateway" --id 0 --port "$taken"
refuses "a gateway on a port in use" "$taken.*in use" gateway-port
spawn slave-port "$C_BIN/giantvm_slave" --id 5 --mem 16M --port "${C_PORT[slave0]}" \
	--gateways "$C_DIR/gateways"
refuses "a slave on a port in use" "${C_PORT[slave0]}.*in use" slave-port
spawn master-port "$C_BIN/giantvm_master_user" --vm-id 2 --port "${C_PORT[master1]}" \
	--gateways "$C_DIR/gateways" --socket "$C_DIR/p.sock" --control "$C_DIR/p.ctl"
refuses "a master on a port in use" "${C_PORT[master1]}.*in use" master-port

free_port
spawn master-socket "$C_BIN/giantvm_master_user" --vm-id 3 --port "$PORT" \
	--gateways "$C_DIR/gateways" --socket "$C_DIR/vm1.sock" --control "$C_DIR/s.ctl"
refuses "a master on a socket in use" "vm1.sock.*in use" master-socket
check "the live socket was not unlinked" test -S "$C_DIR/vm1.sock"

spawn slave-range "$C_BIN/giantvm_slave" --id 4000000 --mem 16M --port "$PORT" \
	--gateways "$C_DIR/gateways"
refuses "a slave id out of range" "4000000" slave-range
spawn slave-negative "$C_BIN/giantvm_slave" --id -1 --mem 16M --port "$PORT" \
	--gateways "$C_DIR/gateways"
refuses "a negative slave id" "id" slave-negative
spawn slave-twin "$C_BIN/giantvm_slave" --id 1 --mem 16M --port "$PORT" \
	--gateways "$C_DIR/gateways"
refuses "a second slave with an id that lives" "\b1\b" slave-twin
still_running "the first slave of that id goes on" slave1

printf '# three lines\n0 127.0.0.1 %s\n0 127.0.0.1 99999\n' "$taken" >"$C_DIR/bad-list"
spawn master-list "$C_BIN/giantvm_master_user" --vm-id 4 --port "$PORT" \
	--gateways "$C_DIR/bad-list" --socket "$C_DIR/l.sock" --control "$C_DIR/l.ctl"
refuses "a gateway list with a bad line" "bad-list.*3" master-list
printf '0 127.0.0.1 %s extra words\n' "$taken" >"$C_DIR/bad-list"
spawn slave-list "$C_BIN/giantvm_slave" --id 7 --mem 16M --port "$PORT" \
	--gateways "$C_DIR/bad-list"
refuses "a gateway list with words too many" "bad-list.*1" slave-list

spawn gateway-open "$C_BIN/giantvm_gateway" --id 0 --port "$PORT" --bind 0.0.0.0
refuses "an open address without --insecure" "insecure" gateway-open
spawn slave-size "$C_BIN/giantvm_slave" --id 7 --mem 12parsecs --port "$PORT" \
	--gateways "$C_DIR/gateways"
refuses "a size that is none" "parsecs" slave-size

# 2 slaves lend 128 MiB.
guest 1 512 gvm.work=mix
refuses "a guest larger than what the slaves lend" "lend|lent|reserve|memory" guest1
still_running "master and slaves go on" master1 slave0 slave1 gateway0
finish
