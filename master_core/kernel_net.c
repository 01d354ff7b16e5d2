// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VM's socket. What comes in is taken off the socket in its data-ready
 * callback, looked at, and queued for whoever pumps; what goes out is queued by
 * the logic, under its locks, and sent when they are released.
 */
#include <linux/nsproxy.h>
#include <linux/udp.h>
#include <net/ip.h>
#include <net/net_namespace.h>
#include <net/sock.h>

#include "kernel_internal.h"

#define RX_QUEUE_MAX 8192
#define TX_QUEUE_MAX 8192
#define BUFFER_BYTES (4 << 20)
#define SMALL	     512 /* packets up to it are kmalloc'ed */
#define GATHER	     16	 /* messages a datagram */

struct gvm_net {
	struct gvm_vm *vm;
	struct rw_semaphore lock; /* of sock: senders hold it for reading */
	struct socket *sock;
	struct net *ns;
	void (*old_data_ready)(struct sock *sk);
	__be16 port;
	bool no_gso;
	struct sk_buff_head rx;
	spinlock_t tx_lock;
	struct list_head tx;
	u32 tx_count;
};

/* Packet buffers. */

static struct gvm_packet *packet_of(void *data)
{
	return container_of(data, struct gvm_packet, data);
}

void *gvm_packet_alloc(void *ctx, size_t size, bool atomic)
{
	gfp_t gfp = (atomic ? GFP_ATOMIC : GFP_KERNEL) | __GFP_NOWARN;
	size_t whole = sizeof(struct gvm_packet) + size;
	struct gvm_packet *p;

	if (size > gvm_wire_size(GVM_MSG_MAX))
		return NULL;
	p = whole > SMALL ? kmem_cache_alloc(gvm_packets, gfp) : kmalloc(whole, gfp);
	if (!p)
		return NULL;
	p->slab = whole > SMALL;
	return p->data;
}

void gvm_packet_free(void *ctx, void *pkt)
{
	struct gvm_packet *p = pkt ? packet_of(pkt) : NULL;

	if (!p)
		return;
	if (p->slab)
		kmem_cache_free(gvm_packets, p);
	else
		kfree(p);
}

/* Coming in. */

/* What is no datagram of ours goes no further than this. */
static bool looks_right(struct sk_buff *skb)
{
	return !skb_checksum_complete(skb) && pskb_may_pull(skb, GVM_HEADER_SIZE) &&
	       gvm_get_le32(skb->data) == GVM_MAGIC;
}

static void take(struct gvm_net *net, struct sk_buff *skb)
{
	struct gvm_vm *vm = net->vm;

	gvm_count(vm, rx_datagrams);
	if (!looks_right(skb)) {
		gvm_stat_inc(vm->node, rx_bad);
		kfree_skb(skb);
	} else if (skb_queue_len(&net->rx) >= RX_QUEUE_MAX) {
		gvm_count(vm, rx_dropped);
		kfree_skb(skb);
	} else {
		skb_queue_tail(&net->rx, skb);
	}
}

/* Softirq context. */
static void data_ready(struct sock *sk)
{
	struct gvm_net *net;
	struct sk_buff *skb;

	read_lock_bh(&sk->sk_callback_lock);
	net = sk->sk_user_data;
	if (net) {
		while ((skb = gvm_skb_recv(sk)))
			take(net, skb);
		gvm_pump_kick(net->vm);
	}
	read_unlock_bh(&sk->sk_callback_lock);
}

struct sk_buff *gvm_net_next(struct gvm_net *net)
{
	return skb_dequeue(&net->rx);
}

bool gvm_net_pending(const struct gvm_net *net)
{
	return !skb_queue_empty_lockless(&net->rx);
}

/* Going out. */

int gvm_net_send_to(struct gvm_vm *vm, void *pkt, size_t len, size_t seg,
		    const struct sockaddr_in *to)
{
	struct gvm_packet *p = packet_of(pkt);
	struct gvm_net *net = vm->net;
	unsigned long flags;
	int err = 0;

	p->len = (u32)len;
	p->seg = (u32)seg;
	p->ip = to->sin_addr.s_addr;
	p->port = to->sin_port;
	spin_lock_irqsave(&net->tx_lock, flags);
	if (net->tx_count < TX_QUEUE_MAX) {
		list_add_tail(&p->list, &net->tx);
		net->tx_count++;
	} else {
		err = -ENOBUFS;
	}
	spin_unlock_irqrestore(&net->tx_lock, flags);
	if (err) {
		gvm_count(vm, tx_dropped);
		gvm_packet_free(vm, pkt);
	} else if (irqs_disabled()) {
		/* Nobody may be about to flush. */
		queue_work(gvm_wq, &vm->rx_work);
	}
	return err;
}

int gvm_net_send(void *ctx, void *pkt, size_t len, size_t seg, u32 target)
{
	struct gvm_vm *vm = ctx;
	struct sockaddr_in to;

	if (gvm_gateway_of_node(target, &to))
		return gvm_net_send_to(vm, pkt, len, seg, &to);
	gvm_count(vm, tx_no_route);
	gvm_packet_free(vm, pkt);
	return -ENETUNREACH;
}

static bool joins(const struct gvm_packet *first, const struct gvm_packet *p, size_t len)
{
	return p->ip == first->ip && p->port == first->port && p->len <= p->seg &&
	       len + p->len <= GVM_DATAGRAM_MAX;
}

