/**
 * W1: what a follower holds against the leader of its view, and when its patience ends. Time counts only
 * while this replica itself was awake (`patienceMs`): whoever was stopped blames nobody for it.
 */
import { decidedTarget } from './catch-up.ts';
import type { HeldBatch } from './lane-store.ts';
import { awaitsStable, isCovered, mayPropose } from './propose.ts';
import { findSlot } from './slots.ts';
import {
  AWAKE_MS_MAX,
  type CoreState,
  currentLeader,
  isLeader,
  type PeerState,
  type Uncovered,
} from './state.ts';
import { SUSPICION_REASONS } from './state-parts.ts';
import type { BatchRef, Proposal, ReplicaIndex, Slot } from './types.ts';

/** A sign of life of the leader. */
export function noteHeard(state: CoreState, from: ReplicaIndex): void {
  if (from !== currentLeader(state)) return;
  state.suspicion.heardMs = state.suspicion.patienceMs;
  state.suspicion.heardAtMs = state.timerMs;
}

export function noteProposed(state: CoreState, proposal: Proposal): void {
  const { proposedSeq } = state.suspicion;
  for (const lane of state.lanes) {
    const { seq } = proposal.frontier[lane.lane] as BatchRef;
    if (seq > (proposedSeq[lane.lane] as number)) proposedSeq[lane.lane] = seq;
  }
}

export function noteExecuted(state: CoreState, advanced: boolean, cut: boolean): void {
  const { suspicion } = state;
  if (cut) suspicion.uncutSinceMs = Infinity;
  else if (advanced && suspicion.uncutSinceMs === Infinity) {
    suspicion.uncutSinceMs = suspicion.patienceMs;
  }
}

/** A view begins: its leader starts with a clean sheet. */
export function resetSuspicion(state: CoreState): void {
  const { suspicion } = state;
  suspicion.heardMs = suspicion.patienceMs;
  suspicion.heardAtMs = state.timerMs;
  suspicion.goneSinceMs = Infinity;
  suspicion.undecidedSinceMs = Infinity;
  if (suspicion.uncutSinceMs !== Infinity) suspicion.uncutSinceMs = suspicion.patienceMs;
  for (const lane of state.lanes) {
    suspicion.proposedSeq[lane.lane] = lane.executed.seq;
    resetUncovered(suspicion.uncovered[lane.lane] as Uncovered);
  }
}

/** So many view timeouts without a change make a time of peace. */
const PEACE_TIMEOUTS = 10;

/** Has the view lasted so long that its leader is no reason to be more patient with the next one? */
export function isInPeace(state: CoreState): boolean {
  const { changing, peaceSinceMs } = state.views;
  return !changing && state.timerMs - peaceSinceMs >= PEACE_TIMEOUTS * viewTimeoutMs(state);
}

/** Patience that was learned in a slow time is unlearned step by step. */
export function notePeace(state: CoreState): void {
  if (state.views.failed === 0 || !isInPeace(state)) return;
  state.views.failed--;
  state.views.peaceSinceMs = state.timerMs;
}

/** Doubles with every view that is left before it has brought peace. */
export function viewTimeoutMs(state: CoreState): number {
  const { viewTimeoutMs: first, viewTimeoutMsMax } = state.limits;
  return Math.min(first * 2 ** Math.min(state.views.failed, 20), viewTimeoutMsMax);
}

/** Is it this replica's business to watch the leader now? */
function watches(state: CoreState): boolean {
  if (isLeader(state) || state.views.changing || state.mute !== undefined) return false;
  // Cut off from a quorum it can tell nothing, and change nothing.
  let open = 1;
  for (let peer = 0; peer < state.replicas; peer++) {
    if (peer !== state.self && (state.peers[peer] as PeerState).open) open++;
  }
  return open >= state.quorum;
}

/** Updates what is held against the leader; true when patience has ended. */
export function suspectsLeader(state: CoreState): boolean {
  if (!watches(state)) {
    resetSuspicion(state);
    return false;
  }
  noteState(state);
  const { suspicion } = state;
  const first = firstEnd(state);
  if (suspicion.patienceMs < (suspicion.endsMs[first] as number)) return false;
  suspicion.reason = SUSPICION_REASONS[first];
  return true;
}

/**
 * Patience with a leader that does not say that it holds the batch, in view timeouts: it may still be checking signatures, or
 * waiting for those who do (A5), as this replica was. Long enough for that under load; a liar gains no more by it.
 */
const UNREAD_TIMEOUTS = 4;

/** When patience ends with each reason, in `patienceMs`, goes to `endsMs`; the place of the one that ends it first. */
function firstEnd(state: CoreState): number {
  const { suspicion, limits, options } = state;
  const { endsMs } = suspicion;
  const timeoutMs = viewTimeoutMs(state);
  endsMs[0] = suspicion.heardMs + timeoutMs;
  endsMs[1] = suspicion.goneSinceMs + limits.leaderGoneMs;
  endsMs[2] = suspicion.undecidedSinceMs + timeoutMs;
  endsMs[3] = suspicion.uncutSinceMs + options.batchTimeoutMs + timeoutMs;
  let uncoveredMs = Infinity;
  for (const { sinceMs, heldMs } of suspicion.uncovered) {
    const endMs = Math.min(heldMs + timeoutMs, sinceMs + UNREAD_TIMEOUTS * timeoutMs);
    if (endMs < uncoveredMs) uncoveredMs = endMs;
  }
  endsMs[4] = uncoveredMs;
  let first = 0;
  for (let place = 1; place < SUSPICION_REASONS.length; place++) {
    if ((endsMs[place] as number) < (endsMs[first] as number)) first = place;
  }
  return first;
}

