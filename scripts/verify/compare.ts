/**
 * Audits several sources of one chain at once. At each height the copies are compared; equal ones are audited once, as one lineage. A
 * source that differs gets a lineage of its own and joins again when its header equals the others': then, by the hashes, so does
 * all the history behind it.
 */
import { performance } from 'node:perf_hooks';
import { setImmediate } from 'node:timers/promises';
import { type Block, bytesEqual, encodeBlockHeader } from '../../ledger/format/index.ts';
import { type AuditDependencies, type BlockFinding, ChainAudit } from './audit.ts';
import type { Finding, FindingLog } from './findings.ts';
import { VERIFY_LIMITS, VERIFY_TIMES } from './limits.ts';
import { createNamedTxIds } from './named-ids.ts';
import { type Copy, SourceReader, type SourceSummary } from './reader.ts';
import type { BlockSource, Range } from './sources.ts';
import { createTxIdTable, type TxIdMemory } from './tx-ids.ts';

export interface Progress {
  readonly height: number;
  readonly blocks: number;
  readonly transactions: number;
}

export interface CompareOptions extends Range {
  readonly onProgress?: (progress: Progress) => void;
  /** Ends the audit early, with a finding that says so. */
  readonly signal?: AbortSignal | undefined;
}

export interface CompareResult {
  readonly sources: readonly SourceSummary[];
  /** Distinct blocks and transactions checked: copies count once. */
  readonly blocks: number;
  readonly transactions: number;
  /** Blocks of which the sources hold different, each valid, sets of signatures. */
  readonly blocksWithOtherCertificates: number;
  readonly firstDifference: Finding | undefined;
}

/** Sources that have agreed so far. */
interface Lineage {
  readonly audit: ChainAudit;
  members: readonly SourceReader[];
}

type Group = readonly [Copy, ...Copy[]];

function namesOf(copies: readonly Copy[]): string[] {
  return copies.map(({ reader }) => reader.source.name);
}

function sameContent(a: Block, b: Block): boolean {
  return (
    a.data.length === b.data.length &&
    bytesEqual(encodeBlockHeader(a.header), encodeBlockHeader(b.header)) &&
    a.data.every((entry, index) => bytesEqual(entry, b.data[index] as Uint8Array))
  );
}

function sameMetadata(a: Block, b: Block): boolean {
  return (
    a.metadata.length === b.metadata.length &&
    a.metadata.every((entry, index) => bytesEqual(entry, b.metadata[index] as Uint8Array))
  );
}

/** Groups of equal copies, the largest first: it keeps the lineage. */
function groupBy(copies: readonly Copy[], same: (a: Block, b: Block) => boolean): Group[] {
  const groups: [Copy, ...Copy[]][] = [];
  for (const copy of copies) {
    const group = groups.find(([first]) => same(first.block, copy.block));
    if (group === undefined) groups.push([copy]);
    else group.push(copy);
  }
  return groups.sort((a, b) => b.length - a.length);
}

/** Names the first part in which two blocks differ. */
export function describeDifference(a: Block, b: Block): string {
  if (a.header.number !== b.header.number) return 'the block number';
  if (!bytesEqual(a.header.previousHash, b.header.previousHash)) return 'the previous hash';
  const index = a.data.findIndex((entry, at) => {
    const other = b.data[at];
    return other === undefined || !bytesEqual(entry, other);
  });
  if (index >= 0 && index < b.data.length) return `transaction ${index}`;
  if (a.data.length !== b.data.length) {
    return `the number of transactions (${a.data.length} and ${b.data.length})`;
  }
  return 'the data hash';
}

async function withSources(
  findings: Promise<readonly BlockFinding[]>,
  sources: readonly string[],
): Promise<readonly Finding[]> {
  return (await findings).map((finding) => ({ ...finding, sources }));
}

function mergeLineages(lineages: readonly Lineage[]): Lineage[] {
  const merged: Lineage[] = [];
  for (const lineage of lineages) {
    const tip = lineage.audit.tipHash;
    const same = merged.find(({ audit }) => tip !== undefined && audit.tipHash === tip);
    if (same === undefined) merged.push(lineage);
    else same.members = [...same.members, ...lineage.members];
  }
  return merged;
}

/** By the index that names most, if any does. */
function txIdsOf(sources: readonly BlockSource[]): TxIdMemory {
  const [places] = sources
    .flatMap((source) => source.takePlaces?.() ?? [])
    .sort((a, b) => b.count - a.count);
  return places === undefined ? createTxIdTable() : createNamedTxIds(places);
}

class Comparison {
  readonly #log: FindingLog;
  #lineages: Lineage[];
  /** Findings that settle later, in block order. */
  readonly #backlog: Promise<readonly Finding[]>[] = [];
  readonly counts = { blocks: 0, transactions: 0, blocksWithOtherCertificates: 0 };
  firstDifference: Finding | undefined;

  constructor(readers: readonly SourceReader[], audit: ChainAudit, log: FindingLog) {
    this.#lineages = [{ audit, members: readers }];
    this.#log = log;
  }

