/** What an audit finds: data with stable codes, collected in block order and bounded in number. */
import { VERIFY_LIMITS } from './limits.ts';

/**
 * Faults make the chain bad. Information is for the reader. `unchecked` means that the audit could not do its work there.
 */
export const FINDING_CODES = {
  not_genesis: 'fault',
  wrong_genesis: 'fault',
  damaged_record: 'fault',
  undecodable_block: 'fault',
  missing_block: 'fault',
  out_of_order: 'fault',
  bad_block: 'fault',
  bad_certificate: 'fault',
  wrong_channel: 'fault',
  unexpected_type: 'fault',
  bad_tx_id: 'fault',
  bad_creator: 'fault',
  bad_signature: 'fault',
  duplicate_transaction: 'fault',
  sources_differ: 'fault',
  source_damaged: 'fault',
  bad_index: 'fault',
  note: 'information',
  not_certified: 'information',
  source_ends_early: 'information',
  certificates_differ: 'information',
  source_failed: 'unchecked',
  nothing_checked: 'unchecked',
  interrupted: 'unchecked',
} as const;

export type FindingCode = keyof typeof FINDING_CODES;
export type Severity = (typeof FINDING_CODES)[FindingCode];

export interface Finding {
  readonly code: FindingCode;
  /** Names of the sources that it concerns. */
  readonly sources: readonly string[];
  readonly block?: number;
  /** Position in the block's data. */
  readonly transaction?: number;
  readonly message: string;
}

export function severityOf(finding: Finding): Severity {
  return FINDING_CODES[finding.code];
}

export interface FindingLog {
  add(findings: readonly Finding[]): void;
  readonly kept: readonly Finding[];
  /** How many there were of each severity, those beyond the limit included. */
  readonly counts: Readonly<Record<Severity, number>>;
  readonly dropped: number;
}

export function createFindingLog(onFinding: (finding: Finding) => void = () => {}): FindingLog {
  const kept: Finding[] = [];
  const counts: Record<Severity, number> = { fault: 0, information: 0, unchecked: 0 };
  let dropped = 0;
  return {
    kept,
    counts,
    get dropped() {
      return dropped;
    },
    add(findings) {
      for (const finding of findings) {
        counts[severityOf(finding)]++;
        if (kept.length >= VERIFY_LIMITS.findingsMax) {
          dropped++;
          continue;
        }
        kept.push(finding);
        onFinding(finding);
      }
    },
  };
}
