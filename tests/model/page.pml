/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One page: its directory entry and transaction at the home (directory.c), and
 * what each agent does with it (agent.c, recall.c, evict.c). States, messages
 * and functions have the names they have there. A step of the model is what the
 * code does under one hold of the shard's or the agent's lock.
 *
 * Who includes this defines the network: put() sends `msg`, take() receives `got`. Request ids and handles never repeat while anything still names
 * them: that is what generations are for. MUTATE_x breaks one rule.
 */
/* enum gvm_mode */
#define NONE  0
#define READ  1
#define EXCL  2
#define WRITE 3

mtype = { DIR_UNCACHED, DIR_SHARED, DIR_OWNED };
mtype = { TXN_NONE, TXN_COLLECT, TXN_GRANT };
/* PAGE_NONE: the agent has no entry. */
mtype = { PAGE_NONE, PAGE_FILL, PAGE_SHARED, PAGE_EXCLUSIVE, PAGE_MODIFIED, PAGE_UPGRADE,
	  PAGE_WRITEBACK, PAGE_ERROR };

/*
 * Messages. MEM_ACK is three, by what it answers: a grant, a failed request, or
 * bytes that came home (GVM_PF_WRITTEN).
 */
mtype = { MEM_READ, MEM_WRITE, INV_ACK, GRANT_ACK, MEM_ACK, MEM_ACK_FAILED, MEM_ACK_WRITTEN,
	  COPYSET_UPDATE };

/* The page body: one number, so that a bag of messages is cheap to keep sorted. */
#define MSG(type, agent, id, mode, ver, handle, bytes, flag)                                       \
	((type) << 19 | (agent) << 17 | (id) << 14 | (mode) << 12 | (ver) << 8 | (handle) << 5 |   \
	 (bytes) << 2 | (flag))
#define AGENT_OF(m)  (((m) >> 17) & 3)
#define ID_OF(m)     (((m) >> 14) & 7)
#define TYPE_OF(m)   ((m) >> 19)
#define VER_OF(m)    (((m) >> 8) & 15)
#define HANDLE_OF(m) (((m) >> 5) & 7)
#define TYPE	     TYPE_OF(got)
#define AGENT	     AGENT_OF(got)
#define ID	     ID_OF(got)
#define MODE	     ((got >> 12) & 3)
#define VER	     VER_OF(got)
#define HANDLE	     HANDLE_OF(got)
#define BYTES	     ((got >> 2) & 1)
#define FLAG	     (got & 3)
/* FLAG. MEM_READ: GVM_PF_HAVE. MEM_ACK, INV_ACK: bytes follow. GRANT_ACK: refused. Else: stale. */

/*
 * A page's bytes are what the last write left, or they are stale: once stale,
 * always stale, so that is all there is to know of them.
 */
#define STALE	0
#define CURRENT 1

#ifdef SERIAL
/* Of 1 to 15: 0 stands for no version. */
#define NEXT(v)	     ((v) % 15 + 1)
#define BEFORE(a, b) (((a) + 15 - (b)) % 15 > 7)
#else
#define NEXT(v)	     ((v) + 1)
#define BEFORE(a, b) ((a) < (b))
#endif

/* The home: struct gvm_dir_entry, struct gvm_txn. */
mtype dir = DIR_UNCACHED;
byte holders; /* a bit each */
byte hver = 1;
byte hbytes = CURRENT;
mtype t_phase = TXN_NONE;
byte t_src, t_id, t_ask, t_have;
byte t_ver, t_mode, t_has, t_handle;
byte u_ver, u_handle[AGENTS]; /* COPYSET_UPDATEs under way; 0: none */
bool t_status;
byte waiter[WAITERS]; /* id << 5 | src << 3 | have << 2 | ask; 0: none */

