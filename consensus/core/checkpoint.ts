/**
 * Rules K1 to K4: which slots are checkpoints, how one becomes stable, and what is forgotten then.
 */
import { equalBytes } from './bytes.ts';
import { CoreError } from './errors.ts';
import { reportEvidence } from './evidence.ts';
import { noteStableFrontier } from './execute.ts';
import { mayAnswer } from './fetch.ts';
import { rotateLog } from './log.ts';
import {
  type CoreState,
  forOpenPeers,
  ignore,
  type OpenCheckpoint,
  type PeerState,
} from './state.ts';
import type {
  Checkpoint,
  CheckpointCertificate,
  CheckpointState,
  Digest32,
  ReplicaIndex,
  SignerSignature,
  Slot,
} from './types.ts';

/** CHECKPOINTs kept of one peer; a correct one has few that are not stable. */
const CHECKPOINTS_PER_PEER_MAX = 4;
/** For the allowance of answers only. */
const CERTIFICATE_BYTES = 1_024;

/** K1: a function of the ordered stream alone. */
export function isCheckpoint(state: CoreState, slot: Slot): boolean {
  const { lastSlot, bytes } = state.checkpoints;
  const { checkpointSlots, checkpointBytes } = state.limits;
  return slot - lastSlot >= checkpointSlots || bytes >= checkpointBytes;
}

/** The slot that has just been executed is a checkpoint. */
export function openCheckpoint(state: CoreState): void {
  const { checkpoints } = state;
  const { slot, timeMs, frontier } = state.executed;
  checkpoints.lastSlot = slot;
  checkpoints.bytes = 0;
  checkpoints.open.push({ slot, timeMs, frontier, state: undefined, digest: undefined });
}

/** K2: everything up to `slot` is on this replica's disk: it says so, signed. */
export function onCheckpointed(
  state: CoreState,
  slot: Slot,
  height: number,
  tipHash: Digest32,
): void {
  const open = state.checkpoints.open.find((one) => one.slot === slot);
  // A transfer has passed it meanwhile.
  if (open === undefined) return ignore(state, 'checkpoint that is passed');
  if (open.state !== undefined) {
    throw new CoreError('invalid_input', 'checkpointed: told twice', { slot });
  }
  const { timeMs, frontier } = open;
  open.state = { slot, timeMs, frontier, height, tipHash };
  open.digest = state.digests.checkpoint(open.state);
  const { certificate } = state.checkpoints.stable;
  if (certificate?.state.slot === slot) checkOwn(state, open, certificate);
  else sendCheckpoint(state, open);
  tryStabilise(state, open.state, open.digest);
  advanceBase(state);
}

function sendCheckpoint(state: CoreState, open: OpenCheckpoint, only?: ReplicaIndex): void {
  if (open.state === undefined || open.digest === undefined) return;
  const signature = state.crypto.sign(state.digests.checkpointText(state.self, open.digest));
  const checkpoint: Checkpoint = { state: open.state, signer: state.self, signature };
  const own = state.peers[state.self] as PeerState;
  keep(own, checkpoint);
  state.checkpoints.resendMs = state.timerMs + state.limits.repairAfterMsMin;
  forOpenPeers(state, (_peer, to) => {
    if (only !== undefined && only !== to) return;
    state.effects.push({ kind: 'send', to, message: { kind: 'checkpoint', checkpoint } });
  });
}

function keep(peer: PeerState, checkpoint: Checkpoint): void {
  const { slot } = checkpoint.state;
  const others = peer.checkpoints.filter((one) => one.state.slot !== slot);
  peer.checkpoints = [...others, checkpoint]
    .sort((a, b) => a.state.slot - b.state.slot)
    .slice(-CHECKPOINTS_PER_PEER_MAX);
}

/** A peer's CHECKPOINT. Signatures are checked once q agree. */
export function onCheckpoint(state: CoreState, from: ReplicaIndex, checkpoint: Checkpoint): void {
  if (checkpoint.signer !== from)
    return ignore(state, 'CHECKPOINT signed by another than its sender');
  const peer = state.peers[from] as PeerState;
  const { slot } = checkpoint.state;
  if (slot <= state.checkpoints.stable.slot) return answerStable(state, from, slot);
  if (peer.checkpoints.some((one) => one.state.slot === slot)) {
    return ignore(state, 'CHECKPOINT already known');
  }
  keep(peer, checkpoint);
  tryStabilise(state, checkpoint.state, state.digests.checkpoint(checkpoint.state));
}