/* One message in fragments, each a datagram. */
static int send_segments(struct gvm_net *net, struct gvm_packet *p, const struct sockaddr_in *to)
{
	struct kvec iov = {p->data, p->len};
	u32 off;
	int err;

	if (!net->no_gso) {
		err = gvm_xmit(net->vm, net->sock, &iov, 1, p->len, p->seg, to, true);
		if (err != -EINVAL && err != -EIO && err != -EOPNOTSUPP)
			return err;
		net->no_gso = true;
	}
	for (off = 0, err = 0; off < p->len && !err; off += p->seg) {
		size_t part = min_t(size_t, p->seg, p->len - off);

		iov = (struct kvec){p->data + off, part};
		err = gvm_xmit(net->vm, net->sock, &iov, 1, part, part, to, true);
	}
	return err;
}

/* The first packet, and those after it that fit its datagram. */
static void send_group(struct gvm_net *net, struct list_head *list)
{
	struct gvm_packet *first = list_first_entry(list, struct gvm_packet, list), *p, *next;
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = first->port, .sin_addr.s_addr = first->ip};
	struct kvec iov[GATHER];
	LIST_HEAD(group);
	unsigned int n = 0;
	size_t len = 0;
	int err;

	list_for_each_entry_safe(p, next, list, list)
	{
		if (n && (first->len > first->seg || n == GATHER || !joins(first, p, len)))
			break;
		list_move_tail(&p->list, &group);
		iov[n++] = (struct kvec){p->data, p->len};
		len += p->len;
	}
	if (first->len > first->seg)
		err = send_segments(net, first, &to);
	else
		err = gvm_xmit(net->vm, net->sock, iov, n, len, len, &to, true);
	gvm_count(net->vm, tx_datagrams);
	gvm_count_n(net->vm, tx_packets, n);
	if (err)
		gvm_count_n(net->vm, tx_dropped, n);
	list_for_each_entry_safe(p, next, &group, list) gvm_packet_free(net->vm, p->data);
}

static void drop_all(struct gvm_net *net, struct list_head *list)
{
	struct gvm_packet *p, *next;

	list_for_each_entry_safe(p, next, list, list) gvm_packet_free(net->vm, p->data);
	INIT_LIST_HEAD(list);
}

void gvm_net_flush(struct gvm_net *net)
{
	LIST_HEAD(list);

	if (list_empty_careful(&net->tx))
		return;
	spin_lock_irq(&net->tx_lock);
	list_splice_init(&net->tx, &list);
	net->tx_count = 0;
	spin_unlock_irq(&net->tx_lock);
	down_read(&net->lock);
	if (!net->sock)
		drop_all(net, &list);
	while (!list_empty(&list))
		send_group(net, &list);
	up_read(&net->lock);
}

/* Life. */

static void take_over(struct gvm_net *net, struct sock *sk)
{
	lock_sock(sk);
	sk->sk_allocation = GFP_ATOMIC;
	sk->sk_sndbuf = BUFFER_BYTES;
	sk->sk_rcvbuf = BUFFER_BYTES;
	sk->sk_userlocks |= SOCK_SNDBUF_LOCK | SOCK_RCVBUF_LOCK;
#ifdef CONFIG_NET_RX_BUSY_POLL
	sk->sk_ll_usec = 0; /* the callback must not poll the device */
#endif
	release_sock(sk);
	write_lock_bh(&sk->sk_callback_lock);
	net->old_data_ready = sk->sk_data_ready;
	sk->sk_user_data = net;
	sk->sk_data_ready = data_ready;
	write_unlock_bh(&sk->sk_callback_lock);
}

int gvm_net_create(struct gvm_vm *vm, __be32 ip, __be16 port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = ip};
	struct gvm_net *net = kzalloc(sizeof(*net), GFP_KERNEL);
	int err;

	if (!net)
		return -ENOMEM;
	net->vm = vm;
	init_rwsem(&net->lock);
	skb_queue_head_init(&net->rx);
	spin_lock_init(&net->tx_lock);
	INIT_LIST_HEAD(&net->tx);
	net->ns = get_net(current->nsproxy->net_ns);
	vm->net = net;
	err = sock_create_kern(net->ns, AF_INET, SOCK_DGRAM, IPPROTO_UDP, &net->sock);
	if (err)
		goto fail;
	err = kernel_bind(net->sock, (struct sockaddr *)&addr, sizeof(addr));
	if (err)
		goto fail;
	net->port = inet_sk(net->sock->sk)->inet_sport;
	take_over(net, net->sock->sk);
	return 0;
fail:
	gvm_net_destroy(net);
	vm->net = NULL;
	return err;
}

__be16 gvm_net_port(const struct gvm_net *net)
{
	return net->port;
}

#ifdef GVM_KERNEL_TEST
struct socket *gvm_net_socket(struct gvm_net *net)
{
	return net->sock;
}
#endif

void gvm_net_close(struct gvm_net *net)
{
	struct socket *sock;

	down_write(&net->lock);
	sock = net->sock;
	net->sock = NULL;
	up_write(&net->lock);
	if (!sock)
		return;
	write_lock_bh(&sock->sk->sk_callback_lock);
	sock->sk->sk_user_data = NULL;
	if (net->old_data_ready)
		sock->sk->sk_data_ready = net->old_data_ready;
	write_unlock_bh(&sock->sk->sk_callback_lock);
	kernel_sock_shutdown(sock, SHUT_RDWR);
	sock_release(sock);
}

void gvm_net_destroy(struct gvm_net *net)
{
	if (!net)
		return;
	gvm_net_close(net);
	skb_queue_purge(&net->rx);
	drop_all(net, &net->tx);
	put_net(net->ns);
	kfree(net);
}
