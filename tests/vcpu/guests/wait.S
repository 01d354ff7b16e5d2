/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads a page that is not there yet (at 2 MiB); then goes on if it has the right bytes. */
#include "boot.inc"
main:
	movw $1, %ax
	outw %ax, $0x82
	movq 0x200000, %rax
	movabsq $0x0123456789abcdef, %rbx
	cmpq %rax, %rbx
	REQUIRE e, 1
	LEAVE 0
