/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page operations through a client's userfaultfd. Ranges are whole pages,
 * addresses those of the client. Every function answers 0 or a negative errno:
 * -ESRCH when the client's memory has gone, -ENOENT when part of the range is not
 * registered any more: the rest has been done. All but gvm_uffd_protect wake whoever waits in the
 * range.
 */
#ifndef GIANTVM_UFFD_H
#define GIANTVM_UFFD_H

#include "../common_include/platform_defs.h"

/* What a fault's event said; it tells how the page was mapped, not what is coherent. */
#define GVM_FAULT_MISSING 0x1
#define GVM_FAULT_MINOR	  0x2
#define GVM_FAULT_WP	  0x4
#define GVM_FAULT_WRITE	  0x8

struct gvm_uffd_fault {
	u64 addr;
	u8 hints; /* GVM_FAULT_* */
};

/*
 * Takes over the settings of a userfaultfd that a client sent. -EINVAL: it is
 * none; -EOPNOTSUPP: a feature is missing, named by *missing.
 */
int gvm_uffd_check(int fd, u64 features, const char **missing);

/*
 * Whether this kernel can map a cached page read-only (6.12). addr: a page
 * without bytes; nothing is changed.
 */
bool gvm_uffd_can_continue_wp(int fd, u64 addr);

/* At most max faults that wait; 0 when there is none. */
unsigned int gvm_uffd_read(int fd, struct gvm_uffd_fault *faults, unsigned int max);

/* How gvm_uffd_fill makes pages visible. */
enum gvm_fill {
	GVM_FILL_CACHED, /* the bytes are in the memory object */
	GVM_FILL_COPY,	 /* they are at src */
	GVM_FILL_ZERO	 /* zero bytes, writable */
};

/*
 * Makes len bytes at addr visible, read-only if wp. A page that is mapped
 * already is given write access unless wp. Where the bytes are in the memory
 * object already (COPY, ZERO), those are mapped instead; *blocked is set when
 * they are and the kernel cannot map them read-only (can_continue_wp).
 */
struct gvm_uffd_fill {
	enum gvm_fill how;
	bool wp, can_continue_wp;
	u64 addr, len;
	const u8 *src;
	bool blocked;
};
int gvm_uffd_fill(int fd, struct gvm_uffd_fill *f);

/* Takes write access away. Does not wake. */
int gvm_uffd_protect(int fd, u64 addr, u64 len);
/* Gives it back to pages that are mapped. */
int gvm_uffd_unprotect(int fd, u64 addr, u64 len);
int gvm_uffd_wake(int fd, u64 addr, u64 len);

#endif
