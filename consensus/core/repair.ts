/** Rules R1 to R3 and R5: writing again what may not have arrived. A completed write is not a delivery. */
import { repeatCheckpoint } from './checkpoint.ts';
import { isWaiting } from './execute.ts';
import { EMPTY_LANE, type LaneState, nextValid } from './lane-store.ts';
import { repeatPrepares } from './prepare.ts';
import {
  type BatchRepair,
  beginningOf,
  type CoreState,
  ignore,
  openPeer,
  type PeerState,
  type Repair,
} from './state.ts';
import type { BatchRef, ReplicaIndex } from './types.ts';
import { repeatChange } from './views.ts';

/** R1, and S5 for what changes with a session. */
export function onSession(state: CoreState, index: ReplicaIndex, open: boolean): void {
  const peer = state.peers[index];
  if (peer === undefined || index === state.self) return ignore(state, 'session of no peer');
  if (peer.open === open) return ignore(state, 'session as it was');
  peer.open = open;
  stopRepair(peer.repair);
  stopRepair(peer.batchRepair);
  // With the peer gone, slots start slow anyway; with it back, one failed
  // attempt is enough to return to that.
  state.path.slowMode = false;
  state.path.slowStreak = open ? state.limits.slowModeAfterSlots - 1 : 0;
  if (!open) return;
  // It may have begun anew since it said these things, and says again what still holds.
  peer.appliedSlot = Math.min(peer.appliedSlot, beginningOf(state));
  peer.held = peer.held.map(() => EMPTY_LANE);
  peer.beat = undefined;
  peer.coveredSeq.fill(0);
  peer.missedAttests = 0;
  peer.early.clear();
  peer.ready = false;
  peer.lifeChanges = 0;
  peer.newViewCheckedMs = -Infinity;
  peer.certificateCheckedMs = -Infinity;
  if (state.mute !== undefined) state.mute.askMs = -Infinity;
  const lane = state.lanes[index] as LaneState;
  lane.epoch++;
  state.effects.push({ kind: 'rewrite-cells', to: index });
  sendOwnBatches(state, peer, index);
  repeatPrepares(state, index);
  repeatChange(state, index);
  repeatCheckpoint(state, index);
}

/** Writes again where nothing has moved for too long. */
export function runRepairs(state: CoreState): void {
  const { repairAfterMsMin } = state.limits;
  const reached = state.executed.slot + state.appliedSlot;
  const stuck = isDue(state, state.repair, isWaiting(state), reached, repairAfterMsMin);
  for (let index = 0; index < state.replicas; index++) {
    const peer = openPeer(state, index);
    if (peer === undefined) continue;
    const isBehind = peer.appliedSlot < state.appliedSlot;
    const behind = isDue(state, peer.repair, isBehind, peer.appliedSlot, repairAfterMsMin);
    if (stuck || behind) state.effects.push({ kind: 'rewrite-cells', to: index });
    if (areBatchesDue(state, peer)) sendOwnBatches(state, peer, index);
  }
  if (stuck) repeatPrepares(state);
}

export function nextRepairMs(state: CoreState): number {
  let nextMs = state.repair.atMs;
  for (let index = 0; index < state.replicas; index++) {
    const peer = openPeer(state, index);
    if (peer !== undefined) nextMs = Math.min(nextMs, peer.repair.atMs, peer.batchRepair.atMs);
  }
  return nextMs;
}

function heldOfOwn(state: CoreState, peer: PeerState): BatchRef {
  return peer.held[state.self] as BatchRef;
}

/** A report may take so many times what one took, and each lets the longest decay so far. */
const PATIENCE = 2;
const DECAY = 7 / 8;

/** R5. */
function areBatchesDue(state: CoreState, peer: PeerState): boolean {
  const { batchRepair: repair } = peer;
  const reported = heldOfOwn(state, peer).seq;
  const isPending = reported < (state.lanes[state.self] as LaneState).tip.seq;
  const isNew = repair.atMs === Infinity;
  if (isNew && !isPending) return false;
  if (isNew || reported !== repair.watched) {
    if (!isNew) noteReport(state, repair);
    repair.sinceMs = state.timerMs;
    repair.isRepeated = false;
  }
  if (!isDue(state, repair, isPending, reported, repair.waitMs)) return false;
  repair.isRepeated = true;
  repair.waitMs = boundWait(state, 2 * repair.waitMs);
  return true;
}

/** After a repetition nobody knows what it answers: then the wait stays as long as that has made it. */
function noteReport(state: CoreState, repair: BatchRepair): void {
  if (repair.isRepeated) return;
  repair.reportMs = Math.max(state.timerMs - repair.sinceMs, DECAY * repair.reportMs);
  repair.waitMs = boundWait(state, PATIENCE * repair.reportMs);
}

/** Less than a leader is given before it is taken for a censor (W1): it may be the one who has lost the batch. */
function boundWait({ limits }: CoreState, ms: number): number {
  const { repairAfterMsMin, viewTimeoutMs } = limits;
  return Math.max(repairAfterMsMin, Math.min(Math.ceil(ms), 2 * viewTimeoutMs));
}

/**
 * Steps one back-off: starts it when something begins to be pending, restarts it when what is
 * watched has moved, ends it when nothing is pending. True when it fires.
 */
function isDue(
  state: CoreState,
  repair: Repair,
  pending: boolean,
  watched: number,
  waitMs: number,
): boolean {
  if (!pending) {
    stopRepair(repair);
    return false;
  }
  if (repair.atMs === Infinity || repair.watched !== watched) {
    repair.watched = watched;
    repair.backoffMs = waitMs;
    repair.atMs = state.timerMs + waitMs;
    return false;
  }
  if (state.timerMs < repair.atMs) return false;
  repair.backoffMs = Math.min(repair.backoffMs * 2, state.limits.repairAfterMsMax);
  repair.atMs = state.timerMs + repair.backoffMs;
  return true;
}

function stopRepair(repair: Repair): void {
  // Nearly always it stands already, and to see that costs less than to write it.
  if (repair.atMs !== Infinity) repair.atMs = Infinity;
}

/**
 * The own batches that are not executed and that the peer has not reported, as
 * far as one slot could name them.
 */
function sendOwnBatches(state: CoreState, peer: PeerState, to: ReplicaIndex): void {
  const lane = state.lanes[state.self] as LaneState;
  const { laneAdvanceBatchesMax, laneAdvanceBytesMax } = state.limits;
  const reported = heldOfOwn(state, peer).seq;
  let sent = 0;
  let bytes = 0;
  let held = nextValid(lane, lane.executed);
  for (; held !== undefined && sent < laneAdvanceBatchesMax; held = nextValid(lane, held.ref)) {
    if (held.ref.seq <= reported) continue;
    const { batch } = held;
    bytes += batch.payload.length;
    if (sent++ > 0 && bytes > laneAdvanceBytesMax) return;
    state.effects.push({ kind: 'send', to, message: { kind: 'batch', batch } });
  }
}
