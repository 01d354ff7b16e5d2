// SPDX-License-Identifier: GPL-2.0-or-later
/* Small guests through the executor: what they check themselves, and what their devices saw. */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "machine.h"

#define KICK_BOUND_US 1000000

struct test {
	struct host h;
	struct machine m;
	struct gvm_vcpu_state state;
	u8 wire[GVM_VCPU_STATE_MAX];
	unsigned int moves;
};

static int setup(void **state)
{
	struct test *t = calloc(1, sizeof(*t));

	if (!t || host_open(&t->h, 2, -1))
		return -1;
	t->m.h = &t->h;
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct test *t = *state;

	host_close(&t->h);
	free(t);
	return 0;
}

/* A guest's exception: what its handler has on its stack. */
static void print_fault(struct test *t)
{
	const u64 *frame;
	unsigned int i;

	if (t->h.x->get_state(t->h.v[t->m.vcpu], &t->state, t->h.error))
		return;
	frame = (const u64 *)(t->h.ram + t->state.reg[GVM_RSP] % (HOST_RAM - 128));
	for (i = 2; i < 9; i++)
		print_message("%llx ", (unsigned long long)frame[i]);
	print_message("on the stack of the exception's handler\n");
}

static int run_guest(struct test *t, const char *guest)
{
	int status;

	if (machine_load(&t->m, guest) || machine_start(&t->m))
		fail_msg("%s: %s", guest, t->h.error);
	status = machine_run(&t->m);
	if (status > 0x80)
		print_fault(t);
	return status;
}

static u64 now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ULL + ts.tv_nsec / 1000;
}

static void arithmetic(void **state)
{
	struct test *t = *state;

	assert_int_equal(run_guest(t, "arith"), 0);
}

/* The OUT is completed first, then the whole state goes over the wire to the other vCPU. */
static void move(struct machine *m, u16 value)
{
	struct test *t = (struct test *)((u8 *)m - offsetof(struct test, m));
	const struct gvm_executor *x = m->h->x;
	unsigned int to = !m->vcpu;
	int len;

	(void)value;
	if (x->get_state(m->h->v[m->vcpu], &t->state, m->h->error))
		fail_msg("%s", m->h->error);
	len = gvm_vcpu_state_encode(t->wire, sizeof(t->wire), &t->state);
	assert_true(len > 0);
	memset(&t->state, 0xee, sizeof(t->state));
	assert_int_equal(gvm_vcpu_state_decode(&t->state, t->wire, len), 0);
	if (x->set_state(m->h->v[to], &t->state, m->h->error))
		fail_msg("%s", m->h->error);
	m->vcpu = to;
	t->moves++;
}

static void moved(void **state)
{
	struct test *t = *state;

	t->m.mark = move;
	assert_int_equal(run_guest(t, "arith"), 0);
	assert_int_equal(t->moves, 32);
}

static void string_pio(void **state)
{
	struct test *t = *state;
	unsigned int i;

	assert_int_equal(run_guest(t, "pio"), 0);
	print_message("out: %u exits, in: %u exits\n", t->m.out_exits, t->m.in_exits);
	assert_int_equal(t->m.out_len, 1016);
	for (i = 0; i < 1000; i++)
		assert_int_equal(t->m.out[i], i & 0xff);
	assert_memory_equal(t->m.out + 1000, t->h.ram + 0x30ffa, 16);
	assert_true(t->m.out_exits <= 12);
	assert_true(t->m.in_exits <= 12);
}

static void mmio(void **state)
{
	struct test *t = *state;

	assert_int_equal(run_guest(t, "mmio"), 0);
	assert_int_equal(t->m.hole_reads, 2);
	assert_int_equal(t->m.rom_writes, 1);
}

static void raise_at(struct machine *m, u16 value)
{
	if (value == 2) {
		machine_raise(m, 0x22);
		machine_raise(m, 0x55);
		machine_raise(m, 0x40);
	} else if (value == 3) {
		machine_raise(m, 0x41);
		machine_raise(m, 0x51);
	} else if (value == 4) {
		m->h->x->nmi(m->h->v[m->vcpu]);
	}
}

