/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What must hold at every instant, whatever the guests do and for however long.
 *
 * The network is a set of at most ROOM messages: delivery picks any of them
 * (reordering), may leave it there to come again (duplication), and when there
 * is no room any of them may vanish (loss; a message that is never delivered is
 * as good as lost, so losing one earlier adds nothing).
 *
 * The state space is finite without a bound on faults, writes or evictions: of
 * versions only order and neighbourhood matter, so they are renumbered after
 * every step, ids that nothing names any more are used again, and messages that
 * can have no effect any more are removed. KEEP_ALL removes and renames none: for
 * mutants that break what it rests on.
 */
#ifndef AGENTS
#define AGENTS 2
#endif
#ifndef ROOM
#define ROOM 2
#endif
#ifndef WAITERS
#define WAITERS 2
#endif

int net[ROOM]; /* greatest first, 0: none */
byte pick;

#include "page.pml"

SCRATCH byte p, q;
SCRATCH int old[ROOM];
SCRATCH byte renumbered[16], newid[AGENTS * 8], met[AGENTS];

inline put()
{
	p = 0;
	do
	:: p < ROOM && net[p] > msg -> p++
	:: else -> break
	od;
	if
	:: p < ROOM && net[p] != msg && net[ROOM - 1] == 0 ->
		q = ROOM - 1;
		do
		:: q > p -> net[q] = net[q - 1]; q--
		:: else -> break
		od;
		net[p] = msg
	:: else
	fi;
	skip
}

inline remove(n)
{
	q = n;
	do
	:: q < ROOM - 1 -> net[q] = net[q + 1]; q++
	:: else -> break
	od;
	net[ROOM - 1] = 0
}

inline handles_in_flight()
{
	p = 0;
	do
	:: p < ROOM && net[p] != 0 -> used = used | BIT(HANDLE_OF(net[p])); p++
	:: else -> break
	od
}

inline ids_in_flight()
{
	p = 0;
	do
	:: p < ROOM && net[p] != 0 ->
		if
		:: AGENT_OF(net[p]) == a -> used = used | BIT(ID_OF(net[p]))
		:: else
		fi;
		p++
	:: else -> break
	od
}

#define IN_FLIGHT(m)                                                                               \
	(net[0] == (m) || net[1 % ROOM] == (m) || net[2 % ROOM] == (m) || net[3 % ROOM] == (m))

#define HELD(n)                                                                                    \
	(st[n] == PAGE_SHARED || st[n] == PAGE_EXCLUSIVE || st[n] == PAGE_MODIFIED ||              \
	 st[n] == PAGE_UPGRADE || st[n] == PAGE_WRITEBACK)
/* May be written now, or without asking anybody. */
#define SOLE(n) (st[n] == PAGE_EXCLUSIVE || st[n] == PAGE_MODIFIED || st[n] == PAGE_WRITEBACK)
/* Will not be given up before the home has the bytes. */
#define KEEPS(n)                                                                                   \
	(st[n] == PAGE_MODIFIED || st[n] == PAGE_WRITEBACK || r_id[n] && r_bytes[n] == CURRENT)

inline check()
{
	was = 0; /* readers */
	k = 0;	 /* sole holders */
	i = 0;
	moot = hbytes == CURRENT;
	do
	:: i < AGENTS ->
		if
		:: HELD(i) ->
			was++;
			assert(bytes[i] == CURRENT) /* a read returns the latest write */
		:: else
		fi;
		if
		:: SOLE(i) -> k++
		:: else
		fi;
		moot = moot || KEEPS(i);
		i++
	:: else -> break
	od;
	assert(k == 0 || was == 1); /* single writer or many readers */
	assert(moot)		    /* no lost write */
}

/*
 * Messages without effect, now and later: an answer to nobody's question; a
 * write-back whose version has passed; a grant whose transaction has ended and
 * which is not newer than what its agent holds; an update likewise.
 */
#define MINE	(id[AGENT] == ID || r_id[AGENT] == ID)
#define LIVE_READ (TYPE == MEM_READ)
#define LIVE_WRITE (TYPE == MEM_WRITE && (MINE || NEXT(VER) >= hver))
#define LIVE_INV                                                                                   \
	(TYPE == INV_ACK && (HANDLE == u_handle[AGENT] || (FLAG & 1) && (MINE || VER >= hver)))
