/** V2: which slots' cells and messages are taken, and the record that they go to. */
import { claimSlot, type SlotState } from './slots.ts';
import { type CoreState, ignore } from './state.ts';
import type { Slot, View } from './types.ts';

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

/** The record for what a peer said of `slot` in `view`, or undefined when it is to be ignored. */
export function recordFor(state: CoreState, view: View, slot: Slot): SlotState | undefined {
  if (view !== state.view) {
    ignore(state, 'cell of another view');
    return undefined;
  }
  if (!inWindow(state, slot)) return undefined;
  state.highestKnown = Math.max(state.highestKnown, slot);
  return claimSlot(state.slots, slot, view);
}
