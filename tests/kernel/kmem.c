// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kmem COMMAND VM ...: uses a VM of the kernel module as memory. Exit status 0
 * when what it is about holds, with a line that says what was done or is wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../client/gvm_client.h"
#include "../../common_include/giantvm_ioctl.h"
#include "../guest/pattern.h"

#define MIB   (1UL << 20)
#define PAGES (MIB / PATTERN_PAGE)

struct ram {
	unsigned char *base;
	size_t pages;
};

static int fail(const char *what)
{
	printf("kmem: %s: %s\n", what, strerror(errno));
	return 1;
}

static int open_vm(unsigned int id)
{
	struct gvm_ioctl_vm v = {.version = GVM_IOCTL_VERSION, .vm_id = id};
	int fd = open(GVM_DEVICE, O_RDWR), vm;

	if (fd < 0)
		return -1;
	vm = ioctl(fd, IOCTL_VM_OPEN, &v);
	close(fd);
	return vm;
}

static int map_vm(struct ram *r, const char *id, const char *mb)
{
	int fd = open_vm((unsigned int)atoi(id));

	if (fd < 0)
		return fail("open");
	r->pages = strtoul(mb, NULL, 10) * PAGES;
	r->base = mmap(NULL, r->pages * PATTERN_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return r->base == MAP_FAILED ? fail("mmap") : 0;
}

static uint64_t *page_at(const struct ram *r, size_t i)
{
	return (uint64_t *)(r->base + i * PATTERN_PAGE);
}

static int check_page(const struct ram *r, size_t i, uint64_t seed, uint64_t generation)
{
	struct pattern p = {seed, i, generation};
	uint64_t sum;
	size_t bad = pattern_check(page_at(r, i), &p, &sum);

	if (bad == PATTERN_WORDS)
		return 0;
	printf("kmem: page %zu word %zu is %016llx (seed %llu, generation %llu)\n", i, bad,
	       (unsigned long long)page_at(r, i)[bad], (unsigned long long)seed,
	       (unsigned long long)generation);
	return 1;
}

/* fill VM MIB SEED ROUNDS: every page, then random ones again, then all is read back. */
static int run_fill(int argc, char **argv)
{
	uint64_t seed, x;
	unsigned char *generation;
	size_t i, n, bad = 0;
	struct ram r;

	if (argc < 4 || map_vm(&r, argv[0], argv[1]))
		return 1;
	seed = strtoull(argv[2], NULL, 10);
	generation = calloc(r.pages, 1);
	for (i = 0; i < r.pages; i++)
		bad += page_at(&r, i)[7] != 0;
	if (bad)
		printf("kmem: %zu pages that nobody wrote are not zero\n", bad);
	for (i = 0; i < r.pages; i++)
		pattern_fill(page_at(&r, i), &(struct pattern){seed, i, 0});
	x = pattern_mix(seed) | 1;
	for (n = strtoul(argv[3], NULL, 10); n; n--) {
		x = pattern_next(x);
		i = (x >> 8) % r.pages;
		bad += check_page(&r, i, seed, generation[i]);
		pattern_fill(page_at(&r, i), &(struct pattern){seed, i, ++generation[i]});
	}
	for (i = 0; i < r.pages; i++)
		bad += check_page(&r, i, seed, generation[i]);
	printf("kmem: %zu pages filled and read back, %zu wrong\n", r.pages, bad);
	return bad != 0;
}

/* verify VM MIB SEED: what `fill ... 0` left. */
static int run_verify(int argc, char **argv)
{
	size_t i, bad = 0;
	struct ram r;

	if (argc < 3 || map_vm(&r, argv[0], argv[1]))
		return 1;
	for (i = 0; i < r.pages; i++)
		bad += check_page(&r, i, strtoull(argv[2], NULL, 10), 0);
	printf("kmem: %zu pages read back, %zu wrong\n", r.pages, bad);
	return bad != 0;
}

/* One of several processes: its own pages, and words that all of them add to. */
static int one_of(const struct ram *r, unsigned int me, unsigned int of, unsigned int rounds)
{
	uint64_t *shared, x = pattern_mix(me + 77) | 1;
	unsigned int round;
	size_t i, bad = 0;

	for (round = 0; round < rounds; round++) {
		for (i = me + of; i < r->pages; i += of) {
			if (round)
				bad += check_page(r, i, me, round - 1);
			pattern_fill(page_at(r, i), &(struct pattern){me, i, round});
			x = pattern_next(x);
			shared = page_at(r, 0) + (x >> 8) % PATTERN_WORDS;
			__atomic_fetch_add(shared, 1, __ATOMIC_SEQ_CST);
		}
	}
	return bad != 0;
}

/* procs VM MIB N ROUNDS */
static int run_procs(int argc, char **argv)
{
	unsigned int n, i, rounds, failed = 0;
	uint64_t sum = 0, want = 0;
	struct ram r;
	int status;

	if (argc < 4 || map_vm(&r, argv[0], argv[1]))
		return 1;
	n = (unsigned int)atoi(argv[2]);
	rounds = (unsigned int)atoi(argv[3]);
	memset(page_at(&r, 0), 0, PATTERN_PAGE);
	fflush(stdout);
	for (i = 0; i < n; i++) {
		want += (r.pages - i - n + n - 1) / n * (uint64_t)rounds;
		if (!fork()) {
			struct ram own;

			/* Half of them with a mapping of their own, half with what fork left. */
			if (i % 2 && map_vm(&own, argv[0], argv[1]))
				_exit(1);
			status = one_of(i % 2 ? &own : &r, i, n, rounds);
			fflush(stdout);
			_exit(status);
		}
	}
	while (wait(&status) > 0)
		failed += status != 0;
	for (i = 0; i < PATTERN_WORDS; i++)
		sum += page_at(&r, 0)[i];
	printf("kmem: %u processes, %u failed, %llu of %llu additions\n", n, failed,
	       (unsigned long long)sum, (unsigned long long)want);
	return failed || sum != want;
}

/* churn VM MIB SEED: random reads and writes, for ever. */
static int run_churn(int argc, char **argv)
{
	struct ram r;
	uint64_t x;

	if (argc < 3 || map_vm(&r, argv[0], argv[1]))
		return 1;
	printf("kmem: churning\n");
	fflush(stdout);
	for (x = pattern_mix(strtoull(argv[2], NULL, 10)) | 1;;) {
		x = pattern_next(x);
		if (x & 1)
			page_at(&r, (x >> 8) % r.pages)[5] = x;
		else if (page_at(&r, (x >> 8) % r.pages)[9] == 1)
			return 1;
	}
}

/* Rounds of: a process that works on the VM is killed, or closes, at a random moment. */
static int run_kills(int argc, char **argv)
{
	unsigned int rounds, i, bad = 0;
	uint64_t x;
	int status;

	if (argc < 4)
		return 1;
	rounds = (unsigned int)atoi(argv[2]);
	x = pattern_mix(strtoull(argv[3], NULL, 10)) | 1;
	for (i = 0; i < rounds; i++) {
		struct timespec t = {0, 0};
		pid_t pid;

		x = pattern_next(x);
		t.tv_nsec = (long)((x >> 8) % 30000000);
		fflush(stdout);
		pid = fork();
		if (!pid) {
			char *args[] = {argv[0], argv[1], "1"};

			if (!freopen("/dev/null", "w", stdout))
				_exit(1);
			if (x & 2)
				alarm(1);
			_exit(run_churn(3, args));
		}
		nanosleep(&t, NULL);
		kill(pid, x & 4 ? SIGKILL : SIGTERM);
		if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status)) {
			bad++;
			printf("kmem: round %u ended with status %x\n", i, status);
		}
	}
	printf("kmem: %u rounds, %u wrong\n", rounds, bad);
	return bad != 0;
}

