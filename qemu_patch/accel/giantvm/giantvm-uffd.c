/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who serves the faults on the guest's RAM: the node, which is handed the
 * userfaultfd, with as many threads as it has. No thread of QEMU is between a
 * fault and its page.
 *
 * The client keeps a descriptor of its own of that userfaultfd for as long as
 * QEMU lives. When the node dies, an access to a page that is not here then
 * waits; were the last descriptor closed, it would read zeroes.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "sysemu/hostmem.h"
#include "giantvm-int.h"

bool giantvm_serve_ram(GiantvmState *s, void *base, Error **errp)
{
	if (gvm_client_adopt(&s->client, base) < 0 || gvm_client_pager(&s->client) < 0) {
		error_setg(errp, "%s", s->client.error);
		return false;
	}
	giantvm_events_start(s);
	return true;
}
