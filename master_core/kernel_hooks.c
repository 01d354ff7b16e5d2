// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Only in a module built for tests (GVM_KERNEL_TEST): reading
 * /sys/kernel/debug/giantvm/atomic_send fills the send buffer of the first VM's
 * socket, sends from atomic context, and says how that ended.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include <net/sock.h>

#include "kernel_internal.h"

#define FILL (64 << 10)

struct outcome {
	int err;
	u64 us;
};

/* What the logic does at most: a spinlock held, softirqs off. */
static struct outcome send_atomic(struct gvm_vm *vm, struct socket *sock, bool irqs_off)
{
	static DEFINE_SPINLOCK(lock);
	struct sockaddr_in to;
	u8 bytes[GVM_HEADER_SIZE] = {0};
	struct kvec iov = {bytes, sizeof(bytes)};
	struct outcome o;
	unsigned long flags = 0;
	u64 start;

	gvm_gateway_next(0, &to);
	spin_lock_bh(&lock);
	if (irqs_off)
		local_irq_save(flags);
	start = ktime_get_ns();
	o.err = gvm_xmit(vm, sock, &iov, 1, sizeof(bytes), sizeof(bytes), &to, false);
	o.us = (ktime_get_ns() - start) / NSEC_PER_USEC;
	if (irqs_off)
		local_irq_restore(flags);
	spin_unlock_bh(&lock);
	return o;
}

static void try_all(struct seq_file *m, struct gvm_vm *vm, struct socket *sock)
{
	struct sock *sk = sock->sk;
	int room = READ_ONCE(sk->sk_sndbuf);
	struct sk_buff *full;
	struct outcome o;

	o = send_atomic(vm, sock, false);
	seq_printf(m, "empty %d %llu\n", o.err, o.us);
	WRITE_ONCE(sk->sk_sndbuf, SOCK_MIN_SNDBUF);
	full = sock_wmalloc(sk, FILL, 1, GFP_KERNEL);
	o = send_atomic(vm, sock, false);
	seq_printf(m, "full %d %llu\n", o.err, o.us);
	o = send_atomic(vm, sock, true);
	seq_printf(m, "irqs_off %d %llu\n", o.err, o.us);
	kfree_skb(full);
	WRITE_ONCE(sk->sk_sndbuf, room);
	o = send_atomic(vm, sock, false);
	seq_printf(m, "again %d %llu\n", o.err, o.us);
}

static int atomic_send_show(struct seq_file *m, void *unused)
{
	struct gvm_vm *vm = gvm_vm_next(0);

	if (!vm)
		return -ENOENT;
	if (gvm_net_socket(vm->net))
		try_all(m, vm, gvm_net_socket(vm->net));
	gvm_vm_put(vm);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(atomic_send);

void gvm_hooks_init(struct dentry *dir)
{
	debugfs_create_file("atomic_send", 0400, dir, NULL, &atomic_send_fops);
}
