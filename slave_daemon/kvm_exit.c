// SPDX-License-Identifier: GPL-2.0-or-later
/* What KVM_RUN returned with, in the words of the executor's interface. */
#include <stdarg.h>
#include <stdio.h>

#include "kvm_internal.h"

int kvm_fail(char *error, int err, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(error, GVM_EXEC_ERROR_MAX, format, ap);
	va_end(ap);
	if (n >= 0 && n < GVM_EXEC_ERROR_MAX)
		snprintf(error + n, GVM_EXEC_ERROR_MAX - n, ": %s", strerror(-err));
	return err;
}

/* what, then the registers; they are part of the report and not of its success. */
static void report(struct gvm_exec_vcpu *v, struct gvm_exit *exit, const char *what)
{
	char error[GVM_EXEC_ERROR_MAX];
	size_t n = snprintf(exit->text, sizeof(exit->text), "vCPU %u: %s; ", v->index, what);
	int err;

	if (n >= sizeof(exit->text))
		return;
	v->unfinished = false;
	err = kvm_state_get(v, &v->scratch, error);
	if (err)
		snprintf(exit->text + n, sizeof(exit->text) - n, "no registers: %s", error);
	else
		gvm_vcpu_print(&v->scratch, exit->text + n, sizeof(exit->text) - n);
}

void kvm_exit_error(struct gvm_exec_vcpu *v, struct gvm_exit *exit, int err, const char *what)
{
	char sentence[GVM_EXEC_ERROR_MAX + 64];

	exit->kind = GVM_EXIT_ERROR;
	exit->status = err;
	snprintf(sentence, sizeof(sentence), "%s (%s)", what, strerror(-err));
	report(v, exit, sentence);
}

static void decode_mmio(struct gvm_exec_vcpu *v, struct gvm_exit *exit)
{
	exit->kind = GVM_EXIT_MMIO;
	exit->gpa = v->run->mmio.phys_addr;
	exit->len = v->run->mmio.len;
	exit->write = v->run->mmio.is_write;
	exit->data = v->run->mmio.data;
	v->unfinished = true;
}

static void decode_io(struct gvm_exec_vcpu *v, struct gvm_exit *exit)
{
	exit->kind = GVM_EXIT_PIO;
	exit->write = v->run->io.direction == KVM_EXIT_IO_OUT;
	exit->port = v->run->io.port;
	exit->size = v->run->io.size;
	exit->count = v->run->io.count;
	exit->len = exit->size * exit->count;
	exit->data = (u8 *)v->run + v->run->io.data_offset;
	v->unfinished = true;
	if (exit->write)
		kvm_string_out(v, exit);
}

static void decode_internal(struct gvm_exec_vcpu *v, struct gvm_exit *exit)
{
	const struct kvm_run *run = v->run;
	char what[160];
	size_t n = snprintf(what, sizeof(what), "KVM internal error %u", run->internal.suberror);
	u32 i;

	if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION)
		n += snprintf(what + n, sizeof(what) - n, ", an instruction it cannot emulate");
	for (i = 0; i < run->internal.ndata && i < 4 && n < sizeof(what); i++)
		n += snprintf(what + n, sizeof(what) - n, " %llx", run->internal.data[i]);
	kvm_exit_error(v, exit, -EIO, what);
}

static void decode_other(struct gvm_exec_vcpu *v, struct gvm_exit *exit)
{
	char what[120];

	if (v->run->exit_reason == KVM_EXIT_FAIL_ENTRY)
		snprintf(what, sizeof(what), "the processor refuses its state, reason %llx",
			 v->run->fail_entry.hardware_entry_failure_reason);
	else
		snprintf(what, sizeof(what), "KVM exit %u, which nothing here serves",
			 v->run->exit_reason);
	kvm_exit_error(v, exit, -EIO, what);
}

bool kvm_exit_decode(struct gvm_exec_vcpu *v, struct gvm_exit *exit)
{
	switch (v->run->exit_reason) {
	case KVM_EXIT_IO:
		decode_io(v, exit);
		return true;
	case KVM_EXIT_MMIO:
		decode_mmio(v, exit);
		return true;
	case KVM_EXIT_HLT:
		/* Looked at again with what came meanwhile: prepare reports it. */
		v->mp_state = GVM_MP_HALTED;
		return false;
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_INTR:
		return false;
	case KVM_EXIT_SET_TPR:
		exit->kind = GVM_EXIT_TPR;
		return true;
	case KVM_EXIT_SHUTDOWN:
		exit->kind = GVM_EXIT_SHUTDOWN;
		report(v, exit, "shutdown, a fault while a double fault was delivered");
		return true;
	case KVM_EXIT_INTERNAL_ERROR:
		decode_internal(v, exit);
		return true;
	default:
		decode_other(v, exit);
		return true;
	}
}
