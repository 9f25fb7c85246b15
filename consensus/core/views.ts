/** Rules W1 to W8: leaving a view, and entering one by its NEW-VIEW. What it means is in `view-change.ts`. */
import { assert } from './assert.ts';
import { adoptStable } from './checkpoint.ts';
import { reportEvidence } from './evidence.ts';
import { mayAnswer } from './fetch.ts';
import { askAll, isAskedIn, learnLives } from './lives.ts';
import { logView } from './log.ts';
import { resetLeader } from './propose.ts';
import { kthHighest, leaderOf } from './quorum.ts';
import { resetRounds } from './slots.ts';
import { beginningOf, type CoreState, forOpenPeers, ignore, type PeerState } from './state.ts';
import {
  isInPeace,
  notePeace,
  resetSuspicion,
  suspectsLeader,
  viewTimeoutMs,
} from './suspicion.ts';
import type { NewView, ReplicaIndex, SlotReport, View, ViewChange } from './types.ts';
import { type Outcomes, outcomesOf } from './view-change.ts';
import { compatibleChanges, newViewFault, viewChangeFault } from './view-checks.ts';

/** For the allowance of answers only. */
const NEW_VIEW_BYTES = 64 * 1024;

/** What time and the words of others ask for; called once per step. Returns true when the view has changed. */
export function runViews(state: CoreState): boolean {
  const { views } = state;
  const before = views.entered;
  notePeace(state);
  updateWish(state);
  const target = wishedView(state);
  if (target > state.view) startChange(state, target);
  if (views.changing) {
    resendChange(state);
    tryLead(state);
  }
  return views.entered !== before;
}

/** W1: this replica's own wish, from what it holds against the leader or the time that a change takes. */
function updateWish(state: CoreState): void {
  const { views } = state;
  const before = views.wish;
  if (state.mute !== undefined) {
    views.wish = state.view;
  } else if (views.changing) {
    // After a restart.
    if (views.deadlineMs === -Infinity) views.deadlineMs = state.timerMs + viewTimeoutMs(state);
    const fails = state.timerMs >= views.deadlineMs && views.wish === state.view;
    if (fails) views.wish = nextView(state);
  } else {
    const suspects = suspectsLeader(state);
    views.wish = suspects || isAskedIn(state) ? nextView(state) : state.view;
  }
  if (views.wish !== before) state.progress.urgent = true;
}

/** The next view whose leader, as far as one can see, is there and may lead. */
function nextView(state: CoreState): View {
  for (let view = state.view + 1; view < state.view + state.replicas; view++) {
    const leader = leaderOf(view, state.replicas);
    const { open, mute } = state.peers[leader] as PeerState;
    if (leader === state.self || (open && !mute)) return view;
  }
  return state.view + 1;
}

/** W1: the highest view that f + 1 replicas, this one included, wish for or are in. */
function wishedView(state: CoreState): View {
  const wishes = state.scratch;
  for (let replica = 0; replica < state.replicas; replica++) {
    const { wish, view } = state.peers[replica] as PeerState;
    wishes[replica] = replica === state.self ? state.views.wish : Math.max(wish, view);
  }
  return kthHighest(wishes, state.replicas, state.faults + 1);
}

/** W2. From here on nothing is said in a lower view. */
function startChange(state: CoreState, view: View): void {
  const { views } = state;
  assert(view > state.view, 'views only grow');
  // In a slow time the timeout settles at what slots really take; whoever has led in peace leaves no trace.
  const isPatient = viewTimeoutMs(state) >= state.limits.viewTimeoutMsMax;
  if (!isInPeace(state) && !isPatient) views.failed++;
  state.view = view;
  views.changing = true;
  views.wish = Math.max(views.wish, view);
  views.newView = undefined;
  views.deadlineMs = state.timerMs + viewTimeoutMs(state);
  resetRounds(state.slots, view);
  state.progress.urgent = true;
  views.resendBackoffMs = state.limits.repairAfterMsMin;
  views.resendMs = state.timerMs + views.resendBackoffMs;
  // J2: one that does not know its votes has nothing to report, and must not be counted.
  if (state.mute !== undefined) return;
  views.own = signChange(state, view);
  logView(state, { kind: 'view-change', viewChange: views.own });
  sendChange(state, views.own);
}

