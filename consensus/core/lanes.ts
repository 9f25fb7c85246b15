/** Rules L1 to L7: how batches enter a lane and are checked. */
import {
  attest,
  awaitAttested,
  extentOf,
  isAttested,
  isShared,
  noteAttested,
  noteInTime,
} from './attest.ts';
import { equalBytes } from './bytes.ts';
import { CoreError } from './errors.ts';
import { reportEvidence, reportMalformed } from './evidence.ts';
import { dropWant, isWanted } from './fetch.ts';
import { giveUpOrphan, isOrphan } from './lane-prune.ts';
import {
  findBatch,
  type HeldBatch,
  insertBatch,
  type LaneState,
  putOnProbation,
  siblingsWhere,
} from './lane-store.ts';
import { advanceTip, retip } from './lane-tip.ts';
import { type CoreState, ignore, type PeerState } from './state.ts';
import type { Batch, BatchRef, CheckExtent, ReplicaIndex } from './types.ts';

/** L1: the payload becomes the next batch of the own lane. */
export function submitBatch(state: CoreState, payload: Uint8Array): void {
  const lane = state.lanes[state.self] as LaneState;
  const { ownBatchesPendingMax, batchBytesMax } = state.limits;
  const last = lastOwn(lane);
  if (last.seq - lane.executed.seq >= ownBatchesPendingMax) {
    throw new CoreError('invalid_input', 'submit: wait until own batches have been delivered', {
      ownBatchesPendingMax,
    });
  }
  if (payload.length === 0 || payload.length > batchBytesMax) {
    throw new CoreError('invalid_input', 'submit: a payload has 1 to batchBytesMax bytes', {
      bytes: payload.length,
      batchBytesMax,
    });
  }
  const seq = last.seq + 1;
  const batch: Batch = { lane: state.self, seq, previous: last.digest, payload };
  const ref: BatchRef = {
    seq,
    digest: state.digests.batch(state.self, seq, batch.previous, payload),
  };
  // D2: on disk before it is spread, or a restart would make another batch of this number. J3: not while mute.
  if (state.mute === undefined) {
    state.effects.push({ kind: 'persist', record: { kind: 'batch', batch } });
  }
  insertBatch(lane, {
    batch,
    ref,
    check: 'valid',
    fromOwner: true,
    epoch: lane.epoch,
    logged: true,
    executed: false,
    dead: false,
    sibling: undefined,
  });
  lane.ownerSeq = seq;
  state.effects.push({ kind: 'write-batch', batch, ref });
  advanceTip(state, lane);
}

/** The newest batch of the own lane. Those from the log may not have been read by the orderer again yet (D4). */
function lastOwn(lane: LaneState): BatchRef {
  let last = lane.tip;
  for (;;) {
    const next = siblingsWhere(
      lane,
      last.seq + 1,
      (held) => held.fromOwner && equalBytes(held.batch.previous, last.digest),
    )[0];
    if (next === undefined) return last;
    last = next.ref;
  }
}

/** L2: a batch from its owner's ring, or (`ring` undefined) sent again by its owner. */
export function onOwnerBatch(
  state: CoreState,
  from: ReplicaIndex,
  batch: Batch,
  ring: { readonly frameSha256: Uint8Array | undefined } | undefined,
): void {
  if (from === state.self) return ignore(state, 'batch from oneself');
  if (batch.lane !== from) return ignore(state, 'batch of another lane than the sender owns');
  const lane = state.lanes[from] as LaneState;
  if (batch.payload.length > state.limits.batchBytesMax) {
    return reportMalformed(state, from, 'batch exceeds batchBytesMax');
  }
  if (batch.seq <= lane.executed.seq) return ignore(state, 'batch already executed');
  const { seq, previous, payload } = batch;
  const digest = state.digests.batch(from, seq, previous, payload, ring?.frameSha256);
  const ref: BatchRef = { seq, digest };
  // A3: only what it writes into its ring has it made itself, for certain.
  const isFromRing = ring !== undefined;
  const known = findBatch(lane, ref);
  if (known !== undefined) {
    known.fromOwner = true;
    if (known.epoch !== lane.epoch) {
      known.epoch = lane.epoch;
      if (known.check === 'valid') retip(state, lane);
    }
    if (isFromRing) noteAttester(state, lane, from, ref);
    return ignore(state, 'batch already held');
  }
  if (!isWanted(state, from, ref) && !hasRoom(state, lane, batch)) {
    return ignore(state, 'batch beyond what is held of a lane');
  }
  lane.ownerSeq = Math.max(lane.ownerSeq, seq);
  if (isFromRing && isShared(state, batch)) noteAttested(state, lane, from, ref);
  holdBatch(state, lane, { batch, ref, fromOwner: true }, extentOf(state, batch, isFromRing));
}

/** L2: a batch from another than its owner; only what was asked for. */
export function onFetchedBatch(state: CoreState, from: ReplicaIndex, batch: Batch): void {
  const lane = state.lanes[batch.lane] as LaneState;
  const { seq, previous, payload } = batch;
  if (payload.length > state.limits.batchBytesMax) {
    return reportMalformed(state, from, 'batch exceeds batchBytesMax');
  }
  const wanted = state.wants.some((want) => want.lane === batch.lane && want.ref.seq === seq);
  if (!wanted) return ignore(state, 'batch that was not asked for');
  const ref: BatchRef = { seq, digest: state.digests.batch(batch.lane, seq, previous, payload) };
  // No evidence: it may be the late answer to an earlier request.
  if (!isWanted(state, batch.lane, ref)) return ignore(state, 'another batch than asked for');
  lane.fetchedAtMs = state.timerMs;
  holdBatch(state, lane, { batch, ref, fromOwner: false }, 'all');
}

