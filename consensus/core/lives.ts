/**
 * J4: a replica that has joined may have asked, in its former life, to leave views that it is in now; a lying leader
 * may hold that VIEW-CHANGE still. So lives are numbered, VIEW-CHANGEs name them, and a joiner gets its voice back in a
 * view only that q replicas which knew its new life have entered.
 */
import { kthHighest } from './quorum.ts';
import { type CoreState, forOpenPeers, ignore, type PeerState } from './state.ts';
import type { NewView, ReplicaIndex } from './types.ts';

/** Between two views that are asked for on behalf of one peer. */
const LET_IN_MS_MIN = 1_000;
const LET_IN_MS_MAX = 60_000;
/** Of one peer in one session. */
const LIFE_CHANGES_MAX = 8;

export function ownLife(state: CoreState): number {
  return state.lives[state.self] as number;
}

/** All that a mute replica can do by itself is done: it has the stable checkpoint that it had to wait for. */
export function isReady(state: CoreState): boolean {
  const { mute, checkpoints } = state;
  if (mute === undefined || checkpoints.stable.slot < mute.untilSlot) return false;
  return checkpoints.base.slot === checkpoints.stable.slot;
}

export function askAll(state: CoreState): void {
  const ready = isReady(state);
  const message = { kind: 'fetch-checkpoint', life: ownLife(state), ready } as const;
  forOpenPeers(state, (_peer, to) => state.effects.push({ kind: 'send', to, message }));
}

/** Once known, never forgotten: on disk before it shows in a VIEW-CHANGE or an answer. */
export function noteLife(state: CoreState, from: ReplicaIndex, life: number, ready: boolean): void {
  const known = state.lives[from] as number;
  if (life < known) return ignore(state, 'word from a former life');
  const peer = state.peers[from] as PeerState;
  if (life > known) {
    // A process has one life, or two when it has to name a later one (J4): what is on disk for it is bounded.
    if (peer.lifeChanges >= LIFE_CHANGES_MAX) return ignore(state, 'too many lives');
    peer.lifeChanges++;
  }
  peer.ready = ready;
  if (life === known) return;
  state.lives[from] = life;
  if (state.mute !== undefined) return;
  state.effects.push({ kind: 'persist', record: { kind: 'lives', lives: [...state.lives] } });
}

/** W1: is there a peer that needs a new view to get its voice back? Not more often than its back-off says. */
export function isAskedIn(state: CoreState): boolean {
  let asked = false;
  forOpenPeers(state, (peer) => {
    if (peer.mute && peer.ready && state.timerMs >= peer.letInAtMs) asked = true;
  });
  return asked;
}

/** A view is entered: this replica may be let in by it, and others are. */
export function learnLives(state: CoreState, newView: NewView): void {
  const { changes } = newView;
  const known = state.scratch;
  for (let replica = 0; replica < state.replicas; replica++) {
    for (const [index, change] of changes.entries()) known[index] = change.lives[replica] as number;
    const believed = kthHighest(known, changes.length, state.faults + 1);
    if (replica !== state.self && believed > (state.lives[replica] as number)) {
      state.lives[replica] = believed;
    }
  }
  // This very life: a higher number would be one of a former life, before the clock was set back.
  const own = ownLife(state);
  state.views.knowsLife = changes.every(({ lives }) => lives[state.self] === own);
  for (const peer of state.peers) {
    if (!peer.mute || !peer.ready) continue;
    peer.ready = false;
    const backoffMs = Math.max(LET_IN_MS_MIN, 2 * peer.letInBackoffMs);
    peer.letInBackoffMs = Math.min(backoffMs, LET_IN_MS_MAX);
    peer.letInAtMs = state.timerMs + peer.letInBackoffMs;
  }
}
