/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Control plane of the kernel module (/dev/giantvm). */
#ifndef GIANTVM_IOCTL_H
#define GIANTVM_IOCTL_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdint.h>
#include <sys/ioctl.h>
#ifndef __u32
#include <linux/types.h>
#endif
#endif

/* ip and port are in network byte order. */
struct gvm_ioctl_gateway {
	__u32 gw_id;
	__u32 ip;
	__u16 port;
};

#define IOCTL_SET_GATEWAY _IOW('G', 1, struct gvm_ioctl_gateway)

#endif
