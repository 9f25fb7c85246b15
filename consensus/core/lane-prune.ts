/** Rules L6 and T3: batches that can never be executed any more are given up, and forgotten. */
import { forgetAttested } from './attest.ts';
import { equalBytes } from './bytes.ts';
import {
  findBatch,
  type HeldBatch,
  type LaneState,
  markDead,
  removeBatch,
  siblingsWhere,
} from './lane-store.ts';
import { advanceTip } from './lane-tip.ts';
import type { CoreState } from './state.ts';
import type { BatchRef } from './types.ts';

/**
 * After the lane's executed tip has moved: gives up batches that can never be executed any more,
 * that is those beside the executed ones and everything that continues them, and finds the held tip
 * again. The orderer may forget them now. The bytes of those above the executed tip stay: a decided
 * frontier may still name them, and then it takes them to see that they lead nowhere (E2).
 */
export function pruneLane(state: CoreState, lane: LaneState, executed: readonly HeldBatch[]): void {
  for (const { ref } of executed) {
    for (const held of siblingsWhere(lane, ref.seq, (one) => !one.executed)) {
      giveUp(state, lane, held);
      removeBatch(lane, held);
    }
  }
  let seq = lane.executed.seq + 1;
  let orphans = siblingsWhere(lane, seq, (one) => {
    return !equalBytes(one.batch.previous, lane.executed.digest);
  });
  while (orphans.length > 0) {
    for (const held of orphans) giveUp(state, lane, held);
    orphans = childrenOf(lane, ++seq, orphans);
  }
  evictDead(state, lane);
  forgetAttested(lane);
  lane.fetchers.fill(0);
  const tip = findBatch(lane, lane.tip);
  if (tip === undefined || tip.executed || tip.dead) lane.tip = lane.executed;
  if (lane.lane === state.self) lane.ownerSeq = lane.tip.seq;
  advanceTip(state, lane);
}

function childrenOf(lane: LaneState, seq: number, parents: readonly HeldBatch[]): HeldBatch[] {
  if (parents.length === 0) return [];
  return siblingsWhere(lane, seq, (child) =>
    parents.some((parent) => equalBytes(child.batch.previous, parent.ref.digest)),
  );
}

/** What a decided frontier names after all is fetched again; the oldest are the least likely. */
function evictDead(state: CoreState, lane: LaneState): void {
  const { laneBatchesHeldMax } = state.limits;
  if (lane.deadBatches <= laneBatchesHeldMax) return;
  for (const seq of [...lane.batches.keys()].sort((a, b) => a - b)) {
    for (const held of siblingsWhere(lane, seq, (one) => one.dead)) {
      removeBatch(lane, held);
      if (lane.deadBatches <= laneBatchesHeldMax) return;
    }
  }
}

function giveUp(state: CoreState, lane: LaneState, held: HeldBatch): void {
  if (held.dead) return;
  markDead(lane, held);
  state.effects.push({ kind: 'drop-batch', lane: lane.lane, ref: held.ref });
}

/** T3: the lane's executed tip has moved past batches that this replica may never have seen. */
export function skipLaneTo(state: CoreState, lane: LaneState, tip: BatchRef): void {
  for (const seq of [...lane.batches.keys()]) {
    if (seq > tip.seq) continue;
    for (const held of siblingsWhere(lane, seq, () => true)) {
      if (!held.executed) giveUp(state, lane, held);
      removeBatch(lane, held);
    }
  }
  lane.executed = tip;
  lane.ownerSeq = Math.max(lane.ownerSeq, tip.seq);
  pruneLane(state, lane, []);
}
