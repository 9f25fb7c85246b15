/**
 * Where does a run begin? A pure decision over what the replicas report of their ledgers.
 *
 * Rules B1 to B9 and why they are safe: docs/protocol.md, "Start". In short: reports are claims, and up to f of
 * them lie. A claim alone may cost a fetch, never the start: a certified block proves itself, an uncertified
 * one counts when f + 1 report it, and q replicas at the same block may begin there whatever the others claim,
 * because then no certificate of a later block can exist.
 */
import { faultsOf, quorumOf } from '../../ledger/format/index.ts';

export interface TailBlock {
  readonly number: number;
  /** SHA-256 of header hash and certificate value, hex: what the block's signatures will cover. */
  readonly hash: string;
}

export interface LedgerReport {
  readonly storedHeight: number;
  readonly certifiedHeight: number;
  /** Hash of the newest stored block. */
  readonly tipHash: string;
  /** Stored blocks that have no certificate yet, oldest first. */
  readonly tail: readonly TailBlock[];
  /** Where this replica's run began; undefined while it has not. */
  readonly base: { readonly height: number; readonly tipHash: string } | undefined;
}

export type StartDecision =
  | { readonly kind: 'wait'; readonly reason: string }
  | { readonly kind: 'fetch'; readonly peer: number; readonly fromNumber: number }
  | { readonly kind: 'truncate'; readonly toHeight: number }
  | { readonly kind: 'start' }
  /** The others run from an older block: this replica can follow their chain but not vote in this run. */
  | { readonly kind: 'follow'; readonly reason: string };

export interface StartView {
  readonly replicas: number;
  readonly self: LedgerReport;
  /** Newest report per peer index; undefined: none, or not connected. The own index is undefined. */
  readonly peers: readonly (LedgerReport | undefined)[];
  /** The time to wait for all n before q are enough has passed. */
  readonly graceOver: boolean;
  /** Peers whose last answer to a fetch was late, empty or refused: not asked for a while (B2). */
  readonly setAside?: ReadonlySet<number>;
  /** Peer that was asked last; the others that claim to have more are asked before it is again. */
  readonly lastAsked?: number | undefined;
  /** Block from which this replica last began a run, as `baseKey` (B8). */
  readonly lastBase?: string | undefined;
  /** Peers that have said, since this process began, that they are starting too (B8). */
  readonly seenStarting?: number;
}

export function decideStart(view: StartView): StartDecision {
  return (
    joinRunning(view) ??
    startWithQuorum(view) ??
    fetchCertified(view) ??
    fetchVouched(view) ??
    settleTail(view) ??
    startWithAll(view)
  );
}

/** The peer to follow the chain from: one that claims certified blocks which this replica lacks. */
export function fetchCertified(view: StartView): StartDecision | undefined {
  const claims: { readonly peer: number; readonly height: number }[] = [];
  for (const [peer, report] of view.peers.entries()) {
    if (report === undefined || view.setAside?.has(peer)) continue;
    if (report.certifiedHeight <= view.self.certifiedHeight) continue;
    claims.push({ peer, height: report.certifiedHeight });
  }
  const { lastAsked } = view;
  const next =
    lastAsked === undefined
      ? claims.reduce<(typeof claims)[0] | undefined>(
          (best, claim) => (best === undefined || claim.height > best.height ? claim : best),
          undefined,
        )
      : (claims.find(({ peer }) => peer > lastAsked) ?? claims[0]);
  if (next === undefined) return undefined;
  return { kind: 'fetch', peer: next.peer, fromNumber: view.self.certifiedHeight };
}

function reports(view: StartView): LedgerReport[] {
  return view.peers.filter((report) => report !== undefined);
}

const FOLLOW_REASON =
  'the other replicas are running: a replica that restarts alone follows their chain and can serve ' +
  'reads, but takes part in ordering again only when all replicas restart';

