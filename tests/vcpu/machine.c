// SPDX-License-Identifier: GPL-2.0-or-later
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>

#define START  0x8000
#define VECTOR (START >> 12)
#define EOI    0xfee000b0

int machine_load(struct machine *m, const char *guest)
{
	const char *dir = getenv("GUESTS");
	char path[512];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.bin", dir ? dir : "guests", guest);
	f = fopen(path, "re");
	if (!f) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	n = fread(m->h->ram + START, 1, 0x10000 - START, f);
	fclose(f);
	memcpy(m->h->ram + HOST_ROM, "!MOR", 4);
	return n ? 0 : -1;
}

int machine_start(struct machine *m)
{
	struct gvm_vcpu_state *s = malloc(sizeof(*s));
	int err = s ? m->h->x->get_state(m->h->v[m->vcpu], s, m->h->error) : -1;

	if (!err) {
		gvm_vcpu_state_sipi(s, VECTOR);
		err = m->h->x->set_state(m->h->v[m->vcpu], s, m->h->error);
	}
	free(s);
	return err;
}

static int highest(const u8 *bits)
{
	int v = 255;

	while (v >= 0 && !(bits[v / 8] >> v % 8 & 1))
		v--;
	return v;
}

void machine_offer(struct machine *m)
{
	int next = highest(m->irr), now = highest(m->isr);

	if (next < 0 || next >> 4 <= now >> 4)
		next = GVM_NO_VECTOR;
	if (m->offer)
		m->offer(m, next);
	else
		m->h->x->irq(m->h->v[m->vcpu], next);
}

void machine_raise(struct machine *m, u8 vector)
{
	m->irr[vector / 8] |= 1 << vector % 8;
	machine_offer(m);
}

static void taken(struct machine *m)
{
	u8 v = m->exit.vector;

	m->irr[v / 8] &= ~(1 << v % 8);
	m->isr[v / 8] |= 1 << v % 8;
	machine_offer(m);
}

static void eoi(struct machine *m)
{
	int v = highest(m->isr);

	m->eois++;
	if (v >= 0)
		m->isr[v / 8] &= ~(1 << v % 8);
	machine_offer(m);
}

static void pio_out(struct machine *m)
{
	const struct gvm_exit *e = &m->exit;

	if (e->port == 0x82 && m->mark) {
		m->marks++;
		m->mark(m, gvm_get_le16(e->data));
	}
	if (e->port != 0x300 && e->port != 0x304)
		return;
	m->out_exits++;
	if (e->len <= sizeof(m->out) - m->out_len) {
		memcpy(m->out + m->out_len, e->data, e->len);
		m->out_len += e->len;
	}
}

static void pio_in(struct machine *m)
{
	struct gvm_exit *e = &m->exit;
	u32 i;

	m->in_exits++;
	memset(e->data, 0x5a, e->len);
	for (i = 0; e->port == 0x308 && e->size == 4 && i < e->count; i++)
		gvm_put_le32(e->data + i * 4, m->in_next++ * 0x01000193);
}

static void mmio(struct machine *m)
{
	struct gvm_exit *e = &m->exit;
	u64 at = e->gpa - HOST_HOLE;

	if (e->gpa == EOI && e->write) {
		eoi(m);
	} else if (e->gpa >= HOST_ROM && e->gpa < HOST_ROM + 0x100000 && e->write) {
		m->rom_writes++;
	} else if (at + e->len <= sizeof(m->hole)) {
		memcpy(e->write ? m->hole + at : e->data, e->write ? e->data : m->hole + at,
		       e->len);
	} else if (at == 0x1000 && !e->write) {
		memset(e->data, 0, e->len);
		gvm_put_le32(e->data, m->hole_reads++);
	} else {
		fprintf(stderr, "an access of %u bytes at %#llx\n", e->len,
			(unsigned long long)e->gpa);
	}
}

static int halted(struct machine *m)
{
	m->sleeps++;
	if (m->asleep && m->asleep(m))
		return m->offer ? 0 : m->h->x->wait(m->h->v[m->vcpu], 5000000) ? MACHINE_ASLEEP : 0;
	return MACHINE_ASLEEP;
}

int machine_serve(struct machine *m, bool *leaves)
{
	struct gvm_exit *e = &m->exit;

	*leaves = false;
	switch (e->kind) {
	case GVM_EXIT_PIO:
		*leaves = e->write && e->port == 0x80;
		if (*leaves)
			return e->data[0];
		if (e->write)
			pio_out(m);
		else
			pio_in(m);
		return 0;
	case GVM_EXIT_MMIO:
		mmio(m);
		return 0;
	case GVM_EXIT_TAKEN:
		taken(m);
		return 0;
	case GVM_EXIT_TPR:
		m->tprs++;
		machine_offer(m);
		return 0;
	case GVM_EXIT_HALT:
	case GVM_EXIT_WAIT:
		return halted(m);
	case GVM_EXIT_KICKED:
		return MACHINE_KICKED;
	case GVM_EXIT_SHUTDOWN:
		if (!m->shutdown_expected)
			fprintf(stderr, "%s\n", e->text);
		return MACHINE_SHUTDOWN;
	default:
		fprintf(stderr, "%s\n", e->text);
		return MACHINE_ERROR;
	}
}

int machine_run(struct machine *m)
{
	bool leaves;
	int status;

	do {
		m->h->x->run(m->h->v[m->vcpu], &m->exit);
		status = machine_serve(m, &leaves);
	} while (!leaves && status >= 0);
	return status;
}
