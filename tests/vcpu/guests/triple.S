/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A fault with no table to find its handler in. */
#include "boot.inc"
main:
	movl $0x77777777, %ebx
	leaq idt(%rip), %rdi
	xorl %eax, %eax
	movl $0x320, %ecx
	rep stosb
	ud2
	LEAVE 1
