/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the kernel module share.
 *
 * One VM is one node: agent, RPC, socket, registration. The logic is entered in
 * process context only (faults, the VM's worker, control requests), so its agent
 * may hold a mutex while page tables change; softirq context only queues what
 * came in and wakes somebody. Lock order: mmap_lock, agent, map_sem,
 * i_mmap_rwsem; nothing that reclaim takes is held where memory is allocated,
 * and the shrinker only asks the worker.
 */
#ifndef GIANTVM_KERNEL_INTERNAL_H
#define GIANTVM_KERNEL_INTERNAL_H

#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/in.h>
#include <linux/kref.h>
#include <linux/net.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/uidgid.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/vmalloc.h>
#include <linux/xarray.h>

#define GVM_COMPAT_BACKEND
#include "kernel_compat.h"
#include "../common_include/giantvm_ioctl.h"
#include "node.h"

#define GVM_WAIT_BUCKETS 256
#define GVM_BUDGET_MIN	 64 /* pages */

enum { GVM_TICK_DUE, GVM_STOPPING }; /* bits of gvm_vm.flags_now */

struct gvm_net;
struct gvm_ids;
struct gvm_vm;

/* A packet buffer as the logic sees it is data. */
struct gvm_packet {
	struct list_head list;
	u32 len, seg;
	__be32 ip;
	__be16 port;
	bool slab;
	u8 data[] __aligned(8);
};

/* An access that waits for a page: on its VM's table until it has been mapped. */
struct gvm_wait {
	struct hlist_node node;
	struct task_struct *task;
	u64 page;
	bool write;
	int status; /* 0: waits, 1: granted, or a negative errno */
};

/* What this node knows of a gateway. */
struct gvm_gateway_state {
	u64 boot;
	unsigned long heard; /* jiffies, 0: never */
	s32 status;	     /* 0: takes the node */
	bool accepted;
};

struct gvm_vm {
	struct kref ref;       /* files, the list, whoever works on it */
	struct list_head list; /* gvm_vms_lock: also state, users, keep */
	u32 users;	       /* open files */
	u32 state;	       /* enum gvm_vm_state */
	u32 id, node_id, flags, epoch, vm_flags;
	kuid_t uid;
	bool uid_any;
	__be32 bind_ip;
	u64 ram_pages, budget_pages, boot_id, client_boot;
	bool keep; /* when it ends: the homes keep its pages */
	struct gvm_node *node;
	struct gvm_net *net;
	struct gvm_ids *ids;
	struct gvm_route route; /* members: of the homes that were opened */
	bool homes_open;

	/* Pages: struct page with its enum gvm_prot as tag. Lowered under map_sem for writing. */
	struct inode *inode; /* whose mapping every user maps */
	struct xarray pages;
	struct rw_semaphore map_sem;
	struct xarray errors; /* pages that nobody can supply */
	spinlock_t wait_lock;
	struct hlist_head waits[GVM_WAIT_BUCKETS];

	/* Who takes in what came: a sleeper of rx_wait, a poller, or the worker. */
	wait_queue_head_t rx_wait;
	atomic_t pollers;
	struct work_struct rx_work;
	struct delayed_work retry_work;
	struct hrtimer timer;
	spinlock_t timer_lock;
	u64 timer_at;
	unsigned long flags_now; /* GVM_TICK_DUE, GVM_STOPPING */

	/* Gateways and slaves. */
	struct delayed_work register_work;
	struct gvm_gateway_state *gateways; /* GVM_MAX_GATEWAYS */
	spinlock_t roster_lock;		    /* gateways and what the roster's entries say */
	struct mutex roster_mutex;	    /* the roster's entries come under it */
	struct xarray roster;		    /* struct gvm_roster_node by id */
	u32 roster_count, accepted;
	s32 refused;
	wait_queue_head_t roster_wait;

	struct work_struct close_work;
	struct work_struct shrink_work;
	struct delayed_work grow_work;
	atomic_long_t shrink_want;

	atomic64_t counters[GVM_KC_COUNT];
	atomic64_t latency[GVM_STAT_LATENCIES];
};

#define gvm_count(vm, name)	 atomic64_inc(&(vm)->counters[GVM_KC_##name])
#define gvm_count_n(vm, name, n) atomic64_add((n), &(vm)->counters[GVM_KC_##name])

static inline u64 gvm_now_us(void)
{
	return ktime_to_us(ktime_get());
}

/* kernel_backend.c */
extern const struct dsm_driver_ops gvm_kernel_ops; /* its ctx is a gvm_vm */
extern struct workqueue_struct *gvm_wq;		   /* what comes in */
extern struct workqueue_struct *gvm_slow_wq;	   /* closing, registration, retries */
extern struct kmem_cache *gvm_packets;
extern unsigned int gvm_spin_us;

/* kernel_vm.c: the VMs. */
extern struct mutex gvm_vms_lock;
/* The first with an id >= from, referenced; NULL. */
struct gvm_vm *gvm_vm_next(u32 from);
struct gvm_vm *gvm_vm_get(u32 id);
void gvm_vm_put(struct gvm_vm *vm);
int gvm_vm_create(const struct gvm_ioctl_create *c);
int gvm_vm_destroy(u32 id, u32 flags);
int gvm_vm_start(struct gvm_vm *vm, struct gvm_ioctl_start *s,
		 const struct gvm_ioctl_member *members);
/* A new user of a running VM, or NULL and an errno; id 0: the default one, if there is one. */
struct gvm_vm *gvm_vm_use(u32 id, bool any, int *err);
void gvm_vm_unuse(struct gvm_vm *vm);
void gvm_vms_destroy_all(void);
/* Calls fn for every VM, or for none when the list is in use; fn neither waits nor allocates. */
void gvm_vms_try_each(void (*fn)(struct gvm_vm *vm, void *arg), void *arg);
bool gvm_vm_running(const struct gvm_vm *vm);
int gvm_vms_init(void);
void gvm_vms_exit(void);

/* kernel_homes.c: opening and closing a VM at its homes. */
int gvm_homes_open(struct gvm_vm *vm, struct gvm_ioctl_start *s,
		   const struct gvm_ioctl_member *members);
void gvm_homes_close(struct gvm_vm *vm, u32 flags);

/* kernel_pages.c: the page operations of dsm_driver_ops. */
void *gvm_pages_buffer(void *ctx, u64 page, enum gvm_prot prot);
int gvm_pages_map(void *ctx, u64 page, enum gvm_prot prot, bool zero);
int gvm_pages_protect(void *ctx, const u64 *pages, unsigned int n);
void *gvm_pages_data(void *ctx, u64 page);
void gvm_pages_drop(void *ctx, u64 page);
void gvm_pages_error(void *ctx, u64 page, u32 node, int status);
/* Takes every page from every user and frees it. The agent is detached. */
void gvm_pages_free(struct gvm_vm *vm);
void gvm_pages_unmap_all(struct gvm_vm *vm);
/* The page with at least this protection, or NULL. With map_sem held. */
struct page *gvm_pages_held(struct gvm_vm *vm, u64 page, enum gvm_prot want, enum gvm_prot *prot);
/* 0, or why the page could not be had a moment ago. */
int gvm_pages_recent_error(struct gvm_vm *vm, u64 page);
void gvm_pages_retry(struct work_struct *work);

/* kernel_shrink.c */
void gvm_shrink_work(struct work_struct *work);
void gvm_grow_work(struct work_struct *work);
int gvm_shrinker_init(void);
void gvm_shrinker_exit(void);

/* kernel_fault.c */
extern const struct vm_operations_struct gvm_vm_ops;
/* Wakes who waits for page: status 1 granted, or a negative errno. How many. */
unsigned int gvm_waits_wake(struct gvm_vm *vm, u64 page, bool write, int status);
void gvm_waits_wake_all(struct gvm_vm *vm, int status);
int gvm_fault_blocking(void *ctx, u64 gpa, void *page_buffer, bool write);

/* kernel_pump.c: whoever has time takes in what came. */
void gvm_pump(struct gvm_vm *vm, const int *stop);
bool gvm_pump_pending(struct gvm_vm *vm);
void gvm_pump_kick(struct gvm_vm *vm); /* any context */
void gvm_pump_arm(void *ctx, u64 when_us);
void gvm_pump_init(struct gvm_vm *vm);
void gvm_pump_stop(struct gvm_vm *vm);

/* kernel_net.c: a VM's socket. */
int gvm_net_create(struct gvm_vm *vm, __be32 ip, __be16 port);
/* Nothing comes in or goes out any more. */
void gvm_net_close(struct gvm_net *net);
void gvm_net_destroy(struct gvm_net *net);
__be16 gvm_net_port(const struct gvm_net *net);
struct sk_buff *gvm_net_next(struct gvm_net *net);
bool gvm_net_pending(const struct gvm_net *net);
/* Sends what is queued. Process context, no lock held. */
void gvm_net_flush(struct gvm_net *net);
int gvm_net_send(void *ctx, void *pkt, size_t len, size_t seg, u32 target);
int gvm_net_send_to(struct gvm_vm *vm, void *pkt, size_t len, size_t seg,
		    const struct sockaddr_in *to);
void *gvm_packet_alloc(void *ctx, size_t size, bool atomic);
void gvm_packet_free(void *ctx, void *pkt);

/* kernel_xmit.c: the send path that survives. */
/* Sends n buffers as one datagram, or one buffer as several of seg bytes. 0 or negative errno. */
int gvm_xmit(struct gvm_vm *vm, struct socket *sock, struct kvec *iov, unsigned int n, size_t len,
	     size_t seg, const struct sockaddr_in *to, bool may_sleep);

/* kernel_gateways.c: addresses of gateways (the module's), registration, slaves. */
int gvm_gateways_init(void);
void gvm_gateways_exit(void);
int gvm_gateway_set(void *ctx, u32 gw_id, u32 ip, u16 port);
/* The first known gateway >= from; GVM_MAX_GATEWAYS when there is none. */
u32 gvm_gateway_next(u32 from, struct sockaddr_in *out);
bool gvm_gateway_of_node(u32 node, struct sockaddr_in *out);
void gvm_register_work(struct work_struct *work);
void gvm_rx_control(struct gvm_vm *vm, const struct gvm_header *h, const u8 *body, __be32 ip,
		    __be16 port);
int gvm_roster_read(struct gvm_vm *vm, struct gvm_ioctl_nodes *q, struct gvm_ioctl_node *out);
void gvm_roster_free(struct gvm_vm *vm);

/* kernel_ids.c: request ids of blocking calls. */
struct gvm_ids *gvm_ids_create(void);
void gvm_ids_destroy(struct gvm_ids *r);
u64 gvm_ids_alloc(struct gvm_ids *r, void *rx_buffer);
void gvm_ids_free(struct gvm_ids *r, u64 id);
int gvm_ids_status(struct gvm_ids *r, u64 id);
void gvm_ids_complete(struct gvm_ids *r, u64 id, int status);
void gvm_ids_wait(struct gvm_ids *r, u64 id, u64 timeout_us);

/* kernel_device.c, kernel_stats.c */
int gvm_device_init(void);
void gvm_device_exit(void);
void gvm_stats_fill(struct gvm_vm *vm, struct gvm_ioctl_stat *s);
void gvm_stats_latency(struct gvm_vm *vm, u64 us);
void gvm_debugfs_init(void);
void gvm_debugfs_exit(void);

/* kernel_hooks.c: in a module built for tests. */
#ifdef GVM_KERNEL_TEST
struct dentry;
void gvm_hooks_init(struct dentry *dir);
struct socket *gvm_net_socket(struct gvm_net *net);
#endif

#endif