function signChange(state: CoreState, view: View): ViewChange {
  const reports: SlotReport[] = [];
  const { stable } = state.checkpoints;
  for (const record of state.slots.records) {
    if (record === undefined || record.slot <= stable.slot) continue;
    const { slot, vote, prepared } = record;
    if (vote === undefined && prepared === undefined) continue;
    const voted = vote && { view: vote.view, digest: vote.digest };
    reports.push({ slot, vote: voted, prepared });
  }
  reports.sort((a, b) => a.slot - b.slot);
  const lives = [...state.lives];
  const body = { view, signer: state.self, lives, checkpoint: stable.certificate, reports };
  const signature = state.crypto.sign(state.digests.viewChange(body));
  return { ...body, signature };
}

function sendChange(state: CoreState, viewChange: ViewChange, only?: ReplicaIndex): void {
  forOpenPeers(state, (_peer, to) => {
    if (only !== undefined && only !== to) return;
    state.effects.push({ kind: 'send', to, message: { kind: 'view-change', viewChange } });
  });
}

/** W8: again until the NEW-VIEW is there. */
function resendChange(state: CoreState): void {
  const { views, limits } = state;
  if (state.timerMs < views.resendMs) return;
  views.resendBackoffMs = Math.min(2 * views.resendBackoffMs, limits.repairAfterMsMax);
  views.resendMs = state.timerMs + views.resendBackoffMs;
  if (views.own !== undefined) sendChange(state, views.own);
  else askAll(state);
}

/** To a peer whose session has opened. */
export function repeatChange(state: CoreState, to: ReplicaIndex): void {
  if (state.views.own !== undefined) sendChange(state, state.views.own, to);
}

/** In `timerMs`. */
export function nextViewMs(state: CoreState): number {
  const { views } = state;
  if (!views.changing) return Infinity;
  const waits = state.mute === undefined && views.wish === state.view;
  const failsMs = waits ? views.deadlineMs : Infinity;
  return Math.min(views.resendMs, failsMs);
}

/** A VIEW-CHANGE: a wish, and material for the new leader. */
export function onViewChange(state: CoreState, from: ReplicaIndex, change: ViewChange): void {
  if (change.signer !== from) return ignore(state, 'VIEW-CHANGE signed by another than its sender');
  const { view } = change;
  if (view < state.view || (view === state.view && !state.views.changing)) {
    return sendNewView(state, from);
  }
  const peer = state.peers[from] as PeerState;
  const known = peer.viewChange;
  if (known !== undefined && known.view >= view) return ignore(state, 'VIEW-CHANGE already known');
  peer.viewChange = change;
  peer.viewChangeCheck = 'unchecked';
  peer.wish = Math.max(peer.wish, view);
}

/** W8: shows how the current view was entered to one that has not. */
export function sendNewView(state: CoreState, to: ReplicaIndex): void {
  const { newView } = state.views;
  const peer = state.peers[to] as PeerState;
  if (peer.view >= state.view && !peer.changing)
    return ignore(state, 'VIEW-CHANGE of a view that its sender is in');
  if (newView === undefined) return ignore(state, 'VIEW-CHANGE for a view that is past');
  if (!mayAnswer(state, to, NEW_VIEW_BYTES)) return;
  state.effects.push({ kind: 'send', to, message: { kind: 'new-view', newView } });
}

