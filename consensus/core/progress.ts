/** C1: what this replica tells of itself, and what peers tell. */

import { equalBytes } from './bytes.ts';
import { CoreError } from './errors.ts';
import { notePush } from './join.ts';
import { isTrusted } from './lane-store.ts';
import { forgetAppliedCuts } from './propose.ts';
import { type CoreState, ignore, isActive, isLeader, type PeerState } from './state.ts';
import { noteHeard } from './suspicion.ts';
import type { BatchRef, Cell, ReplicaIndex, Slot } from './types.ts';

/** The own orderer has applied everything up to `slot`. */
export function onApplied(state: CoreState, slot: Slot, blocksUncertified: number): void {
  // Of what was delivered before a transfer, which has passed it.
  if (slot < state.appliedSlot) return ignore(state, 'applied slot that is passed');
  if (slot > state.executed.slot) {
    throw new CoreError('invalid_input', 'applied: the slot was not delivered', {
      slot,
      executedSlot: state.executed.slot,
      appliedSlot: state.appliedSlot,
    });
  }
  state.blocksUncertified = blocksUncertified;
  if (slot === state.appliedSlot) return;
  state.appliedSlot = slot;
  noteNews(state);
  forgetAppliedCuts(state);
}

/** Something to tell that may wait for more (C1). */
export function noteNews(state: CoreState): void {
  if (state.progress.newsSinceMs === Infinity) state.progress.newsSinceMs = state.timerMs;
}

/** Beats wrap. */
const BEATS = 2 ** 32;

/** What a peer says of itself. A cell that was overtaken on the way takes nothing back. */
export function onProgress(
  state: CoreState,
  from: ReplicaIndex,
  cell: Extract<Cell, { kind: 'progress' }>,
): void {
  const peer = state.peers[from] as PeerState;
  noteHeard(state, from);
  const isOld = peer.beat !== undefined && (cell.beat - peer.beat) >>> 0 > BEATS / 2;
  if (isOld) return ignore(state, 'progress already known');
  peer.beat = cell.beat;
  // A view that was left is left; the wish for another may be withdrawn.
  if (cell.view >= peer.view) {
    peer.view = cell.view;
    peer.changing = cell.changing;
    peer.wish = cell.wish;
    peer.mute = cell.mute;
    notePush(state, peer);
  }
  let moved = false;
  if (cell.appliedSlot > peer.appliedSlot) {
    peer.appliedSlot = cell.appliedSlot;
    moved = true;
  }
  for (let lane = 0; lane < state.replicas; lane++) {
    const tip = cell.held[lane] as BatchRef;
    const known = peer.held[lane] as BatchRef;
    if (tip.seq === known.seq && equalBytes(tip.digest, known.digest)) continue;
    peer.held[lane] = tip;
    moved = true;
  }
  if (!moved) ignore(state, 'progress already known');
}

/** Writes the progress cell if there is a reason to; at most once per step. */
export function writeProgress(state: CoreState): void {
  const { progress, views } = state;
  const isLoud = progress.urgent || state.timerMs >= loudMs(state);
  if (!isLoud && state.timerMs < newsMs(state)) return;
  progress.urgent = false;
  progress.newsSinceMs = Infinity;
  progress.writtenMs = state.timerMs;
  progress.beat = (progress.beat + 1) % BEATS;
  const { appliedSlot, view } = state;
  const { changing, wish } = views;
  const held = state.lanes.map((lane) => lane.tip);
  const mute = state.mute !== undefined;
  const { beat } = progress;
  state.effects.push({
    kind: 'write-cell',
    cell: { kind: 'progress', appliedSlot, held, view, changing, wish, mute, beat },
    quiet: !isLoud,
  });
}

/** C1: when this replica, awake anyway, tells what is new. A cell has n tips and n - 1 readers. */
function newsMs({ progress, limits, replicas }: CoreState): number {
  return progress.newsSinceMs + limits.progressDelayMs * Math.max(1, Math.floor(replicas / 4));
}

/** When the peers are to hear at once: a beat, or what a lane without trust waits for (P1), here or at the leader. */
function loudMs(state: CoreState): number {
  const { newsSinceMs } = state.progress;
  const beatMs = nextBeatMs(state);
  if (newsSinceMs === Infinity) return beatMs;
  if (!state.lanes.every(isTrusted)) return Math.min(beatMs, newsSinceMs);
  return isProposalDue(state) ? Math.min(beatMs, newsMs(state)) : beatMs;
}

/** Is something held that a leader who trusted its lane would have proposed by now? */
function isProposalDue(state: CoreState): boolean {
  if (isLeader(state)) return false;
  const { proposedSeq } = state.suspicion;
  for (const { lane, tip, executed } of state.lanes) {
    if (tip.seq > executed.seq && tip.seq > (proposedSeq[lane] as number)) return true;
  }
  return false;
}

/** What is new wakes this replica for its own sake only when it has waited long for another reason. */
export function nextProgressMs(state: CoreState): number {
  const { newsSinceMs } = state.progress;
  const latestMs = Math.max(newsSinceMs + state.limits.progressDelayMsMax, newsMs(state));
  return Math.min(loudMs(state), latestMs);
}

/** Between two cells of a replica that wishes for another view, in heartbeats: one may be lost. */
const WISH_BEATS = 4;

/** W1: a leader shows that it lives. One that may not propose had better be replaced. */
function nextBeatMs(state: CoreState): number {
  const { views, progress, limits } = state;
  if (state.replicas === 1) return Infinity;
  if (isLeader(state) && isActive(state)) return progress.writtenMs + limits.heartbeatMs;
  const wishes = views.changing || views.wish > state.view;
  return wishes ? progress.writtenMs + WISH_BEATS * limits.heartbeatMs : Infinity;
}
