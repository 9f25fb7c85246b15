/** Lies that come to nothing as long as one certain check is there: what others signed, bent; what nobody signed. */
import type {
  Prepare,
  PreparedCertificate,
  Proposal,
  SlotReport,
  ViewChange,
} from '../../../consensus/core/index.ts';
import { leaderOf } from '../../../consensus/core/index.ts';
import { type Means, others, randomBytes, type Strategy } from './strategy.ts';
import { signChange } from './views.ts';

const KEPT_MAX = 64;

/** Reports votes for contents that nobody was shown, of the newest view; hands them out to whoever believes it. */
export function otherContents(means: Means): Strategy {
  const invented = new Map<string, Proposal>();
  const other = (report: SlotReport, below: number): SlotReport => {
    const state = means.state();
    const record = state?.slots.records.find((one) => one?.slot === report.slot);
    const proposal = record?.vote?.proposal;
    if (state === undefined || proposal === undefined) return report;
    const lie = { ...proposal, timeMs: proposal.timeMs + 1 };
    const digest = state.digests.proposal(lie);
    if (invented.size > KEPT_MAX) invented.clear();
    invented.set(Buffer.from(digest).toString('hex'), lie);
    return { slot: report.slot, vote: { view: below - 1, digest }, prepared: undefined };
  };
  return {
    hear(input) {
      if (input.kind !== 'message' || input.message.kind !== 'fetch-proposal') return;
      const proposal = invented.get(Buffer.from(input.message.digest).toString('hex'));
      if (proposal !== undefined) means.say.message(input.from, { kind: 'proposal', proposal });
    },
    message(message) {
      if (message.kind !== 'view-change') return message;
      const { signature: _signature, ...body } = message.viewChange;
      const reports = body.reports.map((report) => other(report, body.view));
      const viewChange = signChange(means, { ...body, reports });
      return viewChange === undefined ? message : { ...message, viewChange };
    },
  };
}

/** As a leader it thinks better of what it has proposed. */
export function secondThoughts({ random, say }: Means): Strategy {
  return {
    cell(cell, to) {
      if (cell.kind !== 'proposal' || random.chance(0.5)) return cell;
      const { proposal } = cell;
      say.cell(to, { ...cell, proposal: { ...proposal, timeMs: proposal.timeMs + 1 } });
      return cell;
    },
  };
}

/** Leads views by NEW-VIEWs of VIEW-CHANGEs that nobody sent: everything is forgotten. */
export function forgedNewViews(means: Means): Strategy {
  return {
    act() {
      const state = means.state();
      if (state === undefined || means.random.chance(0.7)) return;
      const { replicas, quorum, self, random, sign, say } = means;
      let view = state.view + 1;
      while (leaderOf(view, replicas) !== self) view++;
      const signers = random.shuffled(Array.from({ length: replicas }, (_, index) => index));
      const changes: ViewChange[] = signers
        .slice(0, quorum)
        .sort((a, b) => a - b)
        .map((signer) => {
          const lives = [...state.lives];
          const body = { view, signer, lives, checkpoint: undefined, reports: [] };
          return { ...body, signature: randomBytes(random, 64) };
        });
      const body = { view, changes };
      const newView = { ...body, signature: sign(state.digests.newView(body)) };
      for (const to of others(means)) say.message(to, { kind: 'new-view', newView });
    },
  };
}

/** Keeps all PREPAREs, and shows the certificates that they make as if they were of a later view. */
export function liftedCertificates(means: Means): Strategy {
  /** By slot, view and digest: by signer. */
  const prepares = new Map<string, Map<number, Prepare>>();
  const keep = (prepare: Prepare): void => {
    const key = `${prepare.slot}/${prepare.view}/${Buffer.from(prepare.digest).toString('hex')}`;
    const known = prepares.get(key) ?? new Map<number, Prepare>();
    prepares.set(key, known.set(prepare.signer, prepare));
    const [oldest] = prepares.keys();
    if (prepares.size > 4 * KEPT_MAX && oldest !== undefined) prepares.delete(oldest);
  };
  const lifted = (report: SlotReport, below: number): SlotReport => {
    const view = below - 1;
    const found: PreparedCertificate[] = [];
    for (const known of prepares.values()) {
      const list = [...known.values()].sort((a, b) => a.signer - b.signer);
      const [first] = list;
      if (first?.slot !== report.slot || list.length < means.quorum || first.view >= view) continue;
      const signatures = list.slice(0, means.quorum);
      found.push({ view, slot: report.slot, digest: first.digest, signatures });
    }
    const isOther = ({ digest }: PreparedCertificate): boolean =>
      report.prepared !== undefined && Buffer.compare(digest, report.prepared.digest) !== 0;
    const prepared = found.find(isOther) ?? found[0];
    return prepared === undefined ? report : { ...report, prepared };
  };
  return {
    hear(input) {
      if (input.kind === 'message' && input.message.kind === 'prepare') keep(input.message.prepare);
    },
    message(message) {
      if (message.kind === 'prepare') keep(message.prepare);
      if (message.kind !== 'view-change') return message;
      const { signature: _signature, ...body } = message.viewChange;
      const reports = body.reports.map((report) => lifted(report, body.view));
      const viewChange = signChange(means, { ...body, reports });
      return viewChange === undefined ? message : { ...message, viewChange };
    },
  };
}
