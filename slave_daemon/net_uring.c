// SPDX-License-Identifier: GPL-2.0-or-later
/* Sockets and the receive side; the send queue is net_tx.c and net_flush.c, packets are net_pool.c.
 */
#define _GNU_SOURCE 1
#include <linux/filter.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "net_internal.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
/* From linux/sock_diag.h: what SO_MEMINFO answers. */
#define MEMINFO_DROPS 8
#define MEMINFO_VARS  9

#define DEFAULT_SOCKBUF (8U << 20)
#define DEFAULT_TX_MAX	4096
#define RX_BYTES	((size_t)GVM_BATCH * GVM_RX_MAX)
#define STEER_OFFSET	offsetof(struct gvm_header, req_id)

static int set_option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) ? -errno : 0;
}

/* FORCE goes past net.core.*mem_max where the process may. */
static void set_buffer(struct gvm_net *net, int force, int name, size_t bytes, u64 *granted)
{
	int value = 0;
	socklen_t len = sizeof(value);

	if (set_option(net->fd, SOL_SOCKET, force, bytes))
		set_option(net->fd, SOL_SOCKET, name, bytes);
	getsockopt(net->fd, SOL_SOCKET, name, &value, &len);
	*granted = value;
}

static void set_offloads(struct gvm_net *net)
{
	int value = 0;
	socklen_t len = sizeof(value);

	net->gso = !(net->flags & GVM_NET_NO_GSO) &&
		   !getsockopt(net->fd, SOL_UDP, UDP_SEGMENT, &value, &len);
	net->gro = (net->flags & GVM_NET_GRO) && !set_option(net->fd, SOL_UDP, UDP_GRO, 1);
}

/*
 * The first socket is bound without SO_REUSEPORT, so that an address in use
 * is noticed, and opened to the others of the group afterwards.
 */
static int bind_socket(struct gvm_net *net, const struct sockaddr_in *addr, bool first, bool group)
{
	socklen_t len = sizeof(net->addr);
	int err;

	if (!first) {
		err = set_option(net->fd, SOL_SOCKET, SO_REUSEPORT, 1);
		if (err)
			return err;
	}
	if (bind(net->fd, (const struct sockaddr *)addr, sizeof(*addr)))
		return -errno;
	if (getsockname(net->fd, (struct sockaddr *)&net->addr, &len))
		return -errno;
	return first && group ? set_option(net->fd, SOL_SOCKET, SO_REUSEPORT, 1) : 0;
}

static int init_rx(struct gvm_rx *rx)
{
	rx->buffers = mmap(NULL, RX_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (rx->buffers == MAP_FAILED) {
		rx->buffers = NULL;
		return -ENOMEM;
	}
	/* A huge page would make one small datagram cost 2 MiB. */
	madvise(rx->buffers, RX_BYTES, MADV_NOHUGEPAGE);
	for (unsigned int i = 0; i < GVM_BATCH; i++) {
		struct msghdr *m = &rx->msgs[i].msg_hdr;

		rx->iov[i].iov_base = rx->buffers + (size_t)i * GVM_RX_MAX;
		rx->iov[i].iov_len = GVM_RX_MAX;
		m->msg_iov = &rx->iov[i];
		m->msg_iovlen = 1;
		m->msg_name = &rx->from[i];
		m->msg_namelen = sizeof(rx->from[i]);
		m->msg_control = rx->ctl[i].buf;
		m->msg_controllen = sizeof(rx->ctl[i].buf);
	}
	return 0;
}

static int open_one(struct gvm_net **out, const struct gvm_net_config *cfg,
		    const struct sockaddr_in *addr, bool first, bool group)
{
	size_t sockbuf = cfg->sockbuf ? cfg->sockbuf : DEFAULT_SOCKBUF;
	struct gvm_net *net = calloc(1, sizeof(*net));
	int err = -ENOMEM;

	if (!net)
		return err;
	net->flags = cfg->flags;
	net->pool = cfg->pool;
	net->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (net->fd < 0) {
		err = -errno;
		goto fail;
	}
	set_buffer(net, SO_RCVBUFFORCE, SO_RCVBUF, sockbuf, &net->stats.rcvbuf);
	set_buffer(net, SO_SNDBUFFORCE, SO_SNDBUF, sockbuf, &net->stats.sndbuf);
	set_offloads(net);
	err = bind_socket(net, addr, first, group);
	if (!err)
		err = init_rx(&net->rx);
	if (!err)
		err = gvm_tx_init(net, cfg->tx_max ? cfg->tx_max : DEFAULT_TX_MAX);
	if (err)
		goto fail;
	*out = net;
	return 0;
fail:
	gvm_net_close(net);
	return err;
}

/* Socket number (low byte of req_id) % n of the group, in the order of bind. */
static int steer(int fd, unsigned int n)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, STEER_OFFSET),
		BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, n),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};
	struct sock_fprog prog = {.len = ARRAY_SIZE(code), .filter = code};

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &prog, sizeof(prog)))
		return -errno;
	return 0;
}

