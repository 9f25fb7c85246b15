/*
 * One slot of Sluice's ordering protocol through its views, with one Byzantine replica: docs/protocol.md.
 * README.md beside this file says what is left out, and why that loses nothing.
 *
 *   N=4, VIEWS=3     replicas; views 0 .. VIEWS-1
 *   LYING=mask       bit v: the leader of view v is the Byzantine replica; 0: it never leads
 *   PREPARE_APART    a vote and its PREPARE are two steps, not one
 *   NO_SYMMETRY      replicas keep their numbers: more states, trails that can be read
 *   AGREEMENT_ONLY   no other assertion, so that a bug has to break agreement itself
 *   BOUND, HALT_*, DECIDED_SO_FAR, LOOSE_*, BUG_*, REACH_*   see configurations.mjs
 */
#include "parameters.pml"

byte s[CORRECT * RECORD];
/* Derived from s after every step: digests with a certificate, and those that somebody can have decided. */
byte certified[VIEWS], decided[VIEWS];
/* What the NEW-VIEWs that can be made now lead to; `free`: what the leader may then propose itself. */
byte outcomes, free;

/* Used inside d_steps only, so no part of the state. */
hidden byte i, j, k, digest, top, atTop, winners, lieCert, lieVote, all, temporary;
hidden byte present, senders, toldVote[N], toldCert[N];

/* Recomputes what is derived. Agreement: no two digests can be decided, by whomever. */
inline settle() {
  all = 0;
  for (i : 0 .. LAST) {
    temporary = decided[i];
    certified[i] = 0;
    decided[i] = 0;
    for (k : 0 .. 2) {
      digest = 1 << k;
      if
      :: COUNT(PREPARED, i, digest) + F >= CERTIFICATE_QUORUM -> certified[i] = certified[i] | digest
      :: else
      fi;
      if
      :: COUNT(SENT, i, digest) + F >= FAST_QUORUM || COUNT(COMMITTED, i, digest) + F >= COMMIT_QUORUM ->
        decided[i] = decided[i] | digest
      :: else
      fi
    }
    if
    :: decided[i] != temporary ->
      printf("%c can be decided in view %d\n", LETTER(decided[i] & ~temporary), i)
    :: else
    fi;
    all = all | decided[i];
  }
  assert(all == 0 || all == A || all == B || all == NULL_);
#ifdef REACH_FAST
  assert(COUNT(SENT, LAST, A) < CORRECT);
#endif
#ifdef REACH_SLOW_NULL
  assert(COUNT(COMMITTED, LAST, NULL_) < Q - F);
#endif
#ifdef REACH_TWICE
  assert(COUNT(COMMITTED, 0, A) < Q - F || decided[LAST] == 0);
#endif
}

/* Correct replicas are alike: with their records sorted, one of many equal states is searched. */
inline sort() {
  for (k : 0 .. CORRECT - 2) {
    for (j : 0 .. CORRECT - 2 - k) {
      i = 0;
      do
      :: i < RECORD && s[j * RECORD + i] == s[(j + 1) * RECORD + i] -> i++
      :: else -> break
      od;
      if
      :: i < RECORD && s[j * RECORD + i] > s[(j + 1) * RECORD + i] ->
        for (i : 0 .. RECORD - 1) {
          temporary = s[j * RECORD + i];
          s[j * RECORD + i] = s[(j + 1) * RECORD + i];
          s[(j + 1) * RECORD + i] = temporary;
        }
      :: else
      fi
    }
  }
}

#define TAKEN(r) ((senders >> (r)) & 1)

/* The outcome rule, on the messages of the senders. */
inline outcome() {
  top = 0;
  atTop = 0;
  for (i : 0 .. LIAR) {
    if
    :: TAKEN(i) && RANK(toldCert[i]) > top ->
      top = RANK(toldCert[i]);
      atTop = toldCert[i] & ANY
    :: TAKEN(i) && top && RANK(toldCert[i]) == top ->
      /* Two digests for one view: only with a bug, and then either may be taken. */
      atTop = atTop | (toldCert[i] & ANY)
    :: else
    fi
  }
  winners = 0;
#ifndef BUG_VOTES_IGNORED
  for (k : 0 .. 2) {
    j = 0;
    for (i : 0 .. LIAR) {
      j = j + (TAKEN(i) && (toldVote[i] & (1 << k)) && RANK(toldVote[i]) OVERRIDES top);
    }
    winners = winners | (j >= THRESHOLD -> 1 << k : 0);
  }
#endif
  if
  :: winners -> outcomes = outcomes | winners
  :: !winners && top -> outcomes = outcomes | atTop
  :: !winners && !top ->
    /* NULL also when nothing is told: a later slot may have been. Otherwise the leader is free. */
    outcomes = outcomes | NULL_;
    j = 0;
    for (i : 0 .. LIAR) {
      j = j | (TAKEN(i) -> toldVote[i] : 0);
    }
    free = free | (j -> 0 : A | B)
  fi
}

