/** Rules S1 to S3: the slow path, from its first PREPARE to the certificate. */

import { assert } from './assert.ts';
import { equalBytes } from './bytes.ts';
import { checkFast, hasCommitted, startsSlow, tryDecideSlow, writeCommit } from './commit.ts';
import { reportEvidence } from './evidence.ts';
import { findSlot, hasDigest, hasOtherDigest, type Round, type SlotState } from './slots.ts';
import { allOpen, type CoreState, forOpenPeers, ignore, isActive } from './state.ts';
import type { Digest24, Prepare, PreparedCertificate, ReplicaIndex } from './types.ts';
import { recordFor } from './window.ts';

/** The slow path waits this many average commits before it takes over. */
const SLOW_AFTER_COMMITS = 4;

/** A vote of this peer has come in. Those that came before the own one are looked at with it (`onVoted`). */
export function onVoteNoted(state: CoreState, record: SlotState, from: ReplicaIndex): void {
  const { round } = record;
  if (checkFast(state, record) || !round.voted) return;
  if (!hasDigest(round.votes, from, round.digest)) startSlow(state, record);
}

/** This replica has just voted, and that did not decide: S1. */
export function onVoted(state: CoreState, record: SlotState): void {
  const { round } = record;
  const waits =
    allOpen(state) &&
    !startsSlow(state, record.slot) &&
    !hasOtherDigest(round.votes, round.digest) &&
    !isAskedFor(state, round);
  if (!waits) startSlow(state, record);
}

/** Has a peer already started the slow path for what this replica voted for? */
function isAskedFor(state: CoreState, round: Round): boolean {
  return round.prepares.some(
    (prepare, signer) =>
      signer !== state.self && prepare !== undefined && equalBytes(prepare.digest, round.digest),
  );
}

function slowAfterMs(state: CoreState): number {
  const { slowPathAfterMsMin, slowPathAfterMsMax } = state.limits;
  const adaptive = SLOW_AFTER_COMMITS * state.path.commitMs;
  return Math.min(Math.max(adaptive, slowPathAfterMsMin), slowPathAfterMsMax);
}

/** Starts the slow path where the fast one has had its time, or has become impossible. */
export function startDueSlowPaths(state: CoreState): void {
  if (!isActive(state)) return;
  const dueMs = allOpen(state) ? state.timerMs - slowAfterMs(state) : Infinity;
  for (let slot = state.executed.slot + 1; slot <= state.lastVoted; slot++) {
    const record = findSlot(state.slots, slot);
    if (record === undefined || !waitsForFast(record)) continue;
    if (record.round.votedAtMs <= dueMs) startSlow(state, record);
  }
}

export function nextSlowPathMs(state: CoreState): number {
  if (!isActive(state)) return Infinity;
  for (let slot = state.executed.slot + 1; slot <= state.lastVoted; slot++) {
    const record = findSlot(state.slots, slot);
    // Votes are cast in slot order, so the first one that waits is the first one due.
    if (record !== undefined && waitsForFast(record)) {
      return record.round.votedAtMs + slowAfterMs(state);
    }
  }
  return Infinity;
}

function waitsForFast(record: SlotState): boolean {
  return record.round.voted && record.decided === undefined && !record.round.slowStarted;
}

/** S1: broadcasts the own PREPARE, asking for the others'. */
function startSlow(state: CoreState, record: SlotState): void {
  if (record.round.slowStarted || !needsCommit(state, record)) return;
  state.unsettled = true;
  record.round.slowStarted = true;
  const prepare = ownPrepare(state, record);
  forOpenPeers(state, (_peer, to) => sendPrepare(state, record, prepare, to, true));
  tryCertify(state, record);
}