#define LIVE_GRANT_ACK (TYPE == GRANT_ACK && HANDLE == t_handle)
#define LIVE_GRANT                                                                                 \
	(TYPE == MEM_ACK && (MINE || HANDLE == t_handle || HELD(AGENT) && VER > ver[AGENT]))
#define LIVE_ANSWER ((TYPE == MEM_ACK_FAILED || TYPE == MEM_ACK_WRITTEN) && MINE)
#define LIVE_UPDATE                                                                                \
	(TYPE == COPYSET_UPDATE && (HANDLE == u_handle[AGENT] || VER >= hver ||                    \
				    HELD(AGENT) && VER >= granted[AGENT]))
#ifdef KEEP_ALL
#define LIVE (got != 0)
#else
#define LIVE                                                                                       \
	(got != 0 && (LIVE_READ || LIVE_WRITE || LIVE_INV || LIVE_GRANT_ACK || LIVE_GRANT ||       \
		      LIVE_ANSWER || LIVE_UPDATE))
#endif

/* used: versions that anything names, a bit each; 0 names none. */
inline versions_in_use()
{
	used = BIT(hver) | BIT(t_ver) | BIT(u_ver);
	i = 0;
	do
	:: i < AGENTS ->
		used = used | BIT(ver[i]) | BIT(granted[i]) | BIT(barred[i]) | BIT(sent[i]) |
		       BIT(r_ver[i]);
		i++
	:: else -> break
	od;
	i = 0;
	do
	:: i < ROOM -> used = used | BIT(VER_OF(net[i])); i++
	:: else -> break
	od
}

/* Distances of one stay, greater ones become two. */
inline renumber()
{
	i = 1; /* old number */
	k = 0; /* new one of the last in use */
	was = 2;
	do
	:: i < 16 ->
		if
		:: used & BIT(i) ->
			k = (k == 0 -> 1 : k + was);
			renumbered[i] = k;
			was = 1
		:: else -> was = 2
		fi;
		i++
	:: else -> break
	od;
	renumbered[0] = 0;
	assert(k < 14);
	hver = renumbered[hver];
	t_ver = renumbered[t_ver];
	u_ver = renumbered[u_ver];
	i = 0;
	do
	:: i < AGENTS ->
		ver[i] = renumbered[ver[i]];
		granted[i] = renumbered[granted[i]];
		barred[i] = renumbered[barred[i]];
		sent[i] = renumbered[sent[i]];
		r_ver[i] = renumbered[r_ver[i]];
		i++
	:: else -> break
	od
}

/*
 * Ids in the order in which they are met get the numbers 1, 2, ...; those whose
 * answer nobody awaits become 7, handles that answer nothing become 0 and the
 * others 1.
 */
inline meet(who, number)
{
	if
	:: number != 0 && newid[(who) * 8 + (number)] == 7 ->
		met[who]++;
		newid[(who) * 8 + (number)] = met[who]
	:: else
	fi
}

inline rename_ids()
{
	i = 0;
	do
	:: i < AGENTS * 8 -> newid[i] = ((i & 7) -> 7 : 0); i++
	:: else -> break
	od;
#ifdef KEEP_ALL
	i = 0;
	do
	:: i < AGENTS * 8 -> newid[i] = (i & 7); i++
	:: else -> break
	od;
#endif
	i = 0;
	do
	:: i < AGENTS -> met[i] = 0; meet(i, id[i]); meet(i, r_id[i]); i++
	:: else -> break
	od;
	meet(t_src, t_id);
	i = 0;
	do
	:: i < WAITERS && waiter[i] != 0 ->
		meet(((waiter[i] >> 3) & 3), (waiter[i] >> 5));
		i++
	:: else -> break
	od;
	i = 0;
	do
	:: i < ROOM ->
		got = net[i];
		if
		:: TYPE == MEM_READ -> meet(AGENT, ID)
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0;
	do
	:: i < AGENTS ->
		id[i] = newid[i * 8 + id[i]];
		r_id[i] = newid[i * 8 + r_id[i]];
		i++
	:: else -> break
	od;
	t_id = newid[t_src * 8 + t_id];
	i = 0;
	do
	:: i < WAITERS && waiter[i] != 0 ->
		waiter[i] = (waiter[i] & 31) |
			    newid[((waiter[i] >> 3) & 3) * 8 + (waiter[i] >> 5)] << 5;
		i++
	:: else -> break
	od
}