/* What the senders' NEW-VIEW(v) leads to, the liar's message being whatever it likes. */
inline outcomesOf(v) {
  /* Bit k of the certificates of view u, where there is one; and none at all. */
  for (lieCert : (TAKEN(LIAR) -> 0 : 3 * v) .. 3 * v) {
    toldCert[LIAR] = 0;
    if
    :: lieCert < 3 * v && (certified[lieCert / 3] & (1 << (lieCert % 3))) ->
      toldCert[LIAR] = STAMP(lieCert / 3, 1 << (lieCert % 3))
    :: else
    fi;
    if
    :: lieCert == 3 * v || toldCert[LIAR] ->
      /* A vote in view v - 1, or none: a higher vote counts wherever a lower one does. */
      for (lieVote : 0 .. (TAKEN(LIAR) -> 3 : 0)) {
        toldVote[LIAR] = (lieVote == 0 -> 0 : STAMP(v - 1, 1 << (lieVote - 1)));
        outcome();
      }
    :: else
    fi
  }
}

/* All outcomes of view v that its leader can bring about now, by any M messages. */
inline newViews(v) {
  outcomes = 0;
  free = 0;
  present = 1 << LIAR;
  for (i : 0 .. CORRECT - 1) {
    present = present | ((VIEW(i) >= v) << i);
    toldVote[i] = TOLD_VOTE(i, v);
    toldCert[i] = TOLD_CERT(i, v);
  }
  for (senders : 0 .. present) {
    if
    :: (senders & present) == senders ->
      j = 0;
      for (i : 0 .. LIAR) {
        j = j + TAKEN(i);
      }
      if
      :: j == M -> outcomesOf(v)
      :: else
      fi
    :: else
    fi
  }
#ifndef AGREEMENT_ONLY
  /* Validity: a view change carries on what somebody correct voted for, or it is NULL or proposed anew. */
  all = NULL_;
  for (i : 0 .. v - 1) {
    all = all | UNION(SENT, i);
  }
  assert((outcomes & ~all) == 0);
#endif
}

/* What the leader of view v > 0 may show to a replica that has no NEW-VIEW yet. */
inline laterProposals(v) {
  d_step {
    if
    :: !LIES(v) && UNION(SENT, v) ->
      /* An honest leader makes one NEW-VIEW: who comes later goes where the first one went. */
      outcomes = UNION(SENT, v);
      free = 0
    :: else -> newViews(v)
    fi;
#ifdef BOUND
    for (i : 0 .. v - 1) {
      assert(!outcomes || !decided[i] || (outcomes | free) == decided[i]);
    }
#endif
#ifdef HALT_EARLIER
    for (i : 0 .. v - 1) {
      assert(!decided[i] || (outcomes & ~decided[i]) == 0);
    }
#endif
#ifdef HALT_ANY
    for (i : 0 .. LAST) {
      assert(!decided[i] || (outcomes & ~decided[i]) == 0);
    }
#endif
    outcomes = outcomes | free;
    free = 0;
  }
}

/* What the leader of view 0 shows. The first vote is for A: which digest is called so says nothing. */
inline firstProposals() {
  outcomes = A;
  if
  :: LIES(0) && (UNION(SENT, 0) & A) -> outcomes = A | B
  :: else
  fi
}

/* One of a set of digests; 0 when it is empty. */
inline pick(d, set) {
  if
  :: (set) & A -> d = A
  :: (set) & B -> d = B
  :: (set) & NULL_ -> d = NULL_
  :: !(set) -> d = 0
  fi
}

