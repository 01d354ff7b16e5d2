/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupts: HLT and wake; several at once in order of priority; held back by IF and
 * by CR8; an NMI although IF is clear.
 */
#include "boot.inc"
	/* Waits for as long as a distant APIC may take. */
	.macro AWAIT n, status
	movl $1000000000, %ecx
1:	cmpl $\n, LISTLEN
	je 2f
	decl %ecx
	jnz 1b
2:	cmpl $\n, LISTLEN
	REQUIRE e, \status
	.endm
main:
	movw $1, %ax			/* the test raises 0x31 when it is asleep */
	outw %ax, $0x82
	xorl %eax, %eax
	ud2
	cmpl $1, LISTLEN
	REQUIRE e, 1
	cmpb $0x31, LIST
	REQUIRE e, 2

	movl $1, %eax			/* three are raised while IF is clear */
	ud2
	movw $2, %ax
	outw %ax, $0x82
	movl $100000, %ecx
1:	decl %ecx
	jnz 1b
	cmpl $1, LISTLEN
	REQUIRE e, 3
	movl $2, %eax
	ud2
	AWAIT 4, 4
	movl LIST, %eax
	cmpl $0x22405531, %eax		/* 31, then 55, 40, 22 */
	REQUIRE e, 5

	movb $4, %bl			/* CR8 4: 0x5x may, 0x4x may not */
	movl $3, %eax
	ud2
	movw $3, %ax			/* 0x41 and 0x51 */
	outw %ax, $0x82
	AWAIT 5, 6
	cmpb $0x51, LIST + 4
	REQUIRE e, 7
	xorl %ebx, %ebx
	movl $3, %eax
	ud2
	movw $5, %ax			/* a KVM in software tells nobody that CR8 went down */
	outw %ax, $0x82
	AWAIT 6, 8
	cmpb $0x41, LIST + 5
	REQUIRE e, 9

	movl $1, %eax
	ud2
	movw $4, %ax			/* an NMI */
	outw %ax, $0x82
	AWAIT 7, 10
	cmpb $2, LIST + 6
	REQUIRE e, 11
	LEAVE 0
