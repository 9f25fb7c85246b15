/**
 * The state machine: dispatch of inputs, then one pass over everything
 * that may have become possible.
 */
import { assertNever } from './assert.ts';
import { nextLateMs, runLateChecks } from './attest.ts';
import { decidedTarget, nextCatchUpMs, onDecided, onFetchDecided, runCatchUp } from './catch-up.ts';
import {
  nextCheckpointMs,
  onCheckpoint,
  onCheckpointed,
  runCheckpointRepair,
} from './checkpoint.ts';
import { onCommit } from './commit.ts';
import { reportMalformed } from './evidence.ts';
import { interestTo, tryExecute } from './execute.ts';
import { isAwaited, nextFetchMs, onFetchBatch, runFetches } from './fetch.ts';
import {
  nextMuteMs,
  nextPushMs,
  onFetchCheckpoint,
  onStableCheckpoint,
  runMute,
  runPushes,
} from './join.ts';
import { onAttest, onBatchChecked, onFetchedBatch, onOwnerBatch, submitBatch } from './lanes.ts';
import { nextContentMs, onContent, onFetchProposal, runContentFetches } from './outcomes.ts';
import { nextSlowPathMs, onPrepare, startDueSlowPaths } from './prepare.ts';
import { nextProgressMs, onApplied, onProgress, writeProgress } from './progress.ts';
import { nextCutMs, tryPropose } from './propose.ts';
import { nextRepairMs, onSession, runRepairs } from './repair.ts';
import { enterRun } from './restore.ts';
import { type CoreState, createState, isLeader, setClock } from './state.ts';
import { isAnotherView, statusOf } from './status.ts';
import { nextSuspicionMs, noteHeard } from './suspicion.ts';
import { onTransferred } from './transfer.ts';
import type {
  Cell,
  ConsensusCore,
  CoreCrypto,
  CoreOptions,
  Effect,
  Input,
  Message,
  ReplicaIndex,
} from './types.ts';
import { nextViewMs, onNewView, onViewChange, runViews } from './views.ts';
import { onProposal, onVote, tryVote } from './vote.ts';
import { keepEarly, recordFor, takeEarly } from './window.ts';

/**
 * The consensus core of one channel at one replica. Throws CoreError `invalid_options` for
 * options that contradict each other.
 */
export function createCore(options: CoreOptions, crypto: CoreCrypto): ConsensusCore {
  return coreOf(createState(options, crypto));
}

/** The machine over a given state; tests use it to plant bugs. */
export function coreOf(state: CoreState): ConsensusCore {
  // What entering has to say goes out with the first step.
  enterRun(state);
  // Asked for before each wait and after it, between which nothing changes.
  let tickMs: number | undefined;
  const take = (input: Input, nowMs: number): void => {
    if (!isWord(input) || nowMs < state.wallMs) state.unsettled = true;
    setClock(state, nowMs);
    onInput(state, input);
    if (state.unsettled) tickMs = undefined;
  };
  const settle = (): Effect[] => {
    if (!state.unsettled && state.effects.length === 0) return [];
    state.unsettled = false;
    tickMs = undefined;
    settleAll(state);
    const { effects } = state;
    state.effects = [];
    return effects;
  };
  return {
    take,
    settle,
    step(input, nowMs) {
      take(input, nowMs);
      return settle();
    },
    nextTickMs() {
      tickMs ??= nextTickMs(state);
      return tickMs;
    },
    interest: () => ({
      fromSlot: state.executed.slot + 1,
      toSlot: interestTo(state, decidedTarget(state)),
    }),
    status: () => statusOf(state),
    isAnotherView: (told) => isAnotherView(state, told),
  };
}

/**
 * Of most votes and COMMITs nothing follows but that they are counted: a pass over the rules, which is most of what a turn takes,
 * is left out unless one of them decides its slot, contradicts what was said, or names a slot that nobody knew of.
 */
function isWord(input: Input): boolean {
  return input.kind === 'cell' && (input.cell.kind === 'vote' || input.cell.kind === 'commit');
}