static sigjmp_buf jump;

static void on_sigbus(int sig)
{
	(void)sig;
	siglongjmp(jump, 1);
}

/* sigbus VM MIB SECONDS: some page cannot be had; the access ends, and the others go on. */
static int run_sigbus(int argc, char **argv)
{
	struct timespec from, to;
	volatile size_t i, errors = 0;
	volatile double longest = 0;
	double took, limit;
	struct ram r;

	if (argc < 3 || map_vm(&r, argv[0], argv[1]))
		return 1;
	limit = atof(argv[2]);
	signal(SIGBUS, on_sigbus);
	/* One page of every MiB: a stripe of each home is among them. */
	for (i = 0; i < r.pages; i += PAGES) {
		clock_gettime(CLOCK_MONOTONIC, &from);
		if (!sigsetjmp(jump, 1))
			page_at(&r, i)[3] = 1;
		else
			errors++;
		clock_gettime(CLOCK_MONOTONIC, &to);
		took = (double)(to.tv_sec - from.tv_sec) +
		       (double)(to.tv_nsec - from.tv_nsec) / 1e9;
		longest = took > longest ? took : longest;
	}
	printf("kmem: %zu of %zu accesses got SIGBUS, the longest took %.1f s\n", errors,
	       r.pages / PAGES, longest);
	return !errors || errors == r.pages / PAGES || longest > limit;
}

/* nomap: without a VM there is nothing to map, and no private mapping is possible. */
static int run_nomap(int argc, char **argv)
{
	int fd = open(GVM_DEVICE, O_RDWR);
	void *p;

	(void)argc;
	(void)argv;
	if (fd < 0)
		return fail("open");
	p = mmap(NULL, PATTERN_PAGE, PROT_READ, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED || errno != ENXIO)
		return fail("a mapping without a VM");
	printf("kmem: nothing to map\n");
	return 0;
}

