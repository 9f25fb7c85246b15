/** One audit from start to end: opens the sources, chooses the trust root, compares and checks, and sums up. */
import { availableParallelism } from 'node:os';
import { performance } from 'node:perf_hooks';
import { DerError } from '../../api/client/der.ts';
import { quorumOf } from '../../ledger/format/index.ts';
import { auditSources, type CompareResult, type Progress } from './compare.ts';
import { createFindingLog, type Finding, type FindingLog } from './findings.ts';
import { VERIFY_LIMITS } from './limits.ts';
import { type SignatureVerifier, VerifierPool } from './signatures.ts';
import {
  type BlockSource,
  findLedgers,
  openFolderSource,
  openLedgerSource,
  openUrlSource,
  SourceError,
} from './sources.ts';
import { type ChosenTrust, chooseTrust } from './trust.ts';
import { type CreatorVerdict, createCreatorJudge } from './x509.ts';

export interface VerifyRequest {
  /** Folders of stopped replicas: of one ledger, of a replica, or of a whole network. */
  readonly data: readonly string[];
  /** Base URLs of running replicas. */
  readonly urls: readonly string[];
  /** Folders of `NNNN.block` files. */
  readonly blocks: readonly string[];
  readonly genesisFile?: string | undefined;
  readonly channel?: string | undefined;
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  /** False: no signature is checked. */
  readonly signatures?: boolean;
  /** Worker threads for signatures; default: one a core, at most 8. */
  readonly threads?: number | undefined;
}

export interface VerifyHooks {
  /** Ends the audit early; the report says so. */
  readonly signal?: AbortSignal;
  readonly onStart?: (start: { trust: ChosenTrust; sources: readonly BlockSource[] }) => void;
  readonly onProgress?: (progress: Progress & { signatures: number }) => void;
  readonly onFinding?: (finding: Finding) => void;
}

export type Verdict = 'good' | 'bad' | 'unchecked';

export interface VerifyReport {
  /** `good`: everything that was looked at holds. `bad`: a chain is wrong, or sources differ. `unchecked`: could not look. */
  readonly verdict: Verdict;
  readonly trust:
    | {
        readonly channel: string;
        readonly genesisHash: string;
        readonly pinned: boolean;
        readonly origin: string;
        readonly consenters: number;
        readonly quorum: number;
      }
    | undefined;
  readonly from: number;
  readonly to: number | undefined;
  readonly sources: CompareResult['sources'];
  readonly blocks: number;
  readonly transactions: number;
  readonly signatures: number;
  readonly blocksWithOtherCertificates: number;
  readonly firstDifference: Finding | undefined;
  readonly findings: readonly Finding[];
  readonly findingsDropped: number;
  readonly faults: number;
  /** What the reader might believe checked and is not. */
  readonly notChecked: readonly string[];
  readonly threads: number;
  readonly elapsedMs: number;
}

export const EXIT_CODES: Readonly<Record<Verdict, number>> = { good: 0, bad: 1, unchecked: 2 };

const NO_SOURCES: CompareResult = {
  sources: [],
  blocks: 0,
  transactions: 0,
  blocksWithOtherCertificates: 0,
  firstDifference: undefined,
};

async function openSources(request: VerifyRequest): Promise<BlockSource[]> {
  const opened: BlockSource[] = [];
  try {
    for (const directory of request.data) {
      for (const ledger of await findLedgers(directory)) opened.push(await openLedger(ledger));
    }
    for (const directory of request.blocks) opened.push(await openFolderSource(directory));
    for (const url of request.urls) opened.push(await openUrlSource(url, request.channel));
    if (opened.length === 0) {
      throw new SourceError('usage', 'nothing to check: give --data, --url or --blocks');
    }
    if (opened.length > VERIFY_LIMITS.sourcesMax) {
      throw new SourceError('usage', `more than ${VERIFY_LIMITS.sourcesMax} sources`);
    }
    return await keepChannel(opened, request.channel);
  } catch (error) {
    await Promise.all(opened.map((source) => source.close()));
    throw error;
  }
}

/** A ledger that LevelDB cannot even open is a finding, not a reason to leave the other sources unread. */
async function openLedger(directory: string): Promise<BlockSource> {
  try {
    return await openLedgerSource(directory);
  } catch (error) {
    if (!(error instanceof SourceError) || error.kind !== 'damaged') throw error;
    return brokenSource(directory, error.message);
  }
}

function brokenSource(name: string, fault: string): BlockSource {
  return {
    name,
    channel: undefined,
    faults: [fault],
    notes: [],
    height: undefined,
    async *records() {},
    close: () => Promise.resolve(),
  };
}

