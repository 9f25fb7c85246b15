/** Rules E1 to E6: decided slots become deliveries, in slot order, each once. */

import { isCheckpoint, openCheckpoint } from './checkpoint.ts';
import { logDecided } from './decided-log.ts';
import { dropStaleWants, wantBatch } from './fetch.ts';
import { giveUpOrphans, pruneLane } from './lane-prune.ts';
import {
  type HeldBatch,
  isTrusted,
  type LaneState,
  markExecuted,
  removeBatch,
  walkBack,
} from './lane-store.ts';
import { findSlot, type SlotState } from './slots.ts';
import { type Advance, type CoreState, windowEnd } from './state.ts';
import { noteExecuted } from './suspicion.ts';
import type { BatchRef, Frontier, Proposal, ReplicaIndex, Slot } from './types.ts';

/**
 * Executes what is decided, next in order, and complete. Returns true when it executed anything.
 */
export function tryExecute(state: CoreState): boolean {
  let executed = false;
  for (;;) {
    if (state.transfer !== undefined) return executed;
    if (state.executed.slot - state.appliedSlot >= state.limits.windowSlots) return executed;
    const record = findSlot(state.slots, state.executed.slot + 1);
    if (record?.decided === undefined) return executed;
    const advances = collectBatches(state, record.decided);
    if (advances === undefined) return executed;
    executeSlot(state, record, record.decided, advances);
    executed = true;
  }
}

/**
 * E2 and E3: per lane the batches to deliver, newest first; undefined while
 * something is missing or not even read. Signatures are not waited for: a quorum that has found them valid has decided
 * the slot (A6).
 */
function collectBatches(state: CoreState, proposal: Proposal): readonly Advance[] | undefined {
  const { advances } = state;
  let complete = true;
  for (const lane of state.lanes) {
    const walk = walkBack(lane, lane.executed, proposal.frontier[lane.lane] as BatchRef);
    if (walk.kind === 'missing') {
      wantBatch(state, lane, walk.ref, lane.executed.seq, proposal.slot);
      complete = false;
    } else if (walk.kind === 'chain') {
      advances[lane.lane] = walk.batches;
      for (const held of walk.batches) if (held.check === 'pending') complete = false;
    } else {
      advances[lane.lane] = NOWHERE;
    }
  }
  return complete ? advances : undefined;
}

/** E2: of a lane whose chain does not continue what is executed. */
const NOWHERE: Advance = [];

function executeSlot(
  state: CoreState,
  record: SlotState,
  proposal: Proposal,
  advances: readonly Advance[],
): void {
  const { slot } = proposal;
  // E6: an outcome of a view change may have been proposed before its predecessor was.
  const timeMs = Math.max(proposal.timeMs, state.executed.timeMs);
  const batches: { lane: ReplicaIndex; ref: BatchRef }[] = [];
  for (const lane of state.lanes) {
    const advance = advances[lane.lane] as Advance;
    for (let i = advance.length - 1; i >= 0; i--) {
      const held = advance[i] as HeldBatch;
      markExecuted(lane, held);
      batches.push({ lane: lane.lane, ref: held.ref });
      state.checkpoints.bytes += held.batch.payload.length;
    }
  }
  const checkpoint = isCheckpoint(state, slot);
  const cut = proposal.cut || checkpoint;
  const path = record.decidedPath;
  state.effects.push({ kind: 'deliver', slot, timeMs, cut, batches, path, checkpoint });
  for (const lane of state.lanes) afterAdvance(state, lane, advances[lane.lane] as Advance);
  const frontier = state.lanes.map((lane) => lane.executed);
  state.executed = { slot, timeMs, frontier };
  if (checkpoint) openCheckpoint(state);
  logDecided(state.decidedLog, proposal);
  dropStaleWants(state);
  noteExecuted(state, batches.length > 0, cut);
  followHead(state, batches.length > 0, cut);
}

