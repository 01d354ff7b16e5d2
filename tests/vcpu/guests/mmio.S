/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MMIO in the hole at 1 MiB: every width, across 8 bytes, read-modify-write; ROM. */
#include "boot.inc"
main:
	movl $0x100000, %edi
	movb $0x11, (%rdi)
	movw $0x2233, 2(%rdi)
	movl $0x44556677, 4(%rdi)
	movabsq $0x8899aabbccddeeff, %rax
	movq %rax, 8(%rdi)
	movb (%rdi), %bl
	cmpb $0x11, %bl
	REQUIRE e, 1
	movzwl 2(%rdi), %ebx
	cmpl $0x2233, %ebx
	REQUIRE e, 2
	cmpl $0x44556677, 4(%rdi)
	REQUIRE e, 3
	cmpq %rax, 8(%rdi)
	REQUIRE e, 4
	addl $1, 4(%rdi)
	movl 4(%rdi), %ebx
	cmpl $0x44556678, %ebx
	REQUIRE e, 5
	/* The device counts reads at 0x1000 on: each must happen once. */
	movl 0x1000(%rdi), %ebx
	movl 0x1000(%rdi), %ecx
	subl %ebx, %ecx
	cmpl $1, %ecx
	REQUIRE e, 6
	/* ROM can be read and a write of it is an exit. */
	movl $0x300000, %esi
	movl (%rsi), %eax
	cmpl $0x524f4d21, %eax
	REQUIRE e, 7
	movl $0x12345678, 16(%rsi)
	cmpl $0, 16(%rsi)
	REQUIRE e, 8
	LEAVE 0
