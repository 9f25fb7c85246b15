/**
 * One lane's batches, by seq and digest. Bytes are held once; two batches of one seq (a fork) hang
 * together as siblings, in order of arrival. What may enter is decided in `lanes.ts`.
 */
import { equalBytes, ZERO_DIGEST } from './bytes.ts';
import { emptyList } from './lists.ts';
import type { Batch, BatchRef, BatchSeq, Digest32, ReplicaIndex } from './types.ts';

/** The tip of a lane that has no batch. */
export const EMPTY_LANE: BatchRef = { seq: 0, digest: ZERO_DIGEST };

export interface HeldBatch {
  readonly batch: Batch;
  readonly ref: BatchRef;
  /** `read`: nothing is wrong with it but the clients' signatures perhaps, which others check (A2). */
  check: 'pending' | 'read' | 'valid' | 'invalid';
  /** It came from the owner itself (own lane: this replica made it). */
  fromOwner: boolean;
  /** `LaneState.epoch` when it last came from the owner. */
  epoch: number;
  /** It is in the own log (D2). */
  logged: boolean;
  executed: boolean;
  /** It does not continue what was executed: never to be executed itself. */
  dead: boolean;
  /** Next batch of the same seq. */
  sibling: HeldBatch | undefined;
}

export interface LaneState {
  readonly lane: ReplicaIndex;
  executed: BatchRef;
  /** End of the chain of valid batches from `executed` (L4). */
  tip: BatchRef;
  readonly batches: Map<BatchSeq, HeldBatch>;
  /** Held, not executed, and not dead: those that count against the bounds of the lane (L6). */
  heldBatches: number;
  heldBytes: number;
  deadBatches: number;
  deadBytes: number;
  /** Highest seq that came from the owner: its ring has passed everything below. */
  ownerSeq: BatchSeq;
  /** Counts the owner's sessions: one that lost its memory between two of them is no liar (L5). */
  epoch: number;
  /** Equivocation or an invalid batch: without trust for the rest of the run (L3, L5). */
  faulty: boolean;
  /** Without trust until this batch is executed (P7). */
  probationUntilSeq: BatchSeq;
  /** When a batch last came by fetch: its predecessors may be on the way (V8). */
  fetchedAtMs: number;
  /** By seq and attester, the owner among them: the first digest that it attested (A4). */
  readonly attested: Map<BatchSeq, Map<ReplicaIndex, Digest32>>;
  /**
   * Who has fetched an unexecuted batch of this lane from this
   * replica since the lane last executed.
   */
  readonly fetchers: Uint8Array;
  /** What `walkBack` answers, again and again. */
  readonly walk: { readonly kind: 'chain'; readonly batches: HeldBatch[] };
}

export function createLane(lane: ReplicaIndex, replicas: number): LaneState {
  return {
    lane,
    executed: EMPTY_LANE,
    tip: EMPTY_LANE,
    batches: new Map(),
    heldBatches: 0,
    heldBytes: 0,
    deadBatches: 0,
    deadBytes: 0,
    ownerSeq: 0,
    epoch: 0,
    faulty: false,
    probationUntilSeq: 0,
    fetchedAtMs: -Infinity,
    attested: new Map(),
    fetchers: new Uint8Array(replicas),
    walk: { kind: 'chain', batches: [] },
  };
}

export function isTrusted(lane: LaneState): boolean {
  return !lane.faulty && lane.executed.seq >= lane.probationUntilSeq;
}

/** P7. */
export function putOnProbation(lane: LaneState, batches: number): void {
  lane.probationUntilSeq = lane.tip.seq + batches;
}

export function findBatch(lane: LaneState, { seq, digest }: BatchRef): HeldBatch | undefined {
  return findBySeq(lane, seq, digest);
}

function findBySeq(lane: LaneState, seq: number, digest: Digest32): HeldBatch | undefined {
  let held = lane.batches.get(seq);
  while (held !== undefined && !equalBytes(held.ref.digest, digest)) held = held.sibling;
  return held;
}