function hasRoom(state: CoreState, lane: LaneState, batch: Batch): boolean {
  const { laneBatchesHeldMax, laneBytesHeldMax } = state.limits;
  if (batch.seq > lane.executed.seq + laneBatchesHeldMax) return false;
  return (
    isOrphan(lane, batch) ||
    (lane.heldBatches < laneBatchesHeldMax &&
      lane.heldBytes + batch.payload.length <= laneBytesHeldMax)
  );
}

function holdBatch(
  state: CoreState,
  lane: LaneState,
  added: { batch: Batch; ref: BatchRef; fromOwner: boolean },
  extent: CheckExtent,
): void {
  const { batch, ref, fromOwner } = added;
  const other = lane.batches.get(ref.seq);
  if (other !== undefined) noteFork(state, lane, other, added);
  const held: HeldBatch = {
    batch,
    ref,
    check: 'pending',
    fromOwner,
    epoch: lane.epoch,
    logged: false,
    executed: false,
    dead: false,
    sibling: undefined,
  };
  insertBatch(lane, held);
  // What a slot names stays until that is executed, though it may lead nowhere (E2).
  const isNamed = dropWant(state, lane.lane, ref);
  if (!isNamed && giveUpOrphan(state, lane, held)) {
    return ignore(state, 'batch that continues nothing that can be executed');
  }
  state.effects.push({ kind: 'check-batch', batch, ref, extent });
}

/** L5: the lane has two batches for one seq. */
function noteFork(
  state: CoreState,
  lane: LaneState,
  other: HeldBatch,
  added: { batch: Batch; ref: BatchRef; fromOwner: boolean },
): void {
  // In the own lane nothing needs to be found out: this replica knows what it made (L7).
  if (lane.lane === state.self) return;
  const { batch, ref, fromOwner } = added;
  const isSameParent = equalBytes(other.batch.previous, batch.previous);
  if (other.fromOwner && fromOwner && isSameParent && other.epoch === lane.epoch) {
    lane.faulty = true;
    const digests = [other.ref.digest, ref.digest] as const;
    const { seq } = ref;
    return reportEvidence(state, { kind: 'lane-equivocation', peer: lane.lane, seq, digests });
  }
  // Somebody has invented a batch, or the owner goes on behind what was executed instead of its own (L7), or it has
  // lost its memory. Batches are not signed and pass through many hands, so nobody can be blamed.
  putOnProbation(lane, state.limits.laneProbationBatches);
  ignore(state, 'lane that forks');
}

/** L3: the orderer's verdict; one without `signatures` says nothing of them. */
export function onBatchChecked(
  state: CoreState,
  laneIndex: ReplicaIndex,
  ref: BatchRef,
  { valid, signatures }: { readonly valid: boolean; readonly signatures: boolean },
): void {
  const lane = state.lanes[laneIndex];
  const held = lane === undefined ? undefined : findBatch(lane, ref);
  // The batch may have been dropped while it was being checked.
  if (lane === undefined || held === undefined) return ignore(state, 'verdict on a batch not held');
  if (!awaitsVerdict(held, valid, signatures)) return ignore(state, 'second verdict on a batch');
  if (!valid) return onInvalid(state, lane, held);
  if (signatures) {
    // What is in the log was valid when it was written (D2): that is no check of today's.
    if (held.check === 'pending' && !held.logged) attest(state, held);
    held.check = 'valid';
    return retip(state, lane);
  }
  held.check = 'read';
  awaitAttested(state, held);
  if (isAttested(state, lane, ref)) acceptAttested(state, lane, held);
}

/** What this replica finds itself counts until the batch is executed, whatever others have attested (A5). */
function awaitsVerdict(held: HeldBatch, valid: boolean, signatures: boolean): boolean {
  switch (held.check) {
    case 'pending':
      return true;
    case 'read':
      return signatures && !held.executed;
    case 'valid':
      return signatures && !valid && !held.executed;
    case 'invalid':
      return false;
  }
}

function onInvalid(state: CoreState, lane: LaneState, held: HeldBatch): void {
  const wasValid = held.check === 'valid';
  held.check = 'invalid';
  if (wasValid) retip(state, lane);
  const { lane: peer } = lane;
  // A leader that proposes it is blamed for the proposal (V9); whoever has handed it out may have believed in it.
  if (!held.fromOwner || peer === state.self) return ignore(state, 'invalid batch by fetch');
  lane.faulty = true;
  reportEvidence(state, { kind: 'invalid-batch', peer, lane: peer, ref: held.ref });
}

/** A4: a peer says that it has checked this batch. */
export function onAttest(
  state: CoreState,
  from: ReplicaIndex,
  laneIndex: ReplicaIndex,
  ref: BatchRef,
): void {
  // In time or not, it speaks.
  (state.peers[from] as PeerState).missedAttests = 0;
  noteAttester(state, state.lanes[laneIndex] as LaneState, from, ref);
}

function noteAttester(state: CoreState, lane: LaneState, from: ReplicaIndex, ref: BatchRef): void {
  if (!noteAttested(state, lane, from, ref)) return;
  const held = findBatch(lane, ref);
  if (held?.check === 'read' && isAttested(state, lane, ref)) acceptAttested(state, lane, held);
}

function acceptAttested(state: CoreState, lane: LaneState, held: HeldBatch): void {
  noteInTime(state, held);
  held.check = 'valid';
  retip(state, lane);
}
