// SPDX-License-Identifier: GPL-2.0-or-later
/* Bringing a VM of the kernel module to life at the slaves that are there. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "../master_core/kept.h"
#include "../master_core/members.h"
#include "../master_core/parse.h"
#include "module.h"

#define EXIT_USAGE 2
#define NODES_ROOM 4096
#define MIB_PAGES  256

struct wish {
	struct gvm_ioctl_create create;
	u64 min_slaves, wait_s, stripe;
	const char *map, *join;
};

enum {
	O_RAM = 256,
	O_BUDGET,
	O_NODE,
	O_BIND,
	O_PORT,
	O_MIN,
	O_WAIT,
	O_STRIPE,
	O_PREFETCH,
	O_UID,
	O_RESIDENCE,
	O_ACK_DELAY,
	O_DEFAULT,
	O_STAY,
	O_INSECURE,
	O_MAP,
	O_JOIN
};

static const struct option options[] = {
	{"ram", required_argument, NULL, O_RAM},
	{"budget", required_argument, NULL, O_BUDGET},
	{"id", required_argument, NULL, O_NODE},
	{"bind", required_argument, NULL, O_BIND},
	{"port", required_argument, NULL, O_PORT},
	{"min-slaves", required_argument, NULL, O_MIN},
	{"wait", required_argument, NULL, O_WAIT},
	{"stripe", required_argument, NULL, O_STRIPE},
	{"prefetch", required_argument, NULL, O_PREFETCH},
	{"uid", required_argument, NULL, O_UID},
	{"residence", required_argument, NULL, O_RESIDENCE},
	{"ack-delay", required_argument, NULL, O_ACK_DELAY},
	{"map", required_argument, NULL, O_MAP},
	{"join", required_argument, NULL, O_JOIN},
	{"default", no_argument, NULL, O_DEFAULT},
	{"stay", no_argument, NULL, O_STAY},
	{"insecure", no_argument, NULL, O_INSECURE},
	{NULL, 0, NULL, 0},
};

static int number(const char *arg, u64 max, u32 *out)
{
	u64 v = 0;
	int err = gvm_parse_number(arg, 0, max, &v);

	*out = (u32)v;
	return err;
}

static int take_option(struct wish *w, int opt, const char *arg)
{
	struct gvm_ioctl_create *c = &w->create;
	u32 v;
	int err;

	switch (opt) {
	case O_RAM:
		return gvm_parse_size(arg, (u64 *)&c->ram_size);
	case O_BUDGET:
		return gvm_parse_size(arg, (u64 *)&c->budget);
	case O_NODE:
		return number(arg, GVM_MAX_NODES, &c->node_id);
	case O_BIND:
		return gvm_parse_ip(arg, &c->bind_ip);
	case O_PORT:
		err = number(arg, 65535, &v);
		c->bind_port = (u16)(v << 8 | v >> 8);
		return err;
	case O_MIN:
		return gvm_parse_number(arg, 1, NODES_ROOM, &w->min_slaves);
	case O_WAIT:
		return gvm_parse_number(arg, 0, 60, &w->wait_s);
	case O_STRIPE:
		return gvm_parse_size(arg, &w->stripe);
	case O_PREFETCH:
		return number(arg, 4096, &c->prefetch);
	case O_UID:
		return number(arg, 0xffffffffULL, &c->uid);
	case O_RESIDENCE:
		return number(arg, 1000000, &c->residence_us);
	case O_ACK_DELAY:
		return number(arg, 1000000, &c->ack_delay_us);
	case O_MAP:
		w->map = arg;
		return 0;
	case O_JOIN:
		w->join = arg;
		return 0;
	default:
		c->flags |= opt == O_DEFAULT ? GVM_VMF_DEFAULT
			    : opt == O_STAY  ? GVM_VMF_STAY
					     : GVM_VMF_INSECURE;
		return 0;
	}
}

static int parse(struct wish *w, int argc, char **argv)
{
	u64 id;
	int opt;

	*w = (struct wish){.create = {.version = GVM_IOCTL_VERSION,
				      .uid = GVM_UID_ANY,
				      .prefetch = 32,
				      .residence_us = 200,
				      .ack_delay_us = 50},
			   .min_slaves = 1,
			   .wait_s = 10,
			   .stripe = 2 << 20};
	gvm_parse_ip("127.0.0.1", &w->create.bind_ip);
	optind = 0;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == '?')
			return -EINVAL;
		if (take_option(w, opt, optarg)) {
			module_fail("'%s' is not possible there", optarg);
			return -EINVAL;
		}
	}
	if (optind + 1 != argc || gvm_parse_number(argv[optind], 0, GVM_MAX_NODES, &id) ||
	    (!w->join && !w->create.ram_size) || !w->create.budget) {
		module_fail("create ID --ram SIZE --budget SIZE [OPTION]...");
		return -EINVAL;
	}
	w->create.vm_id = (u32)id;
	if (w->stripe < GVM_PAGE_SIZE || w->stripe & (w->stripe - 1)) {
		module_fail("--stripe is not a power of two");
		return -EINVAL;
	}
	return 0;
}

static int ask_nodes(int fd, const struct wish *w, struct gvm_ioctl_nodes *q,
		     struct gvm_ioctl_node *nodes)
{
	*q = (struct gvm_ioctl_nodes){
		.version = GVM_IOCTL_VERSION,
		.vm_id = w->create.vm_id,
		.min = (u32)w->min_slaves,
		.wait_ms = (u32)w->wait_s * 1000,
		.count = NODES_ROOM,
		.records = (u64)(uintptr_t)nodes,
	};
	if (ioctl(fd, IOCTL_VM_NODES, q))
		return module_fail("cannot ask for slaves: %s", strerror(errno));
	if (!q->accepted)
		return module_fail(q->refused ? "a gateway refuses the node: %s"
					      : "no gateway answers%.0s",
				   strerror(-q->refused));
	if (q->count < w->min_slaves)
		return module_fail("%u of at least %llu slaves are there", q->count,
				   (unsigned long long)w->min_slaves);
	return 0;
}

/* Chooses homes among the slaves by what they have free. */
static int place(int fd, const struct wish *w, struct gvm_kept *k, u64 **shares)
{
	struct gvm_ioctl_node *nodes = calloc(NODES_ROOM, sizeof(*nodes));
	struct gvm_members m = {0};
	struct gvm_ioctl_nodes q;
	int code = nodes ? ask_nodes(fd, w, &q, nodes) : module_fail("no memory");
	u32 i;

	if (code)
		goto out;
	m.list = calloc(q.count + 1, sizeof(*m.list));
	m.room = calloc(q.count + 1, sizeof(*m.room));
	*shares = calloc(q.count + 1, sizeof(**shares));
	for (i = 0; i < q.count; i++) {
		m.list[i] = (struct gvm_member){.id = nodes[i].id, .boot_id = nodes[i].boot_id};
		m.room[i] = nodes[i].free_pages;
		m.lent_pages += nodes[i].lent_pages;
		m.free_pages += nodes[i].free_pages;
	}
	m.count = q.count;
	if (gvm_members_place(&m, k->ram_pages, k->stripe_shift, *shares)) {
		code = module_fail("%llu MiB are needed, %llu MiB are free at %u slaves",
				   (unsigned long long)k->ram_pages / MIB_PAGES,
				   (unsigned long long)m.free_pages / MIB_PAGES, q.count);
		gvm_members_free(&m);
		goto out;
	}
	k->nmembers = m.count;
	k->members = m.list;
	m.list = NULL;
	gvm_members_free(&m);
out:
	free(nodes);
	return code;
}