/** A leader goes on from slots that it did not propose itself, and owes their batches a cut. */
function followHead(state: CoreState, advanced: boolean, cut: boolean): void {
  const { leader, executed } = state;
  if (leader.head.slot > executed.slot) return;
  if (cut) leader.uncutSinceMs = undefined;
  else if (advanced) leader.uncutSinceMs ??= state.timerMs;
  if (leader.head.slot < executed.slot) leader.head = executed;
}

function afterAdvance(state: CoreState, lane: LaneState, advance: Advance): void {
  if (advance === NOWHERE) return giveUpOrphans(state, lane);
  const newest = advance[0];
  if (newest === undefined) return;
  lane.executed = newest.ref;
  pruneLane(state, lane, advance);
  for (let i = advance.length - 1; i >= 0; i--) retain(state, advance[i] as HeldBatch);
}

/** What a held batch costs besides its payload; small batches are mostly this. */
const BATCH_OVERHEAD_BYTES = 1_024;

/** E5. */
function retain(state: CoreState, held: HeldBatch): void {
  const { retained, limits } = state;
  retained.batches.push(held);
  retained.bytes += costOf(held);
  retained.unstableBytes += held.batch.payload.length;
  const { retainedBytesMax, checkpointBytes } = limits;
  while (retained.bytes > retainedBytesMax && retained.first < retained.stable) forgetOldest(state);
  // A lying leader alone gets so far ahead of the stable checkpoint (P4).
  while (retained.bytes > retainedBytesMax + RETAINED_CHECKPOINTS_MAX * checkpointBytes) {
    forgetOldest(state);
  }
}

/** E5: what lies above the stable checkpoint is kept for those who are behind, up to so many checkpoints' bytes. */
const RETAINED_CHECKPOINTS_MAX = 8;

function costOf(held: HeldBatch): number {
  return BATCH_OVERHEAD_BYTES + held.batch.payload.length;
}

function forgetOldest(state: CoreState): void {
  const { retained } = state;
  const oldest = retained.batches[retained.first++] as HeldBatch;
  retained.bytes -= costOf(oldest);
  if (retained.first > retained.stable) {
    retained.stable = retained.first;
    retained.unstableBytes -= oldest.batch.payload.length;
  }
  removeBatch(state.lanes[oldest.batch.lane] as LaneState, oldest);
  state.effects.push({ kind: 'forget-batch', batch: oldest.batch });
  // The array's dead front is cut off now and then, at a cost that each push pays a little of.
  if (retained.first > 64 && retained.first * 2 > retained.batches.length) {
    retained.batches = retained.batches.slice(retained.first);
    retained.stable -= retained.first;
    retained.first = 0;
  }
}

/** A transfer has passed all of it. */
export function forgetRetained(state: CoreState): void {
  const { retained } = state;
  while (retained.first < retained.batches.length) forgetOldest(state);
  retained.batches = [];
  retained.first = 0;
  retained.stable = 0;
}

/** The stable checkpoint has moved: what lies below it may be forgotten from now on. */
export function noteStableFrontier(state: CoreState, frontier: Frontier): void {
  const { retained } = state;
  for (; retained.stable < retained.batches.length; retained.stable++) {
    const held = retained.batches[retained.stable] as HeldBatch;
    if (held.ref.seq > (frontier[held.batch.lane] as BatchRef).seq) return;
    retained.unstableBytes -= held.batch.payload.length;
  }
}

/**
 * Does anything wait to be executed: a known slot, or batches that a
 * correct leader would propose? (R3)
 */
export function isWaiting(state: CoreState): boolean {
  if (state.highestKnown > state.executed.slot) return true;
  for (const lane of state.lanes) {
    if (lane.tip.seq > lane.executed.seq && isTrusted(lane)) return true;
  }
  return false;
}

/** Highest slot that this replica's cells may concern. */
export function interestTo(state: CoreState, target: Slot): Slot {
  const { pipelineSlotsMax } = state.limits;
  const known = Math.max(state.highestKnown, state.executed.slot, target, state.views.top);
  return Math.min(known + pipelineSlotsMax, Math.max(windowEnd(state), state.executed.slot + 1));
}
