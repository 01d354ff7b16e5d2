#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A slave that is stopped for longer than a request's tries last: QEMU holds the guest
# and lets it go on when the slave answers again.
STOPPED=20 exec "$(dirname "$0")/22-stopped-slave.sh"
