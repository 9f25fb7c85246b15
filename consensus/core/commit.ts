/** Rules F1, S4 and S5: what decides a slot, and by which path. */
import { assert } from './assert.ts';
import { equalBytes } from './bytes.ts';
import { CoreError } from './errors.ts';
import { reportEvidence } from './evidence.ts';
import {
  digestOf,
  isSaidBy,
  noteDigest,
  type Round,
  type SlotState,
  VOTED_LONG_AGO_MS,
} from './slots.ts';
import { allOpen, type CoreState, ignore, isActive } from './state.ts';
import type { Digest24, Proposal, ReplicaIndex, Slot } from './types.ts';

/** Weight of the newest sample in the moving average. */
const SAMPLE_WEIGHT = 1 / 8;

/** F1. Returns true when the slot is decided. */
export function checkFast(state: CoreState, record: SlotState): boolean {
  const { round } = record;
  if (!round.voted || !isSaidBy(round.votes, round.digest, state.fastQuorum)) {
    return record.decided !== undefined;
  }
  decide(state, record, round.proposal as Proposal, round.digest, 'fast');
  return true;
}

/** S5. */
export function startsSlow(state: CoreState, slot: Slot): boolean {
  return state.path.slowMode && slot % state.limits.fastProbeEverySlots !== 0;
}

export function hasCommitted(state: CoreState, round: Round): boolean {
  return round.commits.seen[state.self] === 1;
}

export function writeCommit(state: CoreState, record: SlotState): void {
  const { round, slot } = record;
  assert(round.voted, 'a COMMIT follows the own vote');
  assert(isActive(state) && round.view === state.view, 'no COMMIT for a view left behind');
  // The cell's place may belong to a later slot by now; whoever is that far behind fetches instead.
  if (slot + state.limits.windowSlots <= state.lastVoted) return;
  if (hasCommitted(state, round)) return;
  noteDigest(round.commits, state.self, round.digest);
  const { view, digest } = round;
  state.effects.push({ kind: 'write-cell', cell: { kind: 'commit', view, slot, digest } });
}

/** A peer's COMMIT cell; `record` is in the window and the current view. */
export function onCommit(
  state: CoreState,
  from: ReplicaIndex,
  record: SlotState,
  digest: Digest24,
): void {
  const { round, slot } = record;
  const noted = noteDigest(round.commits, from, digest);
  if (noted === 'same') return ignore(state, 'commit already known');
  if (noted === 'new') return tryDecideSlow(state, record);
  reportEvidence(state, {
    kind: 'vote-equivocation',
    peer: from,
    cell: 'commit',
    view: round.view,
    slot,
    digests: [digestOf(round.commits, from), digest.slice()],
  });
}

/** S4. Needs the content; a replica that was shown another one learns the decided one by C2. */
export function tryDecideSlow(state: CoreState, record: SlotState): void {
  const { round } = record;
  if (round.proposal === undefined) return;
  if (!isSaidBy(round.commits, round.digest, state.quorum)) return;
  decide(state, record, round.proposal, round.digest, 'slow');
}

/**
 * The one place where a slot becomes decided. Callers do not spare a slot that is
 * decided already: a second, different decision means that more than f replicas are
 * faulty, and must not pass unseen.
 */
export function decide(
  state: CoreState,
  record: SlotState,
  proposal: Proposal,
  digest: Digest24,
  path: SlotState['decidedPath'],
): void {
  const view = path === 'fetched' ? undefined : record.round.view;
  if (record.decided !== undefined) {
    if (equalBytes(record.decidedDigest, digest)) {
      record.decidedView ??= view;
      return;
    }
    throw new CoreError('safety_violation', `slot ${record.slot} was decided twice, differently`, {
      slot: record.slot,
    });
  }
  state.unsettled = true;
  record.decided = proposal;
  record.decidedDigest = digest;
  record.decidedPath = path;
  record.decidedView = view;
  if (path === 'fetched') state.counters.fetchedCommits++;
  else notePath(state, record, path);
}

/** S5. Slow commits while a session is closed say nothing about the fast path. */
function notePath(state: CoreState, record: SlotState, path: 'fast' | 'slow'): void {
  const { path: mode, limits } = state;
  if (path === 'fast') {
    state.counters.fastCommits++;
    mode.slowMode = false;
    mode.slowStreak = 0;
    sampleCommit(state, record);
    return;
  }
  state.counters.slowCommits++;
  if (!allOpen(state) || !record.round.voted || startsSlow(state, record.slot)) return;
  sampleCommit(state, record);
  mode.slowStreak++;
  if (mode.slowStreak >= limits.slowModeAfterSlots) mode.slowMode = true;
}

function sampleCommit(state: CoreState, record: SlotState): void {
  const { votedAtMs } = record.round;
  // How long this process did not run says nothing of what a commit takes.
  if (votedAtMs === VOTED_LONG_AGO_MS) return;
  const sampleMs = state.timerMs - votedAtMs;
  state.path.commitMs += (sampleMs - state.path.commitMs) * SAMPLE_WEIGHT;
}
