/** Rules T1 to T3: what the peers have forgotten is taken over as blocks and a proven state. */
import { assert } from './assert.ts';
import { setBase } from './checkpoint.ts';
import { CoreError } from './errors.ts';
import { forgetRetained } from './execute.ts';
import { dropStaleWants } from './fetch.ts';
import { skipLaneTo } from './lane-prune.ts';
import type { LaneState } from './lane-store.ts';
import type { CoreState } from './state.ts';
import { noteExecuted } from './suspicion.ts';
import type { BatchRef, CheckpointState, Slot } from './types.ts';

/** T2: a stable checkpoint lies ahead, and this replica has not moved towards it for a while. */
export function startTransfer(state: CoreState): void {
  const { certificate, slot } = state.checkpoints.stable;
  // One after the other: what is stable meanwhile is the next one's, and the way is shorter each time.
  if (certificate === undefined || slot <= state.executed.slot || isTransferring(state)) return;
  state.transfer = { certificate };
  state.effects.push({ kind: 'transfer', state: certificate.state });
}

export function isTransferring(state: CoreState): boolean {
  return state.transfer !== undefined;
}

/** T3: the ledger has the state of that checkpoint; consensus goes on from there. */
export function onTransferred(state: CoreState, slot: Slot): void {
  const { transfer } = state;
  if (transfer?.certificate.state.slot !== slot) {
    throw new CoreError('invalid_input', 'transferred: no such transfer is under way', { slot });
  }
  assert(slot > state.executed.slot, 'nothing is executed during a transfer');
  state.transfer = undefined;
  install(state, transfer.certificate.state);
  setBase(state, transfer.certificate);
}

/** The replica stands at this checkpoint: as after executing its slot. Also after a restart. */
export function install(state: CoreState, at: CheckpointState): void {
  const { slot, timeMs, frontier } = at;
  state.executed = { slot, timeMs, frontier };
  state.appliedSlot = slot;
  state.progress.urgent = true;
  state.lastVoted = Math.max(state.lastVoted, slot);
  state.highestKnown = Math.max(state.highestKnown, slot);
  state.checkpoints.lastSlot = slot;
  state.checkpoints.bytes = 0;
  state.checkpoints.open = [];
  forgetRetained(state);
  for (const lane of state.lanes) skipLane(state, lane, frontier[lane.lane] as BatchRef);
  noteExecuted(state, false, true);
  dropStaleWants(state);
  const { leader } = state;
  if (leader.head.slot < slot) leader.head = state.executed;
  leader.cutSlots = leader.cutSlots.filter((cut) => cut > slot);
}

function skipLane(state: CoreState, lane: LaneState, tip: BatchRef): void {
  if (tip.seq > lane.executed.seq) skipLaneTo(state, lane, tip);
}
