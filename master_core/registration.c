// SPDX-License-Identifier: GPL-2.0-or-later
#include "registration.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

/* The node that has our id may be our dead predecessor, whom the gateway forgets. */
#define EXIST_PATIENCE_US 5000000
#define MENTION_WAIT_US	  1000000

struct gateway {
	u64 heard;
	u64 first_try;
	u64 refused_since; /* 0: not refused */
	u64 boot;
	s32 status;
	u8 state;
	bool mentioned; /* the log has said that it does not answer */
};

struct gvm_registration {
	struct gvm_registration_config cfg;
	pthread_mutex_t lock;
	struct gateway *gateways;
	u64 next;
	u64 nonce; /* upper half of our req_ids; the lower is the gateway's id */
	bool ever_accepted;
	u32 accepted, refused;
};

struct gvm_registration *gvm_registration_create(const struct gvm_registration_config *cfg)
{
	struct gvm_registration *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->gateways = calloc(GVM_MAX_GATEWAYS, sizeof(*r->gateways));
	if (!r->gateways) {
		free(r);
		return NULL;
	}
	r->cfg = *cfg;
	r->nonce = cfg->boot_id >> 32 << 32;
	pthread_mutex_init(&r->lock, NULL);
	return r;
}

void gvm_registration_destroy(struct gvm_registration *r)
{
	if (!r)
		return;
	pthread_mutex_destroy(&r->lock);
	free(r->gateways);
	free(r);
}

static u32 first_gateway(const struct gvm_registration *r, u32 from)
{
	u32 own = r->cfg.id >> GVM_ROUTING_SHIFT;
	struct sockaddr_in addr;

	if (r->cfg.id >= GVM_MAX_SLAVES)
		return gvm_addresses_next_gateway(r->cfg.addresses, from);
	if (own >= from && gvm_addresses_gateway(r->cfg.addresses, own, &addr))
		return own;
	return GVM_MAX_GATEWAYS;
}

static const char *address_text(const struct gvm_registration *r, u32 gw, char *buf, size_t len)
{
	struct sockaddr_in addr;
	char ip[INET_ADDRSTRLEN];

	if (!gvm_addresses_gateway(r->cfg.addresses, gw, &addr))
		return "?";
	inet_ntop(AF_INET, &addr.sin_addr, ip, sizeof(ip));
	snprintf(buf, len, "%s:%u", ip, ntohs(addr.sin_port));
	return buf;
}

static void set_state(struct gvm_registration *r, struct gateway *g, u8 state)
{
	r->accepted += (state == GVM_REGISTRATION_ACCEPTED);
	r->accepted -= (g->state == GVM_REGISTRATION_ACCEPTED);
	r->refused += (state == GVM_REGISTRATION_REFUSED);
	r->refused -= (g->state == GVM_REGISTRATION_REFUSED);
	g->state = state;
}

/* Says once that a gateway does not answer (yet, or any more). */
static void check_silence(struct gvm_registration *r, u32 gw, struct gateway *g, u64 now)
{
	char text[32];

	if (!g->first_try)
		g->first_try = now;
	if (g->heard && now - g->heard < GVM_PEER_GONE_US)
		return;
	if (g->state == GVM_REGISTRATION_REFUSED) {
		set_state(r, g, GVM_REGISTRATION_SILENT);
	} else if (g->state == GVM_REGISTRATION_ACCEPTED) {
		set_state(r, g, GVM_REGISTRATION_SILENT);
		g->mentioned = true;
		gvm_logf(r->cfg.log, GVM_LOG_WARN, "gateway %u at %s does not answer any more", gw,
			 address_text(r, gw, text, sizeof(text)));
	} else if (!g->mentioned && now - g->first_try > MENTION_WAIT_US) {
		g->mentioned = true;
		gvm_logf(r->cfg.log, GVM_LOG_INFO, "waiting for gateway %u at %s", gw,
			 address_text(r, gw, text, sizeof(text)));
	}
}

static void send_one(struct gvm_registration *r, u32 gw)
{
	struct gvm_register_body b = {
		.boot_id = r->cfg.boot_id,
		.lent_pages = r->cfg.lent_pages,
		.free_pages = r->cfg.ops->free_pages(r->cfg.ctx),
		.slave_bits = GVM_SLAVE_BITS,
	};
	u8 body[GVM_REGISTER_BODY];

	gvm_register_encode(body, &b);
	r->cfg.ops->send(r->cfg.ctx, gw, MSG_REGISTER, r->nonce | gw, body, sizeof(body));
}

u64 gvm_registration_tick(struct gvm_registration *r, u64 now)
{
	u32 gw;

	if (now < r->next)
		return r->next;
	for (gw = first_gateway(r, 0); gw < GVM_MAX_GATEWAYS; gw = first_gateway(r, gw + 1)) {
		send_one(r, gw);
		pthread_mutex_lock(&r->lock);
		check_silence(r, gw, &r->gateways[gw], now);
		pthread_mutex_unlock(&r->lock);
	}
	r->next = now + GVM_REGISTER_PERIOD_US;
	return r->next;
}

