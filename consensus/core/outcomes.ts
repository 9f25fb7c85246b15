/** W6: getting the content of an outcome that this replica must vote for and does not hold. */
import { equalBytes } from './bytes.ts';
import { findDecided } from './decided-log.ts';
import { mayAnswer } from './fetch.ts';
import { claimSlot, findSlot } from './slots.ts';
import { type CoreState, ignore, isActive, type PeerState, windowEnd } from './state.ts';
import type { Digest24, Proposal, ReplicaIndex, Slot } from './types.ts';
import type { Outcome } from './view-change.ts';
import { contentOf } from './vote.ts';

/** For the allowance of answers only. */
const PROPOSAL_BYTES = 2_048;

/** Asks for what `tryVote` found missing: those who reported it, in turn. */
export function runContentFetches(state: CoreState): void {
  const { views, limits } = state;
  if (!isActive(state) || state.timerMs < views.contentAskMs) return;
  views.contentAskMs = Infinity;
  let asked = 0;
  for (const outcome of views.outcomes.values()) {
    if (asked >= limits.wantsMax) break;
    if (outcome.slot <= Math.max(state.lastVoted, state.checkpoints.stable.slot)) continue;
    if (!lacks(state, outcome)) continue;
    const to = nextReporter(state, outcome);
    if (to === undefined || outcome.digest === undefined) continue;
    asked++;
    const { slot, digest } = outcome;
    state.effects.push({ kind: 'send', to, message: { kind: 'fetch-proposal', slot, digest } });
  }
  if (asked === 0) return;
  views.contentAttempts++;
  views.contentAskMs = state.timerMs + limits.fetchRetryMs;
}

export function nextContentMs(state: CoreState): number {
  return isActive(state) ? state.views.contentAskMs : Infinity;
}

function lacks(state: CoreState, outcome: Outcome): boolean {
  const record = findSlot(state.slots, outcome.slot);
  return record === undefined
    ? outcome.digest !== undefined
    : contentOf(state, outcome, record) === undefined;
}

function nextReporter(state: CoreState, outcome: Outcome): ReplicaIndex | undefined {
  const open = outcome.reporters.filter(
    (peer) => peer !== state.self && (state.peers[peer] as PeerState).open,
  );
  return open[state.views.contentAttempts % Math.max(1, open.length)];
}

export function onFetchProposal(
  state: CoreState,
  from: ReplicaIndex,
  slot: Slot,
  digest: Digest24,
): void {
  const proposal = findContent(state, slot, digest);
  if (proposal === undefined) return ignore(state, 'fetch of a proposal that is not held');
  if (!mayAnswer(state, from, PROPOSAL_BYTES)) return;
  state.effects.push({ kind: 'send', to: from, message: { kind: 'proposal', proposal } });
}

function findContent(state: CoreState, slot: Slot, digest: Digest24): Proposal | undefined {
  const record = findSlot(state.slots, slot);
  const held = record && contentOf(state, { slot, digest, reporters: [] }, record);
  if (held !== undefined) return held;
  const logged = findDecided(state.decidedLog, slot);
  if (logged === undefined) return undefined;
  return equalBytes(state.digests.proposal(logged), digest) ? logged : undefined;
}

/** An answer: its digest says whether it is what was asked for. */
export function onContent(state: CoreState, proposal: Proposal): void {
  const { slot } = proposal;
  const outcome = state.views.outcomes.get(slot);
  const { stable } = state.checkpoints;
  const isOpen = slot > Math.max(state.lastVoted, stable.slot) && slot <= windowEnd(state);
  const inTime = isOpen && isActive(state);
  if (outcome?.digest === undefined || !inTime) return ignore(state, 'content not asked for');
  if (!equalBytes(state.digests.proposal(proposal), outcome.digest)) {
    return ignore(state, 'another content than asked for');
  }
  const { round } = claimSlot(state.slots, slot, state.view);
  round.proposal = proposal;
  // A copy: the outcome's lies in the NEW-VIEW, all of which would be kept for it.
  round.digest = outcome.digest.slice();
}
