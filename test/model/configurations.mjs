/**
 * What run.mjs has Spin check. Every run is exhaustive, or ends at a violated assertion.
 *
 * `expect: 'holds'`     no assertion can be violated
 *          'reached'    a state that must be possible, so that a model in which nothing happens is noticed
 *          'found'      a planted bug: agreement is violated, with the Byzantine replica in the roles of
 *                       `exposedBy`; in the other roles the search is exhaustive and finds nothing
 * `isSmall`             compiling it well would take longer than the search
 */

/** Which views the Byzantine replica leads, as a bit mask. */
export const ROLES = {
  follower: 0b000,
  'leader 0': 0b001,
  'leader 1': 0b010,
  'leader 2': 0b100,
  // More than one replica of four can do, and so includes all of the above.
  'every leader': 0b111,
};

const TWO_VIEWS = ['VIEWS=2'];
const THREE_VIEWS = ['VIEWS=3'];

/** In two views, in which every bug shows: the first is decided in, the second decides otherwise. */
const BUG_ROLES = ['follower', 'leader 0', 'leader 1'];

function holds(name, role, defines) {
  return { name, expect: 'holds', roles: [role], defines, isSmall: false };
}

function reached(name, define) {
  const defines = [...THREE_VIEWS, define];
  return { name, expect: 'reached', roles: ['follower'], defines, isSmall: false };
}

function bug(name, define, exposedBy = BUG_ROLES, checks = ['AGREEMENT_ONLY']) {
  const defines = [...TWO_VIEWS, define, ...checks];
  return { name, expect: 'found', roles: BUG_ROLES, exposedBy, defines, isSmall: true };
}

export const CONFIGURATIONS = [
  // The protocol as it is written: every role of the Byzantine replica.
  holds('follower', 'follower', THREE_VIEWS),
  holds('leader-0', 'leader 0', THREE_VIEWS),
  holds('leader-1', 'leader 1', THREE_VIEWS),
  holds('leader-2', 'leader 2', THREE_VIEWS),
  holds('every-leader', 'every leader', THREE_VIEWS),
  // Without the two reductions that the model makes.
  holds('unreduced', 'every leader', [...TWO_VIEWS, 'PREPARE_APART', 'NO_SYMMETRY']),
  // Where n is not 3f + 1; there f + 1 is a lower threshold than m - f, and as safe.
  { ...holds('n-5', 'every leader', [...TWO_VIEWS, 'N=5']), isSmall: true },
  holds('n-5-threshold-f+1', 'every leader', [...TWO_VIEWS, 'N=5', 'LOOSE_THRESHOLD']),
  holds('n-6', 'every leader', [...TWO_VIEWS, 'N=6']),
  // After a decision every NEW-VIEW of a later view leads to it: the lemma under the proof. It needs one rule that
  // agreement does not: no COMMIT of a view because of what a later view has decided.
  holds('bound', 'every leader', [...THREE_VIEWS, 'BOUND', 'DECIDED_SO_FAR']),
  // So halting on a contradiction is no false alarm if it looks at decisions of earlier views alone.
  holds('halt-narrow', 'every leader', [...THREE_VIEWS, 'HALT_EARLIER', 'DECIDED_SO_FAR']),
  // Rules that agreement does not need at n = 4.
  holds('commit-without-vote', 'every leader', [...THREE_VIEWS, 'LOOSE_UNVOTED_COMMIT']),
  holds('late-prepare', 'every leader', [...TWO_VIEWS, 'PREPARE_APART', 'LOOSE_LATE_PREPARE']),

  reached('reach-fast-in-last-view', 'REACH_FAST'),
  reached('reach-slow-null-in-last-view', 'REACH_SLOW_NULL'),
  reached('reach-decided-again', 'REACH_TWICE'),

  bug('threshold-m-f+1', 'BUG_THRESHOLD_HIGH'),
  bug('threshold-f', 'BUG_THRESHOLD_LOW'),
  bug('votes-ignored', 'BUG_VOTES_IGNORED'),
  // Two digests have votes in one view only when the leader of view 0 lies.
  bug('same-view-votes', 'BUG_SAME_VIEW_VOTES', ['leader 0']),
  bug('late-commit', 'BUG_LATE_COMMIT'),
  bug('late-vote', 'BUG_LATE_VOTE'),
  bug('certificate-of-f+1', 'BUG_CERTIFICATE_QUORUM', ['leader 0']),
  bug('certificate-untold', 'BUG_CERTIFICATE_UNTOLD'),
  bug('commits-of-f+1', 'BUG_COMMIT_QUORUM'),
  bug('fast-with-n-1', 'BUG_FAST_QUORUM'),
  bug('second-vote', 'BUG_REVOTE'),
  // Not agreement: a correct replica halts though nobody disagrees.
  bug('halt-on-any-decision', 'HALT_ANY', ['leader 1'], []),
  bug('halt-on-earlier-decision', 'HALT_EARLIER', ['leader 1'], []),
];
