/**
 * Audits several sources of one chain at once. At each height the copies are compared; equal ones are audited once, as one lineage. A
 * source that differs gets a lineage of its own and joins again when its header equals the others': then, by the hashes, so does
 * all the history behind it.
 */
import type { TrustRoot } from '../../api/client/genesis.ts';
import {
  type Block,
  bytesEqual,
  decodeBlock,
  encodeBlockHeader,
} from '../../ledger/format/index.ts';
import {
  type AuditDependencies,
  type BlockFinding,
  type ChainAudit,
  createChainAudit,
} from './audit.ts';
import type { Finding, FindingLog } from './findings.ts';
import { VERIFY_LIMITS } from './limits.ts';
import { type BlockSource, SourceError, type SourceRecord } from './sources.ts';

export interface Progress {
  readonly height: number;
  readonly blocks: number;
  readonly transactions: number;
}

export interface CompareOptions {
  readonly from: number;
  /** Last block wanted; undefined: to the end. */
  readonly to: number | undefined;
  readonly onProgress?: (progress: Progress) => void;
}

export interface SourceSummary {
  readonly name: string;
  /** Blocks read, and the numbers of the first and the last of them. */
  readonly blocks: number;
  readonly first: number | undefined;
  readonly last: number | undefined;
  /** Header hash of the last block that could be decoded, hex. */
  readonly tipHash: string | undefined;
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

interface SourceState {
  readonly name: string;
  readonly source: BlockSource;
  readonly records: AsyncIterator<SourceRecord>;
  /** The next record; undefined when the source has ended. */
  pending: SourceRecord | undefined;
  blocks: number;
  first: number | undefined;
  last: number | undefined;
  tipHash: string | undefined;
  /** Absence is reported up to here already. */
  reportedUpTo: number;
  /** It has come to blocks that were not certified when the replica stopped. */
  uncertified: boolean;
}

interface Copy {
  readonly state: SourceState;
  readonly block: Block;
  readonly certified: boolean;
}

interface Lineage {
  readonly audit: ChainAudit;
  members: SourceState[];
}

function namesOf(copies: readonly Copy[]): string[] {
  return copies.map(({ state }) => state.name);
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

function groupBy(copies: readonly Copy[], same: (a: Block, b: Block) => boolean): Copy[][] {
  const groups: Copy[][] = [];
  for (const copy of copies) {
    const group = groups.find(([first]) => first !== undefined && same(first.block, copy.block));
    if (group === undefined) groups.push([copy]);
    else group.push(copy);
  }
  // The largest first: it keeps the lineage.
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

async function advance(state: SourceState, log: FindingLog): Promise<void> {
  try {
    const next = await state.records.next();
    state.pending = next.done === true ? undefined : next.value;
  } catch (error) {
    if (!(error instanceof SourceError)) throw error;
    state.pending = undefined;
    const code = error.kind === 'damaged' ? 'source_damaged' : 'source_failed';
    const where = state.last === undefined ? {} : { block: state.last + 1 };
    log.add([{ code, sources: [state.name], ...where, message: error.message }]);
  }
}

/** Reports what a source should have before its pending record and has not. */
function reportMissing(state: SourceState, height: number, log: FindingLog): void {
  const next = state.pending?.number;
  if (next === undefined || next <= height || state.reportedUpTo >= next) return;
  const first = Math.max(height, state.reportedUpTo);
  state.reportedUpTo = next;
  const what = next - first === 1 ? `block ${first} is` : `blocks ${first} to ${next - 1} are`;
  const message = `${what} missing, block ${next} is there`;
  log.add([{ code: 'missing_block', sources: [state.name], block: first, message }]);
}

/** Takes the pending record of a source at `height`; undefined when it holds no decodable block there. */
function takeCopy(state: SourceState, height: number, log: FindingLog): Copy | undefined {
  const record = state.pending as SourceRecord;
  const sources = [state.name];
  state.blocks++;
  state.first ??= height;
  state.last = height;
  if (record.kind === 'damaged') {
    log.add([{ code: 'damaged_record', sources, block: height, message: record.reason }]);
    return undefined;
  }
  if (record.fault !== undefined) {
    log.add([{ code: 'damaged_record', sources, block: height, message: record.fault }]);
  }
  if (!record.certified && !state.uncertified) {
    state.uncertified = true;
    const message = 'from here on stored without certificate: the replica stopped before it came';
    log.add([{ code: 'not_certified', sources, block: height, message }]);
  }
  const decoded = decodeBlock(record.bytes);
  if (decoded.kind === 'malformed') {
    log.add([{ code: 'undecodable_block', sources, block: height, message: decoded.reason }]);
    return undefined;
  }
  if (decoded.value.header.number !== height) {
    const message = `the block stored as number ${height} says that it is ${decoded.value.header.number}`;
    log.add([{ code: 'bad_block', sources, block: height, message }]);
  }
  return { state, block: decoded.value, certified: record.certified };
}

function skipStale(states: readonly SourceState[], height: number, log: FindingLog): SourceState[] {
  return states.filter((state) => {
    const number = state.pending?.number;
    if (number === undefined || number >= height) return false;
    const message = `block ${number} comes after block ${height - 1}`;
    log.add([{ code: 'out_of_order', sources: [state.name], block: number, message }]);
    return true;
  });
}

/** Findings that settle later, reported in block order; holds a bounded number of blocks. */
function createBacklog(log: FindingLog) {
  const queue: Promise<readonly Finding[]>[] = [];
  return {
    push(findings: Promise<readonly Finding[]>): void {
      // Awaited in its turn; until then a failure must not count as unhandled.
      findings.catch(() => {});
      queue.push(findings);
    },
    async drain(blocksMax: number): Promise<void> {
      while (queue.length > blocksMax) log.add((await queue.shift()) ?? []);
    },
  };
}

/** Does the source's own index say of each transaction where it is? */
async function indexFindings(
  source: BlockSource,
  block: number,
  txIds: readonly (string | undefined)[],
): Promise<readonly Finding[]> {
  const { locate, name } = source;
  if (locate === undefined) return [];
  const found = await Promise.all(
    txIds.map(async (txId, transaction): Promise<Finding | undefined> => {
      const location = txId === undefined ? undefined : await locate(txId);
      const right = location?.blockNumber === block && location.index === transaction;
      if (txId === undefined || right) return undefined;
      const said =
        location === undefined
          ? 'does not know it'
          : `says block ${location.blockNumber}, index ${location.index}`;
      const message = `the ledger's transaction index ${said}`;
      return { code: 'bad_index', sources: [name], block, transaction, message };
    }),
  );
  return found.filter((finding) => finding !== undefined);
}

async function withSources(
  findings: Promise<readonly BlockFinding[]>,
  copies: readonly Copy[],
): Promise<readonly Finding[]> {
  const sources = namesOf(copies);
  return (await findings).map((finding) => ({ ...finding, sources }));
}

/** Audits and compares the sources from `from` on. Rejects only for bugs and when the verifier fails. */
export async function auditSources(
  sources: readonly BlockSource[],
  dependencies: AuditDependencies & { readonly trust: TrustRoot },
  options: CompareOptions,
  log: FindingLog,
): Promise<CompareResult> {
  const { from, to, onProgress } = options;
  const states = sources.map(
    (source): SourceState => ({
      name: source.name,
      source,
      records: source.records({ from, to })[Symbol.asyncIterator](),
      pending: undefined,
      blocks: 0,
      first: undefined,
      last: undefined,
      tipHash: undefined,
      reportedUpTo: from,
      uncertified: false,
    }),
  );
  const backlog = createBacklog(log);
  const counts = { blocks: 0, transactions: 0, blocksWithOtherCertificates: 0 };
  let firstDifference: Finding | undefined;
  let lineages: Lineage[] = [{ audit: createChainAudit(dependencies), members: states }];

  function split(lineage: Lineage, groups: readonly Copy[][], height: number): void {
    const [[first], [second]] = groups as [Copy[], Copy[]];
    const what = describeDifference((first as Copy).block, (second as Copy).block);
    const sides = groups.map((group) => namesOf(group).join(', ')).join(' | ');
    const difference: Finding = {
      code: 'sources_differ',
      sources: groups.flatMap(namesOf),
      block: height,
      message: `the sources differ in ${what}: ${sides}`,
    };
    firstDifference ??= difference;
    backlog.push(Promise.resolve([difference]));
    for (const group of groups.slice(1)) {
      const members = group.map(({ state }) => state);
      lineage.members = lineage.members.filter((member) => !members.includes(member));
      lineages.push({ audit: lineage.audit.clone(), members });
    }
  }

  /** One content, perhaps with several sets of signatures. */
  function auditGroup(audit: ChainAudit, copies: readonly Copy[]): boolean {
    const [variant, ...otherVariants] = groupBy(copies, sameMetadata) as [Copy[], ...Copy[][]];
    const [representative] = variant as [Copy];
    const checked = audit.check(representative.block, representative.certified);
    counts.blocks++;
    counts.transactions += representative.block.data.length;
    for (const { state } of copies) {
      state.tipHash = checked.hash;
      backlog.push(indexFindings(state.source, representative.block.header.number, checked.txIds));
    }
    backlog.push(withSources(checked.findings, otherVariants.length === 0 ? copies : variant));
    for (const other of otherVariants) {
      const [{ block, certified }] = other as [Copy];
      backlog.push(withSources(audit.checkCopy(block, certified), other));
    }
    const certificates = [variant, ...otherVariants].filter(([copy]) => copy?.certified === true);
    return certificates.length > 1 && representative.block.header.number > 0;
  }

  function auditHeight(copies: readonly Copy[], height: number): void {
    let otherCertificates = false;
    for (const lineage of [...lineages]) {
      const own = copies.filter(({ state }) => lineage.members.includes(state));
      const groups = groupBy(own, sameContent);
      if (groups.length === 0) lineage.audit.skip();
      // Copies of the audit are made before it moves on.
      const before = lineages.length;
      if (groups.length > 1) split(lineage, groups, height);
      const audits = [lineage, ...lineages.slice(before)].map(({ audit }) => audit);
      groups.forEach((group, position) => {
        const other = auditGroup(audits[position] as ChainAudit, group);
        otherCertificates ||= other;
      });
    }
    if (otherCertificates) counts.blocksWithOtherCertificates++;
    lineages = mergeLineages(lineages);
  }

  await Promise.all(states.map((state) => advance(state, log)));
  for (let height = from; to === undefined || height <= to; height++) {
    for (;;) {
      const stale = skipStale(states, height, log);
      if (stale.length === 0) break;
      await Promise.all(stale.map((state) => advance(state, log)));
    }
    const active = states.filter(({ pending }) => pending !== undefined);
    const numbers = active.map(({ pending }) => (pending as SourceRecord).number);
    const lowest = Math.min(...numbers);
    if (active.length === 0 || (to !== undefined && lowest > to)) break;
    for (const state of active) reportMissing(state, height, log);
    if (lowest > height) {
      for (const { audit } of lineages) audit.skip();
      height = lowest;
    }
    const present = active.filter(({ pending }) => pending?.number === height);
    const copies = present.flatMap((state) => takeCopy(state, height, log) ?? []);
    auditHeight(copies, height);
    onProgress?.({ height, ...counts });
    await backlog.drain(VERIFY_LIMITS.blocksInFlightMax);
    await dependencies.verifier?.ready();
    await Promise.all(present.map((state) => advance(state, log)));
  }
  await backlog.drain(0);
  return { sources: states.map(summaryOf), ...counts, firstDifference };
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

function summaryOf({ name, blocks, first, last, tipHash }: SourceState): SourceSummary {
  return { name, blocks, first, last, tipHash };
}
