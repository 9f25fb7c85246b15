/** The report of an audit for people. Programs take the JSON form of `VerifyReport`. */
import { type Finding, severityOf } from './findings.ts';
import type { VerifyReport } from './run.ts';

const LABELS = { fault: 'FAULT', information: 'note', unchecked: 'NOT CHECKED' } as const;

/** `FAULT block 17, transaction 3 (data/replica-2): ...` */
export function formatFinding(finding: Finding): string {
  const { block, transaction, sources, message } = finding;
  const place =
    block === undefined
      ? ''
      : ` block ${block}${transaction === undefined ? '' : `, transaction ${transaction}`}`;
  const where = sources.length === 0 ? '' : ` (${sources.join(', ')})`;
  return `${LABELS[severityOf(finding)]}${place}${where}: ${message}`;
}

/** Counts with a thin grouping that every terminal has: 1234567 as 1,234,567. */
export function formatCount(value: number): string {
  // The locale's way needs its tables, which take longer to load than all else that is printed.
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ',');
}

export function formatRate(count: number, elapsedMs: number): string {
  const rate = elapsedMs > 0 ? (count * 1000) / elapsedMs : 0;
  return rate < 10 ? rate.toFixed(1) : formatCount(rate);
}

function trustLines({ trust }: VerifyReport): string[] {
  if (trust === undefined) return [];
  const { channel, genesisHash, pinned, origin, consenters, quorum } = trust;
  return [
    `channel ${channel}: ${consenters} consenters, ${quorum} signatures certify a block`,
    `genesis ${genesisHash} (${pinned ? 'pinned by' : 'block 0 of'} ${origin})`,
  ];
}

function sourceLines({ sources }: VerifyReport): string[] {
  const width = Math.max(...sources.map(({ name }) => name.length), 6);
  return sources.map(({ name, first, last, blocks, tipHash }) => {
    const range = first === undefined ? 'no blocks' : `blocks ${first} to ${last} (${blocks})`;
    const tip = tipHash === undefined ? '' : `  tip ${tipHash.slice(0, 16)}`;
    return `  ${name.padEnd(width)}  ${range}${tip}`;
  });
}

function verdictLine(report: VerifyReport): string {
  const { verdict, faults, sources, findings } = report;
  switch (verdict) {
    case 'good': {
      if (sources.length === 1) return 'GOOD: the chain holds';
      return `GOOD: ${sources.length} sources, one chain`;
    }
    case 'bad': {
      const blocks = findings.flatMap((finding) =>
        severityOf(finding) === 'fault' && finding.block !== undefined ? [finding.block] : [],
      );
      const first = blocks.length === 0 ? '' : `, the first at block ${Math.min(...blocks)}`;
      return `BAD: ${faults} ${faults === 1 ? 'fault' : 'faults'}${first}`;
    }
    case 'unchecked':
      return 'NOT CHECKED: not everything could be read';
  }
}

/** The whole report, one line each. */
export function formatReport(report: VerifyReport): string[] {
  const { blocks, transactions, signatures, elapsedMs, threads, findings } = report;
  const lines = [...trustLines(report), ...sourceLines(report)];
  const seconds = (elapsedMs / 1000).toFixed(1);
  lines.push(
    `checked ${formatCount(blocks)} blocks, ${formatCount(transactions)} transactions, ` +
      `${formatCount(signatures)} signatures in ${seconds} s ` +
      `(${formatRate(blocks, elapsedMs)} blocks/s, ${formatRate(signatures, elapsedMs)} signatures/s, ${threads} threads)`,
  );
  for (const what of report.notChecked) lines.push(`not checked: ${what}`);
  lines.push(...findings.map(formatFinding));
  if (report.findingsDropped > 0) lines.push(`and ${report.findingsDropped} more findings`);
  if (report.firstDifference !== undefined) {
    lines.push(`the first block where sources differ is ${report.firstDifference.block}`);
  }
  lines.push(verdictLine(report));
  return lines;
}