export function siblingsWhere(
  lane: LaneState,
  seq: number,
  predicate: (held: HeldBatch) => boolean,
): HeldBatch[] {
  const found: HeldBatch[] = [];
  for (let held = lane.batches.get(seq); held !== undefined; held = held.sibling) {
    if (predicate(held)) found.push(held);
  }
  return found;
}

/** Adds behind its siblings, so that the first that came stays first. */
export function insertBatch(lane: LaneState, added: HeldBatch): void {
  const first = lane.batches.get(added.ref.seq);
  if (first === undefined) {
    lane.batches.set(added.ref.seq, added);
  } else {
    let last = first;
    while (last.sibling !== undefined) last = last.sibling;
    last.sibling = added;
  }
  lane.heldBatches++;
  lane.heldBytes += added.batch.payload.length;
}

export function removeBatch(lane: LaneState, removed: HeldBatch): void {
  const first = lane.batches.get(removed.ref.seq);
  if (first === removed) {
    if (removed.sibling === undefined) lane.batches.delete(removed.ref.seq);
    else lane.batches.set(removed.ref.seq, removed.sibling);
  } else {
    let before = first;
    while (before !== undefined && before.sibling !== removed) before = before.sibling;
    if (before !== undefined) before.sibling = removed.sibling;
  }
  if (removed.dead) {
    lane.deadBatches--;
    lane.deadBytes -= removed.batch.payload.length;
  } else if (!removed.executed) uncount(lane, removed);
}

/** It will never be executed, so it must not keep the lane's room from those that may be. */
export function markDead(lane: LaneState, held: HeldBatch): void {
  held.dead = true;
  lane.deadBatches++;
  lane.deadBytes += held.batch.payload.length;
  uncount(lane, held);
}

export function markExecuted(lane: LaneState, held: HeldBatch): void {
  held.executed = true;
  uncount(lane, held);
}

function uncount(lane: LaneState, held: HeldBatch): void {
  lane.heldBatches--;
  lane.heldBytes -= held.batch.payload.length;
}

/**
 * The valid batch that continues `ref`. When the lane forks: what its owner said in its newest session, so that
 * all come to hold the same after it has begun anew; within a session the first that came.
 */
export function nextValid(lane: LaneState, ref: BatchRef): HeldBatch | undefined {
  let best: HeldBatch | undefined;
  for (let held = lane.batches.get(ref.seq + 1); held !== undefined; held = held.sibling) {
    if (held.check !== 'valid' || !equalBytes(held.batch.previous, ref.digest)) continue;
    if (best === undefined || epochOf(held) > epochOf(best)) best = held;
  }
  return best;
}

function epochOf(held: HeldBatch): number {
  return held.fromOwner ? held.epoch : -1;
}

/**
 * `chain`: the batches after `base` up to `tip`, newest first; the list is good until the next walk of the lane. `missing`: the
 * first one on the way back from the tip that is not held. `fork`: the tip does not continue `base`.
 */
export type Walk =
  | { readonly kind: 'chain'; readonly batches: readonly HeldBatch[] }
  | { readonly kind: 'missing'; readonly ref: BatchRef }
  | { readonly kind: 'fork' };

const FORK: Walk = { kind: 'fork' };
/** Most lanes do not move in a slot. */
const NO_STEP: Walk = { kind: 'chain', batches: [] };

export function walkBack(lane: LaneState, base: BatchRef, tip: BatchRef): Walk {
  if (tip.seq <= base.seq) return isSameTip(tip, base) ? NO_STEP : FORK;
  const { batches } = lane.walk;
  emptyList(batches);
  let { seq, digest } = tip;
  for (; seq > base.seq; seq--) {
    const held = findBySeq(lane, seq, digest);
    if (held === undefined) return { kind: 'missing', ref: { seq, digest } };
    batches.push(held);
    digest = held.batch.previous;
  }
  return equalBytes(digest, base.digest) ? lane.walk : FORK;
}

function isSameTip(tip: BatchRef, base: BatchRef): boolean {
  return tip.seq === base.seq && equalBytes(tip.digest, base.digest);
}
