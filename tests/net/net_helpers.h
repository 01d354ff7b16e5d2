/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A gateway process and nodes that are no more than a socket, for tests. */
#ifndef GVM_NET_HELPERS_H
#define GVM_NET_HELPERS_H

#include <netinet/in.h>
#include <sys/types.h>
#include "../../common_include/giantvm_protocol.h"

struct gateway_proc {
	pid_t pid;
	u16 port;
	int log_fd; /* its stderr */
	char dir[64], control[96], stats[96];
	char log[65536]; /* what it has said so far */
	size_t log_len;
};

#define ARGS_MAX 16

/* Starts it on a free port and waits for its ready line. extra ends with NULL. */
void gateway_start(struct gateway_proc *g, u32 id, const char *const *extra);
/* SIGTERM; returns the exit code. */
int gateway_stop(struct gateway_proc *g);
/* Runs it to its end, which must come by itself; its stderr goes to log. Exit code. */
int gateway_run(const char *const *args, char *log, size_t room);
/* Waits up to 5 s for text on its stderr. */
bool gateway_said(struct gateway_proc *g, const char *text);
/* The answer to a request on the control socket, to be freed. */
char *gateway_ask(struct gateway_proc *g, const char *request);
/* A number of its status. */
u64 gateway_count(struct gateway_proc *g, const char *name);
u64 json_number(const char *json, const char *name);
u16 free_port(void);

struct node {
	int fd;
	u32 id;
	u64 boot_id;
	u64 lent_pages;
	struct sockaddr_in addr, gateway;
	struct held *held; /* the rest of the datagram that was received last */
};

/* One message that came in. */
struct message {
	struct gvm_header h;
	u8 body[GVM_MSG_MAX];
	struct sockaddr_in from;
	size_t datagram_len, datagram_at; /* where in which datagram it stood */
};

void node_open(struct node *n, u32 id, u16 gateway_port);
void node_close(struct node *n);
/* Registers and returns the status in the answer. */
int node_register(struct node *n);
/* Builds and sends one message (all its fragments). */
void node_send(struct node *n, u32 dest, u16 type, u64 req_id, const void *body, size_t len);
size_t node_build(struct node *n, u8 *buf, u32 dest, u16 type, u64 req_id, const void *body,
		  size_t len, size_t *seg);
void node_send_raw(struct node *n, const void *data, size_t len);
/*
 * The next message or fragment within ms milliseconds; NODE_ADDR is passed on like any
 * other. False: none came. The rest of a datagram is kept for the next call.
 */
bool node_recv(struct node *n, struct message *m, int ms);
/* The next message, put together from its fragments. */
bool node_recv_whole(struct node *n, struct message *m, int ms);

#endif
