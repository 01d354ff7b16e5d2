#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Two VMs at once on the same slaves, which two gateways serve.
. "$(dirname "$0")/../lib/guest.sh"

# The least slave id of gateway 1: 1 << GVM_ROUTING_SHIFT.
SECOND=256

cluster_open
gateway 0
gateway 1
for id in 0 1 $SECOND; do
	slave "$id" 192M
done
for id in 0 1 $SECOND; do
	slave_ready "$id" || give_up "slave $id registers"
done
RAM=256
DATA=112
for vm in 1 2; do
	master "$vm" 64M --min-slaves 3
done
for vm in 1 2; do
	master_ready "$vm" || give_up "master $vm is ready"
	memcheck "$vm" "seed=$vm" hold=1
done
for vm in 1 2; do
	guest_says "$vm" holding 120 || give_up "guest $vm fills its memory"
done
at_least "the slave behind the second gateway holds pages, in KiB" \
	"$(lent_kb slave$SECOND)" $((16 * 1024))
for vm in 1 2; do
	echo >"$C_DIR/guest$vm.in"
done
for vm in 1 2; do
	guest_passes "VM $vm reads back its own data" "$vm" 120
done
finish
