/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What differs between the kernel and user space for sources built in both. */
#ifndef GIANTVM_PLATFORM_DEFS_H
#define GIANTVM_PLATFORM_DEFS_H

#ifdef __KERNEL__

#include <linux/types.h>
#include <linux/build_bug.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/bug.h>
#include <linux/pgtable.h>
#include "../master_core/kernel_compat.h"

#undef PAGE_SHARED /* a page protection there, a state of the agent's pages here */

/*
 * A lock is taken in process context only; gvm_mutex_t may be held while a
 * mapping is changed, which sleeps. The same words for both: the type decides.
 */
typedef spinlock_t gvm_lock_t;
typedef struct mutex gvm_mutex_t;

static inline void gvm_spin_init_key(spinlock_t *l, const char *name, struct lock_class_key *key)
{
	spin_lock_init(l);
	lockdep_set_class_and_name(l, key, name);
}

static inline void gvm_mutex_init_key(struct mutex *l, const char *name,
				      struct lock_class_key *key)
{
	__mutex_init(l, name, key);
}

static inline void gvm_mutex_lock(struct mutex *l) __acquires(l)
{
	mutex_lock(l);
}

static inline void gvm_spin_lock_bh(spinlock_t *l) __acquires(l)
{
	spin_lock_bh(l);
}

static inline void gvm_spin_unlock_bh(spinlock_t *l) __releases(l)
{
	spin_unlock_bh(l);
}

#define gvm_lock_init(l)                                                                           \
	do {                                                                                       \
		static struct lock_class_key gvm_key;                                              \
		_Generic((l), spinlock_t *: gvm_spin_init_key, struct mutex *: gvm_mutex_init_key)( \
			l, #l, &gvm_key);                                                          \
	} while (0)
#define gvm_lock(l) _Generic((l), spinlock_t *: gvm_spin_lock_bh, struct mutex *: gvm_mutex_lock)(l)
#define gvm_unlock(l)                                                                              \
	_Generic((l), spinlock_t *: gvm_spin_unlock_bh, struct mutex *: mutex_unlock)(l)

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
typedef pthread_mutex_t gvm_mutex_t; /* held while mappings change: sleeps in the kernel */
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
