/** C1: what this replica tells of itself, and what peers tell. */

import { CoreError } from './errors.ts';
import { isTrusted } from './lane-store.ts';
import { forgetAppliedCuts } from './propose.ts';
import { type CoreState, ignore, type PeerState } from './state.ts';
import type { BatchRef, Frontier, ReplicaIndex, Slot } from './types.ts';

/** The own orderer has applied everything up to `slot`. */
export function onApplied(state: CoreState, slot: Slot, blocksUncertified: number): void {
  if (slot > state.executed.slot || slot < state.appliedSlot) {
    throw new CoreError('invalid_input', 'applied: the slot was not delivered, or goes back', {
      slot,
      executedSlot: state.executed.slot,
      appliedSlot: state.appliedSlot,
    });
  }
  state.blocksUncertified = blocksUncertified;
  if (slot === state.appliedSlot) return;
  state.appliedSlot = slot;
  state.progress.appliedMoved = true;
  forgetAppliedCuts(state);
}

/** Figures only grow: a cell that was overtaken on the way takes nothing back. */
export function onProgress(
  state: CoreState,
  from: ReplicaIndex,
  appliedSlot: Slot,
  held: Frontier,
): void {
  const peer = state.peers[from] as PeerState;
  let moved = false;
  if (appliedSlot > peer.appliedSlot) {
    peer.appliedSlot = appliedSlot;
    moved = true;
  }
  for (let lane = 0; lane < state.replicas; lane++) {
    const tip = held[lane] as BatchRef;
    if (tip.seq <= (peer.held[lane] as BatchRef).seq) continue;
    peer.held[lane] = tip;
    moved = true;
  }
  if (!moved) ignore(state, 'progress already known');
}

/** Writes the progress cell if there is a reason to; at most once per step. */
export function writeProgress(state: CoreState): void {
  const { progress } = state;
  if (!progress.appliedMoved && state.timerMs < nextProgressMs(state)) return;
  progress.appliedMoved = false;
  progress.heldSinceMs = Infinity;
  const held = state.lanes.map((lane) => lane.tip);
  state.effects.push({
    kind: 'write-cell',
    cell: { kind: 'progress', appliedSlot: state.appliedSlot, held },
  });
}

/** A lane without trust waits for this report (P1), so it goes out at once. */
export function nextProgressMs(state: CoreState): number {
  const { heldSinceMs } = state.progress;
  if (heldSinceMs === Infinity) return Infinity;
  const urgent = state.lanes.some((lane) => !isTrusted(lane));
  return urgent ? heldSinceMs : heldSinceMs + state.limits.progressDelayMs;
}
