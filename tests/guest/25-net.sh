#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# virtio-net: the guest pings, downloads from and uploads to the host.
. "$(dirname "$0")/../lib/guest.sh"

cluster_open
small_cluster
mkdir "$C_DIR/www"
"$TOOLS/datagen" 48 7 >"$C_DIR/www/data"
want=$(md5sum <"$C_DIR/www/data" | cut -d' ' -f1)
free_port
C_PORT[http]=$PORT
free_port
C_PORT[up]=$PORT
spawn http busybox httpd -f -p "127.0.0.1:${C_PORT[http]}" -h "$C_DIR/www"
# A listener that keeps its own side open: the guest would take its end for the end of all.
mkfifo "$C_DIR/quiet"
exec {quiet}<>"$C_DIR/quiet"
C_STDIN[up]=$C_DIR/quiet
receive() {
	exec busybox nc -l -p "${C_PORT[up]}" >"$C_DIR/uploaded"
}
spawn up receive
guest 1 192 "gvm.work=net gvm.http=${C_PORT[http]} gvm.up=${C_PORT[up]}" \
	-netdev user,id=n0 -device virtio-net-pci,netdev=n0,romfile=
guest_passes "the guest talks to the host" 1 120
check "ping is answered" grep -q 'ping 3 answers' "$C_DIR/guest1.log"
check "the download agrees" grep -q "md5 download $want" "$C_DIR/guest1.log"
ended up 10
check "the upload agrees" test "$(md5sum <"$C_DIR/uploaded" | cut -d' ' -f1)" = "$want"
finish
