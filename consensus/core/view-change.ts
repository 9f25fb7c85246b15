/**
 * What a NEW-VIEW means: the outcome of every slot, recomputed by everybody from the same q VIEW-CHANGEs.
 * Pure. Rules W4 and W5, with the proof, in docs/protocol.md.
 */
import { equalBytes } from './bytes.ts';
import { faultsTolerated } from './quorum.ts';
import type {
  CheckpointCertificate,
  Digest24,
  ReplicaIndex,
  Slot,
  SlotReport,
  View,
  ViewChange,
} from './types.ts';

export interface Outcome {
  readonly slot: Slot;
  /** Undefined: null. */
  readonly digest: Digest24 | undefined;
  /** Who named the digest: correct ones among them hold its content. */
  readonly reporters: readonly ReplicaIndex[];
}

export interface Outcomes {
  /** The highest checkpoint that any of them shows; undefined: the run's beginning. */
  readonly checkpoint: CheckpointCertificate | undefined;
  /** Its slot. */
  readonly base: Slot;
  /** Last slot that anybody reports, or `base`. Slots beyond are free. */
  readonly top: Slot;
  /** Of the slots base + 1 to top, in order. */
  readonly outcomes: readonly Outcome[];
}

interface Reported {
  readonly signer: ReplicaIndex;
  readonly report: SlotReport;
}

/** `changes` are valid, by distinct signers, m = q of them; `beginning` is the slot before the run's first. */
export function outcomesOf(
  changes: readonly ViewChange[],
  replicas: number,
  beginning: Slot,
): Outcomes {
  const checkpoint = highestCheckpoint(changes);
  const base = checkpoint?.state.slot ?? beginning;
  const bySlot = new Map<Slot, Reported[]>();
  let top = base;
  for (const { signer, reports } of changes) {
    for (const report of reports) {
      if (report.slot <= base) continue;
      top = Math.max(top, report.slot);
      const reported = bySlot.get(report.slot);
      if (reported === undefined) bySlot.set(report.slot, [{ signer, report }]);
      else reported.push({ signer, report });
    }
  }
  // m - f: two digests cannot both have so many, and f liars cannot make it (2f < m, f < m - f).
  const threshold = changes.length - faultsTolerated(replicas);
  const outcomes: Outcome[] = [];
  for (let slot = base + 1; slot <= top; slot++) {
    outcomes.push(outcomeOf(slot, bySlot.get(slot) ?? [], threshold));
  }
  return { checkpoint, base, top, outcomes };
}

function highestCheckpoint(changes: readonly ViewChange[]): CheckpointCertificate | undefined {
  let highest: CheckpointCertificate | undefined;
  for (const { checkpoint } of changes) {
    if (checkpoint === undefined) continue;
    if (highest === undefined || checkpoint.state.slot > highest.state.slot) highest = checkpoint;
  }
  return highest;
}

function outcomeOf(slot: Slot, reported: readonly Reported[], threshold: number): Outcome {
  const certificate = highestCertificate(reported);
  const certificateView = certificate?.view ?? -1;
  const digest = votedDigest(reported, certificateView, threshold) ?? certificate?.digest;
  const reporters =
    digest === undefined
      ? []
      : reported.filter(({ report }) => names(report, digest)).map(({ signer }) => signer);
  return { slot, digest, reporters };
}

function highestCertificate(
  reported: readonly Reported[],
): { readonly view: View; readonly digest: Digest24 } | undefined {
  let highest: { readonly view: View; readonly digest: Digest24 } | undefined;
  for (const { report } of reported) {
    const { prepared } = report;
    if (prepared === undefined) continue;
    if (highest === undefined || prepared.view > highest.view) highest = prepared;
  }
  return highest;
}

/** The digest that at least `threshold` votes of views above `certificateView` name. */
function votedDigest(
  reported: readonly Reported[],
  certificateView: number,
  threshold: number,
): Digest24 | undefined {
  for (const { report } of reported) {
    const digest = report.vote?.digest;
    if (digest === undefined) continue;
    let votes = 0;
    for (const { report: other } of reported) {
      const { vote } = other;
      if (vote === undefined || vote.view <= certificateView) continue;
      if (equalBytes(vote.digest, digest)) votes++;
    }
    if (votes >= threshold) return digest;
  }
  return undefined;
}

function names(report: SlotReport, digest: Digest24): boolean {
  const { vote, prepared } = report;
  return (
    (vote !== undefined && equalBytes(vote.digest, digest)) ||
    (prepared !== undefined && equalBytes(prepared.digest, digest))
  );
}