/** W3: the leader of the view that is asked for has q valid VIEW-CHANGEs. */
function tryLead(state: CoreState): void {
  if (leaderOf(state.view, state.replicas) !== state.self || state.views.own === undefined) return;
  const usable: ViewChange[] = [state.views.own];
  for (const [index, peer] of state.peers.entries()) {
    if (index !== state.self && isUsable(state, peer)) usable.push(peer.viewChange as ViewChange);
  }
  const changes = compatibleChanges(usable, state.quorum);
  if (changes === undefined) return;
  changes.sort((a, b) => a.signer - b.signer);
  const body = { view: state.view, changes };
  const signature = state.crypto.sign(state.digests.newView(body));
  const newView: NewView = { ...body, signature };
  enterView(state, newView);
  forOpenPeers(state, (_peer, to) => {
    state.effects.push({ kind: 'send', to, message: { kind: 'new-view', newView } });
  });
}

function isUsable(state: CoreState, peer: PeerState): boolean {
  const change = peer.viewChange;
  if (change === undefined || change.view !== state.view) return false;
  if (peer.viewChangeCheck === 'unchecked') {
    const reason = viewChangeFault(state, change);
    peer.viewChangeCheck = reason === undefined ? 'valid' : 'invalid';
    if (reason !== undefined) {
      const { signer, view } = change;
      reportEvidence(state, { kind: 'invalid-view-change', peer: signer, view, reason });
    }
  }
  return peer.viewChangeCheck === 'valid';
}

/** W3, W4: from the leader, or shown by anybody; the leader's signature is what counts. */
export function onNewView(state: CoreState, from: ReplicaIndex, newView: NewView): void {
  const { view } = newView;
  if (view < state.view || (view === state.view && !state.views.changing)) {
    return ignore(state, 'NEW-VIEW of a view that is entered or past');
  }
  const sender = state.peers[from] as PeerState;
  if (state.timerMs - sender.newViewCheckedMs < state.limits.fetchRetryMs) {
    return ignore(state, 'NEW-VIEW so soon after another');
  }
  sender.newViewCheckedMs = state.timerMs;
  const leader = leaderOf(view, state.replicas);
  const signed = state.signatures.verify(leader, state.digests.newView(newView), newView.signature);
  // Whoever relays something that is not even signed made it up.
  const peer = signed ? leader : from;
  const reason = signed ? newViewFault(state, newView) : 'it is not signed by its leader';
  if (reason !== undefined) {
    return reportEvidence(state, { kind: 'invalid-new-view', peer, view, reason });
  }
  enterView(state, newView);
}

function enterView(state: CoreState, newView: NewView): void {
  const { views } = state;
  const outcomes = outcomesOf(newView.changes, state.replicas, beginningOf(state));
  state.view = newView.view;
  views.newView = newView;
  views.entered++;
  learnLives(state, newView);
  views.own = undefined;
  logView(state, { kind: 'new-view', newView });
  settleOutcomes(state, outcomes);
  state.progress.urgent = true;
}

/**
 * The view is entered: its outcomes, a clean sheet for its leader. Also after a restart. Slots beyond `top` may be
 * executed here already: others have decided them in this view, and told.
 */
export function settleOutcomes(state: CoreState, outcomes: Outcomes): void {
  const { views } = state;
  const { checkpoint, base, top } = outcomes;
  views.changing = false;
  views.own = undefined;
  views.wish = state.view;
  views.top = top;
  views.outcomes.clear();
  views.contentAskMs = Infinity;
  views.contentAttempts = 0;
  views.peaceSinceMs = state.timerMs;
  resetRounds(state.slots, state.view);
  if (checkpoint !== undefined) adoptStable(state, checkpoint);
  for (const outcome of outcomes.outcomes) {
    if (outcome.slot > state.checkpoints.stable.slot) views.outcomes.set(outcome.slot, outcome);
  }
  state.lastVoted = base;
  // What was named beyond the top in lower views is nothing that anybody has to decide.
  state.highestKnown = Math.max(state.executed.slot, top);
  for (const peer of state.peers) peer.namedSlot = state.highestKnown;
  state.path.slowStreak = Math.max(0, state.limits.slowModeAfterSlots - 1);
  const { uncutSinceMs } = state.suspicion;
  resetSuspicion(state);
  resetLeader(state, uncutSinceMs !== Infinity);
}