function onInput(state: CoreState, input: Input): void {
  switch (input.kind) {
    case 'tick':
      return;
    case 'submit':
      return submitBatch(state, input.payload);
    case 'cell':
      return onCell(state, input.from, input.cell);
    case 'lane-batch':
      return onOwnerBatch(state, input.from, input.batch, { frameSha256: input.frameSha256 });
    case 'message':
      return onMessage(state, input.from, input.message);
    case 'malformed':
      return reportMalformed(state, input.from, input.reason);
    case 'batch-checked':
      return onBatchChecked(state, input.lane, input.ref, input);
    case 'applied':
      return onApplied(state, input.slot, input.blocksUncertified);
    case 'checkpointed':
      return onCheckpointed(state, input.slot, input.height, input.tipHash);
    case 'transferred':
      return onTransferred(state, input.slot);
    case 'session':
      return onSession(state, input.peer, input.open);
    default:
      return assertNever(input);
  }
}

function onCell(state: CoreState, from: ReplicaIndex, cell: Cell): void {
  if (cell.kind !== 'progress' && keepEarly(state, from, cell)) return;
  switch (cell.kind) {
    case 'proposal':
      noteHeard(state, from);
      return onProposal(state, from, cell.view, cell.proposal);
    case 'vote':
      return onVote(state, from, cell.view, cell.slot, cell.digest);
    case 'commit': {
      const record = recordFor(state, from, cell.view, cell.slot);
      if (record !== undefined) onCommit(state, from, record, cell.digest);
      return;
    }
    case 'progress':
      return onProgress(state, from, cell);
    default:
      return assertNever(cell);
  }
}

function onMessage(state: CoreState, from: ReplicaIndex, message: Message): void {
  switch (message.kind) {
    case 'prepare':
      return onPrepare(state, from, message.prepare, message.request);
    case 'fetch-batch':
      return onFetchBatch(state, from, message.lane, message.ref, message.after);
    case 'batch':
      // What was asked for is an answer, also from the owner: it hands out what others made in its lane, too (L7).
      return message.batch.lane === from && !isAwaited(state, message.batch)
        ? onOwnerBatch(state, from, message.batch, undefined)
        : onFetchedBatch(state, from, message.batch);
    case 'attest':
      return onAttest(state, from, message.lane, message.ref);
    case 'fetch-decided':
      return onFetchDecided(state, from, message.fromSlot, message.toSlot);
    case 'decided':
      return onDecided(state, from, message.proposal);
    case 'fetch-proposal':
      return onFetchProposal(state, from, message.slot, message.digest);
    case 'proposal':
      return onContent(state, message.proposal);
    case 'view-change':
      return onViewChange(state, from, message.viewChange);
    case 'new-view':
      return onNewView(state, from, message.newView);
    case 'checkpoint':
      return onCheckpoint(state, from, message.checkpoint);
    case 'fetch-checkpoint':
      return onFetchCheckpoint(state, from, message.life, message.ready);
    case 'stable-checkpoint':
      return onStableCheckpoint(state, from, message);
    default:
      return assertNever(message);
  }
}

/** Does whatever the rules allow now, until nothing more follows from it. */
function settleAll(state: CoreState): void {
  runMute(state);
  runViews(state);
  takeEarlyCells(state);
  if (isLeader(state)) runPushes(state);
  do {
    startDueSlowPaths(state);
    tryPropose(state);
    tryVote(state);
  } while (tryExecute(state));
  runContentFetches(state);
  runCatchUp(state);
  runFetches(state);
  runLateChecks(state);
  runRepairs(state);
  runCheckpointRepair(state);
  writeProgress(state);
}

/** W7: what came before the NEW-VIEW did. */
function takeEarlyCells(state: CoreState): void {
  const { views } = state;
  if (views.changing || views.entered === state.earlyTaken) return;
  state.earlyTaken = views.entered;
  for (let peer = 0; peer < state.replicas; peer++) {
    for (const cell of takeEarly(state, peer)) onCell(state, peer, cell);
  }
}

/** In the caller's clock. */
function nextTickMs(state: CoreState): number {
  const nextMs = Math.min(
    nextSlowPathMs(state),
    state.tooEarlyUntilMs,
    nextCutMs(state),
    nextFetchMs(state),
    nextLateMs(state),
    nextCatchUpMs(state),
    nextRepairMs(state),
    nextProgressMs(state),
    nextSuspicionMs(state),
    nextViewMs(state),
    nextContentMs(state),
    nextCheckpointMs(state),
    nextMuteMs(state),
    isLeader(state) ? nextPushMs(state) : Infinity,
  );
  return nextMs === Infinity ? Infinity : state.wallMs + (nextMs - state.timerMs);
}