/** Its sender still waits for what is stable here. */
function answerStable(state: CoreState, to: ReplicaIndex, slot: Slot): void {
  const { certificate } = state.checkpoints.stable;
  if (certificate === undefined || certificate.state.slot < slot) {
    return ignore(state, 'CHECKPOINT that is stable');
  }
  // Most come a moment after the q-th: their senders have the certificate themselves by now.
  const { appliedSlot } = state.peers[to] as PeerState;
  if (appliedSlot > slot && certificate.state.slot === slot) {
    return ignore(state, 'CHECKPOINT that is stable');
  }
  sendStable(state, to);
}

/** J2, T1: what this replica knows to be stable, and how far the run has come. */
export function sendStable(state: CoreState, to: ReplicaIndex): void {
  if (!mayAnswer(state, to, CERTIFICATE_BYTES)) return;
  const { certificate } = state.checkpoints.stable;
  const namedSlot = Math.max(state.highestNamed, state.views.top, state.executed.slot);
  const life = state.lives[to] as number;
  const message = { kind: 'stable-checkpoint', certificate, namedSlot, life } as const;
  state.effects.push({ kind: 'send', to, message });
}

/** K3: q signatures over one state. */
function tryStabilise(state: CoreState, wanted: CheckpointState, digest: Digest32): void {
  if (wanted.slot <= state.checkpoints.stable.slot) return;
  const agreeing: Checkpoint[] = [];
  for (const peer of state.peers) {
    const found = peer.checkpoints.find(
      (one) =>
        one.state.slot === wanted.slot && equalBytes(state.digests.checkpoint(one.state), digest),
    );
    if (found !== undefined) agreeing.push(found);
  }
  if (agreeing.length < state.quorum) return;
  const signatures: SignerSignature[] = [];
  for (const { signer, signature } of agreeing) {
    if (signatures.length >= state.quorum) break;
    if (isSignedBy(state, signer, digest, signature)) signatures.push({ signer, signature });
    else dropCheckpoint(state, signer, wanted.slot);
  }
  if (signatures.length >= state.quorum) adoptStable(state, { state: wanted, signatures });
}

function isSignedBy(
  state: CoreState,
  signer: ReplicaIndex,
  digest: Digest32,
  signature: Uint8Array,
): boolean {
  return state.signatures.verify(signer, state.digests.checkpointText(signer, digest), signature);
}

function dropCheckpoint(state: CoreState, peer: ReplicaIndex, slot: Slot): void {
  const kept = state.peers[peer] as PeerState;
  kept.checkpoints = kept.checkpoints.filter((one) => one.state.slot !== slot);
  const reason = 'its signature does not verify';
  reportEvidence(state, { kind: 'invalid-checkpoint', peer, slot, reason });
}

/** q valid signatures of distinct replicas; the decoder has seen to the order. */
export function isCertified(state: CoreState, certificate: CheckpointCertificate): boolean {
  const { signatures } = certificate;
  if (signatures.length < state.quorum) return false;
  const digest = state.digests.checkpoint(certificate.state);
  return signatures.every(({ signer, signature }) => isSignedBy(state, signer, digest, signature));
}

/** A certificate from a peer; nothing when it is not news. */
export function onCertificate(
  state: CoreState,
  from: ReplicaIndex,
  certificate: CheckpointCertificate,
): void {
  const { slot } = certificate.state;
  if (slot <= state.checkpoints.stable.slot)
    return ignore(state, 'stable checkpoint already known');
  const peer = state.peers[from] as PeerState;
  if (state.timerMs - peer.certificateCheckedMs < state.limits.fetchRetryMs) {
    return ignore(state, 'checkpoint certificate so soon after another');
  }
  peer.certificateCheckedMs = state.timerMs;
  if (isCertified(state, certificate)) return adoptStable(state, certificate);
  const reason = 'its certificate does not verify';
  reportEvidence(state, { kind: 'invalid-checkpoint', peer: from, slot, reason });
}

