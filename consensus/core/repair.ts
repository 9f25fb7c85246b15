/** Rules R1 to R3: writing again what may not have arrived. A completed write is not a delivery. */
import { repeatCheckpoint } from './checkpoint.ts';
import { isWaiting } from './execute.ts';
import { EMPTY_LANE, type LaneState, nextValid } from './lane-store.ts';
import { repeatPrepares } from './prepare.ts';
import {
  beginningOf,
  type CoreState,
  forOpenPeers,
  ignore,
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
  resetRepair(state, peer.repair);
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
  const stuck = isDue(
    state,
    state.repair,
    isWaiting(state),
    state.executed.slot,
    state.appliedSlot,
  );
  forOpenPeers(state, (peer, index) => {
    const reported = heldOfOwn(state, peer).seq;
    const behind = isDue(state, peer.repair, lags(state, peer), peer.appliedSlot, reported);
    if (stuck || behind) state.effects.push({ kind: 'rewrite-cells', to: index });
    if (behind) sendOwnBatches(state, peer, index);
  });
  if (stuck) repeatPrepares(state);
}

export function nextRepairMs(state: CoreState): number {
  let nextMs = state.repair.atMs;
  forOpenPeers(state, (peer) => {
    nextMs = Math.min(nextMs, peer.repair.atMs);
  });
  return nextMs;
}

/**
 * R2: has the peer still to report what this replica has applied, or this replica's newest batch?
 */
function lags(state: CoreState, peer: PeerState): boolean {
  const own = state.lanes[state.self] as LaneState;
  return peer.appliedSlot < state.appliedSlot || heldOfOwn(state, peer).seq < own.tip.seq;
}

function heldOfOwn(state: CoreState, peer: PeerState): BatchRef {
  return peer.held[state.self] as BatchRef;
}

/**
 * Steps one back-off: starts it when something begins to be pending, restarts it when one of the
 * watched figures has moved, ends it when nothing is pending. True when it fires.
 */
function isDue(
  state: CoreState,
  repair: Repair,
  pending: boolean,
  watchedA: number,
  watchedB: number,
): boolean {
  const { repairAfterMsMin, repairAfterMsMax } = state.limits;
  if (!pending) {
    repair.atMs = Infinity;
    repair.backoffMs = repairAfterMsMin;
    return false;
  }
  if (repair.atMs === Infinity || repair.watchedA !== watchedA || repair.watchedB !== watchedB) {
    repair.watchedA = watchedA;
    repair.watchedB = watchedB;
    repair.backoffMs = repairAfterMsMin;
    repair.atMs = state.timerMs + repairAfterMsMin;
    return false;
  }
  if (state.timerMs < repair.atMs) return false;
  repair.backoffMs = Math.min(repair.backoffMs * 2, repairAfterMsMax);
  repair.atMs = state.timerMs + repair.backoffMs;
  return true;
}

function resetRepair(state: CoreState, repair: Repair): void {
  repair.atMs = Infinity;
  repair.backoffMs = state.limits.repairAfterMsMin;
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
