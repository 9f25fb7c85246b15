/** V8 and E3: getting batches that a proposal needs; C5: answering those who need ours. */
import { equalBytes } from './bytes.ts';
import { findBatch, type LaneState, putOnProbation } from './lane-store.ts';
import { findSlot, hasDigest } from './slots.ts';
import {
  type CoreState,
  currentLeader,
  ignore,
  isLeader,
  type PeerState,
  type Want,
} from './state.ts';
import type { Batch, BatchRef, BatchSeq, ReplicaIndex, Slot } from './types.ts';

/**
 * Notes that the proposal of `slot` needs this batch, and those before
 * it down to `after` (exclusive).
 */
export function wantBatch(
  state: CoreState,
  lane: LaneState,
  ref: BatchRef,
  after: BatchSeq,
  slot: Slot,
): void {
  const known = findWant(state, lane.lane, ref);
  if (known !== undefined) {
    known.slot = slot;
    return;
  }
  if (state.wants.length >= state.limits.wantsMax) return ignore(state, 'too many open fetches');
  const waitMs = canStillArrive(state, lane, ref) ? state.limits.fetchAfterMs : 0;
  const nextMs = state.timerMs + waitMs;
  const lastAsked = state.self;
  state.wants.push({ lane: lane.lane, ref, after, slot, nextMs, attempts: 0, lastAsked });
}

/**
 * Through its owner's ring: rings keep order, so not once something later has come. Or behind its
 * successor, which was fetched just now.
 */
function canStillArrive(state: CoreState, lane: LaneState, ref: BatchRef): boolean {
  if (state.timerMs - lane.fetchedAtMs < state.limits.fetchAfterMs) return true;
  return (state.peers[lane.lane] as PeerState).open && lane.ownerSeq < ref.seq;
}

export function isWanted(state: CoreState, lane: ReplicaIndex, ref: BatchRef): boolean {
  return findWant(state, lane, ref) !== undefined;
}

/** Is this very batch being fetched? */
export function isAwaited(state: CoreState, batch: Batch): boolean {
  const { lane, seq, previous, payload } = batch;
  if (!state.wants.some((want) => want.lane === lane && want.ref.seq === seq)) return false;
  const digest = state.digests.batch(lane, seq, previous, payload);
  return isWanted(state, lane, { seq, digest });
}

function findWant(state: CoreState, lane: ReplicaIndex, ref: BatchRef): Want | undefined {
  return state.wants.find(
    (want) =>
      want.lane === lane && want.ref.seq === ref.seq && equalBytes(want.ref.digest, ref.digest),
  );
}

/** It has come. False when nobody waited for it. */
export function dropWant(state: CoreState, lane: ReplicaIndex, ref: BatchRef): boolean {
  const known = findWant(state, lane, ref);
  if (known !== undefined) state.wants.splice(state.wants.indexOf(known), 1);
  return known !== undefined;
}

/** Forgets what no slot to come can need any more. */
export function dropStaleWants(state: CoreState): void {
  const { wants } = state;
  for (let i = wants.length - 1; i >= 0; i--) {
    const want = wants[i] as Want;
    const lane = state.lanes[want.lane] as LaneState;
    if (want.slot <= state.executed.slot || want.ref.seq <= lane.executed.seq) wants.splice(i, 1);
  }
}

/** Sends the requests that are due. */
export function runFetches(state: CoreState): void {
  for (const want of state.wants) {
    if (want.nextMs > state.timerMs) continue;
    want.nextMs = state.timerMs + state.limits.fetchRetryMs;
    const to = chooseSource(state, want);
    if (to === undefined) continue;
    want.attempts++;
    want.lastAsked = to;
    const { lane, ref, after } = want;
    state.effects.push({ kind: 'send', to, message: { kind: 'fetch-batch', lane, ref, after } });
  }
}

export function nextFetchMs(state: CoreState): number {
  let nextMs = Infinity;
  for (const want of state.wants) nextMs = Math.min(nextMs, want.nextMs);
  return nextMs;
}

/**
 * The leader first; then in turn those who voted, and every other
 * time anybody, lest all voters lie.
 */
function chooseSource(state: CoreState, want: Want): ReplicaIndex | undefined {
  const leader = currentLeader(state);
  if (want.attempts === 0 && isOpen(state, leader)) return leader;
  if (want.attempts % 2 === 1) {
    const voter = nextPeer(state, want.lastAsked, (peer) => hasVoted(state, want.slot, peer));
    if (voter !== undefined) return voter;
  }
  return nextPeer(state, want.lastAsked, () => true);
}

function nextPeer(
  state: CoreState,
  after: ReplicaIndex,
  suits: (peer: ReplicaIndex) => boolean,
): ReplicaIndex | undefined {
  for (let step = 1; step <= state.replicas; step++) {
    const peer = (after + step) % state.replicas;
    if (isOpen(state, peer) && suits(peer)) return peer;
  }
  return undefined;
}

function isOpen(state: CoreState, peer: ReplicaIndex): boolean {
  return peer !== state.self && (state.peers[peer] as PeerState).open;
}

function hasVoted(state: CoreState, slot: Slot, peer: ReplicaIndex): boolean {
  const record = findSlot(state.slots, slot);
  if (record === undefined) return false;
  const digest = record.decided === undefined ? record.round.digest : record.decidedDigest;
  return hasDigest(record.round.votes, peer, digest);
}

/**
 * A peer asks for a batch by digest, and for its predecessors after `after`:
 * newest first, as one slot may name.
 */
export function onFetchBatch(
  state: CoreState,
  from: ReplicaIndex,
  laneIndex: ReplicaIndex,
  ref: BatchRef,
  after: BatchSeq,
): void {
  const lane = state.lanes[laneIndex] as LaneState;
  let held = findBatch(lane, ref);
  if (held === undefined) return ignore(state, 'fetch of a batch not held');
  noteFetcher(state, from, lane, ref);
  for (let count = 0; count < state.limits.laneAdvanceBatchesMax; count++) {
    if (held === undefined || held.ref.seq <= after) return;
    const { batch } = held;
    if (!mayAnswer(state, from, batch.payload.length)) return;
    state.effects.push({ kind: 'send', to: from, message: { kind: 'batch', batch } });
    held = findBatch(lane, { seq: batch.seq - 1, digest: batch.previous });
  }
}

/** P7. One fetcher may be slow or lying; f + 1 mean that the owner did not spread its batch. */
function noteFetcher(state: CoreState, from: ReplicaIndex, lane: LaneState, ref: BatchRef): void {
  if (!isLeader(state) || ref.seq <= lane.executed.seq) return;
  lane.fetchers[from] = 1;
  let fetchers = 0;
  for (const fetched of lane.fetchers) fetchers += fetched;
  if (fetchers <= state.faults) return;
  putOnProbation(lane, state.limits.laneProbationBatches);
}

/** C5: spends from the peer's allowance of answers. */
export function mayAnswer(state: CoreState, to: ReplicaIndex, bytes: number): boolean {
  const peer = state.peers[to] as PeerState;
  const { fetchRetryMs, fetchSlotsMax, wantsMax, laneBytesHeldMax } = state.limits;
  if (state.timerMs - peer.answersSinceMs >= fetchRetryMs) {
    peer.answersSinceMs = state.timerMs;
    peer.answers = 0;
    peer.answerBytes = 0;
  }
  if (peer.answers >= wantsMax + fetchSlotsMax || peer.answerBytes + bytes > laneBytesHeldMax) {
    ignore(state, 'fetch beyond the allowance of a peer');
    return false;
  }
  peer.answers++;
  peer.answerBytes += bytes;
  return true;
}
