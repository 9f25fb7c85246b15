/** Lies between views: VIEW-CHANGEs that leave out or invent, NEW-VIEWs for each his own, wishes for any view. */
import type { NewView, SlotReport, View, ViewChange } from '../../../consensus/core/index.ts';
import { leaderOf } from '../../../consensus/core/index.ts';
import { type Means, others, randomBytes, type Strategy } from './strategy.ts';

type ChangeBody = Omit<ViewChange, 'signature'>;

/** Says in its VIEW-CHANGE whatever may bring another outcome; each time, and to each peer, something else perhaps. */
export function lyingChanges(means: Means): Strategy {
  const { random } = means;
  return {
    message(message) {
      if (message.kind !== 'view-change' || random.chance(0.2)) return message;
      const viewChange = signChange(means, lieAbout(means, message.viewChange));
      return viewChange === undefined ? message : { ...message, viewChange };
    },
  };
}

export function signChange(means: Means, body: ChangeBody): ViewChange | undefined {
  const digests = means.state()?.digests;
  if (digests === undefined) return undefined;
  return { ...body, signature: means.sign(digests.viewChange(body)) };
}

function lieAbout(means: Means, change: ViewChange): ChangeBody {
  const { random, heard } = means;
  const { signature: _signature, ...body } = change;
  const roll = random.next();
  if (roll < 0.15) return { ...body, reports: [] };
  if (roll < 0.3) return { ...body, checkpoint: undefined };
  if (roll < 0.4 && heard.checkpoints.length > 0) {
    return { ...body, checkpoint: random.pick(heard.checkpoints) };
  }
  return {
    ...body,
    reports: change.reports.map((report) => lieAboutSlot(means, report, change.view)),
  };
}

function lieAboutSlot(means: Means, report: SlotReport, below: View): SlotReport {
  const { random, heard, conspiracy } = means;
  const roll = random.next();
  const vote = (digest: Uint8Array) => ({ view: random.below(Math.max(1, below)), digest });
  if (roll < 0.2) return { ...report, vote: vote(randomBytes(random, 24)) };
  if (roll < 0.45 && report.vote !== undefined) {
    const face = conspiracy.faceOf(report.vote.digest);
    if (face !== undefined) return { ...report, vote: { view: below - 1, digest: face.digest } };
  }
  if (roll < 0.6 && report.vote !== undefined)
    return { slot: report.slot, vote: report.vote, prepared: undefined };
  if (roll < 0.7 && report.prepared !== undefined) {
    return { slot: report.slot, vote: undefined, prepared: report.prepared };
  }
  const older = heard.prepared.filter(({ slot, view }) => slot === report.slot && view < below);
  if (older.length === 0) return report;
  const prepared = random.pick(older);
  if (roll < 0.8) return { ...report, prepared };
  // Not what its signers have signed.
  if (roll < 0.9) return { ...report, prepared: { ...prepared, view: below - 1 } };
  const digest = conspiracy.faceOf(prepared.digest)?.digest ?? randomBytes(random, 24);
  return { ...report, prepared: { ...prepared, view: below - 1, digest } };
}

/** Only in its VIEW-CHANGEs: the face that the other side was shown, as if it had voted for nothing else. */
export function reportsOtherFace(means: Means): Strategy {
  const { conspiracy } = means;
  return {
    message(message) {
      if (message.kind !== 'view-change') return message;
      const { signature: _signature, ...body } = message.viewChange;
      const reports = body.reports.map((report) => {
        const face = report.vote && conspiracy.faceOf(report.vote.digest);
        if (report.vote === undefined || face === undefined) return report;
        return {
          ...report,
          vote: { view: body.view - 1, digest: face.digest },
          prepared: undefined,
        };
      });
      const viewChange = signChange(means, { ...body, reports });
      return viewChange === undefined ? message : { ...message, viewChange };
    },
  };
}

