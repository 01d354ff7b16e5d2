// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>

#include "vcpu_executor.h"

#define ULL(x) ((unsigned long long)(x))

static size_t print_regs(const struct gvm_vcpu_state *s, char *buf, size_t len)
{
	static const char *const name[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					   "r8",  "r9",	 "r10", "r11", "r12", "r13", "r14", "r15"};
	size_t n = 0;
	unsigned int i;

	for (i = 0; i < GVM_VCPU_REGS && n < len; i++)
		n += snprintf(buf + n, len - n, " %s %llx", name[i], ULL(s->reg[i]));
	return n < len ? n : len;
}

int gvm_vcpu_print(const struct gvm_vcpu_state *s, char *buf, size_t len)
{
	const struct gvm_vcpu_segment *cs = &s->seg[GVM_CS], *ss = &s->seg[GVM_SS];
	size_t n = snprintf(buf, len, "rip %llx rflags %llx", ULL(s->rip), ULL(s->rflags));

	if (n < len)
		n += print_regs(s, buf + n, len - n);
	if (n < len)
		n += snprintf(buf + n, len - n,
			      " cs %x base %llx attr %x ss %x cr0 %llx cr2 %llx cr3 %llx cr4 %llx"
			      " efer %llx idt %llx+%x gdt %llx+%x",
			      cs->selector, ULL(cs->base), cs->attr, ss->selector, ULL(s->cr0),
			      ULL(s->cr2), ULL(s->cr3), ULL(s->cr4), ULL(s->efer), ULL(s->idt.base),
			      s->idt.limit, ULL(s->gdt.base), s->gdt.limit);
	return n;
}
