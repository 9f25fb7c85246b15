/** V2: which slots' cells and messages are taken, and the record that they go to. */
import { kthHighest } from './quorum.ts';
import { claimSlot, type SlotState } from './slots.ts';
import { type CoreState, currentLeader, ignore, type PeerState } from './state.ts';
import type { ReplicaIndex, Slot, View } from './types.ts';

/** The record for what a peer said of `slot` in `view`, or undefined when it is to be ignored. */
export function recordFor(
  state: CoreState,
  from: ReplicaIndex,
  view: View,
  slot: Slot,
): SlotState | undefined {
  if (view !== state.view) {
    ignore(state, 'cell of another view');
    return undefined;
  }
  if (!inWindow(state, slot)) return undefined;
  noteNamed(state, from, slot);
  return claimSlot(state.slots, slot, view);
}

function inWindow(state: CoreState, slot: Slot): boolean {
  if (slot <= state.executed.slot) {
    ignore(state, 'cell of an executed slot');
    return false;
  }
  if (slot > state.executed.slot + state.limits.windowSlots) {
    ignore(state, 'cell beyond the window');
    return false;
  }
  return true;
}

/**
 * A slot is known when the leader, or f + 1 others, have named it: fewer could keep
 * this replica awake for nothing.
 */
function noteNamed(state: CoreState, from: ReplicaIndex, slot: Slot): void {
  if (slot <= state.highestKnown) return;
  const peer = state.peers[from] as PeerState;
  peer.namedSlot = Math.max(peer.namedSlot, slot);
  if (from === currentLeader(state)) {
    state.highestKnown = slot;
    return;
  }
  const named = state.scratch;
  for (let peer = 0; peer < state.replicas; peer++) {
    named[peer] = (state.peers[peer] as PeerState).namedSlot;
  }
  const believed = kthHighest(named, state.replicas, state.faults + 1);
  state.highestKnown = Math.max(state.highestKnown, believed);
}