/* The agents: struct gvm_page, struct gvm_return. */
mtype st[AGENTS] = PAGE_NONE;
byte ver[AGENTS];     /* version */
byte granted[AGENTS]; /* the version of the grant it is held under */
byte barred[AGENTS];  /* no grant up to this version will do; 0: any */
byte bytes[AGENTS];
byte wait[AGENTS]; /* AP_WAIT_READ, AP_WAIT_WRITE */
byte id[AGENTS], id_mode[AGENTS], id_have[AGENTS];
byte id_old[AGENTS]; /* asked for before the lease ran out */
bool drop[AGENTS]; /* AP_DROP */
byte sent[AGENTS]; /* the version in the MEM_WRITE under way */
byte r_id[AGENTS]; /* 0: nothing on its way home */
byte r_ver[AGENTS], r_bytes[AGENTS], r_mode[AGENTS], r_handle[AGENTS];

#define WAIT_READ  1
#define WAIT_WRITE 2


/*
 * Scratch, within one step only: no part of the state. A search in breadth
 * cannot hide variables, so there they are cleared.
 */
#ifdef BREADTH
#define SCRATCH
#else
#define SCRATCH hidden
#endif
SCRATCH int msg, got, used;
SCRATCH byte a, i, k, fresh, was;
SCRATCH byte moot, bad, todo, ask;
SCRATCH byte no_room; /* the home finds no memory for the bytes that arrive */

/* todo */
#define STEP  1
#define END   2
#define RUN   3
#define GRANT 4

inline send(m)
{
	msg = m;
	put()
}

#define BIT(n)	    (1 << (n))
#define OWNER_IS(n) (dir == DIR_OWNED && holders == BIT(n))

inline fresh_handle()
{
	used = 1;
	handles_in_flight();
	i = 0;
	do
	:: i < AGENTS -> used = used | BIT(u_handle[i]) | BIT(r_handle[i]); i++
	:: else -> break
	od;
	used = used | BIT(t_handle);
	pick_fresh()
}

inline fresh_id()
{
	used = 1 | BIT(id[a]) | BIT(r_id[a]);
	ids_in_flight();
	if
	:: t_phase != TXN_NONE && t_src == a -> used = used | BIT(t_id)
	:: else
	fi;
	i = 0;
	do
	:: i < WAITERS && waiter[i] != 0 ->
		if
		:: ((waiter[i] >> 3) & 3) == a -> used = used | BIT(waiter[i] >> 5)
		:: else
		fi;
		i++
	:: else -> break
	od;
	pick_fresh()
}

inline pick_fresh()
{
	fresh = 1;
	do
	:: used & BIT(fresh) -> fresh++
	:: else -> break
	od;
	assert(fresh < 7)
}

/* ---- the home ---- */

inline set_uncached()
{
	dir = DIR_UNCACHED;
	holders = 0
}

inline settle_grant()
{
	if
	:: t_mode != READ -> dir = DIR_OWNED; holders = BIT(t_src)
	:: else /* a reader is counted since the grant was sent */
	fi
}

inline unsettle_grant()
{
	if
	:: OWNER_IS(t_src) || dir == DIR_SHARED ->
		holders = holders & ~BIT(t_src);
		if
		:: holders == 0 -> dir = DIR_UNCACHED
		:: else
		fi
	:: else
	fi
}

#define GRANT_MSG                                                                                  \
	MSG(MEM_ACK, t_src, t_id, t_mode, t_ver, t_handle, (t_has -> 0 : hbytes), 1 - t_has)
#define UPDATE_MSG(n)                                                                              \
	MSG(COPYSET_UPDATE, n, 0, (t_ask == WRITE -> NONE : READ), u_ver, u_handle[n], 0, 0)

inline txn_grant()
{
	t_has = (dir == DIR_SHARED && t_have && (holders & BIT(t_src)) -> 1 : 0);
	/* The owner's write-back may be under way: it must still fit what it owns. */
	if
#ifndef MUTATE_REGRANT_VERSION
	:: OWNER_IS(t_src) -> skip
#endif
	:: else -> hver = NEXT(hver)
	fi;
	t_mode = (t_ask == WRITE -> WRITE : (dir == DIR_SHARED -> READ : EXCL));
	holders = (t_mode == READ -> holders | BIT(t_src) : holders);
	t_ver = hver;
	t_phase = TXN_GRANT;
#ifdef MUTATE_GRANT_GENERATION
	t_handle = 1;
#else
	fresh_handle();
	t_handle = fresh;
#endif
	send(GRANT_MSG)
}

