/**
 * Rules C2 to C5, T1: learning decided slots from those who have executed them, and answering others.
 */

import { equalBytes } from './bytes.ts';
import { decide } from './commit.ts';
import { findDecided } from './decided-log.ts';
import { reportMalformed } from './evidence.ts';
import { mayAnswer } from './fetch.ts';
import { askAll } from './lives.ts';
import { kthHighest } from './quorum.ts';
import { claimSlot, countDigest, createTable, findSlot, noteDigest } from './slots.ts';
import {
  type CoreState,
  type DecidedAnswers,
  forOpenPeers,
  ignore,
  type PeerState,
  windowEnd,
} from './state.ts';
import { isTransferring, startTransfer } from './transfer.ts';
import type { Proposal, ReplicaIndex, Slot } from './types.ts';

/**
 * A decided proposal on the wire: its fixed part, and per lane. For the allowance of answers only.
 */
const DECIDED_BYTES = 32;
const DECIDED_BYTES_PER_LANE = 40;

/** C2: slots up to this one are decided, since one of f + 1 replicas that say so is correct. */
export function decidedTarget(state: CoreState): Slot {
  const peers = state.replicas - 1;
  if (peers <= state.faults) return state.executed.slot;
  const applied = state.scratch;
  let count = 0;
  for (let peer = 0; peer < state.replicas; peer++) {
    if (peer !== state.self) applied[count++] = (state.peers[peer] as PeerState).appliedSlot;
  }
  return kthHighest(applied, count, state.faults + 1);
}

/** T1: how far the run is known to be: what f + 1 have applied, or q have signed. */
function target(state: CoreState): Slot {
  return Math.max(decidedTarget(state), state.checkpoints.stable.slot);
}

/** Asks for decided slots, or for a transfer, when it is time. */
export function runCatchUp(state: CoreState): void {
  const { catchUp, limits } = state;
  const next = state.executed.slot + 1;
  const goal = target(state);
  if (isTransferring(state) || !needsDecisions(state, goal)) {
    catchUp.stalledSinceMs = Infinity;
    catchUp.asks = 0;
    if (goal < next) endCatchUp(state);
    return;
  }
  if (catchUp.stalledSinceMs === Infinity || catchUp.stalledAt !== state.executed.slot) {
    catchUp.stalledSinceMs = state.timerMs;
    catchUp.stalledAt = state.executed.slot;
    catchUp.asks = 0;
  }
  if (state.timerMs < catchUpDueMs(state, goal)) return;
  // T2: below the stable checkpoint the peers need keep nothing.
  if (state.checkpoints.stable.slot > state.executed.slot) return startTransfer(state);
  catchUp.askedTo = Math.min(goal, state.executed.slot + limits.fetchSlotsMax);
  catchUp.nextAskMs = state.timerMs + limits.fetchRetryMs;
  catchUp.asks++;
  for (const slot of catchUp.answers.keys()) if (slot < next) catchUp.answers.delete(slot);
  // C4: what is asked for first is answered first.
  const checkpointFirst = catchUp.asks % 2 === 0;
  if (checkpointFirst && asksForCheckpoint(state)) askAll(state);
  const message = { kind: 'fetch-decided', fromSlot: next, toSlot: catchUp.askedTo } as const;
  forOpenPeers(state, (peer, to) => {
    if (peer.appliedSlot >= next) state.effects.push({ kind: 'send', to, message });
  });
  if (!checkpointFirst && asksForCheckpoint(state)) askAll(state);
}

/** What was asked for did not come: it may lie below a checkpoint that this replica has not heard of. */
function asksForCheckpoint(state: CoreState): boolean {
  const { catchUp, limits } = state;
  return catchUp.asks > 1 || target(state) > state.executed.slot + limits.checkpointSlots;
}

/**
 * Behind: the next slot is not known, or its batches do not come and a checkpoint beyond it is stable.
 */
function needsDecisions(state: CoreState, goal: Slot): boolean {
  const next = state.executed.slot + 1;
  if (goal < next) return false;
  if (findSlot(state.slots, next)?.decided === undefined) return true;
  return state.wants.some(
    (want) => want.slot === next && want.attempts >= state.limits.fetchAttemptsMax,
  );
}

function endCatchUp(state: CoreState): void {
  const { catchUp } = state;
  catchUp.askedTo = state.executed.slot;
  catchUp.nextAskMs = 0;
  if (catchUp.answers.size > 0) catchUp.answers.clear();
}

function catchUpDueMs(state: CoreState, goal: Slot): number {
  const { catchUp, limits } = state;
  const next = state.executed.slot + 1;
  // In the middle of catching up: the next range at once, the same range only after the retry time.
  if (catchUp.askedTo >= next) return catchUp.nextAskMs;
  const outOfReach = goal > state.executed.slot + limits.windowSlots;
  const ongoing = catchUp.answers.size > 0;
  if (outOfReach || ongoing) return state.timerMs;
  return catchUp.stalledSinceMs + limits.catchUpAfterMs;
}

export function nextCatchUpMs(state: CoreState): number {
  if (state.catchUp.stalledSinceMs === Infinity) return Infinity;
  return catchUpDueMs(state, target(state));
}

/** C3: a peer's answer. */
export function onDecided(state: CoreState, from: ReplicaIndex, proposal: Proposal): void {
  const { slot } = proposal;
  const { catchUp } = state;
  if (slot <= state.executed.slot || slot > catchUp.askedTo) {
    return ignore(state, 'decided slot that was not asked for');
  }
  if (slot > windowEnd(state)) return ignore(state, 'decided slot beyond the window');
  const record = claimSlot(state.slots, slot, state.view);
  const digest = state.digests.proposal(proposal);
  if (record.decided !== undefined && equalBytes(record.decidedDigest, digest)) {
    return ignore(state, 'decided slot already known');
  }
  const answers = answersFor(state, slot);
  const noted = noteDigest(answers.table, from, digest);
  if (noted === 'same') return ignore(state, 'decided slot answered twice');
  if (noted === 'different') {
    return reportMalformed(state, from, 'answered one decided slot in two ways');
  }
  if (countDigest(answers.table, digest) > state.faults) {
    decide(state, record, proposal, digest, 'fetched');
  }
}

function answersFor(state: CoreState, slot: Slot): DecidedAnswers {
  const { answers } = state.catchUp;
  let found = answers.get(slot);
  if (found === undefined) {
    found = { table: createTable(state.replicas) };
    answers.set(slot, found);
  }
  return found;
}

/** C3, C5: answers a peer that is behind. */
export function onFetchDecided(
  state: CoreState,
  from: ReplicaIndex,
  fromSlot: Slot,
  toSlot: Slot,
): void {
  const last = Math.min(toSlot, state.executed.slot, fromSlot + state.limits.fetchSlotsMax - 1);
  const bytes = DECIDED_BYTES + DECIDED_BYTES_PER_LANE * state.replicas;
  for (let slot = fromSlot; slot <= last; slot++) {
    const proposal = findDecided(state.decidedLog, slot);
    if (proposal === undefined) return ignore(state, 'fetch of a slot that the log does not hold');
    if (!mayAnswer(state, from, bytes)) return;
    state.effects.push({ kind: 'send', to: from, message: { kind: 'decided', proposal } });
  }
}

/** C4: there is something to catch up with, and it does not come. */
export function isBehind(state: CoreState): boolean {
  return state.catchUp.asks >= state.limits.fetchAttemptsMax;
}
