#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest on pooled memory: its data agree, its pages live in the slaves, and the
# master never keeps more of them than its budget.
. "$(dirname "$0")/../lib/guest.sh"

cluster_open
small_cluster
sample_resident master1
memcheck 1 hold=1
guest_says 1 holding 90 || give_up "the guest fills its memory"
pass "the guest fills its memory"
for i in 0 1 2; do
	at_least "slave $i holds pages, in KiB" "$(lent_kb "slave$i")" $((8 * 1024))
done
all=$(($(lent_kb slave0) + $(lent_kb slave1) + $(lent_kb slave2)))
at_least "together they hold what does not fit the budget, in KiB" "$all" \
	$(((DATA - BUDGET) * 1024))
go_on
guest_passes "memory reads back as it was written" 1 120
at_most "guest memory resident at the master, in bytes" "$(sampled_max)" $((BUDGET << 20))
at_least "more than half of the budget was in use, in bytes" "$(sampled_max)" $((BUDGET << 19))
at_least "samples" "$(sampled_times)" 20
at_most "the master's own memory, in KiB" "$(private_kb master1)" $((48 * 1024))
still_running "every process goes on" gateway0 slave0 slave1 slave2 master1
finish
