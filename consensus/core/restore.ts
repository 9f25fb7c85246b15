/** Rules D1 to D4: how a replica comes into the run; above all, what it makes of its own log. */
import { assert } from './assert.ts';
import { equalBytes } from './bytes.ts';
import { tryDecideSlow } from './commit.ts';
import { noteStableFrontier } from './execute.ts';
import { pruneLane } from './lane-prune.ts';
import { findBatch, insertBatch, type LaneState } from './lane-store.ts';
import { learnLives } from './lives.ts';
import { rotateLog } from './log.ts';
import { resetLeader } from './propose.ts';
import {
  claimSlot,
  findSlot,
  noteDigest,
  resetRounds,
  type SlotState,
  VOTED_LONG_AGO_MS,
} from './slots.ts';
import { beginningOf, type CoreState, currentLeader, isLeader } from './state.ts';
import { install } from './transfer.ts';
import type { Batch, LogRecord, PreparedCertificate, Proposal, Slot, View } from './types.ts';
import { outcomesOf } from './view-change.ts';
import { settleOutcomes } from './views.ts';

/** Called once, before the first step; its effects go out with that. */
export function enterRun(state: CoreState): void {
  const { entry } = state.options;
  switch (entry.kind) {
    case 'begin':
      // D1: from now on there is a log, and whoever finds none has lost it.
      return rotateLog(state);
    case 'join':
      // The others must know that it is mute (P8, J4).
      state.progress.urgent = true;
      return;
    case 'restore':
      for (const record of entry.records) restoreRecord(state, record);
      return finishRestore(state);
  }
}

function restoreRecord(state: CoreState, record: LogRecord): void {
  switch (record.kind) {
    case 'checkpoint': {
      const { certificate } = record;
      if (certificate === undefined) return;
      const { slot } = certificate.state;
      state.checkpoints.stable = { slot, certificate };
      state.checkpoints.base = { slot, certificate };
      install(state, certificate.state);
      return noteStableFrontier(state, certificate.state.frontier);
    }
    case 'stable': {
      const { certificate } = record;
      const { slot } = certificate.state;
      if (slot > state.checkpoints.stable.slot) state.checkpoints.stable = { slot, certificate };
      return;
    }
    case 'lives':
      return recallLives(state, record.lives);
    case 'batch':
      return restoreBatch(state, record.batch);
    case 'vote':
      return restoreVote(state, record.view, record.proposal);
    case 'prepared':
      return restorePrepared(state, record.certificate);
    case 'view-change':
      state.view = Math.max(state.view, record.viewChange.view);
      recallLives(state, record.viewChange.lives);
      state.views.own = record.viewChange;
      state.views.newView = undefined;
      return;
    case 'new-view':
      state.view = Math.max(state.view, record.newView.view);
      state.views.own = undefined;
      state.views.newView = record.newView;
      return learnLives(state, record.newView);
  }
}

function recallLives(state: CoreState, lives: readonly number[]): void {
  for (const [replica, life] of lives.entries()) {
    state.lives[replica] = Math.max(life, state.lives[replica] as number);
  }
}

/** Only valid ones are in the log, but the orderer has to read them again. */
function restoreBatch(state: CoreState, batch: Batch): void {
  const lane = state.lanes[batch.lane] as LaneState;
  const { seq, previous, payload } = batch;
  if (seq <= lane.executed.seq) return;
  const ref = { seq, digest: state.digests.batch(batch.lane, seq, previous, payload) };
  if (findBatch(lane, ref) !== undefined) return;
  insertBatch(lane, {
    batch,
    ref,
    check: 'pending',
    fromOwner: batch.lane === state.self,
    epoch: lane.epoch,
    logged: true,
    executed: false,
    dead: false,
    sibling: undefined,
  });
  state.effects.push({ kind: 'check-batch', batch, ref, extent: 'restored' });
}

/** The window may have stood above the checkpoint that the log begins with: all of the ring counts. */
function ringEnd(state: CoreState): Slot {
  return state.executed.slot + 2 * state.limits.windowSlots;
}

function recordOf(state: CoreState, slot: Slot): SlotState | undefined {
  if (slot <= state.executed.slot || slot > ringEnd(state)) return undefined;
  return findSlot(state.slots, slot) ?? claimSlot(state.slots, slot, 0);
}

function restoreVote(state: CoreState, view: View, proposal: Proposal): void {
  const record = recordOf(state, proposal.slot);
  if (record === undefined || (record.vote !== undefined && record.vote.view > view)) return;
  const digest = state.digests.proposal(proposal);
  const before = record.vote;
  assert(
    before === undefined || before.view < view || equalBytes(before.digest, digest),
    'the log holds one vote per view and slot',
  );
  record.vote = { view, digest, proposal };
  state.highestNamed = Math.max(state.highestNamed, proposal.slot);
}

function restorePrepared(state: CoreState, certificate: PreparedCertificate): void {
  const record = recordOf(state, certificate.slot);
  if (record === undefined) return;
  if (record.prepared !== undefined && record.prepared.view > certificate.view) return;
  record.prepared = certificate;
}

/** D4: the replica stands where it stood, and says again what it had said. */
function finishRestore(state: CoreState): void {
  const { views } = state;
  resetRounds(state.slots, state.view);
  views.wish = state.view;
  if (views.own !== undefined) {
    views.changing = true;
    views.resendBackoffMs = state.limits.repairAfterMsMin;
    views.resendMs = 0;
    views.deadlineMs = -Infinity;
  } else if (views.newView !== undefined) {
    settleOutcomes(state, outcomesOf(views.newView.changes, state.replicas, beginningOf(state)));
  }
  for (const lane of state.lanes) pruneLane(state, lane, []);
  if (!views.changing) restoreRounds(state);
  state.progress.urgent = true;
}

/** The votes of the current view are votes again. */
function restoreRounds(state: CoreState): void {
  let last = state.lastVoted;
  for (let slot = state.executed.slot + 1; slot <= ringEnd(state); slot++) {
    const record = findSlot(state.slots, slot);
    if (record?.vote?.view !== state.view) continue;
    restoreRound(state, record);
    last = Math.max(last, slot);
  }
  state.lastVoted = last;
  state.highestKnown = Math.max(state.highestKnown, last);
  if (!isLeader(state)) return;
  resetLeader(state, false);
  const newest = findSlot(state.slots, last)?.vote;
  // It goes on behind what it has proposed itself (D2).
  if (last > state.views.top && newest !== undefined) state.leader.head = newest.proposal;
}

function restoreRound(state: CoreState, record: SlotState): void {
  const { round, vote, slot, prepared } = record;
  if (vote === undefined) return;
  const { view, digest, proposal } = vote;
  round.proposal = proposal;
  round.digest = digest;
  round.voted = true;
  // The fast path has had its time.
  round.votedAtMs = VOTED_LONG_AGO_MS;
  noteDigest(round.votes, state.self, digest);
  if (currentLeader(state) === state.self && slot > state.views.top) {
    state.effects.push({ kind: 'write-cell', cell: { kind: 'proposal', view, proposal } });
  }
  state.effects.push({ kind: 'write-cell', cell: { kind: 'vote', view, slot, digest } });
  if (prepared?.view !== view) return;
  noteDigest(round.commits, state.self, digest);
  state.effects.push({ kind: 'write-cell', cell: { kind: 'commit', view, slot, digest } });
  // With n = 1 nobody else will say the word that decides.
  tryDecideSlow(state, record);
}