static u32 random_epoch(void)
{
	u32 epoch = 0;

	if (getrandom(&epoch, sizeof(epoch), 0) != sizeof(epoch))
		epoch = (u32)getpid();
	return epoch | 1;
}

static int start(int fd, const struct wish *w, const struct gvm_kept *k, const u64 *shares)
{
	struct gvm_ioctl_member *members = calloc(k->nmembers, sizeof(*members));
	struct gvm_ioctl_start s = {
		.version = GVM_IOCTL_VERSION,
		.vm_id = w->create.vm_id,
		.epoch = k->epoch,
		.stripe_shift = k->stripe_shift,
		.flags = w->join ? GVM_VM_JOIN : 0,
		.nmembers = k->nmembers,
		.members = (u64)(uintptr_t)members,
	};
	int code = 0;
	u32 i;

	if (!members)
		return module_fail("no memory");
	for (i = 0; i < k->nmembers; i++)
		members[i] = (struct gvm_ioctl_member){.id = k->members[i].id,
						       .weight = k->members[i].weight,
						       .boot_id = k->members[i].boot_id,
						       .reserve_pages = shares ? shares[i] : 0};
	if (ioctl(fd, IOCTL_VM_START, &s))
		code = module_fail("the VM cannot be opened at slave %u: %s", s.failed,
				   strerror(errno));
	free(members);
	return code;
}

