// SPDX-License-Identifier: GPL-2.0-or-later
#define _GNU_SOURCE 1
#include <signal.h>
#include <sys/wait.h>
#include "net_site.h"

void site_open(struct site *s, const char *const *extra)
{
	gateway_start(&s->gw, GW_ID, extra);
	for (u32 i = 0; i < 2; i++) {
		node_open(&s->slave[i], SLAVE(i), s->gw.port);
		assert_int_equal(node_register(&s->slave[i]), 0);
	}
	node_open(&s->client, CLIENT(1), s->gw.port);
	assert_int_equal(node_register(&s->client), 0);
}

void site_close(struct site *s)
{
	for (u32 i = 0; i < 2; i++)
		node_close(&s->slave[i]);
	node_close(&s->client);
	assert_int_equal(gateway_stop(&s->gw), 0);
}

const char *const relay_mode[] = {"--reply", "relay", NULL};

void pattern(u8 *p, size_t len, u32 seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (u8)(seed + i * 7);
}

void assert_arrives(struct node *to, u64 req_id, u16 type, u32 src, const u8 *body, size_t len)
{
	struct message m;

	assert_true(node_recv_whole(to, &m, WAIT));
	assert_int_equal(m.h.msg_type, type);
	assert_int_equal(m.h.req_id, req_id);
	assert_int_equal(m.h.src_id, src);
	assert_int_equal(m.h.slave_id, to->id);
	assert_int_equal(m.h.length, len);
	assert_memory_equal(m.body, body, len);
	assert_int_equal(m.from.sin_port, to->gateway.sin_port);
}

void assert_nothing(struct node *n)
{
	struct message m;

	assert_false(node_recv(n, &m, NOTHING));
}

void pause_gateway(struct site *s)
{
	int status;

	kill(s->gw.pid, SIGSTOP);
	assert_int_equal(waitpid(s->gw.pid, &status, WUNTRACED), s->gw.pid);
}

void resume_gateway(struct site *s)
{
	kill(s->gw.pid, SIGCONT);
}

size_t append(struct node *n, u8 *buf, size_t at, u32 dest, u64 req_id)
{
	u8 body[GVM_PAGE_BODY];
	size_t seg;

	pattern(body, sizeof(body), req_id);
	return at + node_build(n, buf + at, dest, MSG_MEM_READ, req_id, body, sizeof(body), &seg);
}

void assert_small(struct node *to, u64 req_id, u32 src)
{
	u8 body[GVM_PAGE_BODY];

	pattern(body, sizeof(body), req_id);
	assert_arrives(to, req_id, MSG_MEM_READ, src, body, sizeof(body));
}