/* collect_step when nobody has been asked yet: all that stand in the way, in parallel. */
inline txn_run()
{
	t_phase = TXN_COLLECT;
	was = holders & ~BIT(t_src);
	if
	:: was != 0 && (dir == DIR_OWNED || t_ask == WRITE) ->
		todo = 0;
		u_ver = hver;
		k = 0;
		do
		:: k < AGENTS ->
			if
			:: was & BIT(k) ->
#ifdef MUTATE_UPDATE_GENERATION
				u_handle[k] = 2 + k;
#else
				fresh_handle();
				u_handle[k] = fresh;
#endif
				send(UPDATE_MSG(k));
#ifdef MUTATE_INV_ACK_WAIT
				u_handle[k] = 0;
				holders = holders & ~BIT(k);
				todo = GRANT
#endif
			:: else
			fi;
			k++
		:: else -> break
		od
	:: else -> todo = GRANT
	fi
}

inline txn_end()
{
	t_phase = TXN_NONE;
	t_src = 0; t_id = 0; t_ask = 0; t_have = 0;
	t_ver = 0; t_mode = 0; t_has = 0; t_handle = 0; u_ver = 0;
	t_status = false;
	if
	:: waiter[0] != 0 ->
		todo = RUN;
		t_id = waiter[0] >> 5;
		t_src = (waiter[0] >> 3) & 3;
		t_have = (waiter[0] >> 2) & 1;
		t_ask = waiter[0] & 3;
		i = 0;
		do
		:: i < WAITERS - 1 -> waiter[i] = waiter[i + 1]; i++
		:: else -> break
		od;
		waiter[WAITERS - 1] = 0
	:: else
	fi
}

/* What a step leaves to be done, in this order. */
inline home_go()
{
	if
	:: todo == STEP -> collect_step()
	:: else
	fi;
	if
	:: todo == END -> todo = 0; txn_end()
	:: else
	fi;
	if
	:: todo == RUN -> txn_run()
	:: else
	fi;
	if
	:: todo == GRANT -> txn_grant()
	:: else
	fi;
	todo = 0
}

inline collect_step()
{
	was = 0;
	k = 0;
	do
	:: k < AGENTS ->
		if
		:: u_handle[k] -> was++
		:: else
		fi;
		k++
	:: else -> break
	od;
	if
	:: was == 0 && !t_status -> todo = GRANT
	:: was == 0 && t_status ->
		send(MSG(MEM_ACK_FAILED, t_src, t_id, 0, 0, 0, 0, 0));
		todo = END
	:: else -> todo = 0
	fi
}

inline home_read()
{
	was = ID << 5 | AGENT << 3 | (FLAG & 1) << 2 | MODE;
	if
	:: t_phase == TXN_NONE ->
		t_src = AGENT; t_id = ID; t_ask = MODE; t_have = FLAG & 1;
		todo = RUN
	:: t_phase != TXN_NONE && t_src == AGENT && t_id == ID ->
		if
		:: t_phase == TXN_GRANT -> send(GRANT_MSG)
		:: else /* in progress */
		fi
	:: else ->
		i = 0;
		do
		:: i < WAITERS && waiter[i] != 0 && (waiter[i] >> 3) != (was >> 3) -> i++
		:: else -> break
		od;
		if
		:: i < WAITERS && waiter[i] == 0 -> waiter[i] = was
		:: else
		fi
	fi
}

/* Who sends a version's bytes home has been granted it: the acknowledgement was lost. */
#define GRANT_IS_MOOT (t_phase == TXN_GRANT && t_src == AGENT && t_ver == VER)

