/**
 * A plot in three acts. As leader it shows a few another content than the rest, and helps the rest to a certificate: all
 * of them, or just one. Then it falls silent, so that the view changes. In its VIEW-CHANGE it stands to the content of the
 * few; later, when something else has been decided perhaps, to the certificate that it kept. Whatever was decided, or may
 * have been, must survive.
 */
import type { Digest24, PreparedCertificate, SlotReport } from '../../../consensus/core/index.ts';
import { leaderOf } from '../../../consensus/core/index.ts';
import { signPrepare } from './agreement.ts';
import type { SecondFace } from './conspiracy.ts';
import { type Means, others, randomBytes, type Strategy } from './strategy.ts';
import { signChange } from './views.ts';

/** How a plot of one view goes. */
interface Plot {
  readonly view: number;
  /** Shown the second face: so many that the others, liars included, are just a quorum. */
  readonly few: ReadonlySet<number>;
  /** Get its PREPAREs, and so a certificate. */
  readonly helped: ReadonlySet<number>;
  /** Get its votes: nobody else can decide fast. */
  readonly reached: ReadonlySet<number>;
  /** When it says nothing any more as a leader. */
  silentFromMs: number;
}

const KEPT_MAX = 64;
const SILENT_AFTER_MS = [20, 100, 400];

export function betrayal(means: Means): Strategy {
  const { random, self, replicas, quorum, conspiracy } = means;
  let plot: Plot | undefined;
  /** The first of each slot. */
  const kept = new Map<number, PreparedCertificate>();
  const draw = (view: number): Plot => {
    const honest = random.shuffled(others(means).filter((peer) => !conspiracy.isLiar(peer)));
    const few = new Set(honest.slice(0, replicas - quorum));
    const rest = others(means).filter((peer) => !few.has(peer));
    const helped = new Set(random.chance(0.5) ? rest : [random.pick(rest)]);
    const reached = random.pick([helped, new Set(rest), new Set<number>()]);
    // Sometimes nobody is shown anything else, so that one alone may decide fast.
    if (random.chance(0.3)) few.clear();
    return { view, few, helped, reached, silentFromMs: Infinity };
  };
  const plotOf = (view: number): Plot => {
    if (plot?.view !== view) plot = draw(view);
    return plot;
  };
  const shown = (digest: Digest24, few: boolean): Digest24 =>
    (few ? conspiracy.faceOf(digest)?.digest : undefined) ?? digest;
  const isSilent = (one: Plot): boolean =>
    leaderOf(one.view, replicas) === self && means.nowMs() >= one.silentFromMs;
  const noteSaid = (one: Plot): void => {
    if (one.silentFromMs === Infinity) {
      one.silentFromMs = means.nowMs() + random.pick(SILENT_AFTER_MS);
    }
  };
  return {
    cell(cell, to) {
      const current = plotOf(cell.view);
      // Its COMMITs go on, or hardly anything would be decided that the few were not shown.
      if (isSilent(current) && cell.kind !== 'commit') return undefined;
      if (cell.kind === 'progress') return cell;
      const few = current.few.has(to);
      if (cell.kind === 'proposal') {
        const face = faceFor(means, cell.proposal);
        return few && face !== undefined ? { ...cell, proposal: face.proposal } : cell;
      }
      if (cell.kind === 'vote') {
        noteSaid(current);
        if (!current.reached.has(to) && !few) return undefined;
      }
      return { ...cell, digest: shown(cell.digest, few) };
    },
    message(message, to) {
      if (message.kind === 'prepare') {
        const current = plotOf(message.prepare.view);
        if (!current.helped.has(to) && !current.few.has(to)) return undefined;
        const digest = shown(message.prepare.digest, current.few.has(to));
        const prepare = signPrepare(means, message.prepare, digest);
        return prepare === undefined ? message : { ...message, prepare };
      }
      if (message.kind !== 'view-change') return message;
      const { signature: _signature, ...body } = message.viewChange;
      // One forged certificate makes the whole message invalid: all are, or none.
      const forging = random.chance(0.3);
      const reports = body.reports.map((report) => {
        const old = kept.get(report.slot);
        if (old !== undefined && old.view < body.view - 1) {
          const { view, digest } = old;
          return { slot: report.slot, vote: { view, digest }, prepared: old };
        }
        if (report.prepared !== undefined) kept.set(report.slot, report.prepared);
        return forging ? forged(means, report, body.view) : otherFace(means, report, body.view);
      });
      while (kept.size > KEPT_MAX) kept.delete(kept.keys().next().value as number);
      const viewChange = signChange(means, { ...body, reports });
      return viewChange === undefined ? message : { ...message, viewChange };
    },
  };
}

function faceFor(
  { conspiracy, state }: Means,
  proposal: SecondFace['proposal'],
): SecondFace | undefined {
  const digests = state()?.digests;
  if (digests === undefined) return undefined;
  const digest = digests.proposal(proposal);
  const known = conspiracy.faceOf(digest);
  if (known !== undefined) return known;
  const other = { ...proposal, timeMs: proposal.timeMs + 1 };
  const face = { proposal: other, digest: digests.proposal(other) };
  conspiracy.addFace(digest, face);
  return face;
}

/** A certificate for the content of the few, which nobody signed. */
function forged(
  { conspiracy, quorum, random }: Means,
  report: SlotReport,
  below: number,
): SlotReport {
  const face = report.vote && conspiracy.faceOf(report.vote.digest);
  if (face === undefined) return report;
  const view = below - 1;
  const { slot } = report;
  const { digest } = face;
  const signatures = Array.from({ length: quorum }, (_, signer) => ({
    signer,
    signature: randomBytes(random, 64),
  }));
  return { slot, vote: { view, digest }, prepared: { view, slot, digest, signatures } };
}

function otherFace({ conspiracy }: Means, report: SlotReport, below: number): SlotReport {
  const face = report.vote && conspiracy.faceOf(report.vote.digest);
  if (report.vote === undefined || face === undefined) return report;
  return { slot: report.slot, vote: { view: below - 1, digest: face.digest }, prepared: undefined };
}
