/** Plain figures for operators. */
import { isBehind } from './catch-up.ts';
import { isTrusted } from './lane-store.ts';
import { allOpen, type CoreState, currentLeader } from './state.ts';
import type { CoreStatus } from './types.ts';

export function statusOf(state: CoreState): CoreStatus {
  const { counters } = state;
  return {
    view: state.view,
    leader: currentLeader(state),
    changing: state.views.changing,
    viewChanges: state.views.entered,
    wishReason: state.suspicion.reason,
    mute: state.mute !== undefined,
    stableSlot: state.checkpoints.stable.slot,
    windowSlots: state.limits.windowSlots,
    transferring: state.transfer !== undefined,
    nextSlot: Math.max(state.highestKnown, state.executed.slot) + 1,
    executedSlot: state.executed.slot,
    appliedSlot: state.appliedSlot,
    path: state.path.slowMode || !allOpen(state) ? 'slow' : 'fast',
    fastCommits: counters.fastCommits,
    slowCommits: counters.slowCommits,
    fetchedCommits: counters.fetchedCommits,
    behind: isBehind(state),
    ignored: Object.fromEntries(counters.ignored),
    peers: state.peers
      .map(({ open, appliedSlot, faults }, peer) => ({ peer, open, appliedSlot, faults }))
      .filter(({ peer }) => peer !== state.self),
    lanes: state.lanes.map((lane) => ({
      lane: lane.lane,
      heldSeq: lane.tip.seq,
      executedSeq: lane.executed.seq,
      trusted: isTrusted(lane),
    })),
  };
}

export function isAnotherView(state: CoreState, told: CoreStatus): boolean {
  const { view, changing, mute } = told;
  if (state.view !== view || state.views.changing !== changing) return true;
  return (state.mute !== undefined) !== mute;
}
