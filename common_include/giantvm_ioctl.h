/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Control plane of the kernel module (/dev/giantvm), host byte order but where
 * it says otherwise. Every request but VM_OPEN needs CAP_SYS_ADMIN. A struct
 * begins with the version it was written for; another one is -EPROTO, a field
 * that is out of range or a reserved one that is not 0 is -EINVAL.
 *
 * A VM comes to life in three steps: CREATE makes its node, which registers
 * with every gateway; NODES says which slaves there are; START, with the homes
 * that the caller has chosen among them, opens it there.
 */
#ifndef GIANTVM_IOCTL_H
#define GIANTVM_IOCTL_H

#ifdef __KERNEL__
#include <linux/ioctl.h>
#include <linux/types.h>
#else
#include <stdint.h>
#include <sys/ioctl.h>
#ifndef __u32
#include <linux/types.h>
#endif
#endif

#define GVM_DEVICE	  "/dev/giantvm"
#define GVM_IOCTL_VERSION 1

/* ip and port are in network byte order; port 0 takes the gateway out. */
struct gvm_ioctl_gateway {
	__u32 gw_id;
	__u32 ip;
	__u16 port;
};

/* The first known gateway with an id >= gw_id; -ENOENT when there is none. */
struct gvm_ioctl_gateway_info {
	__u32 version;
	__u32 gw_id;
	__u32 ip;
	__u16 port;
	__u16 reserved;
};

#define GVM_VMF_DEFAULT	 0x1 /* who opens the device gets this VM */
#define GVM_VMF_STAY	 0x2 /* does not go with its last user, only by DESTROY */
#define GVM_VMF_INSECURE 0x4 /* may be bound to an address that is not a loopback one */
#define GVM_UID_ANY	 0xffffffffU

struct gvm_ioctl_create {
	__u32 version;
	__u32 vm_id;
	__u32 node_id;	 /* 0: GVM_MAX_SLAVES + vm_id */
	__u32 flags;	 /* GVM_VMF_* */
	__u64 ram_size;	 /* bytes, whole pages */
	__u64 budget;	 /* bytes of the local copies, whole pages */
	__u32 bind_ip;	 /* network byte order */
	__u16 bind_port; /* network byte order; 0: any */
	__u16 reserved;
	__u32 uid;	/* who may open it, beside root; GVM_UID_ANY: whoever may open the device */
	__u32 prefetch; /* pages ahead at most */
	__u32 residence_us; /* least time a page stays once it was given */
	__u32 ack_delay_us;
};

struct gvm_ioctl_node {
	__u32 id;
	__u32 age_ms; /* since its gateway has heard it */
	__u64 boot_id;
	__u64 lent_pages;
	__u64 free_pages;
};

/* Waits until at least min slaves are known, wait_ms at most; then says which. */
struct gvm_ioctl_nodes {
	__u32 version;
	__u32 vm_id;
	__u32 from; /* the least id */
	__u32 min;
	__u32 wait_ms;	/* at most 60000 */
	__u32 count;	/* room in records; how many there are */
	__u64 records;	/* struct gvm_ioctl_node *, in order of id */
	__u32 accepted; /* answer: gateways that take the node */
	__s32 refused;	/* answer: 0, or why a gateway refuses the node */
};

struct gvm_ioctl_member {
	__u32 id;
	__u32 weight; /* of its run of slots */
	__u64 boot_id;
	__u64 reserve_pages; /* its share of the RAM */
};

/* members: in order of id. -EBUSY: has been started. Answers in failed what a home said. */
struct gvm_ioctl_start {
	__u32 version;
	__u32 vm_id;
	__u32 epoch;
	__u32 stripe_shift; /* log2 pages */
	__u32 flags;	    /* GVM_VM_ADOPT or GVM_VM_JOIN of the wire */
	__u32 nmembers;
	__u64 members; /* struct gvm_ioctl_member * */
	__u32 failed;  /* answer: the slave that did not open the VM */
	__u32 reserved;
};

#define GVM_VM_FORCE	  0x1 /* DESTROY: also if it is in use; its users get SIGBUS */
#define GVM_VM_HOMES_KEEP 0x2 /* DESTROY: write every page home and have it kept there */

/* OPEN returns a descriptor that can be mapped. */
struct gvm_ioctl_vm {
	__u32 version;
	__u32 vm_id;
	__u32 flags;
	__u32 reserved;
};

enum gvm_vm_state {
	GVM_STATE_CREATED,
	GVM_STATE_STARTING,
	GVM_STATE_RUNNING,
	GVM_STATE_DEAD, /* taken away from its users */
};

/* The counters of STAT in their order; every one only grows but for the last five. */
#define GVM_KERNEL_COUNTERS(X)                                                                     \
	X(faults)                                                                                  \
	X(faults_fast) X(faults_nowait) X(faults_killed) X(sigbus) X(mapped) X(mapped_ahead) X(    \
		unmap_calls) X(pages_protected) X(pages_dropped) X(buffer_failures)                \
		X(rx_datagrams) X(rx_dropped) X(rx_control) X(rx_control_refused) X(tx_datagrams)  \
			X(tx_packets) X(tx_congested) X(tx_dropped) X(tx_no_route) X(shrunk) X(    \
				faults_read) X(faults_write) X(upgrades) X(prefetches) X(pages_in) \
				X(pages_in_zero) X(writebacks) X(evictions) X(retransmits)         \
					X(rpc_failures) X(rx_bad) X(rx_version) X(rx_stale_reply)  \
						X(rx_unexpected) X(rx_not_mine)                    \
							X(invalidations_rx) X(resident_pages)      \
								X(budget_pages) X(users)           \
									X(gateways_accepted)       \
										X(members)

#define GVM_COUNTER_NAME(name) GVM_KC_##name,
enum gvm_kernel_counter { GVM_KERNEL_COUNTERS(GVM_COUNTER_NAME) GVM_KC_COUNT };

#define GVM_STAT_COUNTERS  64
#define GVM_STAT_LATENCIES 24 /* faults that took less than 2 << i microseconds */

/* The first VM with an id >= vm_id; -ENOENT when there is none. */
struct gvm_ioctl_stat {
	__u32 version;
	__u32 vm_id;
	__u32 node_id;
	__u32 state; /* enum gvm_vm_state */
	__u32 flags;
	__u32 uid;
	__u32 bind_ip;
	__u16 bind_port;
	__u16 reserved;
	__u32 epoch;
	__u32 counters; /* answer: how many of counter are filled */
	__u64 ram_size;
	__u64 counter[GVM_STAT_COUNTERS];
	__u64 latency[GVM_STAT_LATENCIES];
};

#define IOCTL_SET_GATEWAY _IOW('G', 1, struct gvm_ioctl_gateway)
#define IOCTL_GET_GATEWAY _IOWR('G', 2, struct gvm_ioctl_gateway_info)
#define IOCTL_VM_CREATE	  _IOW('G', 3, struct gvm_ioctl_create)
#define IOCTL_VM_NODES	  _IOWR('G', 4, struct gvm_ioctl_nodes)
#define IOCTL_VM_START	  _IOWR('G', 5, struct gvm_ioctl_start)
#define IOCTL_VM_DESTROY  _IOW('G', 6, struct gvm_ioctl_vm)
#define IOCTL_VM_OPEN	  _IOW('G', 7, struct gvm_ioctl_vm)
#define IOCTL_VM_STAT	  _IOWR('G', 8, struct gvm_ioctl_stat)

#endif