inline home_write()
{
	moot = GRANT_IS_MOOT;
	if
	:: moot -> settle_grant()
	:: else
	fi;
	bad = 0;
	if
#ifdef MUTATE_WRITE_VERSION
	:: true -> hbytes = BYTES; hver = NEXT(VER)
#else
	:: OWNER_IS(AGENT) && hver == NEXT(VER) -> skip /* repeated: its answer was lost */
	:: OWNER_IS(AGENT) && hver == VER && !no_room -> hbytes = BYTES; hver = NEXT(hver)
	:: OWNER_IS(AGENT) && hver == VER && no_room -> bad = 2
	:: else -> bad = 1
#endif
	fi;
	send(MSG((bad == 2 -> MEM_ACK_FAILED : MEM_ACK_WRITTEN), AGENT, ID, 0, hver, 0, 0, bad & 1));
	if
	:: moot -> todo = END
	:: else
	fi
}

inline inv_store()
{
	if
	:: (FLAG & 1) && OWNER_IS(AGENT) && hver == VER && !no_room ->
		hbytes = BYTES;
		/* A late duplicate must not undo what is stored after it. */
		hver = NEXT(hver)
	:: (FLAG & 1) && OWNER_IS(AGENT) && hver == VER && no_room -> bad = 1
	:: else
	fi
}

inline collect_answer()
{
	u_handle[AGENT] = 0;
	if
	:: MODE == NONE ->
		holders = holders & ~BIT(AGENT);
		if
		:: holders == 0 -> dir = DIR_UNCACHED
		:: else
		fi
	:: MODE != NONE && dir == DIR_OWNED -> dir = DIR_SHARED
	:: else
	fi;
	todo = STEP
}

#ifdef MUTATE_LATE_BYTES
#define IN_TIME (t_phase == TXN_NONE || t_phase == TXN_COLLECT && u_handle[AGENT] == HANDLE)
#else
#define IN_TIME true
#endif
#ifdef MUTATE_INV_ACK_HANDLE
#define AWAITED u_handle[AGENT]
#else
#define AWAITED (u_handle[AGENT] && u_handle[AGENT] == HANDLE)
#endif

inline home_inv_ack()
{
	moot = GRANT_IS_MOOT && (FLAG & 1);
	if
	:: moot -> settle_grant(); todo = END
	:: else
	fi;
	bad = 0;
	if
	:: IN_TIME -> inv_store()
	:: else
	fi;
	if
	:: (FLAG & 1) && !bad -> send(MSG(MEM_ACK_WRITTEN, AGENT, ID, 0, VER, 0, 0, 0))
	:: else
	fi;
	if
	:: !moot && !bad && t_phase == TXN_COLLECT && AWAITED && (MODE == NONE || t_ask == READ) ->
		collect_answer()
	:: else
	fi
}

inline home_grant_ack()
{
	if
	:: t_phase == TXN_GRANT && t_ver == VER && t_src == AGENT && t_id == ID &&
	   t_handle == HANDLE ->
		if
		:: FLAG -> unsettle_grant()
		:: else -> settle_grant()
		fi;
		todo = END
	:: else
	fi
}

/* ---- the agent: a ---- */

#define REQUEST_MSG(n) MSG(MEM_READ, n, id[n], id_mode[n], 0, 0, 0, id_have[n])
#define WRITE_MSG(n)   MSG(MEM_WRITE, n, id[n], 0, sent[n], 0, bytes[n], 0)
#define RETURN_MSG(n)                                                                              \
	MSG(INV_ACK, n, r_id[n], r_mode[n], r_ver[n], r_handle[n], r_bytes[n], 1)

inline new_id()
{
#ifdef MUTATE_REQUEST_GENERATION
	id[a] = 1;
#else
	fresh_id();
	id[a] = fresh;
#endif
}

/* What does not count is zero, so that equal states look equal. */
inline forget()
{
	printf("agent %d: drops the page\n", a);
	st[a] = PAGE_NONE;
	ver[a] = 0; granted[a] = 0; bytes[a] = 0; wait[a] = 0; id[a] = 0; sent[a] = 0; drop[a] = false;
	id_mode[a] = 0; id_have[a] = 0; id_old[a] = 0; barred[a] = 0
}

