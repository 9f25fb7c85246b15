/**
 * The content of a slot that nothing needs to fill (W5): no batch, no cut, time zero. By E2 and E6 its
 * execution changes nothing, and by V4 nobody votes for it except as the outcome of a view change.
 */
import { EMPTY_LANE } from './lane-store.ts';
import type { BatchRef, Proposal, Slot } from './types.ts';

export function nullProposal(slot: Slot, replicas: number): Proposal {
  return {
    slot,
    timeMs: 0,
    cut: false,
    frontier: new Array<BatchRef>(replicas).fill(EMPTY_LANE),
  };
}
