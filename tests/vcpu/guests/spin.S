/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Counts for ever, without an exit: to be kicked. */
#include "boot.inc"
main:
	movw $1, %ax
	outw %ax, $0x82
	xorl %ecx, %ecx
1:	incq %rcx
	movq %rcx, 0x6800
	jmp 1b
