/* SPDX-License-Identifier: GPL-2.0-or-later */
/* String PIO: 1000 bytes out, a pattern in, words and longs, both ways. */
#include "boot.inc"
main:
	leaq 0x30100, %rdi
	xorl %eax, %eax
1:	movb %al, (%rdi, %rax)
	incl %eax
	cmpl $1000, %eax
	jne 1b
	movq %rdi, %rsi
	movl $1000, %ecx
	movw $0x300, %dx
	rep outsb
	cmpq $0x304e8, %rsi
	REQUIRE e, 1
	testl %ecx, %ecx
	REQUIRE z, 2
	leaq 0x30ffa, %rsi		/* across a page */
	movl $8, %ecx
	movw $0x304, %dx
	rep outsw
	cmpq $0x3100a, %rsi
	REQUIRE e, 3
	leaq 0x31800, %rdi
	movl $600, %ecx
	movw $0x308, %dx
	rep insl
	testl %ecx, %ecx
	REQUIRE z, 4
	cmpq $0x32160, %rdi
	REQUIRE e, 5
	leaq 0x31800, %rsi
	xorl %ecx, %ecx
2:	imull $0x01000193, %ecx, %eax
	cmpl %eax, (%rsi, %rcx, 4)
	REQUIRE e, 6
	incl %ecx
	cmpl $600, %ecx
	jne 2b
	inb $0x90, %al
	cmpb $0x5a, %al
	REQUIRE e, 7
	LEAVE 0
