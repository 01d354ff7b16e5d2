// SPDX-License-Identifier: GPL-2.0-or-later
#define _GNU_SOURCE
#include "floor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SOL_UDP
#define SOL_UDP IPPROTO_UDP
#endif
#define HEAD	  sizeof(struct floor_head)
#define ROOM	  (FLOOR_AHEAD_MAX * (HEAD + PAGE_BYTES))
#define SOCKBUF	  (8 << 20)
#define TIMEOUT_S 2

static int udp_socket(struct sockaddr_in *addr)
{
	struct timeval limit = {.tv_sec = TIMEOUT_S};
	socklen_t len = sizeof(*addr);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = SOCKBUF;

	*addr = (struct sockaddr_in){.sin_family = AF_INET};
	addr->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)addr, sizeof(*addr)) ||
	    getsockname(fd, (struct sockaddr *)addr, &len))
		die("no UDP socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

/* Receives into iov; how long each datagram of it is does not matter here. */
static ssize_t receive(int fd, struct iovec *iov, size_t n, struct sockaddr_in *from)
{
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = n};

	m.msg_name = from;
	m.msg_namelen = from ? sizeof(*from) : 0;
	return recvmsg(fd, &m, 0);
}

/* Sends iov as datagrams of segment bytes, or as one if that is 0. */
static void transmit(int fd, struct iovec *iov, size_t n, const struct sockaddr_in *to,
		     uint16_t segment)
{
	union {
		char buf[CMSG_SPACE(sizeof(uint16_t))];
		struct cmsghdr align;
	} control = {{0}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = n, .msg_name = (void *)to};

	m.msg_namelen = to ? sizeof(*to) : 0;
	if (segment) {
		m.msg_control = control.buf;
		m.msg_controllen = sizeof(control.buf);
		control.align.cmsg_level = SOL_UDP;
		control.align.cmsg_type = UDP_SEGMENT;
		control.align.cmsg_len = CMSG_LEN(sizeof(segment));
		memcpy(CMSG_DATA(&control.align), &segment, sizeof(segment));
	}
	if (sendmsg(fd, &m, 0) < 0)
		die("sendmsg");
}

/* Where ours has the gateway. */
static void relay(const struct floor *f, int fd)
{
	static _Alignas(struct floor_head) uint8_t buf[ROOM];
	struct sockaddr_in from;
	struct iovec iov;
	ssize_t n;

	for (;;) {
		const struct floor_head *h = (const struct floor_head *)buf;

		iov = (struct iovec){buf, sizeof(buf)};
		n = receive(fd, &iov, 1, &from);
		if (n < (ssize_t)HEAD)
			continue;
		iov.iov_len = n;
		if (from.sin_port == f->server_addr.sin_port)
			transmit(fd, &iov, 1, &h->reply_to,
				 n > (ssize_t)(HEAD + PAGE_BYTES) ? HEAD + PAGE_BYTES : 0);
		else
			transmit(fd, &iov, 1, &f->server_addr, 0);
	}
}