static bool wake(struct machine *m)
{
	if (m->h->x->wait(m->h->v[m->vcpu], 1000) != -ETIMEDOUT)
		return false;
	machine_raise(m, 0x31);
	return true;
}

static void interrupts(void **state)
{
	struct test *t = *state;
	unsigned int i;
	int status;

	t->m.mark = raise_at;
	t->m.asleep = wake;
	status = run_guest(t, "intr");
	for (i = 0; i < t->h.ram[0x5ff8]; i++)
		print_message("%02x ", t->h.ram[0x6000 + i]);
	print_message("at %u marks, status %d; %u exits of a lowered CR8\n", t->m.marks, status,
		      t->m.tprs);
	assert_int_equal(status, 0);
	assert_int_equal(t->m.sleeps, 1);
	assert_int_equal(t->m.eois, 6);
	assert_int_equal(t->m.marks, 5);
}

static void triple_fault(void **state)
{
	struct test *t = *state;

	t->m.shutdown_expected = true;
	assert_int_equal(run_guest(t, "triple"), MACHINE_SHUTDOWN);
	print_message("%s\n", t->m.exit.text);
	assert_non_null(strstr(t->m.exit.text, "shutdown"));
	assert_non_null(strstr(t->m.exit.text, "rip"));
}

static void *run_thread(void *arg)
{
	struct machine *m = arg;

	return (void *)(intptr_t)machine_run(m);
}

static void started(struct machine *m, u16 value)
{
	(void)value;
	__atomic_store_n(&m->in_next, 1, __ATOMIC_RELEASE);
}

static void wait_started(struct machine *m)
{
	u64 until = now_us() + 5000000;

	while (!__atomic_load_n(&m->in_next, __ATOMIC_ACQUIRE))
		if (now_us() > until)
			abort();
}

