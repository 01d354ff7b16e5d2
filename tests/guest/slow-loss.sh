#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 1500
# The demo's sizes in namespaces with MTU 1500 and 5 % loss on every link.
. "$(dirname "$0")/../lib/guest.sh"
needs_root "5 % loss at full size"

cluster_open
C_LOSS=5
cluster_netns || give_up "network namespaces can be made"
RAM=768
DATA=520
BUDGET=192
LENT=320M
small_cluster
memcheck 1 threads=2
guest_passes "520 MiB agree with 5 % loss in both directions" 1 1200
at_least "datagrams that the rules dropped" "$(cluster_dropped)" 10000
finish