static void accepted(struct gvm_registration *r, u32 gw, struct gateway *g,
		     const struct gvm_register_body *b)
{
	bool restarted = g->boot && g->boot != b->gateway_boot;

	if (restarted)
		gvm_logf(r->cfg.log, GVM_LOG_INFO,
			 "registered with gateway %u, which has restarted", gw);
	else if (g->state != GVM_REGISTRATION_ACCEPTED)
		gvm_logf(r->cfg.log, GVM_LOG_INFO, "registered with gateway %u", gw);
	set_state(r, g, GVM_REGISTRATION_ACCEPTED);
	g->boot = b->gateway_boot;
	g->refused_since = 0;
	g->mentioned = false;
	r->ever_accepted = true;
}

static void refusal_sentence(const struct gvm_registration *r, u32 gw,
			     const struct gvm_register_body *b, char *buf, size_t len)
{
	const char *kind = r->cfg.id < GVM_MAX_SLAVES ? "slave" : "client";
	char text[32];
	int n;

	n = snprintf(buf, len, "gateway %u at %s refuses %s id %u: ", gw,
		     address_text(r, gw, text, sizeof(text)), kind, r->cfg.id);
	if (n < 0 || (size_t)n >= len)
		return;
	buf += n;
	len -= (size_t)n;
	switch (b->status) {
	case -EEXIST:
		snprintf(buf, len, "another live node has this id");
		break;
	case -ERANGE:
		snprintf(buf, len, "it does not serve this id");
		break;
	case -EPROTO:
		snprintf(buf, len, "it is built with GVM_SLAVE_BITS=%u, this program with %u",
			 b->slave_bits, GVM_SLAVE_BITS);
		break;
	default:
		snprintf(buf, len, "%s", strerror(-b->status));
	}
}

/* True when it is time to give up: the sentence says why. */
static bool refused(struct gvm_registration *r, u32 gw, struct gateway *g,
		    const struct gvm_register_body *b, u64 now, char *sentence, size_t len)
{
	bool first = g->state != GVM_REGISTRATION_REFUSED || g->status != b->status;

	if (first)
		g->refused_since = now;
	set_state(r, g, GVM_REGISTRATION_REFUSED);
	g->status = b->status;
	refusal_sentence(r, gw, b, sentence, len);
	if (!r->ever_accepted &&
	    (b->status != -EEXIST || now - g->refused_since >= EXIST_PATIENCE_US))
		return true;
	if (first)
		gvm_logf(r->cfg.log, GVM_LOG_WARN, "%s; trying on", sentence);
	return false;
}

void gvm_registration_ack(struct gvm_registration *r, u64 req_id, const u8 *body, size_t len,
			  u64 now)
{
	u32 gw = (u32)req_id;
	struct gvm_register_body b;
	struct gateway *g;
	char sentence[200];
	bool give_up = false;

	if ((req_id & ~0xffffffffULL) != r->nonce || gw >= GVM_MAX_GATEWAYS ||
	    gvm_register_decode(&b, body, len) || b.boot_id != r->cfg.boot_id)
		return;
	g = &r->gateways[gw];
	pthread_mutex_lock(&r->lock);
	g->heard = now;
	if (!b.status)
		accepted(r, gw, g, &b);
	else
		give_up = refused(r, gw, g, &b, now, sentence, sizeof(sentence));
	pthread_mutex_unlock(&r->lock);
	if (give_up)
		r->cfg.ops->refused(r->cfg.ctx, sentence);
}

bool gvm_registration_status(struct gvm_registration *r, u32 from, struct gvm_gateway_status *out)
{
	u32 gw = first_gateway(r, from);
	struct gateway *g;

	if (gw >= GVM_MAX_GATEWAYS || !gvm_addresses_gateway(r->cfg.addresses, gw, &out->addr))
		return false;
	g = &r->gateways[gw];
	pthread_mutex_lock(&r->lock);
	out->id = gw;
	out->state = g->state;
	out->status = g->status;
	out->heard_us = g->heard;
	pthread_mutex_unlock(&r->lock);
	return true;
}

bool gvm_registration_refused(struct gvm_registration *r)
{
	bool refused;

	pthread_mutex_lock(&r->lock);
	refused = r->refused && !r->ever_accepted;
	pthread_mutex_unlock(&r->lock);
	return refused;
}

u32 gvm_registration_accepted(struct gvm_registration *r)
{
	u32 n;

	pthread_mutex_lock(&r->lock);
	n = r->accepted;
	pthread_mutex_unlock(&r->lock);
	return n;
}