  /** The copies at one height; sources that have none there are left out. */
  addHeight(copies: readonly Copy[], height: number): void {
    let otherCertificates = false;
    for (const lineage of [...this.#lineages]) {
      const own = copies.filter(({ reader }) => lineage.members.includes(reader));
      const [kept, ...parted] = groupBy(own, sameContent);
      if (kept === undefined) {
        lineage.audit.skip();
        continue;
      }
      // Before the audit moves on: who parts here has the history until now.
      const audits = parted.map((group) => this.#part(lineage, group));
      if (parted.length > 0) this.#reportDifference([kept, ...parted], height);
      for (const [position, group] of [kept, ...parted].entries()) {
        const audit = position === 0 ? lineage.audit : (audits[position - 1] as ChainAudit);
        if (this.#auditGroup(audit, group)) otherCertificates = true;
      }
    }
    if (otherCertificates) this.counts.blocksWithOtherCertificates++;
    this.#lineages = mergeLineages(this.#lineages);
  }

  /** No source has these blocks. */
  skip(): void {
    for (const { audit } of this.#lineages) audit.skip();
  }

  /** Waits until the findings of all but the last `entriesMax` checks are in the log. */
  async drain(entriesMax: number): Promise<void> {
    while (this.#backlog.length > entriesMax) this.#log.add((await this.#backlog.shift()) ?? []);
  }

  #push(findings: Promise<readonly Finding[]>): void {
    // Awaited in its turn; until then a failure must not count as unhandled.
    findings.catch(() => {});
    this.#backlog.push(findings);
  }

  #part(lineage: Lineage, group: Group): ChainAudit {
    const members = group.map(({ reader }) => reader);
    const audit = lineage.audit.clone();
    lineage.members = lineage.members.filter((member) => !members.includes(member));
    this.#lineages.push({ audit, members });
    return audit;
  }

  #reportDifference(groups: readonly Group[], height: number): void {
    const [[first], [second]] = groups as [Group, Group];
    const what = describeDifference(first.block, second.block);
    const sides = groups.map((group) => namesOf(group).join(', ')).join(' | ');
    const difference: Finding = {
      code: 'sources_differ',
      sources: groups.flatMap((group) => namesOf(group)),
      block: height,
      message: `the sources differ in ${what}: ${sides}`,
    };
    this.firstDifference ??= difference;
    this.#push(Promise.resolve([difference]));
  }

  /** One content, perhaps with several sets of signatures: true when there are. */
  #auditGroup(audit: ChainAudit, copies: Group): boolean {
    const variants = groupBy(copies, sameMetadata);
    const [variant, ...others] = variants as [Group, ...Group[]];
    const [{ block, certified }] = variant;
    const checked = audit.check(block, certified);
    this.counts.blocks++;
    this.counts.transactions += block.data.length;
    for (const { reader } of copies) {
      reader.tipHash = checked.hash;
      this.#push(reader.indexFindings(block.header.number, checked.idWords));
    }
    this.#push(withSources(checked.copy, namesOf(variant)));
    for (const other of others) {
      const [copy] = other;
      this.#push(withSources(checked.checkCopy(copy.block, copy.certified), namesOf(other)));
    }
    this.#push(withSources(checked.transactions, namesOf(copies)));
    const certificates = variants.filter(([copy]) => copy.certified);
    return certificates.length > 1 && block.header.number > 0;
  }
}

/**
 * Lets the event loop turn now and then: with a source that has its blocks at hand nothing else does, and signals, workers and
 * the terminal wait for it.
 */
class LoopTurns {
  #lastMs = performance.now();

  async give(): Promise<void> {
    if (performance.now() - this.#lastMs < VERIFY_TIMES.loopTurnMs) return;
    await setImmediate();
    this.#lastMs = performance.now();
  }
}

/** Audits and compares the sources over the range. Rejects only for bugs and when the verifier fails. */
export async function auditSources(
  sources: readonly BlockSource[],
  dependencies: AuditDependencies,
  options: CompareOptions,
  log: FindingLog,
): Promise<CompareResult> {
  const { from, to, onProgress, signal } = options;
  // Whoever checks signatures keeps the bytes of many blocks until a worker takes them.
  const mayOverwrite = dependencies.verifier === undefined;
  const readers = sources.map(
    (source) => new SourceReader(source, { from, to, mayOverwrite }, log),
  );
  const audit = new ChainAudit(dependencies, txIdsOf(sources));
  const comparison = new Comparison(readers, audit, log);
  const turns = new LoopTurns();
  await Promise.all(readers.map((reader) => reader.advance()));
  for (let height = from; to === undefined || height <= to; height++) {
    await Promise.all(readers.map((reader) => reader.skipStale(height)));
    const active = readers.filter(({ next }) => next !== undefined);
    const lowest = Math.min(...active.map(({ next }) => next as number));
    if (active.length === 0 || (to !== undefined && lowest > to)) break;
    if (signal?.aborted === true) {
      const message = 'interrupted: the blocks from here on were not looked at';
      log.add([{ code: 'interrupted', sources: [], block: height, message }]);
      break;
    }
    for (const reader of active) reader.reportMissing(height);
    if (lowest > height) {
      comparison.skip();
      height = lowest;
    }
    const present = active.filter(({ next }) => next === height);
    const copies = present.flatMap((reader) => reader.take(height) ?? []);
    comparison.addHeight(copies, height);
    onProgress?.({ height, ...comparison.counts });
    await comparison.drain(VERIFY_LIMITS.checksInFlightMax);
    await turns.give();
    await dependencies.verifier?.ready();
    await Promise.all(present.map((reader) => reader.advance()));
  }
  await comparison.drain(0);
  const { counts, firstDifference } = comparison;
  return { sources: readers.map(({ summary }) => summary), ...counts, firstDifference };
}
