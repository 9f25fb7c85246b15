/**
 * Which run does a replica take part in, and from where? A pure decision over what the replicas report of their
 * ledgers and runs.
 *
 * Rules B2 to B11 and why they are safe: docs/protocol.md, "Start". In short: reports are claims, and up to f of
 * them lie. A claim alone may cost a fetch, never the start: a certified block proves itself, an uncertified
 * one counts when f + 1 report it, and q replicas that stand at the same block, having promised to take part in no
 * earlier run any more, may begin a new one there whatever the others claim.
 */
import { faultsOf, quorumOf } from '../../ledger/format/index.ts';

export interface TailBlock {
  readonly number: number;
  /** SHA-256 of header hash and certificate value, hex: what the block's signatures will cover. */
  readonly hash: string;
}

/** What a run is named by: the block that it began from, and a number that no two runs share (B7). */
export interface RunKey {
  /** Blocks of the chain that it began from. */
  readonly height: number;
  /** Header hash of the last of them, hex. */
  readonly tipHash: string;
  readonly generation: number;
}

export interface LedgerReport {
  readonly storedHeight: number;
  readonly certifiedHeight: number;
  /** Hash of the newest stored block. */
  readonly tipHash: string;
  /** Stored blocks that have no certificate yet, oldest first; while it runs, those below the run's first only. */
  readonly tail: readonly TailBlock[];
  /** The run that it takes part in; `mute`: as one that has joined and does not vote yet. */
  readonly base: (RunKey & { readonly mute: boolean }) | undefined;
  /** It stands at its newest block, ready to begin in this generation, and will take part in none below (B5). */
  readonly ready: number | undefined;
}

/** What this replica knows of its own past (run-record.ts). */
export interface StartMemory {
  /** False: there is no record, so the replica may have forgotten anything. */
  readonly intact: boolean;
  /** Where it was ready last; it takes part in no run of a lower generation. */
  readonly promised: RunKey | undefined;
  /** The run that it took part in last. Never of a higher generation than what was promised. */
  readonly run: RunKey | undefined;
}

export type StartDecision =
  | { readonly kind: 'wait'; readonly reason: string }
  | { readonly kind: 'fetch'; readonly peer: number; readonly fromNumber: number }
  | { readonly kind: 'truncate'; readonly toHeight: number }
  /** To be on disk before it is reported. */
  | { readonly kind: 'promise'; readonly generation: number }
  /** `join`: it may have voted in that run and does not know it any more. */
  | { readonly kind: 'enter'; readonly run: RunKey; readonly entry: 'begin' | 'join' }
  /** Certified blocks of this replica contradict what f + 1 others run from. */
  | { readonly kind: 'conflict'; readonly reason: string };

export interface StartView {
  readonly replicas: number;
  readonly self: LedgerReport;
  readonly memory: StartMemory;
  /** Newest report per peer index; undefined: none, or not connected. The own index is undefined. */
  readonly peers: readonly (LedgerReport | undefined)[];
  /** `blockKey`s of the blocks that peers run from and that this replica has. */
  readonly held: ReadonlySet<string>;
  /** The time to wait for all n before q are enough has passed. */
  readonly graceOver: boolean;
  /** Time again to follow a single peer to a higher generation. */
  readonly mayRaise: boolean;
  /** Peers whose last answer to a fetch was late, empty or refused: not asked for a while (B2). */
  readonly setAside?: ReadonlySet<number>;
  /** Peer that was asked last; the others that claim to have more are asked before it is again. */
  readonly lastAsked?: number | undefined;
}

/** How far a claim moves the generation at a time: a lie must not use the numbers up. */
const RAISE_MAX = 1_024;

export function decideStart(view: StartView): StartDecision {
  const running = runToEnter(view);
  if (running !== undefined) return approach(view, running.run, running.entry);
  return (
    (view.graceOver ? standWithOthers(view) : undefined) ??
    fetchCertified(view) ??
    fetchVouched(view) ??
    settleTail(view) ??
    standWithOthers(view) ?? {
      kind: 'wait',
      reason: `${equalReplicas(view)} of ${view.replicas} replicas are ready at block ${view.self.storedHeight - 1}`,
    }
  );
}

/** Why a replica that runs should leave its run and start again; undefined while it should not (B10, B11). */
export function reasonToLeave(view: StartView): string | undefined {
  const own = view.self.base;
  if (own === undefined) return undefined;
  const newer = runsOfOthers(view).find(({ generation }) => generation > own.generation);
  if (newer !== undefined) {
    return `others run generation ${newer.generation} from block ${newer.height - 1}, this replica generation ${own.generation}`;
  }
  const mute = reports(view).filter(({ base }) => base?.mute === true && sameRun(base, own)).length;
  const mutes = mute + (own.mute ? 1 : 0);
  if (mutes <= view.replicas - quorumOf(view.replicas)) return undefined;
  return `${mutes} of ${view.replicas} replicas have lost the memory of this run: the others are too few to decide`;
}

export function blockKey({ height, tipHash }: Pick<RunKey, 'height' | 'tipHash'>): string {
  return `${height}/${tipHash}`;
}

export function sameRun(left: RunKey | undefined, right: RunKey | undefined): boolean {
  return left !== undefined && right !== undefined && runKey(left) === runKey(right);
}

function runKey(run: RunKey): string {
  return `${blockKey(run)}/${run.generation}`;
}

function reports(view: StartView): LedgerReport[] {
  return view.peers.filter((report) => report !== undefined);
}