/* gvm_page_request: not while its newest bytes are on their way home. */
inline page_request()
{
	if
#ifndef MUTATE_ASK_WHILE_RETURNING
	:: r_id[a] != 0 -> skip
#endif
	:: else ->
		new_id();
		barred[a] = 0;
		id_mode[a] = (wait[a] & WAIT_WRITE -> WRITE : READ);
		id_have[a] = (st[a] == PAGE_UPGRADE -> 1 : 0);
		send(REQUEST_MSG(a))
	fi
}

inline agent_go()
{
	if
	:: ask -> ask = 0; page_request()
	:: else
	fi;
	skip
}

inline ack_grant(refused)
{
	send(MSG(GRANT_ACK, a, ID, 0, VER, HANDLE, 0, refused))
}

/*
 * The home is told that nothing is held, or not to be written. A grant that is no
 * newer, and whose acknowledgement the home has stopped to wait for, must not be
 * used after that.
 */
inline bar()
{
	if
	:: (st[a] == PAGE_FILL || st[a] == PAGE_UPGRADE) && id[a] &&
	   (barred[a] == 0 || BEFORE(barred[a], VER)) ->
		barred[a] = VER
	:: else
	fi
}

inline stray_grant()
{
	if
#ifndef MUTATE_REFUSE_WHILE_RETURNING
	:: r_id[a] != 0 -> skip
#endif
	:: else ->
		if
		:: st[a] == PAGE_NONE || st[a] == PAGE_FILL || st[a] == PAGE_ERROR ->
			bar();
			ack_grant(1)
		:: else ->
			if
			:: BEFORE(VER, ver[a]) -> skip
			:: else ->
				/* A holder, as the home has it now; the copy stays what it is. */
				ack_grant(0)
			fi
		fi
	fi
}

/*
 * It lacks the bytes, or is barred, or the home may have taken back what it
 * grants. Who holds nothing says so, and who waits asks anew.
 */
#ifdef MUTATE_LATE_GRANT
#define BARRED false
#else
#define BARRED (barred[a] && !BEFORE(barred[a], VER))
#endif
#ifdef MUTATE_LEASE_OF_GRANT
#define EXPIRED false
#else
#define EXPIRED (MODE == READ && id_old[a])
#endif
#define GRANT_IS_VOID (st[a] == PAGE_FILL && !(FLAG & 1) || BARRED || EXPIRED)

inline fill_done()
{
	moot = GRANT_IS_VOID;
	id[a] = 0; id_mode[a] = 0; id_have[a] = 0; id_old[a] = 0; barred[a] = 0;
	if
	:: moot ->
		if
		:: st[a] == PAGE_FILL -> ack_grant(1)
		:: else
		fi;
		ask = 1
	:: else ->
		if
		:: st[a] == PAGE_FILL -> bytes[a] = BYTES
		:: else
		fi;
		ver[a] = VER;
		granted[a] = VER;
		ack_grant(0);
		if
		:: MODE == READ ->
			st[a] = PAGE_SHARED;
			wait[a] = wait[a] & ~WAIT_READ;
			if
			:: wait[a] -> st[a] = PAGE_UPGRADE; ask = 1
			:: else
			fi
		:: else -> st[a] = PAGE_MODIFIED; wait[a] = 0
		fi
	fi
}

inline fill_failed()
{
	id[a] = 0; id_mode[a] = 0; id_have[a] = 0; id_old[a] = 0; barred[a] = 0;
	if
	:: st[a] == PAGE_UPGRADE -> st[a] = PAGE_SHARED
	:: else -> st[a] = PAGE_ERROR; ver[a] = 0
	fi
}

inline write_done()
{
	id[a] = 0;
	if
	:: FLAG ->
		assert(false) /* what is awaited is never stale */
	:: else -> written()
	fi
}

inline written()
{
	ver[a] = VER;
	sent[a] = 0;
	if
	:: wait[a] & WAIT_WRITE -> st[a] = PAGE_MODIFIED; wait[a] = 0; drop[a] = false
	:: else ->
		if
		:: drop[a] -> forget()
		:: else -> st[a] = PAGE_EXCLUSIVE
		fi
	fi
}