inline vote(r, v, d) {
  if
  :: VOTE(r, v) == 0 && v == 0 -> firstProposals()
  :: VOTE(r, v) == 0 && v > 0 -> laterProposals(v)
  :: else
  fi;
  pick(d, outcomes);
  if
  :: d ->
    printf("replica %d votes %c in view %d\n", r, LETTER(d), v);
    VOTE(r, v) = d;
    SENT(r, v) = SENT(r, v) | d
  :: else
  fi
}

/* S3: it has a certificate for what it voted. */
inline commit(r, v, d) {
#ifdef LOOSE_UNVOTED_COMMIT
  pick(d, certified[v]);
#else
  d = certified[v] & VOTE(r, v);
#endif
  if
  :: d && !(COMMITTED(r, v) & d) ->
    printf("replica %d commits %c in view %d\n", r, LETTER(d), v);
    COMMITTED(r, v) = COMMITTED(r, v) | d;
    HELD(r) = (STAMP(v, d) > HELD(r) -> STAMP(v, d) : HELD(r))
  :: else
  fi
}

/* S2: it has decided what it voted, by any path, in any view, perhaps without ever holding a certificate. */
inline commitDecided(r, v, d) {
  d = 0;
#ifdef DECIDED_SO_FAR
  for (u : 0 .. v) {
#else
  for (u : 0 .. LAST) {
#endif
    d = d | decided[u];
  }
  d = d & VOTE(r, v);
  if
  :: d ->
    printf("replica %d commits %c in view %d, having decided it\n", r, LETTER(d), v);
    COMMITTED(r, v) = COMMITTED(r, v) | d
  :: else
  fi
}

/*
 * VIEW-CHANGE to the next view; before it, the replica may learn of any certificate that exists. A jump over
 * a view is the same as a VIEW-CHANGE for that view that nobody uses.
 */
inline move(r, d) {
  for (u : 0 .. VIEW(r)) {
    pick(d, certified[u]);
    if
    :: d && STAMP(u, d) > HELD(r) -> HELD(r) = STAMP(u, d)
    :: true
    fi
  }
  d = 0;
  d_step {
    VIEW(r) = VIEW(r) + 1;
    for (i : 0 .. VIEW(r) - 1) {
      if
      :: VOTE(r, i) -> TOLD_VOTE(r, VIEW(r)) = STAMP(i, VOTE(r, i))
      :: else
      fi
    }
    TOLD_CERT(r, VIEW(r)) = HELD(r);
#ifdef BUG_CERTIFICATE_UNTOLD
    TOLD_CERT(r, VIEW(r)) = 0;
#endif
    printf("replica %d sends VIEW-CHANGE(%d): ", r, VIEW(r));
    printf("vote %c (view %d), ", LETTER(TOLD_VOTE(r, VIEW(r))), RANK(TOLD_VOTE(r, VIEW(r))) - 1);
    printf("certificate %c (view %d)\n", LETTER(TOLD_CERT(r, VIEW(r))), RANK(TOLD_CERT(r, VIEW(r))) - 1);
  }
}

active proctype slot() {
  byte r, v, u, d;
  do
  :: atomic {
      select (r : 0 .. CORRECT - 1);
      v = VIEW(r);
      if
      :: VIEW(r) < LAST -> move(r, d)
      :: vote(r, v, d)
      :: commit(r, v, d)
      :: commitDecided(r, v, d)
#ifdef BUG_LATE_VOTE
      :: v > 0 -> v = v - 1; vote(r, v, d)
#endif
#ifdef BUG_LATE_COMMIT
      :: v > 0 -> v = v - 1; commit(r, v, d)
#endif
#ifdef PREPARE_APART
      :: PREPARED(r, v) = SENT(r, v)
#endif
#ifdef LOOSE_LATE_PREPARE
      :: v > 0 -> v = v - 1; PREPARED(r, v) = SENT(r, v)
#endif
#ifdef BUG_REVOTE
      /* What was not persisted is forgotten. */
      :: VOTE(r, v) -> VOTE(r, v) = 0; printf("replica %d restarts\n", r)
#endif
      fi;
      d_step {
        settle();
#ifndef NO_SYMMETRY
        sort();
#endif
        r = 0;
        v = 0;
        u = 0;
        d = 0;
        outcomes = 0;
      }
    }
  od
}
