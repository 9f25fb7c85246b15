/** Rules V1 to V9: proposals of the leader, this replica's votes, the votes of others. */
import { equalBytes } from './bytes.ts';
import { checkFast, onVoted, onVoteNoted, tryDecideSlow } from './commit.ts';
import { reportEvidence } from './evidence.ts';
import { wantBatch } from './fetch.ts';
import { findBatch, type HeldBatch, type LaneState, walkBack } from './lane-store.ts';
import { digestOf, findSlot, noteDigest, type SlotState } from './slots.ts';
import { type CoreState, currentLeader, ignore, type SlotContent } from './state.ts';
import type { BatchRef, Digest24, Proposal, ReplicaIndex, Slot, View } from './types.ts';
import { recordFor } from './window.ts';

export function onProposal(
  state: CoreState,
  from: ReplicaIndex,
  view: View,
  proposal: Proposal,
): void {
  if (view === state.view && from !== currentLeader(state)) {
    return ignore(state, 'proposal from another than the leader');
  }
  const record = recordFor(state, from, view, proposal.slot);
  if (record === undefined) return;
  const { round } = record;
  const digest = state.digests.proposal(proposal);
  if (round.proposal === undefined) {
    round.proposal = proposal;
    round.digest.set(digest);
    return tryDecideSlow(state, record);
  }
  if (equalBytes(round.digest, digest)) return ignore(state, 'proposal already known');
  if (round.equivocated) return ignore(state, 'proposal of an equivocator');
  round.equivocated = true;
  reportEvidence(state, {
    kind: 'proposal-equivocation',
    peer: from,
    view,
    slot: proposal.slot,
    digests: [round.digest.slice(), digest],
  });
}

export function onVote(
  state: CoreState,
  from: ReplicaIndex,
  view: View,
  slot: Slot,
  digest: Digest24,
): void {
  const record = recordFor(state, from, view, slot);
  if (record === undefined) return;
  const noted = noteDigest(record.round.votes, from, digest);
  if (noted === 'same') return ignore(state, 'vote already known');
  if (noted === 'new') return onVoteNoted(state, record);
  reportEvidence(state, {
    kind: 'vote-equivocation',
    peer: from,
    cell: 'vote',
    view,
    slot,
    digests: [digestOf(record.round.votes, from), digest],
  });
}

/** Votes for as many slots as the rules allow now. Returns true when it voted for any. */
export function tryVote(state: CoreState): boolean {
  let voted = false;
  state.tooEarlyUntilMs = Infinity;
  for (;;) {
    const slot = Math.max(state.lastVoted, state.executed.slot) + 1;
    if (slot > state.executed.slot + state.limits.windowSlots) return voted;
    const record = findSlot(state.slots, slot);
    if (record === undefined || !mayVote(state, record)) return voted;
    castVote(state, record);
    voted = true;
  }
}

function mayVote(state: CoreState, record: SlotState): boolean {
  const { round, slot } = record;
  if (round.proposal === undefined || round.refused) return false;
  // Voting against what is known to be decided would help nobody.
  if (record.decided !== undefined && !equalBytes(record.decidedDigest, round.digest)) return false;
  const verdict = judge(state, round.proposal, contentBefore(state, slot));
  switch (verdict) {
    case 'vote':
      return true;
    case 'wait':
      return false;
    default:
      round.refused = true;
      reportBad(state, round.view, slot, verdict);
      return false;
  }
}

function reportBad(state: CoreState, view: View, slot: Slot, reason: string): void {
  const peer = currentLeader(state);
  reportEvidence(state, { kind: 'bad-proposal', peer, view, slot, reason });
}

function castVote(state: CoreState, record: SlotState): void {
  const { round, slot } = record;
  round.voted = true;
  round.votedAtMs = state.timerMs;
  state.lastVoted = slot;
  noteDigest(round.votes, state.self, round.digest);
  const digest = round.digest.slice();
  state.effects.push({
    kind: 'write-cell',
    cell: { kind: 'vote', view: round.view, slot, digest },
  });
  if (!checkFast(state, record)) onVoted(state, record);
}

/** What slot `slot - 1` holds: executed, else decided, else what this replica voted for (V5). */
function contentBefore(state: CoreState, slot: Slot): SlotContent {
  if (slot - 1 === state.executed.slot) return state.executed;
  const record = findSlot(state.slots, slot - 1) as SlotState;
  return (record.decided ?? record.round.proposal) as Proposal;
}

/** `vote`, `wait`, or the reason why a correct leader would never have proposed this. */
function judge(state: CoreState, proposal: Proposal, before: SlotContent): string {
  if (proposal.timeMs < before.timeMs) return 'time runs backwards';
  const earlyByMs = proposal.timeMs - state.wallMs - state.limits.clockSkewMsMax;
  if (earlyByMs > 0 && proposal.timeMs > before.timeMs) {
    state.tooEarlyUntilMs = state.timerMs + earlyByMs;
    return 'wait';
  }
  let outcome = 'vote';
  for (const lane of state.lanes) {
    const base = before.frontier[lane.lane] as BatchRef;
    const tip = proposal.frontier[lane.lane] as BatchRef;
    const verdict = judgeLane(state, proposal.slot, lane, base, tip);
    if (verdict === 'vote') continue;
    if (verdict !== 'wait') return verdict;
    outcome = 'wait';
  }
  return outcome;
}

/** V5 to V7 for one lane; asks for what is missing. */
function judgeLane(
  state: CoreState,
  slot: Slot,
  lane: LaneState,
  base: BatchRef,
  tip: BatchRef,
): string {
  if (tip.seq === base.seq) {
    return equalBytes(tip.digest, base.digest) ? 'vote' : 'tip changes its digest';
  }
  if (tip.seq < base.seq) return 'tip goes back';
  if (tip.seq - base.seq > state.limits.laneAdvanceBatchesMax) return 'lane advances too far';
  const walk = walkBack(lane, base, tip);
  if (lane.lane === state.self && findBatch(lane, tip)?.fromOwner !== true) {
    reportEvidence(state, { kind: 'lane-forgery', peer: currentLeader(state), ref: tip });
    return 'batch in this lane that its owner did not make';
  }
  switch (walk.kind) {
    case 'missing':
      wantBatch(state, lane, walk.ref, base.seq, slot);
      return 'wait';
    case 'fork':
      return 'tip does not continue the frontier';
    case 'chain':
      return judgeBatches(state, walk.batches);
  }
}

function judgeBatches(state: CoreState, batches: readonly HeldBatch[]): string {
  let bytes = 0;
  let pending = false;
  for (const held of batches) {
    if (held.check === 'invalid') return 'invalid batch';
    if (held.check === 'pending') pending = true;
    bytes += held.batch.payload.length;
  }
  const { laneAdvanceBytesMax } = state.limits;
  if (batches.length > 1 && bytes > laneAdvanceBytesMax) return 'lane advances by too many bytes';
  return pending ? 'wait' : 'vote';
}
