// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The send path. It must never hang the host: whatever the network does, it ends
 * after a bounded number of tries, and while it may not sleep it feeds the
 * watchdog between them.
 */
#include <linux/delay.h>
#include <linux/nmi.h>
#include <linux/preempt.h>
#include <linux/udp.h>
#include <net/sock.h>

#include "kernel_internal.h"

#define ATOMIC_TRIES 50 /* of 10 us */
#define ATOMIC_US    10
#define SLEEP_TRIES  20
#define SLEEP_US     100

static int send_once(struct socket *sock, struct kvec *iov, unsigned int n, size_t len, size_t seg,
		     const struct sockaddr_in *to)
{
	union {
		struct cmsghdr head;
		u8 room[CMSG_SPACE(sizeof(u16))];
	} control = {};
	struct sockaddr_in addr = *to;
	struct msghdr msg = {
		.msg_name = &addr,
		.msg_namelen = sizeof(addr),
		.msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL,
	};
	int sent;

	if (seg < len) {
		control.head.cmsg_level = SOL_UDP;
		control.head.cmsg_type = UDP_SEGMENT;
		control.head.cmsg_len = CMSG_LEN(sizeof(u16));
		*(u16 *)CMSG_DATA(&control.head) = (u16)seg;
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control.room);
	}
	sent = kernel_sendmsg(sock, &msg, iov, n, len);
	return sent < 0 ? sent : 0;
}

static bool is_congestion(int err)
{
	return err == -EAGAIN || err == -ENOBUFS || err == -ENOMEM;
}

/*
 * may_sleep is the caller's word, since a held spinlock cannot be seen on every
 * kernel. With interrupts off the network stack is not entered at all.
 */
int gvm_xmit(struct gvm_vm *vm, struct socket *sock, struct kvec *iov, unsigned int n, size_t len,
	     size_t seg, const struct sockaddr_in *to, bool may_sleep)
{
	bool atomic = !may_sleep || in_atomic() || irqs_disabled();
	unsigned int tries = atomic ? ATOMIC_TRIES : SLEEP_TRIES;
	int err;

	if (irqs_disabled())
		return -EWOULDBLOCK;
	for (;;) {
		err = send_once(sock, iov, n, len, seg, to);
		if (!is_congestion(err) || !--tries)
			return err;
		gvm_count(vm, tx_congested);
		if (atomic) {
			touch_nmi_watchdog();
			udelay(ATOMIC_US);
		} else {
			usleep_range(SLEEP_US, 2 * SLEEP_US);
		}
	}
}