/* What the homes of the VM are: new ones, or another node's. */
static int find_homes(struct wish *w, struct gvm_kept *k)
{
	char error[GVM_KEPT_ERROR_MAX];
	u64 stripe;

	if (w->join) {
		if (gvm_kept_load(w->join, k, error))
			return module_fail("%s", error);
		w->create.ram_size = k->ram_pages << GVM_PAGE_SHIFT;
		return 0;
	}
	k->vm_id = w->create.vm_id;
	k->node_id = w->create.node_id ? w->create.node_id : GVM_MAX_SLAVES + k->vm_id;
	k->ram_pages = w->create.ram_size >> GVM_PAGE_SHIFT;
	k->epoch = random_epoch();
	for (stripe = w->stripe >> GVM_PAGE_SHIFT; stripe > 1; stripe >>= 1)
		k->stripe_shift++;
	return 0;
}

static void forget(int fd, u32 id)
{
	struct gvm_ioctl_vm v = {.version = GVM_IOCTL_VERSION, .vm_id = id};

	ioctl(fd, IOCTL_VM_DESTROY, &v);
}

static int bring_up(int fd, const struct wish *w, struct gvm_kept *k)
{
	char error[GVM_KEPT_ERROR_MAX];
	u64 *shares = NULL;
	int code = 0;

	/* Registration takes its time; a node that joins waits for it as well. */
	if (w->join) {
		struct gvm_ioctl_node *nodes = calloc(NODES_ROOM, sizeof(*nodes));
		struct gvm_ioctl_nodes q;

		code = nodes ? ask_nodes(fd, w, &q, nodes) : module_fail("no memory");
		free(nodes);
	} else {
		code = place(fd, w, k, &shares);
	}
	if (!code)
		code = start(fd, w, k, shares);
	free(shares);
	if (!code && w->map && gvm_kept_save(w->map, k, error))
		code = module_fail("%s", error);
	if (!code)
		printf("VM %u: %llu MiB at %u slaves\n", w->create.vm_id,
		       (unsigned long long)k->ram_pages / MIB_PAGES, k->nmembers);
	return code;
}

int module_create(int fd, int argc, char **argv)
{
	struct gvm_kept k = {0};
	struct wish w;
	int code;

	if (parse(&w, argc, argv))
		return EXIT_USAGE;
	code = find_homes(&w, &k);
	if (!code && ioctl(fd, IOCTL_VM_CREATE, &w.create))
		code = errno == EPERM ? module_fail("VM %u: not permitted (an address that is not "
						    "loopback needs --insecure)",
						    w.create.vm_id)
				      : module_fail("VM %u cannot be created: %s", w.create.vm_id,
						    strerror(errno));
	else if (!code) {
		code = bring_up(fd, &w, &k);
		if (code)
			forget(fd, w.create.vm_id);
	}
	gvm_kept_free(&k);
	return code;
}

int module_destroy(int fd, int argc, char **argv)
{
	struct gvm_ioctl_vm v = {.version = GVM_IOCTL_VERSION};
	u64 id;
	int i;

	for (i = 2; i < argc; i++) {
		if (!strcmp(argv[i], "--force"))
			v.flags |= GVM_VM_FORCE;
		else
			break;
	}
	if (argc < 2 || i < argc || gvm_parse_number(argv[1], 0, GVM_MAX_NODES, &id))
		return module_fail("destroy ID [--force]"), EXIT_USAGE;
	v.vm_id = (u32)id;
	if (!ioctl(fd, IOCTL_VM_DESTROY, &v))
		return 0;
	if (errno == EBUSY)
		return module_fail("VM %u is in use (--force takes it away from its users)",
				   v.vm_id);
	return module_fail("VM %u cannot be destroyed: %s", v.vm_id, strerror(errno));
}
