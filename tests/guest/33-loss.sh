#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 600
# The same with 5 % of the datagrams lost on every link, in both directions.
. "$(dirname "$0")/../lib/guest.sh"
needs_root "5 % loss"

cluster_open
C_LOSS=5
cluster_netns || give_up "network namespaces can be made"
RAM=256
DATA=112
BUDGET=64
small_cluster
memcheck 1
guest_passes "the guest's data agree with 5 % loss in both directions" 1 360
at_least "datagrams that the rules dropped" "$(cluster_dropped)" 1000
finish
