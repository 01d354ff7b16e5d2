#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Master, gateway and each slave in a network namespace of its own, MTU 1500.
. "$(dirname "$0")/../lib/guest.sh"
needs_root "namespaces with MTU 1500"

cluster_open
cluster_netns || give_up "network namespaces can be made"
small_cluster
memcheck 1
guest_passes "the guest's data agree across namespaces with MTU 1500" 1 150
check "status says that this is insecure" grep -q insecure <(control master1 status)
finish
