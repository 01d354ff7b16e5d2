#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Everything as an ordinary user, with /dev/userfaultfd open to a group; and the
# sentence that a user without the permission gets.
. "$(dirname "$0")/../lib/guest.sh"
needs_root "as an ordinary user"
[ -e /dev/userfaultfd ] || { skip "as an ordinary user" "no /dev/userfaultfd"; finish; }

# Ids that nobody has; no account is made.
user=64231
group=64232
old_mode=$(stat -c %a /dev/userfaultfd)
old_group=$(stat -c %g /dev/userfaultfd)

C_PARENT=/tmp
cluster_open
restore() {
	chgrp "$old_group" /dev/userfaultfd
	chmod "$old_mode" /dev/userfaultfd
	cluster_close
}
trap restore EXIT

# The user may see neither this checkout nor root's cache.
chmod 0755 "$C_DIR"
mkdir "$C_DIR/bin"
install -m 0755 "$GVM_BUILD"/giantvm_{gateway,slave,master_user} "$GVM_BUILD/gvm_ctl" \
	"$G_QEMU" "$C_DIR/bin/"
install -m 0644 "$G_KERNEL" "$C_DIR/bin/kernel"
install -m 0644 "$G_INITRD" "$C_DIR/bin/initrd"
C_BIN=$C_DIR/bin
G_QEMU=$C_DIR/bin/$(basename "$G_QEMU")
G_KERNEL=$C_DIR/bin/kernel
G_INITRD=$C_DIR/bin/initrd
chown $user "$C_DIR"
as_user() {
	C_AS=(setpriv --reuid "$user" --regid "$user" --groups "$1" --inh-caps=-all --bounding-set=-all)
}

if [ "$(cat /proc/sys/vm/unprivileged_userfaultfd)" = 1 ]; then
	skip "a user without permission is told so" "vm.unprivileged_userfaultfd is 1 here"
else
	as_user $user
	small_cluster
	memcheck 1
	ended guest1 60 || give_up "QEMU ends at once without userfaultfd"
	check "without permission QEMU's status is not 0" test "$C_STATUS" -ne 0
	check "and it says which permission is missing" grep -q 'userfaultfd' "$C_DIR/guest1.log"
	for name in master1 slave0 slave1 slave2 gateway0; do
		stop "$name"
	done
fi

chgrp $group /dev/userfaultfd
chmod 0660 /dev/userfaultfd
as_user $group
small_cluster
memcheck 1
guest_passes "a guest of an ordinary user" 1 120
for name in gateway0 slave0 master1; do
	check "$name ran as that user" test "$(stat -c %u "/proc/${C_PID[$name]}")" = $user
done
check "the socket is the user's alone" test "$(stat -c %a "$C_DIR/vm1.sock")" = 600
finish