#ifdef KEEP_ALL
#define NEW_HANDLE HANDLE
#else
#define NEW_HANDLE (HANDLE != 0 && (HANDLE == t_handle || HANDLE == u_handle[AGENT]) -> 1 : 0)
#endif
#define OTHERS	(~(7 << 14 | 15 << 8 | 7 << 5))

inline rename_messages()
{
	i = 0;
	do
	:: i < ROOM -> old[i] = net[i]; net[i] = 0; i++
	:: else -> break
	od;
	i = 0;
	do
	:: i < ROOM ->
		got = old[i];
		if
		:: got != 0 ->
			send((got & OTHERS) | newid[AGENT * 8 + ID] << 14 | renumbered[VER] << 8 |
			     NEW_HANDLE << 5)
		:: else
		fi;
		i++
	:: else -> break
	od;
#ifndef KEEP_ALL
	i = 0;
	do
	:: i < AGENTS ->
		r_handle[i] = (r_handle[i] != 0 && r_handle[i] == u_handle[i] -> 1 : 0);
		u_handle[i] = (u_handle[i] -> 1 : 0);
		i++
	:: else -> break
	od;
	t_handle = (t_handle -> 1 : 0);
#endif
	skip
}

inline drop_dead()
{
	i = 0;
	do
	:: i < ROOM ->
		got = net[i];
		if
		:: got != 0 && !LIVE -> remove(i)
		:: else -> i++
		fi
	:: else -> break
	od
}

/* Agents are alike: they stand in the order of what they do. */
#define RANK(n) (st[n] * 8 + wait[n] * 2 + drop[n])

#define SWAP(v) used = v[k]; v[k] = v[k + 1]; v[k + 1] = used
#define SWAPPED(n) ((n) == k -> k + 1 : ((n) == k + 1 -> k : (n)))

inline swap()
{
	SWAP(st); SWAP(ver); SWAP(granted); SWAP(barred); SWAP(bytes); SWAP(wait); SWAP(id); SWAP(id_mode);
	SWAP(id_have); SWAP(id_old); SWAP(drop); SWAP(sent); SWAP(r_id); SWAP(r_ver); SWAP(r_bytes);
	SWAP(r_mode); SWAP(r_handle); SWAP(u_handle);
	used = (holders >> k) & 3;
	holders = (holders & ~(3 << k)) | ((used & 1) << 1 | used >> 1) << k;
	if
	:: t_phase != TXN_NONE -> t_src = SWAPPED(t_src)
	:: else
	fi;
	i = 0;
	do
	:: i < WAITERS && waiter[i] != 0 ->
		was = (waiter[i] >> 3) & 3;
		waiter[i] = (waiter[i] & ~(3 << 3)) | SWAPPED(was) << 3;
		i++
	:: else -> break
	od;
	i = 0;
	do
	:: i < ROOM ->
		was = AGENT_OF(net[i]);
		net[i] = (net[i] == 0 -> 0 : (net[i] & ~(3 << 17)) | SWAPPED(was) << 17);
		i++
	:: else -> break
	od
}

inline sort_agents()
{
	k = 0;
	do
	:: k < AGENTS - 1 && RANK(k) < RANK(k + 1) ->
		swap();
		k = (k > 0 -> k - 1 : 0)
	:: k < AGENTS - 1 && RANK(k) >= RANK(k + 1) -> k++
	:: else -> break
	od
}

inline clear()
{
	i = 0;
	do
	:: i < 16 -> renumbered[i] = 0; i++
	:: else -> break
	od;
	i = 0;
	do
	:: i < AGENTS * 8 -> newid[i] = 0; i++
	:: else -> break
	od;
	i = 0;
	do
	:: i < AGENTS -> met[i] = 0; i++
	:: else -> break
	od;
	i = 0;
	do
	:: i < ROOM -> old[i] = 0; i++
	:: else -> break
	od;
	msg = 0; got = 0; used = 0;
	a = 0; i = 0; k = 0; p = 0; q = 0; fresh = 0; was = 0; moot = 0; bad = 0;
}

inline done()
{
	check();
	sort_agents();
	drop_dead();
	versions_in_use();
	renumber();
	rename_ids();
	rename_messages();
#ifdef BREADTH
	clear();
#endif
	skip
}

inline write(n)
{
	i = 0;
	do
	:: i < AGENTS -> bytes[i] = STALE; r_bytes[i] = STALE; i++
	:: else -> break
	od;
	hbytes = STALE;
	bytes[n] = CURRENT;
	i = 0;
	do
	:: i < ROOM -> net[i] = net[i] & ~(1 << 2); i++
	:: else -> break
	od;
	skip
}

