/**
 * Rules A1 to A7: clients' signatures are checked by a batch's owner and f others, who tell the rest. Here are who they
 * are, who has attested what, and how long that is waited for; what follows for a batch is in `lanes.ts`.
 */
import { equalBytes } from './bytes.ts';
import type { HeldBatch, LaneState } from './lane-store.ts';
import { type CoreState, forOpenPeers, ignore, type PeerState } from './state.ts';
import type { Batch, BatchRef, BatchSeq, CheckExtent, Digest32, ReplicaIndex } from './types.ts';

/**
 * A1: the k-th of the f checkers besides the owner, k < f < n - 1, so that they are f different ones and none is the owner.
 * Whatever seq a peer names: no number here leaves what is exact.
 */
export function checkerOf(
  lane: ReplicaIndex,
  seq: BatchSeq,
  k: number,
  { replicas, faults }: { readonly replicas: number; readonly faults: number },
): ReplicaIndex {
  const others = replicas - 1;
  const turn = ((seq - 1) % others) * faults + k;
  return (lane + 1 + (turn % others)) % replicas;
}

export function isChecker(state: CoreState, lane: ReplicaIndex, seq: BatchSeq): boolean {
  for (let k = 0; k < state.faults; k++) {
    if (checkerOf(lane, seq, k, state) === state.self) return true;
  }
  return false;
}

/** A1: smaller ones are checked by all, and nobody waits for a word about them. */
export function isShared(state: CoreState, batch: Batch): boolean {
  return state.faults > 0 && batch.payload.length >= state.limits.sharedCheckBytesMin;
}

/** Late so often without a word in between, a checker is taken for one that says nothing. */
const MISSED_MAX = 3;

/** Is its attestation worth waiting for? */
function isHeard({ open, missedAttests }: PeerState): boolean {
  return open && missedAttests < MISSED_MAX;
}

/** What is checked of a batch that has just come: without its signatures only if all its checkers may be heard of. */
export function extentOf(state: CoreState, batch: Batch, isFromRing: boolean): CheckExtent {
  if (!isFromRing || !isShared(state, batch)) return 'all';
  for (let k = 0; k < state.faults; k++) {
    const checker = checkerOf(batch.lane, batch.seq, k, state);
    if (checker === state.self || !isHeard(state.peers[checker] as PeerState)) return 'all';
  }
  return 'form';
}

/** A3: this replica has checked all of it, just now. */
export function attest(state: CoreState, { batch, ref }: HeldBatch): void {
  const { lane } = batch;
  if (!isShared(state, batch) || !isChecker(state, lane, ref.seq)) return;
  const message = { kind: 'attest', lane, ref } as const;
  forOpenPeers(state, (_peer, to) => state.effects.push({ kind: 'send', to, message }));
}

/** Keeps the first attestation of a replica for this place (A4). False: it does not count. */
export function noteAttested(
  state: CoreState,
  lane: LaneState,
  from: ReplicaIndex,
  { seq, digest }: BatchRef,
): boolean {
  if (seq <= lane.executed.seq || seq > lane.executed.seq + state.limits.laneBatchesHeldMax) {
    ignore(state, 'attestation of a batch that is executed or far ahead');
    return false;
  }
  let said = lane.attested.get(seq);
  if (said === undefined) {
    said = new Map<ReplicaIndex, Digest32>();
    lane.attested.set(seq, said);
  }
  if (said.has(from)) {
    ignore(state, 'second attestation of a replica for one place');
    return false;
  }
  said.set(from, digest);
  return true;
}

/** A4. The own check is not among them: whoever has made it need not ask. */
export function isAttested(state: CoreState, lane: LaneState, { seq, digest }: BatchRef): boolean {
  let attesters = 0;
  for (const attested of lane.attested.get(seq)?.values() ?? []) {
    if (equalBytes(attested, digest)) attesters++;
  }
  return attesters > state.faults;
}

export function forgetAttested(lane: LaneState): void {
  for (const seq of lane.attested.keys()) if (seq <= lane.executed.seq) lane.attested.delete(seq);
}

/** A batch that is read waits for its attestations. */
export interface Unattested {
  readonly held: HeldBatch;
  /** Both in `timerMs`; at `lateMs` this replica checks for itself. */
  readonly readMs: number;
  readonly lateMs: number;
}

/** Under load attestations take longer, and checking for oneself what others check already would make it worse. */
const PATIENCE = 4;
const SAMPLE_WEIGHT = 1 / 8;

/** A5. */
function waitMs({ attestMs, limits }: CoreState): number {
  const patience = Math.ceil(PATIENCE * attestMs);
  return Math.max(limits.attestAfterMs, Math.min(patience, limits.attestAfterMsMax));
}

function noteTaken(state: CoreState, ms: number): void {
  state.attestMs += SAMPLE_WEIGHT * (ms - state.attestMs);
}

/** The batch is attested: one that was late already has been counted as that. */
export function noteInTime(state: CoreState, held: HeldBatch): void {
  const waiting = state.unattested.find((one) => one.held === held);
  if (waiting !== undefined) noteTaken(state, state.timerMs - waiting.readMs);
}

export function awaitAttested(state: CoreState, held: HeldBatch): void {
  const { unattested, limits } = state;
  // Those that do not wait any more leave when those before them do, which is soon; but a flood must not sit here till then.
  if (unattested.length >= limits.laneBatchesHeldMax * state.replicas) {
    unattested.splice(0, unattested.length, ...unattested.filter(isWaiting));
  }
  // In order of time, so that the first is the next: one waits a little longer when patience has just become less.
  const lateMs = Math.max(state.timerMs + waitMs(state), unattested.at(-1)?.lateMs ?? 0);
  unattested.push({ held, readMs: state.timerMs, lateMs });
}

function isWaiting({ held }: Unattested): boolean {
  return held.check === 'read' && !held.executed && !held.dead;
}

function noteMissed(state: CoreState, { batch, ref }: HeldBatch): void {
  const said = (state.lanes[batch.lane] as LaneState).attested.get(ref.seq);
  for (let k = 0; k < state.faults; k++) {
    const checker = checkerOf(batch.lane, ref.seq, k, state);
    if (said?.has(checker) !== true) (state.peers[checker] as PeerState).missedAttests++;
  }
}

/** A5. */
export function runLateChecks(state: CoreState): void {
  const { unattested } = state;
  for (let next = unattested[0]; next !== undefined; next = unattested[0]) {
    if (isWaiting(next)) {
      if (next.lateMs > state.timerMs) return;
      const { batch, ref } = next.held;
      state.effects.push({ kind: 'check-batch', batch, ref, extent: 'late' });
      noteTaken(state, next.lateMs - next.readMs);
      noteMissed(state, next.held);
    }
    unattested.shift();
  }
}

export function nextLateMs(state: CoreState): number {
  return state.unattested[0]?.lateMs ?? Infinity;
}