/** As the leader of a view that begins: another choice of q VIEW-CHANGEs for each peer, its own lies among them. */
export function splitNewViews(means: Means): Strategy {
  const { random, say } = means;
  return {
    message(message) {
      if (message.kind !== 'new-view' || random.chance(0.2)) return message;
      const newView = anotherNewView(means, message.newView.view);
      return newView === undefined ? message : { ...message, newView };
    },
    act() {
      const state = means.state();
      if (state === undefined) return;
      // Of any view that it may lead and has heard enough for, entered by others or not.
      const view = random.pick([state.view, state.view + 1, state.views.wish]);
      if (leaderOf(view, means.replicas) !== means.self || random.chance(0.7)) return;
      const newView = anotherNewView(means, view);
      if (newView === undefined) return;
      for (const to of others(means)) {
        if (random.chance(0.6)) say.message(to, { kind: 'new-view', newView });
      }
    },
  };
}

function anotherNewView(means: Means, view: View): NewView | undefined {
  const { random, heard, self, quorum } = means;
  const bySigner = new Map<number, ViewChange[]>();
  for (const change of [...heard.changes, ...heard.ownChanges]) {
    if (change.view !== view) continue;
    const list = bySigner.get(change.signer);
    if (list === undefined) bySigner.set(change.signer, [change]);
    else list.push(change);
  }
  const own = bySigner.get(self)?.at(-1);
  if (own !== undefined) {
    const lie = signChange(means, lieAbout(means, own));
    if (lie !== undefined) bySigner.set(self, [own, lie]);
  }
  if (bySigner.size < quorum) return undefined;
  const signers = random
    .shuffled([...bySigner.keys()])
    .slice(0, quorum)
    .sort((a, b) => a - b);
  const changes = signers.map((signer) => {
    const change = random.pick(bySigner.get(signer) as ViewChange[]);
    // Words that are put into another's mouth, without its signature.
    return random.chance(0.05)
      ? { ...lieAbout(means, change), signature: change.signature }
      : change;
  });
  const digests = means.state()?.digests;
  if (digests === undefined) return undefined;
  const body = { view, changes };
  return { ...body, signature: means.sign(digests.newView(body)) };
}

/** Wishes for views near and far, claims to be in them, asks to leave them one after the other. */
export function absurdWishes(means: Means): Strategy {
  const { random } = means;
  return {
    cell(cell) {
      if (cell.kind !== 'progress' || random.chance(0.4)) return cell;
      const leap = random.pick([1, 1, 2, 7, 1_000, 2 ** 31, 2 ** 32 - 1 - cell.view]);
      const wish = Math.min(2 ** 32 - 1, cell.view + leap);
      const view = random.chance(0.3) ? wish : cell.view;
      return { ...cell, wish, view, changing: random.chance(0.5) };
    },
    act() {
      const { say, replicas, self } = means;
      const state = means.state();
      if (state === undefined) return;
      const view = state.view + random.integer(1, 3);
      const { lives } = state;
      const body = { view, signer: self, checkpoint: undefined, reports: [], lives: [...lives] };
      const viewChange = signChange(means, body);
      if (viewChange === undefined) return;
      const to = random.below(replicas);
      if (to !== self) say.message(to, { kind: 'view-change', viewChange });
    },
  };
}

/** Says again what others said once: their VIEW-CHANGEs and NEW-VIEWs, true when they were signed. */
export function staleViews(means: Means): Strategy {
  const { random, heard, say, self, replicas } = means;
  return {
    act() {
      const to = random.below(replicas);
      if (to === self) return;
      if (heard.newViews.length > 0 && random.chance(0.5)) {
        say.message(to, { kind: 'new-view', newView: random.pick(heard.newViews) });
      }
      if (heard.changes.length > 0) {
        say.message(to, { kind: 'view-change', viewChange: random.pick(heard.changes) });
      }
      if (heard.ownChanges.length > 0) {
        say.message(to, { kind: 'view-change', viewChange: random.pick(heard.ownChanges) });
      }
    },
  };
}
