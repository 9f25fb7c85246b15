/**
 * Where does a run begin? A pure decision over what the replicas report of their ledgers.
 *
 * Why it is safe (docs/protocol.md, "Start"): a certified block is stored at q replicas, so in every set of
 * q reports at least one correct replica holds it. A block above the certified ones counts when f + 1
 * replicas report the same hash (one of them is correct and saw it decided). A block that fewer report is
 * dropped only when all n have reported: then no certificate for it can exist. Two replicas that still
 * begin from different blocks have different run ids, cannot read each other's cells, and so cannot order.
 */
import { faultsOf, quorumOf } from '../../ledger/format/index.ts';

export interface TailBlock {
  readonly number: number;
  /** Header hash, lower-case hex. */
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
}

export function decideStart(view: StartView): StartDecision {
  return (
    joinRunning(view) ??
    fetchCertified(view) ??
    fetchVouched(view) ??
    settleTail(view) ??
    startWhenEqual(view)
  );
}

function reports(view: StartView): LedgerReport[] {
  return view.peers.filter((report) => report !== undefined);
}

function joinRunning(view: StartView): StartDecision | undefined {
  const counts = new Map<string, number>();
  for (const { base } of reports(view)) {
    if (base === undefined) continue;
    const key = `${base.height}/${base.tipHash}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const ownKey = `${view.self.storedHeight}/${view.self.tipHash}`;
  for (const [key, count] of counts) {
    if (count <= faultsOf(view.replicas)) continue;
    if (key === ownKey) return { kind: 'start' };
    const fetch = fetchCertified(view);
    if (fetch !== undefined && Number(key.split('/')[0]) > view.self.storedHeight) return fetch;
    return {
      kind: 'follow',
      reason:
        'the other replicas are running: a replica that restarts alone follows their chain and can serve ' +
        'reads, but takes part in ordering again only when all replicas restart',
    };
  }
  return undefined;
}

function fetchCertified(view: StartView): StartDecision | undefined {
  let best: { peer: number; height: number } | undefined;
  for (const [peer, report] of view.peers.entries()) {
    if (report === undefined || report.certifiedHeight <= view.self.certifiedHeight) continue;
    if (best === undefined || report.certifiedHeight > best.height) {
      best = { peer, height: report.certifiedHeight };
    }
  }
  if (best === undefined) return undefined;
  return { kind: 'fetch', peer: best.peer, fromNumber: view.self.certifiedHeight };
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
    const [peer] = peers;
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

function startWhenEqual(view: StartView): StartDecision {
  const { self } = view;
  const known = reports(view);
  const ahead = known.find((report) => report.storedHeight > self.storedHeight);
  if (ahead !== undefined) {
    return { kind: 'wait', reason: `another replica holds block ${ahead.storedHeight - 1}` };
  }
  const equal =
    1 +
    known.filter((r) => r.storedHeight === self.storedHeight && r.tipHash === self.tipHash).length;
  if (equal === view.replicas) return { kind: 'start' };
  if (equal >= quorumOf(view.replicas) && view.graceOver) return { kind: 'start' };
  return {
    kind: 'wait',
    reason: `${equal} of ${view.replicas} replicas are ready at block ${self.storedHeight - 1}`,
  };
}
