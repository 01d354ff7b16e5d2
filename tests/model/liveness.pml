/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every access that waits is finally served, if every process that can go on
 * does (weak fairness). The guests fault, write and evict for ever; versions are
 * serial numbers, as in the code. Messages between the home and one agent keep
 * their order here and only LOSSES of them are lost, DUPLICATES doubled:
 * whatever else may happen to them is the business of safety.pml.
 */
#ifndef AGENTS
#define AGENTS 2
#endif
#ifndef LOSSES
#define LOSSES 1
#endif
#ifndef DUPLICATES
#define DUPLICATES 1
#endif
#define ROOM	3
#define WAITERS AGENTS
#define SERIAL

chan up[AGENTS] = [ROOM] of { int };
chan down[AGENTS] = [ROOM] of { int };
byte losses, duplicates;

#include "page.pml"

SCRATCH byte p, q;
SCRATCH int old;

#define TO_HOME(m)                                                                                 \
	(TYPE_OF(m) == MEM_READ || TYPE_OF(m) == MEM_WRITE || TYPE_OF(m) == INV_ACK ||             \
	 TYPE_OF(m) == GRANT_ACK)

inline put()
{
	p = AGENT_OF(msg);
	q = (TO_HOME(msg) -> 0 : 2);
	q = q + (q == 0 && len(up[p]) < ROOM || q == 2 && len(down[p]) < ROOM -> 1 : 0);
	if
	:: q == 1 -> up[p]!msg
	:: q == 3 -> down[p]!msg
	:: q == 0 || q == 2 -> skip
	fi;
	skip
}

/* Every message in c, once round. */
inline each_id(c, who)
{
	q = len(c);
	do
	:: q > 0 ->
		c?old;
		c!old;
		if
		:: (who) -> used = used | BIT(ID_OF(old))
		:: else
		fi;
		q--
	:: else -> break
	od
}

inline each_handle(c)
{
	q = len(c);
	do
	:: q > 0 -> c?old; c!old; used = used | BIT(HANDLE_OF(old)); q--
	:: else -> break
	od
}

inline ids_in_flight()
{
	each_id(up[a], true);
	each_id(down[a], true)
}

inline handles_in_flight()
{
	p = 0;
	do
	:: p < AGENTS -> each_handle(up[p]); each_handle(down[p]); p++
	:: else -> break
	od
}

#define ASKS(n) (st[n] == PAGE_FILL || st[n] == PAGE_UPGRADE)

active [AGENTS] proctype guest()
{
	do
	:: d_step { CAN_FAULT_READ(_pid) -> a = _pid; fault_read(); agent_go() }
	:: d_step { CAN_FAULT_WRITE(_pid) -> a = _pid; fault_write(); agent_go() }
	:: d_step { CAN_DROP(_pid) -> a = _pid; forget() }
	:: d_step { CAN_WRITE(_pid) -> a = _pid; write_back(true) }
	:: d_step { CAN_WRITE(_pid) -> a = _pid; write_back(false) }
	:: break
	od
}

#define WIRE(c)                                                                                    \
	do                                                                                         \
	:: d_step { c?got; take() }                                                                \
	:: d_step { losses < LOSSES && nempty(c) -> c?got; losses++; got = 0 }                      \
	:: d_step { duplicates < DUPLICATES && nempty(c) -> c?<got>; duplicates++; take() }        \
	od

active [AGENTS] proctype wire_up()
{
	byte n = _pid - AGENTS;

end:	WIRE(up[n])
}

active [AGENTS] proctype wire_down()
{
	byte n = _pid - 2 * AGENTS;

end:	WIRE(down[n])
}

/* What nobody has answered is sent again. */
active [AGENTS] proctype timer()
{
	byte n = _pid - 3 * AGENTS;

end:	do
	:: d_step { id[n] && ASKS(n) && !(up[n]??[eval(REQUEST_MSG(n))]) -> send(REQUEST_MSG(n)) }
	:: d_step { sent[n] && !(up[n]??[eval(WRITE_MSG(n))]) -> send(WRITE_MSG(n)) }
	:: d_step { r_id[n] && !(up[n]??[eval(RETURN_MSG(n))]) -> send(RETURN_MSG(n)) }
	od
}

active [AGENTS] proctype home_timer()
{
	byte n = _pid - 4 * AGENTS;

end:	do
#ifndef MUTATE_GRANT_ONCE
	:: d_step {
		t_phase == TXN_GRANT && t_src == n && !(down[n]??[eval(GRANT_MSG)]) ->
		send(GRANT_MSG)
	   }
#endif
#ifndef MUTATE_UPDATE_ONCE
	:: d_step { u_handle[n] && !(down[n]??[eval(UPDATE_MSG(n))]) -> send(UPDATE_MSG(n)) }
#endif
	od
}

ltl served { [] (wait[0] -> <> !wait[0]) }
