/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What differs between the kernel and user space for sources built in both. */
#ifndef GIANTVM_PLATFORM_DEFS_H
#define GIANTVM_PLATFORM_DEFS_H

#ifdef __KERNEL__

#include <linux/types.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/bug.h>
#include <asm/unaligned.h>

typedef spinlock_t gvm_lock_t;
#define gvm_lock_init(l) spin_lock_init(l)
#define gvm_lock(l)      spin_lock_bh(l)
#define gvm_unlock(l)    spin_unlock_bh(l)

#define gvm_put_le16(p, v) put_unaligned_le16(v, p)
#define gvm_put_le32(p, v) put_unaligned_le32(v, p)
#define gvm_put_le64(p, v) put_unaligned_le64(v, p)
#define gvm_get_le16(p)    get_unaligned_le16(p)
#define gvm_get_le32(p)    get_unaligned_le32(p)
#define gvm_get_le64(p)    get_unaligned_le64(p)

#else

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

typedef pthread_mutex_t gvm_lock_t;
#define gvm_lock_init(l) pthread_mutex_init(l, NULL)
#define gvm_lock(l)      pthread_mutex_lock(l)
#define gvm_unlock(l)    pthread_mutex_unlock(l)

#define GVM_LE_ACCESSORS(bits)                                                                     \
	static inline void gvm_put_le##bits(void *p, u##bits v)                                    \
	{                                                                                          \
		v = htole##bits(v);                                                                \
		memcpy(p, &v, sizeof(v));                                                          \
	}                                                                                          \
	static inline u##bits gvm_get_le##bits(const void *p)                                      \
	{                                                                                          \
		u##bits v;                                                                         \
		memcpy(&v, p, sizeof(v));                                                          \
		return le##bits##toh(v);                                                           \
	}
GVM_LE_ACCESSORS(16)
GVM_LE_ACCESSORS(32)
GVM_LE_ACCESSORS(64)

/* A program that brings its own (QEMU) keeps it. */
#ifndef container_of
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#endif
#ifndef ARRAY_SIZE
#define ARRAY_SIZE(a)                   (sizeof(a) / sizeof((a)[0]))
#endif
#define min_t(type, a, b)               ((type)(a) < (type)(b) ? (type)(a) : (type)(b))
#define max_t(type, a, b)               ((type)(a) > (type)(b) ? (type)(a) : (type)(b))
#define static_assert                   _Static_assert

#endif
#endif