/** Asks again for PREPAREs of undecided slots (R1, R3): one peer's, or all. */
export function repeatPrepares(state: CoreState, only?: ReplicaIndex): void {
  if (!isActive(state)) return;
  for (let slot = state.executed.slot + 1; slot <= state.lastVoted; slot++) {
    const record = findSlot(state.slots, slot);
    if (record === undefined || record.decided !== undefined || !record.round.slowStarted) continue;
    const prepare = ownPrepare(state, record);
    forOpenPeers(state, (_peer, to) => {
      if (only === undefined || only === to) sendPrepare(state, record, prepare, to, true);
    });
  }
}

function sendPrepare(
  state: CoreState,
  record: SlotState,
  prepare: Prepare,
  to: ReplicaIndex,
  request: boolean,
): void {
  record.round.preparedToMs[to] = state.timerMs;
  state.effects.push({ kind: 'send', to, message: { kind: 'prepare', request, prepare } });
}

/** Signs once per slot and view, and only what this replica voted for. */
function ownPrepare(state: CoreState, record: SlotState): Prepare {
  const { round, slot } = record;
  assert(round.voted, 'a PREPARE follows the own vote');
  const known = round.prepares[state.self];
  if (known !== undefined) return known;
  assert(isActive(state) && round.view === state.view, 'nothing is signed for a view left behind');
  const { view, digest } = round;
  const signature = state.crypto.sign(state.digests.prepare(state.self, view, slot, digest));
  const prepare: Prepare = { view, slot, digest, signer: state.self, signature };
  round.prepares[state.self] = prepare;
  round.prepareStates[state.self] = 'valid';
  return prepare;
}

/** A peer's PREPARE: keeps it, and answers by S2 when it asks. */
export function onPrepare(
  state: CoreState,
  from: ReplicaIndex,
  prepare: Prepare,
  request: boolean,
): void {
  if (prepare.signer !== from) return ignore(state, 'PREPARE signed by another than its sender');
  const record = recordForPrepare(state, from, prepare);
  if (record === undefined) return;
  const { round } = record;
  const known = round.prepares[from];
  if (known === undefined) round.prepares[from] = prepare;
  else if (!equalBytes(known.digest, prepare.digest)) {
    return onSecondPrepare(state, round, from, prepare);
  }
  if (request) answerPrepare(state, record, from, prepare.digest);
  tryCertify(state, record);
}

/** Two signatures of one replica for one view and slot: proof, if both are valid. */
function onSecondPrepare(
  state: CoreState,
  round: Round,
  from: ReplicaIndex,
  second: Prepare,
): void {
  const { view, slot, digest, signature } = second;
  const text = state.digests.prepare(from, view, slot, digest);
  if (round.equivocators[from] === 1 || !checkPrepare(state, round, from)) {
    return ignore(state, 'second PREPARE');
  }
  round.equivocators[from] = 1;
  if (!state.signatures.verify(from, text, signature)) {
    return reportEvidence(state, { kind: 'invalid-signature', peer: from, slot });
  }
  const first = round.prepares[from] as Prepare;
  reportEvidence(state, { kind: 'prepare-equivocation', peer: from, prepares: [first, second] });
}

/** PREPAREs are taken for executed slots as well: their sender may be behind. */
function recordForPrepare(
  state: CoreState,
  from: ReplicaIndex,
  prepare: Prepare,
): SlotState | undefined {
  const { slot, view } = prepare;
  if (view !== state.view || state.views.changing) {
    ignore(state, 'word of another view');
    return undefined;
  }
  if (slot > state.executed.slot) return recordFor(state, from, view, slot);
  const record = findSlot(state.slots, slot);
  if (record === undefined || record.round.view !== view) {
    ignore(state, 'PREPARE of a slot long past or another view');
    return undefined;
  }
  return record;
}

/** S2. */
function answerPrepare(
  state: CoreState,
  record: SlotState,
  from: ReplicaIndex,
  digest: Digest24,
): void {
  const { round } = record;
  if (!round.voted || !equalBytes(round.digest, digest)) {
    return ignore(state, 'PREPARE for what this replica did not vote');
  }
  if (needsCommit(state, record)) {
    if (!round.slowStarted) return startSlow(state, record);
    if (record.decided !== undefined) askLacking(state, record);
  }
  if (!maySendPrepare(state, round, from)) return ignore(state, 'PREPARE answered just now');
  sendPrepare(state, record, ownPrepare(state, record), from, false);
  if (mayCommitDecided(record, digest)) writeCommit(state, record);
}

