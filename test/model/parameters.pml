/*
 * What slot.pml is built from: sizes and quorums, the planted changes to them, and where in the state each
 * thing of a replica is.
 */
#ifndef N
#define N 4
#endif
#ifndef VIEWS
#define VIEWS 3
#endif
#ifndef LYING
#define LYING 1
#endif

#define F 1
#define Q ((N + F + 2) / 2)     /* ceil((n + f + 1) / 2) */
#define M Q                     /* VIEW-CHANGEs in a NEW-VIEW */
#define CORRECT (N - F)
#define LIAR (N - 1)            /* the Byzantine replica's number; the correct ones are 0 .. CORRECT-1 */
#define LAST (VIEWS - 1)
#define LIES(v) ((LYING >> (v)) & 1)

#define THRESHOLD (M - F)
#define OVERRIDES >
#define CERTIFICATE_QUORUM Q
#define COMMIT_QUORUM Q
#define FAST_QUORUM N
#ifdef BUG_THRESHOLD_HIGH
#undef THRESHOLD
#define THRESHOLD (M - F + 1)
#endif
#ifdef BUG_THRESHOLD_LOW
#undef THRESHOLD
#define THRESHOLD F
#endif
#ifdef LOOSE_THRESHOLD
#undef THRESHOLD
#define THRESHOLD (F + 1)
#endif
#ifdef BUG_SAME_VIEW_VOTES
#undef OVERRIDES
#define OVERRIDES >=
#endif
#ifdef BUG_CERTIFICATE_QUORUM
#undef CERTIFICATE_QUORUM
#define CERTIFICATE_QUORUM (F + 1)
#endif
#ifdef BUG_COMMIT_QUORUM
#undef COMMIT_QUORUM
#define COMMIT_QUORUM (F + 1)
#endif
#ifdef BUG_FAST_QUORUM
#undef FAST_QUORUM
#define FAST_QUORUM (N - 1)
#endif

/* Digests are bits, so that a set of them is a byte. NULL is the empty proposal. */
#define A 1
#define B 2
#define NULL_ 4
#define ANY (A | B | NULL_)

/* A digest and its view in one byte, 0 for nothing: the higher view is the greater number. */
#define STAMP(v, d) ((((v) + 1) << 3) | (d))
#define RANK(stamp) ((stamp) >> 3)      /* view + 1 */
#define LETTER(d) (((d) & ANY) == A -> 'A' : (((d) & ANY) == B -> 'B' : (((d) & ANY) -> 'N' : '-')))

/*
 * The correct replicas, a record each. The Byzantine one has no state: whatever it might have sent counts as
 * sent, so "q of all" is "q - f of the correct" below.
 */
#define VIEW(r) s[(r) * RECORD]
#define VOTE(r, v) s[(r) * RECORD + 1 + (v)]                  /* what it knows it voted */
#define COMMITTED(r, v) s[(r) * RECORD + 1 + VIEWS + (v)]     /* set: COMMITs sent */
#define TOLD_VOTE(r, v) s[(r) * RECORD + 2 * VIEWS + (v)]     /* v > 0: in its VIEW-CHANGE(v), a stamp */
#define TOLD_CERT(r, v) s[(r) * RECORD + 3 * VIEWS - 1 + (v)] /* v > 0: likewise */
#define HELD(r) s[(r) * RECORD + 4 * VIEWS - 1]               /* its highest certificate, a stamp */
#define PLAIN (4 * VIEWS)
#ifdef BUG_REVOTE
#define SENT(r, v) s[(r) * RECORD + PLAIN + (v)]              /* set: votes that others have seen */
#define RECORD (PLAIN + VIEWS)
#else
#define SENT(r, v) VOTE(r, v)
#endif
#ifdef PREPARE_APART
#define PREPARED(r, v) s[(r) * RECORD + PLAIN + (v)]          /* set: PREPAREs sent */
#define RECORD (PLAIN + VIEWS)
#else
/* A PREPARE can only ever help others to a certificate, so the worst case is that it goes out at once. */
#define PREPARED(r, v) SENT(r, v)
#endif
#ifndef RECORD
#define RECORD PLAIN
#endif

#define HAS(SET, r, v, d) ((SET(r, v) & (d)) != 0)
#if N == 4
#define COUNT(SET, v, d) (HAS(SET, 0, v, d) + HAS(SET, 1, v, d) + HAS(SET, 2, v, d))
#define UNION(SET, v) (SET(0, v) | SET(1, v) | SET(2, v))
#endif
#if N == 5
#define COUNT(SET, v, d) (HAS(SET, 0, v, d) + HAS(SET, 1, v, d) + HAS(SET, 2, v, d) + HAS(SET, 3, v, d))
#define UNION(SET, v) (SET(0, v) | SET(1, v) | SET(2, v) | SET(3, v))
#endif
#if N == 6
#define COUNT(SET, v, d) \
  (HAS(SET, 0, v, d) + HAS(SET, 1, v, d) + HAS(SET, 2, v, d) + HAS(SET, 3, v, d) + HAS(SET, 4, v, d))
#define UNION(SET, v) (SET(0, v) | SET(1, v) | SET(2, v) | SET(3, v) | SET(4, v))
#endif
