/* SPDX-License-Identifier: Apache-2.0
 *
 * Sleep and wake of the ring and of the calls (src/shm/ring.h, call_table.h), in Promela.
 *
 * Two callers with one call each, one service, one entry a call.  Every word that a thread stores
 * waits in a store buffer of its own until it drains, in any order among different words (weaker
 * than x86, as C++ allows); a load sees the thread's own buffer first.  A store that is seq_cst
 * drains with it all that came before and itself: it is written as STORE followed by DRAIN, and the
 * mutants leave that out.  A read-modify-write acts on memory itself.
 *
 * Claims: no invalid end state (nobody sleeps for ever) and, in every end state, all calls answered.
 *
 *   -DRING_MUTANT   publish() does not order its store before its look at the event
 *   -DARM_MUTANT    arm() does not order its event before its second look
 *   -DLEAD_MUTANT   who leaves the lead does not order that before its scan
 *   -DCHECK_MUTANT  a sleeper does not look for a leader
 */
#define CALLERS 2
#define SERVICE 2
#define THREADS 3

#define POSTED 1
#define ASLEEP 2
#define LEAD 3
#define DONE 4

/* Words with store buffers. */
#define REQUESTS 0       /* request_produced */
#define REQUEST_EVENT 1  /* the service's: wake me past this */
#define RESPONSES 2      /* response_produced */
#define RESPONSE_EVENT 3 /* the leader's */
#define LEADER 4
#define WORDS 5

#define NONE 255

byte memory[WORDS];
byte buffer[15] = NONE; /* THREADS * WORDS: NONE or a value on its way */
byte state[CALLERS];
bit marked[CALLERS];
byte order[2];       /* whose answer is the n-th */
byte asked[2];       /* whose request is the n-th */
byte consumed = 0;   /* responses; guarded by the lead */
byte pushed = 0;     /* requests; guarded by the mutex of post() */
bit doorbell = 0;
bit ring_wake = 0;   /* futex on response_produced: a wake-up under way to the sleeping leader */
bit ring_sleeper = 0;
bit call_wake[CALLERS];
bit post_lock = 0;
byte answered = 0;

#define SLOT(t, w) buffer[(t) * WORDS + (w)]
#define SEEN(t, w) (SLOT(t, w) != NONE -> SLOT(t, w) : memory[w])

inline store(t, w, v) {
  atomic { SLOT(t, w) = v }
}
/* All of a thread's stores have reached memory. */
#define DRAINED(t) (SLOT(t, 0) == NONE && SLOT(t, 1) == NONE && SLOT(t, 2) == NONE && \
                    SLOT(t, 3) == NONE && SLOT(t, 4) == NONE)

/* Moves what waits in the buffers to memory, at any time, in any order of words. */
proctype memory_system() {
  byte i;
end:
  do
  :: atomic {
       if
       :: buffer[0] != NONE -> i = 0
       :: buffer[1] != NONE -> i = 1
       :: buffer[2] != NONE -> i = 2
       :: buffer[3] != NONE -> i = 3
       :: buffer[4] != NONE -> i = 4
       :: buffer[5] != NONE -> i = 5
       :: buffer[6] != NONE -> i = 6
       :: buffer[7] != NONE -> i = 7
       :: buffer[8] != NONE -> i = 8
       :: buffer[9] != NONE -> i = 9
       :: buffer[10] != NONE -> i = 10
       :: buffer[11] != NONE -> i = 11
       :: buffer[12] != NONE -> i = 12
       :: buffer[13] != NONE -> i = 13
       :: buffer[14] != NONE -> i = 14
       fi;
       memory[i % WORDS] = buffer[i];
       buffer[i] = NONE;
       i = 0
     }
  od
}

inline post(me) {
  atomic { post_lock == 0 -> post_lock = 1 }
  state[me] = POSTED;
  asked[pushed] = me;
  (SLOT(me, REQUESTS) == NONE);
  pushed++;
  store(me, REQUESTS, pushed);
#ifndef RING_MUTANT
  DRAINED(me);
#endif
  /* new - event < new - old, with new = old + 1: the event is new. */
  notify = (SEEN(me, REQUEST_EVENT) == pushed);
  /* The unlock releases. */
  atomic { DRAINED(me) -> post_lock = 0 }
  if
  :: notify -> doorbell = 1
  :: else
  fi
}