static void kick(void **state)
{
	struct test *t = *state;
	volatile u64 *counter = (volatile u64 *)(t->h.ram + 0x6800);
	pthread_t thread;
	sigset_t all;
	u64 start, before, worst = 0;
	void *status;
	unsigned int i;

	/* As in a process that takes its signals by descriptor. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	t->m.mark = started;
	assert_int_equal(machine_load(&t->m, "spin") | machine_start(&t->m), 0);
	for (i = 0; i < 20; i++) {
		before = *counter;
		assert_int_equal(pthread_create(&thread, NULL, run_thread, &t->m), 0);
		wait_started(&t->m);
		while (*counter == before)
			;
		start = now_us();
		t->h.x->kick(t->h.v[0]);
		assert_int_equal(t->h.x->paused(t->h.v[0], KICK_BOUND_US), 0);
		worst = now_us() - start > worst ? now_us() - start : worst;
		pthread_join(thread, &status);
		assert_int_equal((intptr_t)status, MACHINE_KICKED);
		before = *counter;
		assert_int_equal(t->h.x->get_state(t->h.v[0], &t->state, t->h.error), 0);
		assert_int_equal(*counter, before);
	}
	pthread_sigmask(SIG_UNBLOCK, &all, NULL);
	print_message("out of the guest within %llu us\n", (unsigned long long)worst);
}

static int open_uffd(struct host *h)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register reg = {.range = {(uintptr_t)h->ram + 0x200000, GVM_PAGE_SIZE},
				      .mode = UFFDIO_REGISTER_MODE_MISSING};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd >= 0 && !ioctl(fd, UFFDIO_API, &api) && !ioctl(fd, UFFDIO_REGISTER, &reg))
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* A vCPU that waits for a page is kicked, and gets the page later. */
static void kick_in_page_wait(void **state)
{
	struct test *t = *state;
	static u64 page[GVM_PAGE_SIZE / 8];
	struct uffdio_copy copy = {.dst = (uintptr_t)t->h.ram + 0x200000,
				   .src = (uintptr_t)page,
				   .len = GVM_PAGE_SIZE};
	struct uffd_msg msg;
	pthread_t thread;
	void *status;
	u64 start;
	int fd = open_uffd(&t->h), err;

	if (fd < 0)
		fail_msg("no userfaultfd: %s", strerror(errno));
	page[0] = 0x0123456789abcdef;
	t->m.mark = started;
	assert_int_equal(machine_load(&t->m, "wait") | machine_start(&t->m), 0);
	assert_int_equal(pthread_create(&thread, NULL, run_thread, &t->m), 0);
	assert_int_equal(read(fd, &msg, sizeof(msg)), sizeof(msg));
	start = now_us();
	t->h.x->kick(t->h.v[0]);
	err = t->h.x->paused(t->h.v[0], KICK_BOUND_US);
	print_message("out of the page wait: %s, %llu us\n", err ? strerror(-err) : "yes",
		      (unsigned long long)(now_us() - start));
	assert_int_equal(ioctl(fd, UFFDIO_COPY, &copy), 0);
	pthread_join(thread, &status);
	if (!err || (intptr_t)status == MACHINE_KICKED) {
		assert_int_equal((intptr_t)status, MACHINE_KICKED);
		assert_int_equal(machine_run(&t->m), 0);
	} else {
		assert_int_equal((intptr_t)status, 0);
	}
	close(fd);
}

/* INIT and SIPI start the second; two threads of one VM. */
static void two_vcpus(void **state)
{
	struct test *t = *state;
	struct machine other = {.h = &t->h, .vcpu = 1};
	pthread_t thread;
	void *status;

	assert_int_equal(machine_load(&t->m, "lock") | machine_start(&t->m), 0);
	t->h.x->run(t->h.v[1], &other.exit);
	assert_int_equal(other.exit.kind, GVM_EXIT_WAIT);
	assert_int_equal(t->h.x->wait(t->h.v[1], 1000), -ETIMEDOUT);
	t->h.x->sipi(t->h.v[1], 9);
	t->h.x->run(t->h.v[1], &other.exit);
	assert_int_equal(other.exit.kind, GVM_EXIT_WAIT);
	t->h.x->init(t->h.v[1]);
	t->h.x->run(t->h.v[1], &other.exit);
	assert_int_equal(other.exit.kind, GVM_EXIT_WAIT);
	t->h.x->sipi(t->h.v[1], 8);
	assert_int_equal(t->h.x->wait(t->h.v[1], 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, run_thread, &other), 0);
	assert_int_equal(machine_run(&t->m), 0);
	pthread_join(thread, &status);
	assert_int_equal((intptr_t)status, 0);
}

/* Never returns. */
static void other_process(int memfd)
{
	static struct host h;
	struct machine m = {.h = &h};

	alarm(60);
	if (host_open(&h, 1, memfd) || machine_start(&m))
		_exit(100);
	_exit(machine_run(&m));
}

/* The same RAM in two processes, each with an executor and one of the VM's vCPUs. */
static void two_processes(void **state)
{
	struct test *t = *state;
	int status;
	pid_t pid;

	assert_int_equal(machine_load(&t->m, "lock"), 0);
	pid = fork();
	if (!pid)
		other_process(dup(t->h.memfd));
	assert_true(pid > 0);
	assert_int_equal(machine_start(&t->m), 0);
	assert_int_equal(machine_run(&t->m), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(arithmetic),   TEST(moved),	 TEST(string_pio),	  TEST(mmio),
		TEST(interrupts),   TEST(kick),		 TEST(kick_in_page_wait), TEST(two_vcpus),
		TEST(triple_fault), TEST(two_processes),
	};
	char error[GVM_EXEC_ERROR_MAX];

	if (!host_usable(error)) {
		printf("ok 1 - small guests # SKIP %s\n", error);
		return 0;
	}
	if (getenv("ONLY"))
		cmocka_set_test_filter(getenv("ONLY"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
