/** Rules V1 to V9: proposals of the leader, this replica's votes, the votes of others. */
import { assert } from './assert.ts';
import { equalBytes } from './bytes.ts';
import { checkFast, tryDecideSlow } from './commit.ts';
import { CoreError } from './errors.ts';
import { reportEvidence } from './evidence.ts';
import { wantBatch } from './fetch.ts';
import { findBatch, type HeldBatch, type LaneState, walkBack } from './lane-store.ts';
import { nullProposal } from './null-proposal.ts';
import { onVoted, onVoteNoted } from './prepare.ts';
import { claimSlot, digestOf, findSlot, noteDigest, type Round, type SlotState } from './slots.ts';
import {
  buildsOnExecuted,
  type CoreState,
  currentLeader,
  ignore,
  isActive,
  type SlotContent,
  windowEnd,
} from './state.ts';
import { noteProposed } from './suspicion.ts';
import type { BatchRef, Digest24, Proposal, ReplicaIndex, Slot, View } from './types.ts';
import type { Outcome } from './view-change.ts';
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
  if (view === state.view && proposal.slot <= state.views.top) {
    return ignore(state, 'proposal of a slot that the NEW-VIEW has settled');
  }
  const record = recordFor(state, from, view, proposal.slot);
  if (record === undefined) return;
  const { round } = record;
  const digest = state.digests.proposal(proposal);
  if (round.proposal === undefined) {
    setContent(round, proposal, digest);
    noteProposed(state, proposal);
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
    digests: [round.digest, digest],
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
  if (noted === 'new') return onVoteNoted(state, record, from);
  reportEvidence(state, {
    kind: 'vote-equivocation',
    peer: from,
    cell: 'vote',
    view,
    slot,
    digests: [digestOf(record.round.votes, from), digest.slice()],
  });
}

function setContent(round: Round, proposal: Proposal, digest: Digest24): void {
  round.proposal = proposal;
  round.digest = digest;
}

/** Votes for as many slots as the rules allow now. Returns true when it voted for any. */
export function tryVote(state: CoreState): boolean {
  let voted = false;
  state.tooEarlyUntilMs = Infinity;
  if (!isActive(state)) return false;
  for (;;) {
    const slot = nextSlot(state);
    if (slot > windowEnd(state)) return voted;
    const cast = slot <= state.views.top ? voteOutcome(state, slot) : voteProposal(state, slot);
    if (!cast) return voted;
    voted = true;
  }
}

/** V3: outcomes of the view one after the other, executed or not; then what is not executed. */
function nextSlot(state: CoreState): Slot {
  const slot = Math.max(state.lastVoted, state.checkpoints.stable.slot) + 1;
  return slot <= state.views.top ? slot : Math.max(slot, state.executed.slot + 1);
}

function voteProposal(state: CoreState, slot: Slot): boolean {
  if (!buildsOnExecuted(state)) return false;
  const record = findSlot(state.slots, slot);
  if (record === undefined || !mayVote(state, record)) return false;
  logBatches(state, record.round.proposal as Proposal, contentBefore(state, slot));
  castVote(state, record);
  return true;
}

/** W6: no rule judges an outcome again; only its content must be there. */
function voteOutcome(state: CoreState, slot: Slot): boolean {
  const outcome = state.views.outcomes.get(slot);
  assert(outcome !== undefined, 'every slot up to the top of a view has an outcome');
  const record = claimSlot(state.slots, slot, state.view);
  const proposal = contentOf(state, outcome, record);
  if (proposal === undefined) {
    if (state.views.contentAskMs === Infinity) state.views.contentAskMs = state.timerMs;
    return false;
  }
  // A copy: the outcome's lies in the NEW-VIEW, all of which would be kept for it.
  const digest = outcome.digest?.slice() ?? state.digests.proposal(proposal);
  if (contradictsDecision(state, record, digest)) return false;
  setContent(record.round, proposal, digest);
  castVote(state, record);
  // COMMITs of others may have been there before the content was.
  tryDecideSlow(state, record);
  return true;
}

/**
 * A lying leader may have sent another NEW-VIEW of this view to others, by which they have decided: nothing is broken
 * then, and this replica just does not help. After a decision of a lower view there is one outcome only (docs/protocol.md,
 * "Agreement across views"); another one says that more than f lie.
 */
function contradictsDecision(state: CoreState, record: SlotState, digest: Digest24): boolean {
  const { decided, decidedDigest, decidedView, slot } = record;
  if (decided === undefined || equalBytes(decidedDigest, digest)) return false;
  if (decidedView === undefined || decidedView >= state.view) return true;
  throw new CoreError('safety_violation', `view ${state.view} contradicts decided slot ${slot}`, {
    slot,
  });
}

