/** Rules P1 to P8: what the leader proposes, and when. */
import { equalBytes } from './bytes.ts';
import { findBatch, isTrusted, type LaneState, walkBack } from './lane-store.ts';
import { kthHighest } from './quorum.ts';
import {
  buildsOnExecuted,
  type CoreState,
  isActive,
  isLeader,
  type PeerState,
  windowEnd,
} from './state.ts';
import type { BatchRef, Frontier, Proposal, Slot } from './types.ts';
import { onProposal, tryVote } from './vote.ts';

/** Proposes as many slots as there is reason and room for. */
export function tryPropose(state: CoreState): void {
  if (!isLeader(state) || !isActive(state) || !buildsOnExecuted(state)) return;
  while (mayPropose(state, state.leader.head.slot)) {
    const proposal = nextProposal(state);
    if (proposal === undefined || !propose(state, proposal)) return;
  }
}

/** Bytes that may be executed above the stable checkpoint, in checkpoints: replicas keep them all (E5). */
const UNSTABLE_CHECKPOINTS_MAX = 4;

/** P3 and P4: is there room for a slot after `head`? */
export function mayPropose(state: CoreState, head: Slot): boolean {
  return head - state.executed.slot < state.limits.pipelineSlotsMax && !awaitsStable(state, head);
}

/** P4: may nothing be proposed after `head` before another checkpoint is stable? */
export function awaitsStable(state: CoreState, head: Slot): boolean {
  const { unstableBytes } = state.retained;
  const isFull = unstableBytes >= UNSTABLE_CHECKPOINTS_MAX * state.limits.checkpointBytes;
  return isFull || head >= windowEnd(state);
}

/** P1, P2, P6: undefined when there is no reason for a slot. */
function nextProposal(state: CoreState): Proposal | undefined {
  const { head } = state.leader;
  let advanced: BatchRef[] | undefined;
  let moreWaits = false;
  for (const lane of state.lanes) {
    const base = head.frontier[lane.lane] as BatchRef;
    const target = targetOf(state, lane, base);
    const to = advanceTo(state, lane, base, target);
    if (to === base) continue;
    advanced ??= head.frontier.slice();
    advanced[lane.lane] = to;
    if (to.seq < target.seq) moreWaits = true;
  }
  const cut = cutIsDue(state) || (!moreWaits && mayIdleCut(state));
  const wanted = advanced !== undefined || (cut && state.leader.uncutSinceMs !== undefined);
  if (!wanted && head.slot >= state.leader.pushTo) return undefined;
  const timeMs = Math.max(Math.floor(state.wallMs), head.timeMs);
  return { slot: head.slot + 1, timeMs, cut, frontier: advanced ?? head.frontier };
}

/** False: this replica itself would not vote for it, so nothing is sent. */
function propose(state: CoreState, proposal: Proposal): boolean {
  const { leader } = state;
  const advanced = !sameFrontier(proposal.frontier, leader.head.frontier);
  if (proposal.cut) {
    leader.uncutSinceMs = undefined;
    leader.cutSlots.push(proposal.slot);
  } else if (advanced) {
    leader.uncutSinceMs ??= state.timerMs;
  }
  leader.head = proposal;
  onProposal(state, state.self, state.view, proposal);
  // Its own vote first, which is on disk before the proposal goes out: a leader that restarts knows what
  // it has proposed, and does not contradict itself (D2).
  tryVote(state);
  // Something else is decided for the slot: another process has led this view under the same identity.
  if (state.lastVoted < proposal.slot) return false;
  state.effects.push({
    kind: 'write-cell',
    cell: { kind: 'proposal', view: state.view, proposal },
  });
  return true;
}

function sameFrontier(a: Frontier, b: Frontier): boolean {
  return a.every((tip, lane) => tip === b[lane]);
}

/** Fewer than `idleCutBlocksMax` blocks are uncertified; cuts on their way count as blocks. */
function mayIdleCut(state: CoreState): boolean {
  const cuts = state.leader.cutSlots.length;
  return state.blocksUncertified + cuts < state.limits.idleCutBlocksMax;
}