/** When a tick must look again, in `timerMs`: often, lest a single long sleep count as little patience. */
export function nextSuspicionMs(state: CoreState): number {
  if (!watches(state)) return Infinity;
  const { suspicion } = state;
  const first = firstEnd(state);
  const beatMs = suspicion.heardAtMs + BEATS_BEFORE_WORRY * state.limits.heartbeatMs;
  // Nothing but silence, and that not for long: the next heartbeat will wake this replica.
  const isCalm = SUSPICION_REASONS[first] === 'silent' && beatMs > state.timerMs;
  if (isCalm) return beatMs;
  const leftMs = (suspicion.endsMs[first] as number) - suspicion.patienceMs;
  // Patience has ended, and what may bring it back comes from outside: no reason to look every millisecond.
  return state.timerMs + (leftMs <= 0 ? AWAKE_MS_MAX : Math.min(Math.max(leftMs, 1), AWAKE_MS_MAX));
}

const BEATS_BEFORE_WORRY = 1.5;

function noteState(state: CoreState): void {
  const { suspicion } = state;
  const { patienceMs } = suspicion;
  const leaderOpen = (state.peers[currentLeader(state)] as PeerState).open;
  if (leaderOpen) suspicion.goneSinceMs = Infinity;
  else if (suspicion.goneSinceMs === Infinity) suspicion.goneSinceMs = patienceMs;
  noteUndecided(state);
  // By what is executed: slots that are only named hold up nobody who would cut.
  const awaits = awaitsStable(state, state.executed.slot);
  if (awaits && suspicion.uncutSinceMs !== Infinity) suspicion.uncutSinceMs = patienceMs;
  for (const lane of state.lanes) noteUncovered(state, lane.lane);
}

/** The first known slot that is not decided, while this replica is not merely behind the others. */
function noteUndecided(state: CoreState): void {
  const { suspicion } = state;
  let slot = state.executed.slot + 1;
  const known = Math.max(state.highestKnown, state.views.top);
  while (slot <= known && findSlot(state.slots, slot)?.decided !== undefined) slot++;
  if (slot > known || isBehind(state, slot) || isBacklog(state, slot)) {
    suspicion.undecidedSinceMs = Infinity;
  } else if (suspicion.undecidedSinceMs === Infinity || suspicion.undecidedAt !== slot) {
    suspicion.undecidedAt = slot;
    suspicion.undecidedSinceMs = suspicion.patienceMs;
  }
}

/**
 * Others have decided the slot, and this replica is just about to learn it. Liars among them may claim so, and those
 * who have it may be too few to be believed (C3): an excuse that brings nothing within a view timeout is none.
 */
function isBehind(state: CoreState, slot: Slot): boolean {
  if (state.transfer !== undefined) return true;
  const sinceMs = state.timerMs - state.catchUp.stalledSinceMs;
  return decidedTarget(state) >= slot && sinceMs < viewTimeoutMs(state);
}

/** Is what the slot names still checked here, or by those whose attestations are waited for? The leader cannot help that. */
function isBacklog(state: CoreState, slot: Slot): boolean {
  const round = findSlot(state.slots, slot)?.round;
  const proposal = round?.proposal;
  if (round === undefined || proposal === undefined || round.voted) return false;
  return state.lanes.some((lane) => {
    const tip = proposal.frontier[lane.lane] as BatchRef;
    // A liar's tip may be as far away as it likes.
    const last = Math.min(tip.seq, lane.executed.seq + state.limits.laneBatchesHeldMax);
    for (let seq = lane.executed.seq + 1; seq <= last; seq++) {
      if (isBeingChecked(lane.batches.get(seq))) return true;
    }
    return false;
  });
}

/** Of a batch that can never be executed there is no verdict to wait for. */
function isBeingChecked(first: HeldBatch | undefined): boolean {
  for (let held = first; held !== undefined; held = held.sibling) {
    if (!held.dead && (held.check === 'pending' || held.check === 'read')) return true;
  }
  return false;
}

/** A lane's tip that no proposal names, although there was room for one. */
function noteUncovered(state: CoreState, index: ReplicaIndex): void {
  const { suspicion } = state;
  const uncovered = suspicion.uncovered[index] as Uncovered;
  const lane = state.lanes[index];
  if (lane === undefined) return;
  const proposedSeq = Math.max(suspicion.proposedSeq[index] as number, lane.executed.seq);
  if (lane.tip.seq <= proposedSeq || !isCovered(state, lane)) return resetUncovered(uncovered);
  if (uncovered.sinceMs === Infinity || uncovered.proposedSeq !== proposedSeq) {
    resetUncovered(uncovered);
    uncovered.sinceMs = suspicion.patienceMs;
    uncovered.proposedSeq = proposedSeq;
    uncovered.knownSlot = state.highestKnown;
  } else if (!mayPropose(state, state.highestKnown) && hasOnlyCrossed(state, uncovered)) {
    resetUncovered(uncovered);
    uncovered.sinceMs = suspicion.patienceMs;
  }
  const held = (state.peers[currentLeader(state)] as PeerState).held[index] as BatchRef;
  if (held.seq > proposedSeq) uncovered.heldMs = Math.min(uncovered.heldMs, suspicion.patienceMs);
}

function resetUncovered(uncovered: Uncovered): void {
  uncovered.sinceMs = Infinity;
  uncovered.heldMs = Infinity;
}

/**
 * May all that was proposed since have been sent before the leader had the batch? Who goes on proposing without it
 * is not excused by a pipeline that is always full.
 */
function hasOnlyCrossed(state: CoreState, { knownSlot }: Uncovered): boolean {
  return state.highestKnown <= knownSlot + state.limits.pipelineSlotsMax;
}