int gvm_net_open(struct gvm_net **nets, unsigned int n, const struct gvm_net_config *cfg)
{
	struct sockaddr_in addr = cfg->bind;
	unsigned int opened = 0;
	int err = n ? 0 : -EINVAL;

	addr.sin_family = AF_INET;
	while (!err && opened < n) {
		err = open_one(&nets[opened], cfg, &addr, opened == 0, n > 1);
		if (!err)
			addr = nets[opened++]->addr;
	}
	if (!err && n > 1 && (cfg->flags & GVM_NET_STEER))
		err = steer(nets[0]->fd, n);
	if (!err)
		return 0;
	while (opened)
		gvm_net_close(nets[--opened]);
	return err;
}

void gvm_net_close(struct gvm_net *net)
{
	if (!net)
		return;
	if (net->fd >= 0)
		close(net->fd);
	if (net->tx.pieces)
		gvm_tx_free(net);
	gvm_pkt_cache_drain(net->pool, &net->cache);
	if (net->rx.buffers)
		munmap(net->rx.buffers, RX_BYTES);
	free(net);
}

int gvm_net_fd(const struct gvm_net *net)
{
	return net->fd;
}

void gvm_net_addr(const struct gvm_net *net, struct sockaddr_in *out)
{
	*out = net->addr;
}

/* Length of the datagrams that GRO joined, or 0. */
static size_t gro_segment(struct msghdr *m)
{
	struct cmsghdr *c;
	int value;

	for (c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO)
			continue;
		memcpy(&value, CMSG_DATA(c), sizeof(value));
		return value > 0 ? value : 0;
	}
	return 0;
}

static unsigned int hand_over(struct gvm_net *net, unsigned int i, gvm_net_rx_fn fn, void *ctx)
{
	struct mmsghdr *m = &net->rx.msgs[i];
	const u8 *p = net->rx.iov[i].iov_base;
	size_t left = m->msg_len;
	size_t seg = gro_segment(&m->msg_hdr);
	unsigned int n = 0;

	m->msg_hdr.msg_namelen = sizeof(net->rx.from[i]);
	m->msg_hdr.msg_controllen = sizeof(net->rx.ctl[i].buf);
	if (m->msg_hdr.msg_flags & MSG_TRUNC) {
		STAT_ADD(net->stats.rx_truncated, 1);
		return 0;
	}
	STAT_ADD(net->stats.rx_bytes, left);
	if (!seg)
		seg = left;
	do { /* once for an empty datagram too: the handler counts it as malformed */
		size_t len = left < seg ? left : seg;

		fn(ctx, p, len, &net->rx.from[i]);
		p += len;
		left -= len;
		n++;
	} while (left);
	return n;
}

/* What a call for another datagram may bring to light and what the next call does not see. */
static bool passes(int err)
{
	return err != EBADF && err != ENOTSOCK && err != EFAULT && err != EINVAL && err != ENOMEM;
}

int gvm_net_recv(struct gvm_net *net, gvm_net_rx_fn fn, void *ctx)
{
	unsigned int datagrams = 0;
	int n;

	n = recvmmsg(net->fd, net->rx.msgs, GVM_BATCH, MSG_DONTWAIT, NULL);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n < 0) {
		STAT_ADD(net->stats.rx_errors, 1);
		return passes(errno) ? 0 : -errno;
	}
	STAT_ADD(net->stats.rx_calls, 1);
	STAT_ADD(net->stats.rx_buffers, n);
	for (int i = 0; i < n; i++)
		datagrams += hand_over(net, i, fn, ctx);
	STAT_ADD(net->stats.rx_datagrams, datagrams);
	return n;
}

static s64 now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000LL + ts.tv_nsec / 1000;
}

static int poll_once(struct gvm_net *net, s64 timeout_us)
{
	struct pollfd p = {.fd = net->fd, .events = POLLIN};
	struct timespec ts = {timeout_us / 1000000, timeout_us % 1000000 * 1000};
	int n;

	if (gvm_net_queued(net))
		p.events |= POLLOUT;
	n = ppoll(&p, 1, timeout_us < 0 ? NULL : &ts, NULL);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	return n;
}

int gvm_net_wait(struct gvm_net *net, unsigned int spin_us, s64 timeout_us)
{
	s64 start, spent;
	int n;

	if (!spin_us)
		return poll_once(net, timeout_us);
	start = now_us();
	do {
		n = poll_once(net, 0);
		spent = now_us() - start;
		if (n || (timeout_us >= 0 && spent >= timeout_us))
			return n;
	} while (spent < spin_us);
	return poll_once(net, timeout_us < 0 ? -1 : timeout_us - spent);
}

void gvm_net_stats(const struct gvm_net *net, struct gvm_net_stats *out)
{
	const u64 *from = (const u64 *)&net->stats;
	u64 *to = (u64 *)out;
	u32 mem[MEMINFO_VARS] = {0};
	socklen_t len = sizeof(mem);

	static_assert(sizeof(*out) % sizeof(u64) == 0, "only u64 inside");
	for (size_t i = 0; i < sizeof(*out) / sizeof(u64); i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
	out->tx_sends += __atomic_load_n(&net->now_sends, __ATOMIC_RELAXED);
	out->tx_bytes += __atomic_load_n(&net->now_bytes, __ATOMIC_RELAXED);
	out->tx_errors += __atomic_load_n(&net->now_errors, __ATOMIC_RELAXED);
	if (!getsockopt(net->fd, SOL_SOCKET, SO_MEMINFO, mem, &len))
		out->rx_overflow = mem[MEMINFO_DROPS];
	out->gro = net->gro;
}