static uint8_t *server_data(const struct floor *f)
{
	uint8_t *data = mmap(NULL, f->pages * PAGE_BYTES, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t page;

	if (data == MAP_FAILED)
		die("no memory for the server's pages");
	for (page = 0; page < f->pages; page++)
		page_fill(data + page * PAGE_BYTES, page);
	return data;
}

/* Sends count pages from h->page on, as many a send as gso says. */
static void serve(const struct floor *f, int fd, uint8_t *data, struct floor_head *h,
		  const struct sockaddr_in *to)
{
	unsigned int each = f->gso ? FLOOR_GSO_PAGES : 1, done, i;
	struct iovec iov[2 * FLOOR_GSO_PAGES];

	for (done = 0; done < h->count; done += each) {
		for (i = 0; i < each && done + i < h->count; i++) {
			iov[2 * i] = (struct iovec){h, HEAD};
			iov[2 * i + 1] = (struct iovec){data + (h->page + done + i) * PAGE_BYTES,
							PAGE_BYTES};
		}
		transmit(fd, iov, 2 * i, to, i > 1 ? HEAD + PAGE_BYTES : 0);
	}
}

static void server(const struct floor *f, int fd, int ready)
{
	uint8_t *data = server_data(f);
	struct sockaddr_in from;
	struct floor_head h;
	struct iovec iov;

	if (write(ready, "", 1) != 1)
		die("the program that started the server is gone");
	for (;;) {
		iov = (struct iovec){&h, HEAD};
		if (receive(fd, &iov, 1, &from) != HEAD || h.count > FLOOR_AHEAD_MAX ||
		    h.page + h.count > f->pages)
			continue;
		serve(f, fd, data, &h, f->through_relay ? &from : &h.reply_to);
	}
}

/* Where the count pages of an answer go: headers aside, each to its place. */
static void place(struct iovec *iov, uint8_t *pages, unsigned int count)
{
	static __thread struct floor_head heads[FLOOR_AHEAD_MAX];
	unsigned int i;

	for (i = 0; i < count; i++) {
		iov[2 * i] = (struct iovec){&heads[i], HEAD};
		iov[2 * i + 1] = (struct iovec){pages + i * PAGE_BYTES, PAGE_BYTES};
	}
}

static void fetch(const struct floor *f, int fd, const struct floor_head *h, uint8_t *pages)
{
	struct iovec iov[2 * FLOOR_AHEAD_MAX], request = {(void *)h, HEAD};
	unsigned int done = 0;
	ssize_t n;

	transmit(fd, &request, 1, &f->relay_addr, 0);
	while (done < h->count) {
		place(iov, pages + done * PAGE_BYTES, h->count - done);
		n = receive(fd, iov, 2 * (h->count - done), NULL);
		if (n <= 0)
			die("no answer for page %llu", (unsigned long long)h->page);
		done += n / (HEAD + PAGE_BYTES);
	}
}

static void resolve(const struct floor *f, uint64_t addr, uint8_t *pages, uint64_t len)
{
	struct uffdio_continue cont = {.range = {addr, len}};
	struct uffdio_copy copy = {.dst = addr, .src = (uintptr_t)pages, .len = len};

	if (f->copy ? ioctl(f->uffd, UFFDIO_COPY, &copy) : ioctl(f->uffd, UFFDIO_CONTINUE, &cont))
		die("userfaultfd cannot map page %#llx", (unsigned long long)addr);
}

static void *handler(void *arg)
{
	const struct floor *f = arg;
	uint8_t *buffer = aligned_alloc(PAGE_BYTES, FLOOR_AHEAD_MAX * PAGE_BYTES), *pages;
	struct floor_head h;
	struct uffd_msg msg;
	int fd = udp_socket(&h.reply_to), on = 1;

	if (f->gso)
		setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof(on));
	pin_to(f->services);
	while (read(f->uffd, &msg, sizeof(msg)) == sizeof(msg)) {
		uint64_t addr = msg.arg.pagefault.address & ~(PAGE_BYTES - 1);

		h.page = (addr - (uintptr_t)f->ram.base) / PAGE_BYTES;
		h.count = f->pages - h.page < f->ahead ? f->pages - h.page : f->ahead;
		pages = f->copy ? buffer : f->own + h.page * PAGE_BYTES;
		fetch(f, fd, &h, pages);
		resolve(f, addr, pages, h.count * PAGE_BYTES);
	}
	die("read of a userfaultfd");
}

static void open_memory(struct floor *f)
{
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_MINOR_SHMEM};
	struct uffdio_register reg = {.mode = UFFDIO_REGISTER_MODE_MISSING |
					      UFFDIO_REGISTER_MODE_MINOR};
	size_t size = f->pages * PAGE_BYTES;

	f->memfd = memfd_create("floor", MFD_CLOEXEC);
	if (f->memfd < 0 || ftruncate(f->memfd, size))
		die("no memory object");
	f->own = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, f->memfd, 0);
	f->ram.base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, f->memfd, 0);
	if (f->own == MAP_FAILED || f->ram.base == MAP_FAILED)
		die("cannot map the memory object");
	madvise(f->own, size, MADV_NOHUGEPAGE);
	madvise(f->ram.base, size, MADV_NOHUGEPAGE);
	f->uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	reg.range = (struct uffdio_range){(uintptr_t)f->ram.base, size};
	if (f->uffd < 0 || ioctl(f->uffd, UFFDIO_API, &api) ||
	    ioctl(f->uffd, UFFDIO_REGISTER, &reg))
		die("no userfaultfd");
}

/* A process that ends with this one. */
static bool in_child(const struct floor *f)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid > 0)
		return false;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin_to(f->services);
	return true;
}

void floor_start(struct floor *f)
{
	int server_fd = udp_socket(&f->server_addr), relay_fd = udp_socket(&f->relay_addr);
	int ready[2];
	char byte;
	unsigned int i;
	pthread_t t;

	if (pipe(ready))
		die("pipe");
	if (in_child(f))
		server(f, server_fd, ready[1]);
	if (in_child(f))
		relay(f, relay_fd);
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		die("the server did not start");
	close(ready[0]);
	f->ram.pages = f->pages;
	f->ram.cpu = f->cpu;
	open_memory(f);
	for (i = 0; i < f->handlers; i++)
		if (pthread_create(&t, NULL, handler, f))
			die("pthread_create");
	pin_to(f->cpu);
}

void floor_empty(struct floor *f)
{
	if (fallocate(f->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		      f->pages * PAGE_BYTES))
		die("fallocate");
}

int floor_option(struct floor *f, const char *option)
{
	if (sscanf(option, "cpu=%d", &f->cpu) == 1 ||
	    sscanf(option, "services=%d", &f->services) == 1 ||
	    sscanf(option, "pages=%lu", &f->pages) == 1 ||
	    sscanf(option, "run=%u", &f->ram.run) == 1)
		return 1;
	if (!strcmp(option, "relay"))
		return f->through_relay = true;
	if (!strcmp(option, "gso"))
		return f->gso = true;
	if (!strcmp(option, "copy"))
		return f->copy = true;
	return 0;
}