/** Runs that f + 1 others say they take part in, the newest first. */
function runsOfOthers(view: StartView): RunKey[] {
  const counts = new Map<string, { readonly run: RunKey; count: number }>();
  for (const { base } of reports(view)) {
    if (base === undefined) continue;
    const { height, tipHash, generation } = base;
    const run = { height, tipHash, generation };
    const entry = counts.get(runKey(run)) ?? { run, count: 0 };
    entry.count++;
    counts.set(runKey(run), entry);
  }
  return [...counts.values()]
    .filter(({ count }) => count > faultsOf(view.replicas))
    .map(({ run }) => run)
    .sort((left, right) => right.generation - left.generation);
}

/** B9: the newest run of the others that its promises leave open. */
function runToEnter(
  view: StartView,
): { readonly run: RunKey; readonly entry: 'begin' | 'join' } | undefined {
  const { memory } = view;
  for (const run of runsOfOthers(view)) {
    const promised = memory.promised?.generation ?? 0;
    if (run.generation < promised) return undefined;
    if (run.generation === promised && !sameRun(run, memory.promised)) continue;
    const isNew = memory.intact && run.generation > (memory.run?.generation ?? 0);
    return { run, entry: isNew ? 'begin' : 'join' };
  }
  return undefined;
}

/** Gets the block that the run began from, and enters it. */
function approach(view: StartView, run: RunKey, entry: 'begin' | 'join'): StartDecision {
  const { storedHeight, certifiedHeight } = view.self;
  const { height } = run;
  if (view.held.has(blockKey(run))) {
    // Its own, from an older run than theirs, which began below: never certified (B4).
    const isAlien = storedHeight > height && certifiedHeight <= height;
    if (isAlien && !sameRun(run, view.memory.run)) return { kind: 'truncate', toHeight: height };
    return { kind: 'enter', run, entry };
  }
  if (certifiedHeight >= height) {
    const reason = `f + 1 other replicas run from another block ${height - 1} than the certified one in this ledger`;
    return { kind: 'conflict', reason };
  }
  if (storedHeight >= height) return { kind: 'truncate', toHeight: height - 1 };
  return (
    fetchCertified(view) ??
    fetchVouched(view) ?? {
      kind: 'wait',
      reason: `the others run from block ${height - 1}; waiting for the blocks up to it`,
    }
  );
}

/** The peer to ask: one that claims certified blocks which this replica lacks (B2). */
function fetchCertified(view: StartView): StartDecision | undefined {
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

/** B3. */
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

/** B4: own blocks above the certified ones that too few others hold. */
function settleTail(view: StartView): StartDecision | undefined {
  for (const block of view.self.tail) {
    const held = vouchers(view, block.number, block.hash).length + 1;
    if (held > faultsOf(view.replicas)) continue;
    const others = reports(view);
    // One that runs may store the block yet.
    if (others.length === view.replicas - 1 && others.every(({ base }) => base === undefined)) {
      return { kind: 'truncate', toHeight: block.number };
    }
    return {
      kind: 'wait',
      reason: `block ${block.number} is known to this replica alone; waiting for all replicas to report`,
    };
  }
  return undefined;
}

/** Stands exactly where this replica does, or began to run there. */
function standsHere(view: StartView, report: LedgerReport): boolean {
  const { self } = view;
  const here = blockKey({ height: self.storedHeight, tipHash: self.tipHash });
  if (report.base !== undefined) return !report.base.mute && blockKey(report.base) === here;
  const there = blockKey({ height: report.storedHeight, tipHash: report.tipHash });
  return there === here && self.tail.every((block) => holds(report, block));
}

/** Says that it has this block, or a certificate for that number (which B2 asks it to show). */
function holds(report: LedgerReport, block: TailBlock): boolean {
  if (report.certifiedHeight > block.number) return true;
  return report.tail.some(({ number, hash }) => number === block.number && hash === block.hash);
}

function equalReplicas(view: StartView): number {
  return 1 + reports(view).filter((report) => standsHere(view, report)).length;
}

/** B5 and B6: with all n, or after the time of grace with q. */
function standWithOthers(view: StartView): StartDecision | undefined {
  const { self, replicas } = view;
  const enough = view.graceOver ? quorumOf(replicas) : replicas;
  if (equalReplicas(view) < enough) return undefined;
  const generation = generationToPromise(view);
  if (self.ready !== generation) return { kind: 'promise', generation };
  const ready = reports(view).filter(
    (report) => standsHere(view, report) && generationOf(report) === generation,
  );
  if (1 + ready.length >= enough) {
    const run = { height: self.storedHeight, tipHash: self.tipHash, generation };
    return { kind: 'enter', run, entry: 'begin' };
  }
  return {
    kind: 'wait',
    reason: `${1 + ready.length} of ${replicas} replicas are ready to begin at block ${self.storedHeight - 1}`,
  };
}

function generationOf({ base, ready }: LedgerReport): number | undefined {
  return base === undefined ? ready : base.generation;
}

/** The lowest that it has not used, or what f + 1 others, or now and then one, are ready for (B5). */
function generationToPromise(view: StartView): number {
  const { self, memory } = view;
  const { promised, run } = memory;
  const here = blockKey({ height: self.storedHeight, tipHash: self.tipHash });
  const unused =
    promised !== undefined && blockKey(promised) === here && !sameRun(promised, run)
      ? promised.generation
      : (promised?.generation ?? 0) + 1;
  const own = self.ready ?? unused;
  const claims = reports(view)
    .filter((report) => standsHere(view, report))
    .map((report) => generationOf(report) ?? 0)
    .sort((left, right) => right - left);
  const vouched = claims[faultsOf(view.replicas)] ?? 0;
  const highest = view.mayRaise || self.ready === undefined ? (claims[0] ?? 0) : 0;
  return Math.max(own, Math.min(Math.max(vouched, highest), own + RAISE_MAX));
}
