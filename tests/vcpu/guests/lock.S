/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two vCPUs count together: 20000 times each with LOCK, and 2000 times each under a
 * spin lock with a plain increment. Both end when both are done.
 */
#include "boot.inc"
	.set BOTH, 0x31000
main:
	movl $BOTH, %edi
	lock incl 256(%rdi)		/* they begin together */
0:	pause
	cmpl $2, 256(%rdi)
	jb 0b
	movl $20000, %ecx
1:	lock incq (%rdi)
	decl %ecx
	jnz 1b
	movl $2000, %ecx
2:	movl $1, %eax
3:	xchgl %eax, 64(%rdi)
	testl %eax, %eax
	jz 4f
	pause
	jmp 2b
4:	movq 128(%rdi), %rax
	incq %rax
	movq %rax, 128(%rdi)
	movl $0, 64(%rdi)
	decl %ecx
	jnz 2b
	lock incl 192(%rdi)
5:	pause
	cmpl $2, 192(%rdi)
	jne 5b
	cmpq $40000, (%rdi)
	REQUIRE e, 1
	cmpq $4000, 128(%rdi)
	REQUIRE e, 2
	LEAVE 0