inline take_lead(me) {
  atomic {
    if
    :: DRAINED(me) && memory[LEADER] == 0 -> memory[LEADER] = 1; leads = 1
    :: DRAINED(me) && memory[LEADER] != 0 -> leads = 0
    fi
  }
}

inline leave_lead(me) {
  store(me, LEADER, 0);
#ifndef LEAD_MUTANT
  DRAINED(me);
#endif
  i = 0;
  do
  :: i < CALLERS && marked[i] ->
       promoted = 0;
       atomic {
         if
         :: state[i] == ASLEEP -> state[i] = LEAD; promoted = 1
         :: else
         fi
       }
       if
       :: promoted -> call_wake[i] = 1; break
       :: else
       fi;
       i++
  :: i < CALLERS && !marked[i] -> i++
  :: i == CALLERS -> break
  od;
  i = 0
}

inline deliver() {
  owner = order[consumed];
  consumed++;
  atomic { was_asleep = (state[owner] == ASLEEP); state[owner] = DONE }
  if
  :: was_asleep -> call_wake[owner] = 1
  :: else
  fi
}

inline lead(me) {
  do
  :: state[me] == DONE -> break
  :: else ->
       if
       :: SEEN(me, RESPONSES) != consumed -> deliver()
       :: else ->
            store(me, RESPONSE_EVENT, consumed + 1);
#ifndef ARM_MUTANT
            DRAINED(me);
#endif
            if
            :: SEEN(me, RESPONSES) != consumed
            :: else ->
                 /* FUTEX_WAIT: compares, then sleeps, in one step.  With the order of arm() left out
                    the compare is left to the service's side of the ring below. */
                 atomic {
                   if
                   :: memory[RESPONSES] == consumed -> ring_sleeper = 1
                   :: else
                   fi
                 };
                 if
                 :: ring_sleeper ->
                      atomic { ring_wake -> ring_wake = 0; ring_sleeper = 0 }
                 :: else
                 fi
            fi
       fi
  od
}

inline follow(me) {
  DRAINED(me);
  marked[me] = 1;
  asleep = 0;
  atomic {
    if
    :: state[me] == POSTED -> state[me] = ASLEEP; asleep = 1
    :: else
    fi
  }
  if
  :: asleep ->
#ifndef CHECK_MUTANT
       if
       :: SEEN(me, LEADER) == 0 ->
            atomic { if :: state[me] == ASLEEP -> state[me] = POSTED :: else fi }
       :: else
       fi;
#endif
       do
       :: state[me] != ASLEEP -> break
       :: atomic { call_wake[me] -> call_wake[me] = 0 }
       od;
       atomic { if :: state[me] == LEAD -> state[me] = POSTED :: else fi }
  :: else
  fi;
  marked[me] = 0
}

proctype caller(byte me) {
  bit notify;
  bit leads;
  bit promoted;
  bit was_asleep;
  bit asleep;
  byte owner;
  byte i;
  post(me);
  do
  :: state[me] == DONE -> break
  :: else ->
       take_lead(me);
       if
       :: leads -> lead(me); leave_lead(me)
       :: else -> follow(me)
       fi
  od;
  answered++
}

proctype service() {
  byte taken = 0;
  byte told = 0;
  bit notify;
  do
  :: told == CALLERS -> break
  :: else ->
       if
       :: SEEN(SERVICE, REQUESTS) != taken ->
            order[told] = asked[taken];
            taken++;
            told++;
            (SLOT(SERVICE, RESPONSES) == NONE);
            store(SERVICE, RESPONSES, told);
#ifndef RING_MUTANT
            DRAINED(SERVICE);
#endif
            notify = (SEEN(SERVICE, RESPONSE_EVENT) == told);
            atomic {
              if
              :: notify && ring_sleeper -> ring_wake = 1
              :: else
              fi
            }
       :: else ->
            (SLOT(SERVICE, REQUEST_EVENT) == NONE);
            store(SERVICE, REQUEST_EVENT, taken + 1);
#ifndef ARM_MUTANT
            DRAINED(SERVICE);
#endif
            if
            :: SEEN(SERVICE, REQUESTS) != taken
            :: else -> atomic { doorbell -> doorbell = 0 }
            fi
       fi
  od
}

init {
  atomic {
    memory[REQUEST_EVENT] = 1;
    memory[RESPONSE_EVENT] = 1;
    run caller(0);
    run caller(1);
    run service();
    run memory_system()
  }
  answered == CALLERS
}