#define IDLE(n)                                                                                    \
	(id[n] == 0 && r_id[n] == 0 && wait[n] == 0 && u_handle[n] == 0 && st[n] != PAGE_FILL &&   \
	 st[n] != PAGE_UPGRADE && st[n] != PAGE_WRITEBACK && st[n] != PAGE_ERROR)
#define QUIET (t_phase == TXN_NONE && IDLE(0) && IDLE(1) && IDLE(AGENTS - 1))
#define ASKS(n) (st[n] == PAGE_FILL || st[n] == PAGE_UPGRADE)

#define GUEST(n)                                                                                   \
	:: d_step { CAN_FAULT_READ(n) -> a = n; fault_read(); agent_go() }                         \
	:: d_step { CAN_FAULT_WRITE(n) -> a = n; fault_write(); agent_go() }                       \
	:: d_step { CAN_WRITE(n) -> write(n) }                                                     \
	:: d_step { CAN_DROP(n) -> a = n; forget() }                                               \
	:: d_step { CAN_WRITE(n) -> a = n; write_back(true) }                                      \
	:: d_step { CAN_WRITE(n) -> a = n; write_back(false) }

#define REPEAT(n)                                                                                  \
	:: d_step { id[n] != 0 && ASKS(n) && !IN_FLIGHT(REQUEST_MSG(n)) -> send(REQUEST_MSG(n)) }  \
	:: d_step { sent[n] != 0 && !IN_FLIGHT(WRITE_MSG(n)) -> send(WRITE_MSG(n)) }               \
	:: d_step { r_id[n] != 0 && !IN_FLIGHT(RETURN_MSG(n)) -> send(RETURN_MSG(n)) }             \
	:: d_step { u_handle[n] != 0 && !IN_FLIGHT(UPDATE_MSG(n)) -> send(UPDATE_MSG(n)) }

#define GIVE_UP(n)                                                                                 \
	:: d_step { id[n] != 0 && ASKS(n) -> a = n; fill_failed() }                                \
	:: d_step { sent[n] != 0 -> a = n; write_failed() }                                       \
	:: d_step { r_id[n] != 0 -> a = n; return_timeout() }                                      \
	:: d_step { u_handle[n] != 0 -> update_timeout(n); home_go() }                             \
	:: d_step { u_handle[n] != 0 && dir == DIR_SHARED && !HELD(n) -> presumed_fenced(n); home_go() }                             \
	:: d_step {                                                                                \
		st[n] == PAGE_ERROR || st[n] == PAGE_SHARED && wait[n] -> a = n;                   \
		retry();                                                                           \
		agent_go()                                                                         \
	}

active proctype page()
{
	do
	:: atomic {
		if
		:: d_step { net[0] != 0 -> pick = 0 }
#if ROOM > 1
		:: d_step { net[1] != 0 -> pick = 1 }
#endif
#if ROOM > 2
		:: d_step { net[2] != 0 -> pick = 2 }
#endif
#if ROOM > 3
		:: d_step { net[3] != 0 -> pick = 3 }
#endif
		fi;
		if
		:: d_step { net[ROOM - 1] != 0 -> remove(pick); pick = 0 }
		:: d_step { got = net[pick]; remove(pick); pick = 0; take() }
		:: d_step { got = net[pick]; pick = 0; take() }
#ifdef TIMEOUTS
		:: d_step { got = net[pick]; pick = 0; no_room = 1; take() }
#endif
		fi;
		d_step { done() }
	   }
	:: atomic {
		if
		GUEST(0)
		GUEST(1)
		REPEAT(0)
		REPEAT(1)
#if AGENTS > 2
		GUEST(2)
		REPEAT(2)
#endif
		:: d_step { t_phase == TXN_GRANT && !IN_FLIGHT(GRANT_MSG) -> send(GRANT_MSG) }
#ifdef TIMEOUTS
		GIVE_UP(0)
		GIVE_UP(1)
#if AGENTS > 2
		GIVE_UP(2)
#endif
		:: d_step { t_phase == TXN_GRANT -> grant_timeout(); home_go() }
#endif
#ifdef MUTATE_GRANT_ACK_WAIT
		:: d_step { t_phase == TXN_GRANT -> settle_grant(); todo = END; home_go() }
#endif
		fi;
		d_step { done() }
	   }
	:: QUIET -> break
	od
}