function joinRunning(view: StartView): StartDecision | undefined {
  const counts = new Map<string, number>();
  for (const { base } of reports(view)) {
    if (base === undefined) continue;
    const key = baseKey(base.height, base.tipHash);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const ownKey = baseKey(view.self.storedHeight, view.self.tipHash);
  for (const [key, count] of counts) {
    if (count <= faultsOf(view.replicas)) continue;
    if (key === ownKey && mayJoin(view, key)) return { kind: 'start' };
    const height = Number(key.split('/')[0]);
    const { storedHeight, certifiedHeight } = view.self;
    // From an older run than theirs, which began below: never certified (B4).
    if (view.lastBase !== key && certifiedHeight <= height && height < storedHeight) {
      return { kind: 'truncate', toHeight: height };
    }
    const fetch = fetchCertified(view);
    if (fetch !== undefined && height > storedHeight) return fetch;
    return { kind: 'follow', reason: FOLLOW_REASON };
  }
  return undefined;
}

/** B7 and B8: it never began a run from there, or so many restarted with it that the old run is over. */
function mayJoin(view: StartView, key: string): boolean {
  return view.lastBase !== key || 1 + (view.seenStarting ?? 0) >= quorumOf(view.replicas);
}

export function baseKey(height: number, tipHash: string): string {
  return `${height}/${tipHash}`;
}

/** Peers (and this replica, when it holds the block) that report this hash at this number. */
function vouchers(view: StartView, number: number, hash: string): number[] {
  const peers: number[] = [];
  for (const [peer, report] of view.peers.entries()) {
    if (report?.tail.some((block) => block.number === number && block.hash === hash)) {
      peers.push(peer);
    }
  }
  return peers;
}

function fetchVouched(view: StartView): StartDecision | undefined {
  const number = view.self.storedHeight;
  for (const report of reports(view)) {
    const block = report.tail.find((candidate) => candidate.number === number);
    if (block === undefined) continue;
    const peers = vouchers(view, number, block.hash);
    const peer = peers.find((candidate) => !view.setAside?.has(candidate));
    if (peers.length > faultsOf(view.replicas) && peer !== undefined) {
      return { kind: 'fetch', peer, fromNumber: number };
    }
  }
  return undefined;
}

/** Own blocks above the certified ones that too few others hold. */
function settleTail(view: StartView): StartDecision | undefined {
  for (const block of view.self.tail) {
    const held = vouchers(view, block.number, block.hash).length + 1;
    if (held > faultsOf(view.replicas)) continue;
    if (reports(view).length === view.replicas - 1) {
      return { kind: 'truncate', toHeight: block.number };
    }
    return {
      kind: 'wait',
      reason: `block ${block.number} is known to this replica alone; waiting for all replicas to report`,
    };
  }
  return undefined;
}

/** This replica and the peers that stand exactly where it does and do not run from elsewhere. */
function equalReplicas(view: StartView): number {
  const { self } = view;
  const ownKey = baseKey(self.storedHeight, self.tipHash);
  const equal = reports(view).filter(
    (report) =>
      baseKey(report.storedHeight, report.tipHash) === ownKey &&
      (report.base === undefined || baseKey(report.base.height, report.base.tipHash) === ownKey) &&
      self.tail.every((block) => holds(report, block)),
  );
  return 1 + equal.length;
}

/** Says that it has this block, or a certificate for that number (which B2 asks it to show). */
function holds(report: LedgerReport, block: TailBlock): boolean {
  if (report.certifiedHeight > block.number) return true;
  return report.tail.some(({ number, hash }) => number === block.number && hash === block.hash);
}

function startWithQuorum(view: StartView): StartDecision | undefined {
  if (!view.graceOver || equalReplicas(view) < quorumOf(view.replicas)) return undefined;
  return { kind: 'start' };
}

function startWithAll(view: StartView): StartDecision {
  const equal = equalReplicas(view);
  if (equal === view.replicas) return { kind: 'start' };
  return {
    kind: 'wait',
    reason: `${equal} of ${view.replicas} replicas are ready at block ${view.self.storedHeight - 1}`,
  };
}
