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
import type { Batch, BatchRef } from './types.ts';

/**
 * After the lane's executed tip has moved by `executed`, newest first: gives up batches that can never be executed any more,
 * that is those beside the executed ones and everything that continues them, and finds the held tip
 * again. The orderer may forget them now. The bytes of those above the executed tip stay: a decided
 * frontier may still name them, and then it takes them to see that they lead nowhere (E2).
 */
export function pruneLane(state: CoreState, lane: LaneState, executed: readonly HeldBatch[]): void {
  for (let i = executed.length - 1; i >= 0; i--) {
    const { seq } = (executed[i] as HeldBatch).ref;
    // Nearly always the executed one is alone, and no list is needed to see that.
    if (lane.batches.get(seq)?.sibling === undefined) continue;
    for (const held of siblingsWhere(lane, seq, (one) => !one.executed)) {
      giveUp(state, lane, held);
      removeBatch(lane, held);
    }
  }
  giveUpOrphans(state, lane);
  forgetAttested(lane);
  // A loop: `fill` leaves the compiled code for a handful of values.
  for (let replica = 0; replica < lane.fetchers.length; replica++) lane.fetchers[replica] = 0;
  const tip = findBatch(lane, lane.tip);
  if (tip === undefined || tip.executed || tip.dead) lane.tip = lane.executed;
  if (lane.lane === state.self) lane.ownerSeq = lane.tip.seq;
  advanceTip(state, lane);
}

/** E2: also what a slot has named that led nowhere, and was kept for that. */
export function giveUpOrphans(state: CoreState, lane: LaneState): void {
  const seq = lane.executed.seq + 1;
  const orphans = siblingsWhere(lane, seq, ({ batch }) => isOrphan(lane, batch));
  giveUpChains(state, lane, seq, orphans);
  evictDead(state, lane);
}

/** Is it certain to continue something else than what is executed? */
export function isOrphan(lane: LaneState, { seq, previous }: Batch): boolean {
  const before = { seq: seq - 1, digest: previous };
  if (before.seq > lane.executed.seq) return findBatch(lane, before)?.dead === true;
  return before.seq < lane.executed.seq || !equalBytes(previous, lane.executed.digest);
}

/**
 * L6: a batch that is an orphan when it comes. An owner that has lost its memory twice would fill the lane with what it
 * said in former lives, and leave no room for what it says now. False when it is none.
 */
export function giveUpOrphan(state: CoreState, lane: LaneState, added: HeldBatch): boolean {
  if (!isOrphan(lane, added.batch)) return false;
  markDead(lane, added);
  const { seq } = added.ref;
  giveUpChains(state, lane, seq + 1, childrenOf(lane, seq + 1, [added]));
  evictDead(state, lane);
  return true;
}

/** `first`, of number `seq`, and whatever continues them. */
function giveUpChains(
  state: CoreState,
  lane: LaneState,
  seq: number,
  first: readonly HeldBatch[],
): void {
  let orphans = first;
  for (let at = seq + 1; orphans.length > 0; at++) {
    for (const held of orphans) giveUp(state, lane, held);
    orphans = childrenOf(lane, at, orphans);
  }
}

function childrenOf(lane: LaneState, seq: number, parents: readonly HeldBatch[]): HeldBatch[] {
  if (parents.length === 0) return [];
  return siblingsWhere(lane, seq, (child) =>
    parents.some((parent) => equalBytes(child.batch.previous, parent.ref.digest)),
  );
}

/**
 * What a decided frontier names after all is fetched again. What was said in former sessions goes first, lest the
 * orphans of this one be taken for something that may still connect; then the oldest, which are the least likely.
 */
function evictDead(state: CoreState, lane: LaneState): void {
  const { laneBatchesHeldMax, laneBytesHeldMax } = state.limits;
  const isFull = () => lane.deadBatches > laneBatchesHeldMax || lane.deadBytes > laneBytesHeldMax;
  if (!isFull()) return;
  const dead: HeldBatch[] = [];
  for (const seq of lane.batches.keys()) dead.push(...siblingsWhere(lane, seq, (one) => one.dead));
  dead.sort((a, b) => a.epoch - b.epoch || a.ref.seq - b.ref.seq);
  for (const held of dead) {
    removeBatch(lane, held);
    if (!isFull()) return;
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
