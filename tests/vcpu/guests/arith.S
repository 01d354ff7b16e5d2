/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Arithmetic whose answer is known, and AVX registers that must be there after each
 * of 32 exits (at each the test may move the vCPU to another).
 */
#include "boot.inc"
main:
	/* 1 * 3 + 1 * 3 + 1 ... 10^6 times, modulo 2^64 */
	movl $1000000, %ecx
	movl $1, %eax
1:	leaq 1(%rax, %rax, 2), %rax
	decl %ecx
	jnz 1b
	cmpq expected(%rip), %rax
	REQUIRE e, 1

	movl $1, %eax
	cpuid
	btl $28, %ecx
	jnc sse
	vmovdqu pattern(%rip), %ymm3
	vmovdqu pattern+32(%rip), %ymm15
	movabsq $0x1122334455667788, %r12
	fldpi
	movl $32, %ebp
2:	movl %ebp, %eax
	outw %ax, $0x82
	vpaddq %ymm15, %ymm3, %ymm3
	decl %ebp
	jnz 2b
	vmovdqu pattern(%rip), %ymm4
	movl $32, %ecx
3:	vpaddq pattern+32(%rip), %ymm4, %ymm4
	decl %ecx
	jnz 3b
	vpcmpeqq %ymm3, %ymm4, %ymm5
	vpmovmskb %ymm5, %eax
	cmpl $-1, %eax
	REQUIRE e, 2
	movabsq $0x1122334455667788, %rbx
	cmpq %rbx, %r12
	REQUIRE e, 3
	fldpi
	fcomip %st(1), %st
	REQUIRE e, 4
	LEAVE 0

	/* Where there is no AVX, 128 bits of the same. */
sse:	movdqu pattern(%rip), %xmm3
	movdqu pattern+32(%rip), %xmm15
	movl $32, %ebp
1:	movl %ebp, %eax
	outw %ax, $0x82
	paddq %xmm15, %xmm3
	decl %ebp
	jnz 1b
	movdqu pattern(%rip), %xmm4
	movl $32, %ecx
2:	paddq %xmm15, %xmm4
	decl %ecx
	jnz 2b
	pcmpeqd %xmm3, %xmm4
	pmovmskb %xmm4, %eax
	cmpl $0xffff, %eax
	REQUIRE e, 5
	LEAVE 0

	.balign 32
pattern:
	.quad 0x0102030405060708, 0x1112131415161718, 0x2122232425262728, 0x3132333435363738
	.quad 0x4142434445464748, 0x5152535455565758, 0x6162636465666768, 0x7172737475767778
	.globl expected
expected:
	.quad 0x9fec0ee159627781