/** K3, K4: the window moves, and what lies below may be forgotten. The certificate is valid. */
export function adoptStable(state: CoreState, certificate: CheckpointCertificate): void {
  const { checkpoints } = state;
  const { slot, frontier } = certificate.state;
  if (slot <= checkpoints.stable.slot) return;
  checkpoints.stable = { slot, certificate };
  // D2: votes that lie in the window above it are understood after a restart.
  if (state.mute === undefined) {
    state.effects.push({ kind: 'persist', record: { kind: 'stable', certificate } });
  }
  const own = checkpoints.open.find((one) => one.slot === slot);
  if (own !== undefined) checkOwn(state, own, certificate);
  accuse(state, certificate);
  for (const peer of state.peers) {
    peer.checkpoints = peer.checkpoints.filter((one) => one.state.slot > slot);
  }
  noteStableFrontier(state, frontier);
  for (const outcome of state.views.outcomes.keys()) {
    if (outcome <= slot) state.views.outcomes.delete(outcome);
  }
  state.progress.urgent = true;
  advanceBase(state);
}

/** Another state than the one that q signed: more than f lie, or this replica has gone astray. */
function checkOwn(state: CoreState, own: OpenCheckpoint, certificate: CheckpointCertificate): void {
  if (own.digest === undefined) return;
  if (equalBytes(own.digest, state.digests.checkpoint(certificate.state))) return;
  throw new CoreError(
    'safety_violation',
    `a quorum has signed another state at slot ${own.slot} than this replica has`,
    { slot: own.slot },
  );
}

/** Whoever signed something else for the slot. */
function accuse(state: CoreState, certificate: CheckpointCertificate): void {
  const { slot } = certificate.state;
  const digest = state.digests.checkpoint(certificate.state);
  for (const [peer, { checkpoints }] of state.peers.entries()) {
    if (peer === state.self) continue;
    const other = checkpoints.find((one) => one.state.slot === slot);
    if (other === undefined) continue;
    const theirs = state.digests.checkpoint(other.state);
    if (equalBytes(theirs, digest)) continue;
    const signed = isSignedBy(state, peer, theirs, other.signature);
    const reason = signed ? 'it signed another state' : 'its signature does not verify';
    reportEvidence(state, { kind: 'invalid-checkpoint', peer, slot, reason });
  }
}

/** D3: the own log begins at the newest stable checkpoint that the own ledger has. */
function advanceBase(state: CoreState): void {
  const { checkpoints } = state;
  const { slot, certificate } = checkpoints.stable;
  const own = checkpoints.open.find((one) => one.slot === slot);
  if (certificate === undefined || slot <= checkpoints.base.slot) return;
  if (own?.state === undefined) return;
  setBase(state, certificate);
}

export function setBase(state: CoreState, certificate: CheckpointCertificate): void {
  const { checkpoints } = state;
  const { slot } = certificate.state;
  checkpoints.base = { slot, certificate };
  checkpoints.open = checkpoints.open.filter((one) => one.slot > slot);
  rotateLog(state);
}

/** R4: the newest own CHECKPOINT is sent again until it is stable. */
export function runCheckpointRepair(state: CoreState): void {
  const { checkpoints } = state;
  if (state.timerMs < nextCheckpointMs(state)) return;
  const newest = newestOwn(state);
  if (newest !== undefined) sendCheckpoint(state, newest);
  checkpoints.resendMs = state.timerMs + state.limits.repairAfterMsMax / 2;
}

/** To a peer whose session has opened. */
export function repeatCheckpoint(state: CoreState, to: ReplicaIndex): void {
  const newest = newestOwn(state);
  if (newest !== undefined) sendCheckpoint(state, newest, to);
}

export function nextCheckpointMs(state: CoreState): number {
  return newestOwn(state) === undefined ? Infinity : state.checkpoints.resendMs;
}

function newestOwn(state: CoreState): OpenCheckpoint | undefined {
  const { open, stable } = state.checkpoints;
  for (let i = open.length - 1; i >= 0; i--) {
    const one = open[i];
    if (one?.state !== undefined && one.slot > stable.slot) return one;
  }
  return undefined;
}
