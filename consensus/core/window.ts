/** V2: which slots' cells and messages are taken, and the record that they go to. */
import { kthHighest } from './quorum.ts';
import { claimSlot, type SlotState } from './slots.ts';
import {
  type CoreState,
  currentLeader,
  type EarlyCell,
  ignore,
  type PeerState,
  windowEnd,
} from './state.ts';
import type { ReplicaIndex, Slot, View } from './types.ts';

/** The record for what a peer said of `slot` in the current view, or undefined when it is to be ignored. */
export function recordFor(
  state: CoreState,
  from: ReplicaIndex,
  view: View,
  slot: Slot,
): SlotState | undefined {
  if (view !== state.view || state.views.changing) {
    ignore(state, 'word of another view');
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
  if (slot > windowEnd(state)) {
    ignore(state, 'cell beyond the window');
    return false;
  }
  return true;
}

/**
 * W7. Cells of a view that this replica has not entered yet: they are not written again, so they are kept, one
 * for each place that its writer has. False: the cell is of the present, or of the past.
 */
export function keepEarly(state: CoreState, from: ReplicaIndex, cell: EarlyCell): boolean {
  const isEarly = cell.view > state.view || (cell.view === state.view && state.views.changing);
  if (!isEarly) return false;
  const slot = cell.kind === 'proposal' ? cell.proposal.slot : cell.slot;
  const { early } = state.peers[from] as PeerState;
  const place = `${cell.kind}/${slot % state.limits.windowSlots}`;
  const other = early.get(place);
  if (other === undefined || other.view <= cell.view) early.set(place, kept(cell));
  return true;
}

/** A vote or a COMMIT is its reader's again. */
function kept(cell: EarlyCell): EarlyCell {
  return cell.kind === 'proposal' ? cell : { ...cell, digest: cell.digest.slice() };
}

/** Takes the kept cells of the view that has just been entered; drops those of the past. */
export function takeEarly(state: CoreState, from: ReplicaIndex): EarlyCell[] {
  const { early } = state.peers[from] as PeerState;
  const taken: EarlyCell[] = [];
  for (const [place, cell] of early) {
    if (cell.view > state.view) continue;
    early.delete(place);
    if (cell.view === state.view) taken.push(cell);
  }
  return taken;
}

/**
 * A slot is known when the leader, or f + 1 others, have named it: fewer could keep
 * this replica awake for nothing.
 */
function noteNamed(state: CoreState, from: ReplicaIndex, slot: Slot): void {
  state.highestNamed = Math.max(state.highestNamed, slot);
  if (slot <= state.highestKnown) return;
  const peer = state.peers[from] as PeerState;
  peer.namedSlot = Math.max(peer.namedSlot, slot);
  if (from === currentLeader(state)) return know(state, slot);
  const named = state.scratch;
  for (let peer = 0; peer < state.replicas; peer++) {
    named[peer] = (state.peers[peer] as PeerState).namedSlot;
  }
  know(state, kthHighest(named, state.replicas, state.faults + 1));
}

function know(state: CoreState, slot: Slot): void {
  if (slot <= state.highestKnown) return;
  state.highestKnown = slot;
  state.unsettled = true;
}