function cutIsDue(state: CoreState): boolean {
  return state.timerMs >= cutDueMs(state);
}

function cutDueMs(state: CoreState): number {
  const since = state.leader.uncutSinceMs;
  return since === undefined ? Infinity : since + state.options.batchTimeoutMs;
}

/**
 * When BatchTimeout will ask for a cut; Infinity when it asks for none, or
 * already has and waits for room.
 */
export function nextCutMs(state: CoreState): number {
  const dueMs = cutDueMs(state);
  return isLeader(state) && isActive(state) && dueMs > state.timerMs ? dueMs : Infinity;
}

/** The own orderer has applied slots up to `appliedSlot`: their cuts are blocks now. */
export function forgetAppliedCuts(state: CoreState): void {
  const { leader } = state;
  while (leader.cutSlots.length > 0 && (leader.cutSlots[0] as Slot) <= state.appliedSlot) {
    leader.cutSlots.shift();
  }
}

function targetOf(state: CoreState, lane: LaneState, base: BatchRef): BatchRef {
  return isTrusted(lane) ? lane.tip : coveredTip(state, lane, base);
}

/** P2: how far `lane` goes in one slot towards `target`; `base` itself when it stays. */
function advanceTo(state: CoreState, lane: LaneState, base: BatchRef, target: BatchRef): BatchRef {
  if (target.seq <= base.seq) return base;
  const walk = walkBack(lane, base, target);
  // A fork: the chain that was proposed is not the one held now. Its owner's
  // lane rests until that is executed.
  if (walk.kind !== 'chain') return base;
  const { laneAdvanceBatchesMax, laneAdvanceBytesMax } = state.limits;
  let to = base;
  let bytes = 0;
  for (let i = walk.batches.length - 1; i >= 0; i--) {
    const held = walk.batches[i];
    if (held === undefined || walk.batches.length - i > laneAdvanceBatchesMax) break;
    bytes += held.batch.payload.length;
    if (to !== base && bytes > laneAdvanceBytesMax) break;
    to = held.ref;
  }
  return to;
}

/**
 * P1 for a lane without trust: the highest tip of the own chain that q
 * replicas have reported to hold.
 */
function coveredTip(state: CoreState, lane: LaneState, base: BatchRef): BatchRef {
  const covered = state.scratch;
  for (let replica = 0; replica < state.replicas; replica++) {
    covered[replica] =
      replica === state.self ? lane.tip.seq : coveredBy(state.peers[replica] as PeerState, lane);
  }
  const seq = kthHighest(covered, state.replicas, state.quorum);
  return seq <= base.seq ? base : ancestor(lane, seq);
}

function coveredBy(peer: PeerState, lane: LaneState): number {
  const held = peer.held[lane.lane] as BatchRef;
  const known = peer.coveredSeq[lane.lane] as number;
  if (held.seq <= known || held.seq > lane.tip.seq || held.seq <= lane.executed.seq) return known;
  if (!equalBytes(ancestor(lane, held.seq).digest, held.digest)) return known;
  peer.coveredSeq[lane.lane] = held.seq;
  return held.seq;
}

/** The batch of the held chain with this seq; executed < seq <= tip. */
function ancestor(lane: LaneState, seq: number): BatchRef {
  let at = lane.tip;
  while (at.seq > seq) {
    const held = findBatch(lane, at);
    if (held === undefined) return lane.executed;
    at = { seq: at.seq - 1, digest: held.batch.previous };
  }
  return at;
}

/** P1: as far as q replicas hold the lane, so that its owner may expect a proposal. */
export function isCovered(state: CoreState, lane: LaneState): boolean {
  return isTrusted(lane) || coveredTip(state, lane, lane.executed).seq > lane.executed.seq;
}

/** A view begins, with this replica as its leader perhaps: it goes on from what is executed. */
export function resetLeader(state: CoreState, uncut: boolean): void {
  const { leader } = state;
  leader.head = state.executed;
  leader.cutSlots = [];
  leader.uncutSinceMs = uncut ? state.timerMs : undefined;
  leader.pushTo = state.executed.slot;
}