/** W6: an outcome's content as far as this replica has it. */
export function contentOf(
  state: CoreState,
  outcome: Outcome,
  record: SlotState,
): Proposal | undefined {
  const { digest, slot } = outcome;
  const nothing = nullProposal(slot, state.replicas);
  if (digest === undefined || equalBytes(state.digests.proposal(nothing), digest)) return nothing;
  const { vote, decided, round } = record;
  if (vote !== undefined && equalBytes(vote.digest, digest)) return vote.proposal;
  if (decided !== undefined && equalBytes(record.decidedDigest, digest)) return decided;
  if (round.proposal !== undefined && equalBytes(round.digest, digest)) return round.proposal;
  return undefined;
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
    case 'foreign':
      round.refused = true;
      ignore(state, FOREIGN);
      return false;
    default:
      round.refused = true;
      if (isLeadersOwn(state, slot - 1)) reportBad(state, round.view, slot, verdict);
      else ignore(state, 'proposal that does not build on what was decided since');
      return false;
  }
}

/**
 * Has the leader of this view said itself what `slot` holds? A slot that was decided in a later view, and learned from
 * others, proves nothing against a leader that was cut off and built on another content in good faith.
 */
function isLeadersOwn(state: CoreState, slot: Slot): boolean {
  if (slot <= state.views.top) return true;
  const record = findSlot(state.slots, slot);
  if (record === undefined || record.round.proposal === undefined) return false;
  return record.decided === undefined || equalBytes(record.decidedDigest, record.round.digest);
}

function reportBad(state: CoreState, view: View, slot: Slot, reason: string): void {
  const peer = currentLeader(state);
  reportEvidence(state, { kind: 'bad-proposal', peer, view, slot, reason });
}

/** D2: the batches that a vote covers are on disk before it. */
function logBatches(state: CoreState, proposal: Proposal, before: SlotContent): void {
  for (const lane of state.lanes) {
    const base = before.frontier[lane.lane] as BatchRef;
    const tip = proposal.frontier[lane.lane] as BatchRef;
    if (tip.seq <= base.seq) continue;
    const walk = walkBack(lane, base, tip);
    assert(walk.kind === 'chain', 'a vote covers batches that are held');
    for (let i = walk.batches.length - 1; i >= 0; i--) {
      const held = walk.batches[i] as HeldBatch;
      if (held.logged) continue;
      held.logged = true;
      state.effects.push({ kind: 'persist', record: { kind: 'batch', batch: held.batch } });
    }
  }
}

function castVote(state: CoreState, record: SlotState): void {
  const { round, slot } = record;
  assert(!round.voted && round.view === state.view, 'one vote per view and slot');
  const proposal = round.proposal as Proposal;
  const { digest } = round;
  round.voted = true;
  round.votedAtMs = state.timerMs;
  state.lastVoted = slot;
  record.vote = { view: round.view, digest, proposal };
  noteDigest(round.votes, state.self, digest);
  const { view } = round;
  state.effects.push({ kind: 'persist', record: { kind: 'vote', view, proposal } });
  state.effects.push({ kind: 'write-cell', cell: { kind: 'vote', view, slot, digest } });
  if (!checkFast(state, record)) onVoted(state, record);
}

/** What slot `slot - 1` holds: executed, else decided, else what this replica voted for (V5). */
function contentBefore(state: CoreState, slot: Slot): SlotContent {
  if (slot - 1 === state.executed.slot) return state.executed;
  const record = findSlot(state.slots, slot - 1) as SlotState;
  return (record.decided ?? record.round.proposal) as Proposal;
}

const FOREIGN = 'batch in this lane that its owner did not make';

/** `vote`, `wait`, `foreign` (L7, and nobody can be blamed), or the reason why a correct leader would never have proposed this. */
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
  const isOwn = lane.lane === state.self && !state.joined;
  if (isOwn && findBatch(lane, tip)?.fromOwner !== true) {
    // In a later view its leader may have it from a liar who led before, in good faith.
    if (state.view > 0) return 'foreign';
    reportEvidence(state, { kind: 'lane-forgery', peer: currentLeader(state), ref: tip });
    return FOREIGN;
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
    if (held.check !== 'valid') pending = true;
    bytes += held.batch.payload.length;
  }
  const { laneAdvanceBytesMax } = state.limits;
  if (batches.length > 1 && bytes > laneAdvanceBytesMax) return 'lane advances by too many bytes';
  return pending ? 'wait' : 'vote';
}