/** S2: one that was told of the decision waits for nothing itself, so others' questions are what makes it ask again. */
function askLacking(state: CoreState, record: SlotState): void {
  const { round } = record;
  if (hasCommitted(state, round)) return;
  forOpenPeers(state, (_peer, to) => {
    if (round.prepares[to] !== undefined || !maySendPrepare(state, round, to)) return;
    sendPrepare(state, record, ownPrepare(state, record), to, true);
  });
}

function maySendPrepare(state: CoreState, round: Round, to: ReplicaIndex): boolean {
  return state.timerMs - (round.preparedToMs[to] as number) >= state.limits.fetchRetryMs;
}

/** S2: a COMMIT of a view below that of the decision would make it look as if that had been the one to decide. */
function mayCommitDecided(record: SlotState, digest: Digest24): boolean {
  const { decided, decidedDigest, decidedView, round } = record;
  if (decided === undefined || decidedView === undefined || decidedView > round.view) return false;
  return equalBytes(decidedDigest, digest);
}

/** S3: checks signatures once enough PREPAREs are there. */
function tryCertify(state: CoreState, record: SlotState): void {
  const { round } = record;
  if (!round.voted || hasCommitted(state, round) || !needsCommit(state, record)) return;
  const signers: ReplicaIndex[] = [];
  for (let signer = 0; signer < state.replicas; signer++) {
    const prepare = round.prepares[signer];
    if (prepare === undefined || round.prepareStates[signer] === 'invalid') continue;
    if (equalBytes(prepare.digest, round.digest)) signers.push(signer);
  }
  if (signers.length < state.quorum) return;
  let valid = 0;
  for (const signer of signers) {
    if (valid < state.quorum && checkPrepare(state, round, signer)) valid++;
  }
  if (valid < state.quorum) return;
  keepCertificate(state, record, signers);
  writeCommit(state, record);
  tryDecideSlow(state, record);
}

/**
 * Who has learned the decision from others (C3) may not COMMIT for having decided (S2), so it needs the certificate, and
 * q - 1 others may be waiting for its COMMIT. Whoever decided by votes or COMMITs answers for that.
 */
function needsCommit(
  state: CoreState,
  { decided, decidedDigest, decidedView, round, slot }: SlotState,
): boolean {
  if (decided === undefined) return true;
  if (decidedView !== undefined || slot + state.limits.windowSlots <= state.lastVoted) return false;
  return equalBytes(decidedDigest, round.digest);
}

/** S3, D2: what the COMMIT rests on is on disk before it. */
function keepCertificate(
  state: CoreState,
  record: SlotState,
  signers: readonly ReplicaIndex[],
): void {
  const { round, slot } = record;
  const { view, digest } = round;
  const signatures = signers
    .filter((signer) => round.prepareStates[signer] === 'valid')
    .slice(0, state.quorum)
    .map((signer) => ({ signer, signature: (round.prepares[signer] as Prepare).signature }));
  const certificate: PreparedCertificate = { view, slot, digest, signatures };
  record.prepared = certificate;
  state.effects.push({ kind: 'persist', record: { kind: 'prepared', certificate } });
}

function checkPrepare(state: CoreState, round: Round, signer: ReplicaIndex): boolean {
  if (round.prepareStates[signer] === 'valid') return true;
  const prepare = round.prepares[signer] as Prepare;
  const { view, slot, digest, signature } = prepare;
  const text = state.digests.prepare(signer, view, slot, digest);
  const valid = state.signatures.verify(signer, text, signature);
  round.prepareStates[signer] = valid ? 'valid' : 'invalid';
  if (!valid) reportEvidence(state, { kind: 'invalid-signature', peer: signer, slot });
  return valid;
}