inline return_end()
{
	r_id[a] = 0; r_ver[a] = 0; r_bytes[a] = 0; r_mode[a] = 0; r_handle[a] = 0;
	if
	:: id[a] == 0 && (st[a] == PAGE_FILL || st[a] == PAGE_UPGRADE) -> ask = 1
	:: else
	fi
}

inline ack_clean(mode)
{
	send(MSG(INV_ACK, a, 0, mode, VER, HANDLE, 0, 0))
}

inline copy_gone()
{
	bytes[a] = 0; granted[a] = 0; ver[a] = 0;
	if
	:: st[a] == PAGE_UPGRADE -> st[a] = PAGE_FILL; bar()
	:: st[a] != PAGE_UPGRADE && wait[a] -> st[a] = PAGE_FILL; ask = 1
	:: else -> forget()
	fi
}

inline take_clean()
{
	ack_clean(MODE);
	if
	:: MODE == NONE -> copy_gone()
	:: MODE != NONE && st[a] == PAGE_EXCLUSIVE -> st[a] = PAGE_SHARED
	:: MODE != NONE && st[a] == PAGE_UPGRADE -> bar()
	:: else
	fi
}

inline take_dirty()
{
	fresh_id();
	r_id[a] = fresh;
	r_ver[a] = ver[a]; r_bytes[a] = bytes[a]; r_mode[a] = MODE; r_handle[a] = HANDLE;
	send(RETURN_MSG(a));
	id[a] = 0;
	sent[a] = 0;
	drop[a] = false;
	st[a] = PAGE_SHARED;
	if
	:: MODE == NONE -> copy_gone()
	:: MODE != NONE && wait[a] -> st[a] = PAGE_UPGRADE; ask = 1
	:: else
	fi
}

/*
 * An older update is of an earlier grant. A read copy obeys any: while it is held
 * the page may be granted to other readers more often than serial numbers last.
 */
#define OWNS (st[a] == PAGE_EXCLUSIVE || st[a] == PAGE_MODIFIED || st[a] == PAGE_WRITEBACK)

inline update()
{
	if
#ifdef MUTATE_ANSWER_WITHOUT_BYTES
	:: r_id[a] != 0 -> ack_clean(NONE)
#else
	:: r_id[a] != 0 -> skip /* the only bytes are under way */
#endif
	:: else ->
		if
		:: st[a] == PAGE_NONE || st[a] == PAGE_FILL || st[a] == PAGE_ERROR ->
			bar();
			ack_clean(NONE)
		:: else ->
			if
#ifdef MUTATE_UPDATE_VERSION
			:: OWNS && BEFORE(VER, ver[a]) -> skip
#elif defined(MUTATE_OLD_READER)
			:: BEFORE(VER, granted[a]) -> skip
#else
			:: OWNS && BEFORE(VER, granted[a]) -> skip
#endif
			:: else ->
				if
#ifdef MUTATE_DIRTY_IS_CLEAN
				:: st[a] == PAGE_WRITEBACK -> take_dirty()
#else
				:: st[a] == PAGE_MODIFIED || st[a] == PAGE_WRITEBACK ->
					take_dirty()
#endif
				:: else -> take_clean()
				fi
			fi
		fi
	fi
}

inline answered_by_id()
{
	if
	:: TYPE == MEM_ACK && id[a] == ID && (st[a] == PAGE_FILL || st[a] == PAGE_UPGRADE) ->
		fill_done()
	:: TYPE == MEM_ACK && !(id[a] == ID && (st[a] == PAGE_FILL || st[a] == PAGE_UPGRADE)) ->
		stray_grant()
	:: TYPE == MEM_ACK_FAILED && id[a] == ID && st[a] != PAGE_WRITEBACK -> fill_failed()
	:: TYPE == MEM_ACK_FAILED && id[a] == ID && st[a] == PAGE_WRITEBACK -> write_failed()
	:: TYPE == MEM_ACK_WRITTEN && id[a] == ID && st[a] == PAGE_WRITEBACK -> write_done()
	:: TYPE == MEM_ACK_WRITTEN && r_id[a] == ID -> return_end()
	:: else
	fi
}

