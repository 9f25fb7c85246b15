/**
 * A recording done again by a fresh core: it is deterministic, so it does just what it did, and nothing of the simulator is
 * there while it is timed. Hashes and signatures come from the recording: they are measured by themselves.
 */
import type { ConsensusCore, CoreCrypto, Input } from '../../consensus/core/index.ts';
import { cpuUs } from '../consensus/usage.ts';
import { median } from '../statistics.ts';
import { clockUs } from './clock.ts';
import type { CoreCall, Recording } from './counting.ts';

export interface CoreCosts {
  /** Of all calls of the counted part, for each of its slots, microseconds. */
  readonly slotUs: number;
  /** Of taking one vote, which is what other ways of voting have less of. */
  readonly voteUs: number;
}

const WARM_UPS = 2;
const ROUNDS = 3;
/** No vote takes so long: something else had the processor. */
const PAUSE_MS = 0.1;

export function replayCosts(recording: Recording): CoreCosts {
  for (let i = 0; i < WARM_UPS; i++) timeSlots(recording);
  const slots: number[] = [];
  const votes: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    slots.push(timeSlots(recording));
    votes.push(timeVotes(recording));
  }
  return { slotUs: median(slots), voteUs: median(votes) };
}

/** A core that has done all that comes before the counted part. */
function coreAtCounted(recording: Recording): ConsensusCore {
  const { calls, counted } = recording;
  const core = recording.begin(recordedCrypto(recording));
  for (let i = 0; i < counted.from; i++) repeat(core, calls[i] as CoreCall);
  return core;
}

function timeSlots(recording: Recording): number {
  const { calls, counted } = recording;
  const core = coreAtCounted(recording);
  const before = core.status().executedSlot;
  const startUs = cpuUs();
  for (let i = counted.from; i < counted.to; i++) repeat(core, calls[i] as CoreCall);
  const tookUs = cpuUs() - startUs;
  if (core.status().executedSlot - before !== counted.slots) {
    throw new Error('a recording that was done again has come to other slots');
  }
  return tookUs / counted.slots;
}

/** The mean, without what looking at the clock takes. */
function timeVotes(recording: Recording): number {
  const { calls, counted } = recording;
  const core = coreAtCounted(recording);
  let tookMs = 0;
  let votes = 0;
  for (let i = counted.from; i < counted.to; i++) {
    const call = calls[i] as CoreCall;
    if (call.kind !== 'take' || !isVote(call.input)) {
      repeat(core, call);
      continue;
    }
    const startMs = performance.now();
    core.take(call.input, call.nowMs);
    const voteMs = performance.now() - startMs;
    if (voteMs > PAUSE_MS) continue;
    tookMs += voteMs;
    votes++;
  }
  if (votes === 0) throw new RangeError('the recording holds no vote');
  return Math.max(0, (tookMs * 1_000) / votes - clockUs());
}

function isVote(input: Input): boolean {
  return input.kind === 'cell' && input.cell.kind === 'vote';
}

function repeat(core: ConsensusCore, call: CoreCall): void {
  if (call.kind === 'take') core.take(call.input, call.nowMs);
  else core.settle();
}

function recordedCrypto({ hashes, signatures, verdicts }: Recording): CoreCrypto {
  let hash = 0;
  let signature = 0;
  let verdict = 0;
  return {
    sha256: () => given(hashes[hash++]),
    sign: () => given(signatures[signature++]),
    verify: () => given(verdicts[verdict++]),
  };
}

function given<T>(answer: T | undefined): T {
  if (answer === undefined)
    throw new Error('the core asks for more than it did when it was recorded');
  return answer;
}
