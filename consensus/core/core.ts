/**
 * The state machine: dispatch of inputs, then one pass over everything
 * that may have become possible.
 */
import { assertNever } from './assert.ts';
import { decidedTarget, nextCatchUpMs, onDecided, onFetchDecided, runCatchUp } from './catch-up.ts';
import { nextSlowPathMs, onCommit, onPrepare, startDueSlowPaths } from './commit.ts';
import { reportMalformed } from './evidence.ts';
import { interestTo, tryExecute } from './execute.ts';
import { nextFetchMs, onFetchBatch, runFetches } from './fetch.ts';
import { onBatchChecked, onFetchedBatch, onOwnerBatch, submitBatch } from './lanes.ts';
import { nextProgressMs, onApplied, onProgress, writeProgress } from './progress.ts';
import { nextCutMs, tryPropose } from './propose.ts';
import { nextRepairMs, onSession, runRepairs } from './repair.ts';
import { type CoreState, createState, setClock } from './state.ts';
import { statusOf } from './status.ts';
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
import { onProposal, onVote, tryVote } from './vote.ts';
import { recordFor } from './window.ts';

/**
 * The consensus core of one channel at one replica. Throws CoreError `invalid_options` for
 * options that contradict each other.
 */
export function createCore(options: CoreOptions, crypto: CoreCrypto): ConsensusCore {
  return coreOf(createState(options, crypto));
}

/** The machine over a given state; tests use it to plant bugs. */
export function coreOf(state: CoreState): ConsensusCore {
  return {
    step: (input, nowMs) => step(state, input, nowMs),
    nextTickMs: () => nextTickMs(state),
    interest: () => ({
      fromSlot: state.executed.slot + 1,
      toSlot: interestTo(state, decidedTarget(state)),
    }),
    status: () => statusOf(state),
  };
}

function step(state: CoreState, input: Input, nowMs: number): Effect[] {
  state.effects = [];
  setClock(state, nowMs);
  onInput(state, input);
  settle(state);
  return state.effects;
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
      return onOwnerBatch(state, input.from, input.batch, input.frameSha256);
    case 'message':
      return onMessage(state, input.from, input.message);
    case 'malformed':
      return reportMalformed(state, input.from, input.reason);
    case 'batch-checked':
      return onBatchChecked(state, input.lane, input.ref, input.valid);
    case 'applied':
      return onApplied(state, input.slot, input.blocksUncertified);
    case 'session':
      return onSession(state, input.peer, input.open);
    default:
      return assertNever(input);
  }
}

function onCell(state: CoreState, from: ReplicaIndex, cell: Cell): void {
  switch (cell.kind) {
    case 'proposal':
      return onProposal(state, from, cell.view, cell.proposal);
    case 'vote':
      return onVote(state, from, cell.view, cell.slot, cell.digest);
    case 'commit': {
      const record = recordFor(state, from, cell.view, cell.slot);
      if (record !== undefined) onCommit(state, from, record, cell.digest);
      return;
    }
    case 'progress':
      return onProgress(state, from, cell.appliedSlot, cell.held);
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
      return message.batch.lane === from
        ? onOwnerBatch(state, from, message.batch, undefined)
        : onFetchedBatch(state, from, message.batch);
    case 'fetch-decided':
      return onFetchDecided(state, from, message.fromSlot, message.toSlot);
    case 'decided':
      return onDecided(state, from, message.proposal);
    default:
      return assertNever(message);
  }
}

/** Does whatever the rules allow now, until nothing more follows from it. */
function settle(state: CoreState): void {
  do {
    startDueSlowPaths(state);
    tryPropose(state);
    tryVote(state);
  } while (tryExecute(state));
  runCatchUp(state);
  runFetches(state);
  runRepairs(state);
  writeProgress(state);
}

/** In the caller's clock. */
function nextTickMs(state: CoreState): number {
  const nextMs = Math.min(
    nextSlowPathMs(state),
    state.tooEarlyUntilMs,
    nextCutMs(state),
    nextFetchMs(state),
    nextCatchUpMs(state),
    nextRepairMs(state),
    nextProgressMs(state),
  );
  return nextMs === Infinity ? Infinity : state.wallMs + (nextMs - state.timerMs);
}