/* ---- somebody gives up after GVM_RPC_TRIES ---- */

inline update_timeout(n)
{
	u_handle[n] = 0;
	t_status = true;
	todo = STEP
}

/* A reader that has been silent for its lease and the margin has given its copy up. */
inline presumed_fenced(n)
{
	u_handle[n] = 0;
	holders = holders & ~BIT(n);
	dir = (holders -> dir : DIR_UNCACHED);
	id_old[n] = (id[n] -> 1 : 0);
	todo = STEP
}

inline grant_timeout()
{
	/* It may have the page: from here on it counts as a holder. */
	settle_grant();
	todo = END
}

/*
 * Whether it is home is not known (another copy of the request may have been
 * stored): until it is, the page stays protected and the same bytes are sent.
 */
inline write_failed()
{
#ifdef MUTATE_WRITE_FAILED
	id[a] = 0; sent[a] = 0; drop[a] = false; wait[a] = 0;
	st[a] = PAGE_MODIFIED
#else
	write_start()
#endif
}

inline return_timeout()
{
	fresh_id();
	r_id[a] = fresh;
	send(RETURN_MSG(a))
}

/* gvm_agent_retry */
inline retry()
{
	st[a] = (st[a] == PAGE_ERROR -> PAGE_FILL : PAGE_UPGRADE);
	ask = 1
}

/* `got` arrives. */
inline take()
{
	a = AGENT;
	printf("%e agent %d id %d mode %d version %d handle %d bytes %d flag %d\n", TYPE, a, ID, MODE,
	       VER, HANDLE, BYTES, FLAG);
	if
	:: TYPE == MEM_READ -> home_read()
	:: TYPE == MEM_WRITE -> home_write()
	:: TYPE == INV_ACK -> home_inv_ack()
	:: TYPE == GRANT_ACK -> home_grant_ack()
	:: TYPE == COPYSET_UPDATE -> update()
	:: else -> answered_by_id()
	fi;
	home_go();
	agent_go();
	no_room = 0
}

/* ---- the guest at agent a ---- */

#define CAN_FAULT_READ(n)  (st[n] == PAGE_NONE)
#define CAN_FAULT_WRITE(n)                                                                         \
	(st[n] == PAGE_NONE || st[n] == PAGE_SHARED && !wait[n] || st[n] == PAGE_EXCLUSIVE ||      \
	 (st[n] == PAGE_FILL || st[n] == PAGE_WRITEBACK) && !(wait[n] & WAIT_WRITE))
#define CAN_DROP(n)  ((st[n] == PAGE_SHARED || st[n] == PAGE_EXCLUSIVE) && !wait[n])
#define CAN_WRITE(n) (st[n] == PAGE_MODIFIED)

inline fault_read()
{
	printf("agent %d: fault, read\n", a);
	st[a] = PAGE_FILL;
	wait[a] = WAIT_READ;
	ask = 1
}

inline fault_write()
{
	printf("agent %d: fault, write\n", a);
	if
	:: st[a] == PAGE_EXCLUSIVE -> st[a] = PAGE_MODIFIED
	:: else ->
		wait[a] = wait[a] | WAIT_WRITE;
		if
		:: st[a] == PAGE_NONE -> st[a] = PAGE_FILL; ask = 1
		:: st[a] == PAGE_SHARED -> st[a] = PAGE_UPGRADE; ask = 1
		:: else
		fi
	fi
}

inline write_start()
{
	new_id();
	sent[a] = ver[a];
	send(WRITE_MSG(a))
}

/* gvm_agent_write_back of a modified page. */
inline write_back(and_drop)
{
	printf("agent %d: write back version %d bytes %d\n", a, ver[a], bytes[a]);
	st[a] = PAGE_WRITEBACK;
	drop[a] = and_drop;
	write_start();
#ifdef MUTATE_DROP_BEFORE_HOME
	forget()
#endif
}
