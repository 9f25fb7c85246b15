/** Rules E1 to E5: decided slots become deliveries, in slot order, each once. */

import { logDecided } from './decided-log.ts';
import { dropStaleWants, wantBatch } from './fetch.ts';
import {
  type HeldBatch,
  isTrusted,
  type LaneState,
  markExecuted,
  removeBatch,
  walkBack,
} from './lane-store.ts';
import { pruneLane } from './lanes.ts';
import { findSlot, type SlotState } from './slots.ts';
import type { CoreState } from './state.ts';
import type { BatchRef, Proposal, ReplicaIndex, Slot } from './types.ts';

/**
 * Executes what is decided, next in order, and complete. Returns true when it executed anything.
 */
export function tryExecute(state: CoreState): boolean {
  let executed = false;
  for (;;) {
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
 * something is missing or unchecked.
 */
function collectBatches(state: CoreState, proposal: Proposal): HeldBatch[][] | undefined {
  const advances: HeldBatch[][] = [];
  let complete = true;
  for (const lane of state.lanes) {
    const walk = walkBack(lane, lane.executed, proposal.frontier[lane.lane] as BatchRef);
    if (walk.kind === 'missing') {
      wantBatch(state, lane, walk.ref, lane.executed.seq, proposal.slot);
      complete = false;
    } else if (walk.kind === 'chain') {
      advances[lane.lane] = walk.batches;
      if (walk.batches.some((held) => held.check === 'pending')) complete = false;
    } else {
      advances[lane.lane] = [];
    }
  }
  return complete ? advances : undefined;
}

function executeSlot(
  state: CoreState,
  record: SlotState,
  proposal: Proposal,
  advances: readonly HeldBatch[][],
): void {
  const { slot, timeMs, cut } = proposal;
  const batches: { lane: ReplicaIndex; ref: BatchRef }[] = [];
  for (const lane of state.lanes) {
    const advance = (advances[lane.lane] as HeldBatch[]).reverse();
    for (const held of advance) {
      markExecuted(lane, held);
      batches.push({ lane: lane.lane, ref: held.ref });
    }
  }
  const path = record.decidedPath;
  state.effects.push({ kind: 'deliver', slot, timeMs, cut, batches, path });
  for (const lane of state.lanes) afterAdvance(state, lane, advances[lane.lane] as HeldBatch[]);
  const frontier = state.lanes.map((lane) => lane.executed);
  state.executed = { slot, timeMs, frontier };
  logDecided(state.decidedLog, proposal);
  dropStaleWants(state);
  // A leader that learned of slots it did not propose goes on from there.
  if (state.leader.head.slot < slot) state.leader.head = state.executed;
}

function afterAdvance(state: CoreState, lane: LaneState, advance: readonly HeldBatch[]): void {
  const last = advance[advance.length - 1];
  if (last === undefined) return;
  lane.executed = last.ref;
  pruneLane(state, lane, advance);
  for (const held of advance) retain(state, held);
}

/** What a held batch costs besides its payload; small batches are mostly this. */
const BATCH_OVERHEAD_BYTES = 1_024;

/** E5. */
function retain(state: CoreState, held: HeldBatch): void {
  const { retained, limits } = state;
  retained.batches.push(held);
  retained.bytes += BATCH_OVERHEAD_BYTES + held.batch.payload.length;
  while (retained.bytes > limits.retainedBytesMax) {
    const oldest = retained.batches[retained.first++] as HeldBatch;
    retained.bytes -= BATCH_OVERHEAD_BYTES + oldest.batch.payload.length;
    removeBatch(state.lanes[oldest.batch.lane] as LaneState, oldest);
  }
  // The array's dead front is cut off now and then, at a cost that each push pays a little of.
  if (retained.first > 64 && retained.first * 2 > retained.batches.length) {
    retained.batches = retained.batches.slice(retained.first);
    retained.first = 0;
  }
}

/**
 * Does anything wait to be executed: a known slot, or batches that a
 * correct leader would propose? (R3)
 */
export function isWaiting(state: CoreState): boolean {
  if (state.highestKnown > state.executed.slot) return true;
  return state.lanes.some((lane) => lane.tip.seq > lane.executed.seq && isTrusted(lane));
}

/** Highest slot that this replica's cells may concern. */
export function interestTo(state: CoreState, target: Slot): Slot {
  const { windowSlots, pipelineSlotsMax } = state.limits;
  const known = Math.max(state.highestKnown, state.executed.slot, target);
  return Math.min(known + pipelineSlotsMax, state.executed.slot + windowSlots);
}