/** Leaves the sources of one channel: the one asked for, or the only one there is. */
async function keepChannel(
  opened: readonly BlockSource[],
  wanted: string | undefined,
): Promise<BlockSource[]> {
  const channels = new Set(opened.flatMap(({ channel }) => channel ?? []));
  if (wanted === undefined && channels.size > 1) {
    const names = [...channels].sort().join(', ');
    throw new SourceError('usage', `the sources hold channels ${names}; name one with --channel`);
  }
  const isWanted = ({ channel }: BlockSource) =>
    wanted === undefined || channel === undefined || channel === wanted;
  const kept = opened.filter(isWanted);
  if (kept.length === 0) throw new SourceError('usage', `no source holds channel ${wanted}`);
  for (const source of opened) if (!isWanted(source)) await source.close();
  return kept;
}

function reportSourceState(sources: readonly BlockSource[], log: FindingLog): void {
  for (const { name, faults, notes } of sources) {
    const sourceNames = [name];
    log.add(faults.map((message) => ({ code: 'source_damaged', sources: sourceNames, message })));
    log.add(notes.map((message) => ({ code: 'note', sources: sourceNames, message })));
  }
}

function reportEnds(result: CompareResult, to: number | undefined, log: FindingLog): void {
  const ends = result.sources.map(({ last }) => last ?? -1);
  const furthest = Math.max(...ends);
  const wanted = to ?? furthest;
  for (const { name, last, blocks } of result.sources) {
    if (blocks === 0) {
      const message = 'no block in the range that was asked for';
      log.add([{ code: 'nothing_checked', sources: [name], message }]);
    } else if (last !== undefined && last < wanted) {
      const message = `it ends at block ${last}; ${to === undefined ? `another goes to ${furthest}` : `asked for was ${to}`}`;
      log.add([{ code: 'source_ends_early', sources: [name], block: last, message }]);
    }
  }
  const { blocksWithOtherCertificates: count } = result;
  if (count > 0) {
    const message = `${count} blocks have different sets of signatures at different sources: each is checked, and any quorum will do`;
    log.add([{ code: 'certificates_differ', sources: [], message }]);
  }
}

function notCheckedIn(request: VerifyRequest, trust: ChosenTrust | undefined): string[] {
  const { signatures = true, from = 0, to } = request;
  const list: string[] = [];
  if (!signatures) {
    list.push('no signature at all (--no-signatures): anybody could have written these blocks');
  }
  if (trust !== undefined && !trust.pinned) {
    list.push('that this genesis block is the right one: pin it with --genesis FILE');
  }
  if (from > 0 || to !== undefined) {
    list.push('blocks outside the range, and duplicates of their transactions');
  }
  list.push(
    'whether a certificate was within its validity period when its transaction was ordered (that time is not on the chain), and the Writers policy beyond membership',
  );
  return list;
}

function judgeFor(trust: ChosenTrust): (creator: Uint8Array) => CreatorVerdict {
  try {
    return createCreatorJudge(trust.root.organizations);
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    const message = `the organizations of the genesis block cannot be read: ${error.message}`;
    throw new SourceError('failed', message);
  }
}

function verdictOf(log: FindingLog): Verdict {
  if (log.counts.fault > 0) return 'bad';
  return log.counts.unchecked > 0 ? 'unchecked' : 'good';
}

/**
 * Runs an audit. Throws `SourceError` when it cannot begin (usage, unreachable, locked); what goes wrong later is in the report.
 */
export async function verifyChains(
  request: VerifyRequest,
  hooks: VerifyHooks = {},
): Promise<VerifyReport> {
  const startedMs = performance.now();
  const { from = 0, to, signatures = true } = request;
  const threads = signatures ? (request.threads ?? Math.min(availableParallelism(), 8)) : 0;
  const log = createFindingLog(hooks.onFinding);
  const sources = await openSources(request);
  let verifier: SignatureVerifier | undefined;
  try {
    reportSourceState(sources, log);
    const trust = await chooseTrust(request.genesisFile, sources, log);
    let result = NO_SOURCES;
    if (trust !== undefined) {
      const judgeCreator = judgeFor(trust);
      verifier = signatures ? new VerifierPool(threads) : undefined;
      const checking = verifier;
      hooks.onStart?.({ trust, sources });
      const onProgress = (progress: Progress) =>
        hooks.onProgress?.({ ...progress, signatures: checking?.checked ?? 0 });
      const dependencies = { trust: trust.root, verifier, judgeCreator };
      result = await auditSources(
        sources,
        dependencies,
        { from, to, onProgress, signal: hooks.signal },
        log,
      );
      reportEnds(result, to, log);
    }
    const root = trust?.root;
    return {
      verdict: verdictOf(log),
      trust:
        trust === undefined || root === undefined
          ? undefined
          : {
              channel: root.channel,
              genesisHash: root.genesisHash ?? '',
              pinned: trust.pinned,
              origin: trust.origin,
              consenters: root.consenters.length,
              quorum: quorumOf(root.consenters.length),
            },
      from,
      to,
      ...result,
      signatures: verifier?.checked ?? 0,
      findings: log.kept,
      findingsDropped: log.dropped,
      faults: log.counts.fault,
      notChecked: notCheckedIn(request, trust),
      threads,
      elapsedMs: Math.round(performance.now() - startedMs),
    };
  } finally {
    await verifier?.close();
    await Promise.all(sources.map((source) => source.close()));
  }
}
