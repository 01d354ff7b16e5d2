/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What differs between the kernels from 5.10 on: the only place that asks for a
 * version. The second half is for the backend only: GVM_COMPAT_BACKEND.
 */
#ifndef GIANTVM_KERNEL_COMPAT_H
#define GIANTVM_KERNEL_COMPAT_H

#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif

#endif

#if defined(GVM_COMPAT_BACKEND) && !defined(GIANTVM_KERNEL_COMPAT_BACKEND_H)
#define GIANTVM_KERNEL_COMPAT_BACKEND_H

#include <linux/mm.h>
#include <linux/shrinker.h>
#include <net/udp.h>

/* The next datagram of a socket, never waiting; NULL when there is none. */
static inline struct sk_buff *gvm_skb_recv(struct sock *sk)
{
	int err;

#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 18, 0)
	return skb_recv_udp(sk, MSG_DONTWAIT, &err);
#else
	return skb_recv_udp(sk, 0, 1, &err);
#endif
}

static inline void gvm_vma_set_flags(struct vm_area_struct *vma, unsigned long flags)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_set(vma, flags);
#else
	vma->vm_flags |= flags;
#endif
}

/* A shrinker that is registered; NULL: no memory. From 6.7 on the kernel allocates it. */
typedef unsigned long (*gvm_shrink_fn)(struct shrinker *s, struct shrink_control *sc);

static inline struct shrinker *gvm_shrinker_register(gvm_shrink_fn count, gvm_shrink_fn scan)
{
	struct shrinker *s;

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	s = shrinker_alloc(0, "giantvm");
#else
	s = kzalloc(sizeof(*s), GFP_KERNEL);
#endif
	if (!s)
		return NULL;
	s->count_objects = count;
	s->scan_objects = scan;
	s->seeks = DEFAULT_SEEKS;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	shrinker_register(s);
#else
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 0, 0)
	if (!register_shrinker(s, "giantvm"))
		return s;
#else
	if (!register_shrinker(s))
		return s;
#endif
	kfree(s);
	s = NULL;
#endif
	return s;
}

static inline void gvm_shrinker_unregister(struct shrinker *s)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	shrinker_free(s);
#else
	unregister_shrinker(s);
	kfree(s);
#endif
}

#endif
