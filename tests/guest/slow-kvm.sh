#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 600
# The same guest with KVM as the engine, where it is real.
. "$(dirname "$0")/../lib/guest.sh"

grep -qE '^flags.* (vmx|svm)( |$)' /proc/cpuinfo && [ -w /dev/kvm ] || {
	skip "a guest with engine=kvm" "no processor with vmx or svm and a /dev/kvm one may open"
	finish
}
cluster_open
small_cluster
G_ENGINE=kvm G_CPUS=2 memcheck 1 threads=2
guest_passes "a guest with engine=kvm" 1 300
finish
