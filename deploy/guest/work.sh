# SPDX-License-Identifier: GPL-2.0-or-later
# What a test guest can do; each function's status is the guest's verdict.

work_memcheck() {
	# shellcheck disable=SC2086 # settings are words
	/bin/memcheck $settings
}

work_mix() {
	/bin/mix "$(setting mb 48)" "$(setting rounds 20)"
}

work_shell() {
	free -m
	echo
	echo "This is a guest whose RAM is held by slave nodes. memcheck, mix and datagen are"
	echo "here; 'exit' switches the machine off."
	setsid cttyhack sh
	true
}

# Formats the disk, fills it, reads everything back through an emptied page cache.
work_disk() {
	disk_mb=$(setting mb 64)
	files=$(setting files 4)

	load virtio_pci virtio_mmio virtio_blk crc32c_generic ext4
	disk=/dev/$(setting disk vda)
	[ -b "$disk" ] || { say "no disk $disk"; return 1; }
	/bin/mke2fs -q -F -t ext4 "$disk" || return 1
	mkdir -p /mnt
	mount -t ext4 "$disk" /mnt || return 1
	for i in $(seq 1 "$files"); do
		datagen "$((disk_mb / files))" "$i" >"/mnt/data.$i" || return 1
	done
	# Many small files too: directories, inodes, bitmaps.
	for i in $(seq 1 200); do
		echo "$i $i $i" >"/mnt/small.$i" || return 1
	done
	rm -f /mnt/small.?0
	sync
	echo 3 >/proc/sys/vm/drop_caches
	for i in $(seq 1 "$files"); do
		say "md5 data.$i $(md5sum <"/mnt/data.$i" | cut -d' ' -f1)"
	done
	umount /mnt
}

# Talks to the host through QEMU's user network: ping, a download, an upload.
work_net() {
	host=10.0.2.2

	load virtio_pci virtio_mmio virtio_net
	ip link set lo up
	ip link set eth0 up || return 1
	ip addr add 10.0.2.15/24 dev eth0 || return 1
	ip route add default via $host || return 1
	ping -c 3 -W 5 $host >/tmp/ping || { cat /tmp/ping; return 1; }
	say "ping $(grep -c 'bytes from' /tmp/ping) answers"
	wget -q -O /tmp/file "http://$host:$(setting http 80)/$(setting file data)" || return 1
	say "md5 download $(md5sum </tmp/file | cut -d' ' -f1)"
	nc $host "$(setting up 81)" </tmp/file || return 1
	say "uploaded"
}