/* limits VM MIB: what must not be mapped. */
static int run_limits(int argc, char **argv)
{
	size_t size;
	int fd;

	if (argc < 2)
		return 1;
	size = strtoul(argv[1], NULL, 10) * MIB;
	fd = open_vm((unsigned int)atoi(argv[0]));
	if (fd < 0)
		return fail("open");
	if (lseek(fd, 0, SEEK_END) != (off_t)size)
		return fail("the size");
	if (mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) != MAP_FAILED)
		return fail("a private mapping");
	if (mmap(NULL, size + PATTERN_PAGE, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED)
		return fail("beyond the end");
	if (mmap(NULL, size, PROT_READ, MAP_SHARED, fd, PATTERN_PAGE) != MAP_FAILED)
		return fail("beyond the end, from an offset");
	if (mmap(NULL, PATTERN_PAGE, PROT_READ, MAP_SHARED, fd, -4096L) != MAP_FAILED)
		return fail("a huge offset");
	printf("kmem: limits hold\n");
	return 0;
}

#define SHARED_PAGES 4
#define FLAG_PAGE    8
#define DATA_PAGE    600 /* of another home */

/* Atomic additions to the same words by both nodes, one of which is not this kernel's. */
static void add_to_shared(unsigned char *base, unsigned int rounds)
{
	unsigned int i;

	for (i = 0; i < rounds; i++)
		__atomic_fetch_add((uint64_t *)(base + (size_t)(i % SHARED_PAGES) * PATTERN_PAGE),
				   1, __ATOMIC_SEQ_CST);
}

static uint64_t *word_at(unsigned char *base, size_t page)
{
	return (uint64_t *)(base + page * PATTERN_PAGE);
}

static void send_messages(unsigned char *base, unsigned int rounds)
{
	uint64_t i;

	for (i = 1; i <= rounds; i++) {
		__atomic_store_n(word_at(base, DATA_PAGE), 3 * i, __ATOMIC_RELEASE);
		__atomic_store_n(word_at(base, FLAG_PAGE), i, __ATOMIC_RELEASE);
		while (__atomic_load_n(word_at(base, FLAG_PAGE) + 1, __ATOMIC_ACQUIRE) < i)
			usleep(100);
	}
}

/* The data are never older than the flag that says they are there. */
static unsigned int take_messages(unsigned char *base, unsigned int rounds)
{
	unsigned int stale = 0;
	uint64_t i;

	for (i = 1; i <= rounds; i++) {
		while (__atomic_load_n(word_at(base, FLAG_PAGE), __ATOMIC_ACQUIRE) < i)
			usleep(100);
		stale += __atomic_load_n(word_at(base, DATA_PAGE), __ATOMIC_ACQUIRE) != 3 * i;
		__atomic_store_n(word_at(base, FLAG_PAGE) + 1, i, __ATOMIC_RELEASE);
	}
	return stale;
}

/* It stays until the other has read everything. */
static void user_mode_node(const char *socket, unsigned int rounds, int stay)
{
	struct gvm_client c;
	unsigned int stale;
	char byte;

	gvm_client_init(&c);
	if (gvm_client_open(&c, socket, 0)) {
		printf("kmem: %s\n", c.error);
		fflush(stdout);
		_exit(1);
	}
	add_to_shared(c.base, rounds);
	stale = take_messages(c.base, rounds);
	stale += read(stay, &byte, 1) != 0;
	gvm_client_detach(&c);
	_exit(stale != 0);
}

/* both VM MIB SOCKET ROUNDS: one node of Mode A and one of Mode B work on the same pages. */
static int run_both(int argc, char **argv)
{
	unsigned int rounds, i;
	uint64_t sum = 0;
	int status, stay[2];
	struct ram r;

	if (argc < 4 || map_vm(&r, argv[0], argv[1]) || pipe(stay))
		return 1;
	rounds = (unsigned int)atoi(argv[3]);
	fflush(stdout);
	if (!fork()) {
		close(stay[1]);
		user_mode_node(argv[2], rounds, stay[0]);
	}
	add_to_shared(r.base, rounds);
	send_messages(r.base, rounds);
	for (i = 0; i < SHARED_PAGES; i++)
		sum += *word_at(r.base, i);
	close(stay[1]);
	wait(&status);
	printf("kmem: %llu of %u additions, the other node ended with %x\n",
	       (unsigned long long)sum, 2 * rounds, status);
	return status || sum != 2 * rounds;
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"fill", run_fill},	{"procs", run_procs},	{"churn", run_churn},
	{"kills", run_kills},	{"sigbus", run_sigbus}, {"nomap", run_nomap},
	{"limits", run_limits}, {"verify", run_verify}, {"both", run_both},
};

int main(int argc, char **argv)
{
	size_t i;

	for (i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].name, argv[1]))
			return commands[i].run(argc - 2, argv + 2);
	fprintf(stderr,
		"usage: kmem fill|verify|procs|churn|kills|sigbus|both|nomap|limits VM ...\n");
	return 2;
}
