/** Sources and audits in memory, for tests: signatures are checked in this thread. */
import { readTrustRoot, type TrustRoot } from '../../api/client/index.ts';
import { auditSources, type CompareResult } from '../../scripts/verify/compare.ts';
import { createFindingLog, type Finding, severityOf } from '../../scripts/verify/findings.ts';
import { createInlineVerifier } from '../../scripts/verify/signatures.ts';
import type { BlockSource, SourceRecord } from '../../scripts/verify/sources.ts';
import { createCreatorJudge } from '../../scripts/verify/x509.ts';

/** Undefined stands for a block that is not there. */
export function memorySource(
  name: string,
  blocks: readonly (Uint8Array | undefined)[],
): BlockSource {
  return {
    name,
    channel: undefined,
    faults: [],
    notes: [],
    height: blocks.length,
    async *records({ from, to }): AsyncGenerator<SourceRecord> {
      for (let number = from; number <= (to ?? blocks.length - 1); number++) {
        const bytes = blocks[number];
        if (bytes !== undefined) yield { kind: 'block', number, bytes, certified: true };
      }
    },
    close: () => Promise.resolve(),
  };
}

export function trustOf(genesis: Uint8Array | undefined): TrustRoot {
  const root = readTrustRoot(genesis ?? new Uint8Array(0));
  if (root.kind === 'malformed') throw new Error(root.reason);
  return root.value;
}

export interface AuditOutcome extends CompareResult {
  readonly findings: readonly Finding[];
  readonly faults: readonly Finding[];
  /** `code@block` or `code@block/transaction` of each fault. */
  readonly places: readonly string[];
  readonly signatures: number;
}

export function placeOf({ code, block, transaction }: Finding): string {
  return `${code}@${block ?? ''}${transaction === undefined ? '' : `/${transaction}`}`;
}

export async function audit(
  trust: TrustRoot,
  sources: readonly BlockSource[],
  options: { from?: number; to?: number; signatures?: boolean } = {},
): Promise<AuditOutcome> {
  const { from = 0, to, signatures = true } = options;
  const verifier = createInlineVerifier();
  const log = createFindingLog();
  const judgeCreator = createCreatorJudge(trust.organizations);
  const dependencies = { trust, verifier: signatures ? verifier : undefined, judgeCreator };
  const result = await auditSources(sources, dependencies, { from, to }, log);
  const faults = log.kept.filter((finding) => severityOf(finding) === 'fault');
  return {
    ...result,
    findings: log.kept,
    faults,
    places: faults.map(placeOf),
    signatures: verifier.checked,
  };
}
