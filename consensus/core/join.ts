/**
 * Rules J1 to J4: a replica that does not know what it may have voted for says nothing until a stable checkpoint
 * has passed every slot that it could have voted in.
 */
import { onCertificate, sendStable } from './checkpoint.ts';
import { askAll, isReady, noteLife, ownLife } from './lives.ts';
import { rotateLog } from './log.ts';
import { type CoreState, ignore, type Mute, openPeer, type PeerState } from './state.ts';
import type { Message, ReplicaIndex } from './types.ts';
import { sendNewView } from './views.ts';

/** Between two rounds of questions, in fetch retries. */
const ASK_EVERY_RETRIES = 4;
/** No clock is set back by more; beyond it a peer lies, to exhaust the numbers. */
const LIFE_AHEAD_MS_MAX = 24 * 3_600_000;
/** P8: pause before empty slots are proposed for a mute replica again. */
const PUSH_AGAIN_MS_MIN = 1_000;
const PUSH_AGAIN_MS_MAX = 60_000;

/** J2 to J4: asks until it knows how long to wait, then to be let in; ends the silence when its time has come. */
export function runMute(state: CoreState): void {
  const { mute } = state;
  if (mute === undefined) return;
  // The clock says which life is later; peers may know better (`setUntil`).
  if (ownLife(state) === 0) state.lives[state.self] = Math.max(1, Math.floor(state.wallMs));
  if (isReady(state) && state.views.knowsLife && !state.views.changing) return endMute(state);
  if (state.timerMs < mute.askMs) return;
  mute.askMs = state.timerMs + ASK_EVERY_RETRIES * state.limits.fetchRetryMs;
  askAll(state);
}

function endMute(state: CoreState): void {
  state.mute = undefined;
  state.lastVoted = Math.max(state.lastVoted, state.checkpoints.stable.slot);
  state.progress.urgent = true;
  rotateLog(state);
}

export function nextMuteMs(state: CoreState): number {
  return state.mute === undefined ? Infinity : state.mute.askMs;
}

/** What a peer knows of the run, and of this replica. */
export function onStableCheckpoint(
  state: CoreState,
  from: ReplicaIndex,
  answer: Extract<Message, { kind: 'stable-checkpoint' }>,
): void {
  const { certificate, namedSlot, life } = answer;
  if (certificate !== undefined) onCertificate(state, from, certificate);
  const { mute } = state;
  if (mute === undefined) return;
  mute.answers[from] = { namedSlot, life };
  setUntil(state, mute);
}

/**
 * J2. Whatever this replica's vote helped to decide or to prepare was known to q replicas; of any q that answer one
 * is correct and among them. A lie can only delay: nobody votes beyond a window above a stable checkpoint.
 */
function setUntil(state: CoreState, mute: Mute): void {
  const given = mute.answers.filter((answer) => answer !== undefined);
  const wanted = Math.min(state.quorum, state.replicas - 1);
  if (given.length < wanted) return;
  // Above every former life that anybody knows of: the clock may have been set back since.
  const absurd = state.wallMs + LIFE_AHEAD_MS_MAX;
  for (const { life } of given) {
    if (life > ownLife(state) && life < absurd) state.lives[state.self] = life + 1;
  }
  if (mute.untilSlot !== Infinity) return;
  const cap = state.checkpoints.stable.slot + 2 * state.limits.windowSlots;
  mute.untilSlot = Math.min(Math.max(...given.map((answer) => answer.namedSlot)), cap);
}

/** A peer asks: what is stable, how far the run is, and by which NEW-VIEW it stands where it does. */
export function onFetchCheckpoint(
  state: CoreState,
  from: ReplicaIndex,
  life: number,
  ready: boolean,
): void {
  noteLife(state, from, life, ready);
  // One that knows nothing itself must not be counted for something.
  if (state.mute !== undefined) return ignore(state, 'question to one that has joined just now');
  sendStable(state, from);
  if (!state.views.changing) sendNewView(state, from);
}

/** P8: an idle run would never pass the checkpoint that a mute replica waits for. */
export function notePush(state: CoreState, peer: PeerState): void {
  if (!peer.mute) {
    peer.pushAtMs = Infinity;
    peer.pushBackoffMs = 0;
  } else if (peer.pushAtMs === Infinity) {
    peer.pushAtMs = state.timerMs + state.limits.fetchRetryMs;
  }
}

/** The leader's part of P8. */
export function runPushes(state: CoreState): void {
  for (let index = 0; index < state.replicas; index++) {
    const peer = openPeer(state, index);
    if (peer !== undefined && state.timerMs >= peer.pushAtMs) push(state, peer);
  }
}

function push(state: CoreState, peer: PeerState): void {
  const backoffMs = Math.max(PUSH_AGAIN_MS_MIN, 2 * peer.pushBackoffMs);
  peer.pushBackoffMs = Math.min(backoffMs, PUSH_AGAIN_MS_MAX);
  peer.pushAtMs = state.timerMs + peer.pushBackoffMs;
  const { leader, limits } = state;
  const from = Math.max(leader.head.slot, state.highestKnown);
  leader.pushTo = Math.max(leader.pushTo, from + limits.checkpointSlots);
}

export function nextPushMs(state: CoreState): number {
  let nextMs = Infinity;
  for (let index = 0; index < state.replicas; index++) {
    const peer = openPeer(state, index);
    if (peer !== undefined) nextMs = Math.min(nextMs, peer.pushAtMs);
  }
  return nextMs;
}
