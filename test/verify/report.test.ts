import { expect } from 'chai';
import { createFindingLog } from '../../scripts/verify/findings.ts';
import { VERIFY_LIMITS } from '../../scripts/verify/limits.ts';
import { createProgress, progressLine } from '../../scripts/verify/progress.ts';
import { formatFinding, formatRate, formatReport } from '../../scripts/verify/report.ts';
import type { VerifyReport } from '../../scripts/verify/run.ts';

const REPORT: VerifyReport = {
  verdict: 'bad',
  trust: {
    channel: 'main',
    genesisHash: 'ab'.repeat(32),
    pinned: true,
    origin: 'genesis.block',
    consenters: 4,
    quorum: 3,
  },
  from: 0,
  to: undefined,
  sources: [
    { name: 'a', blocks: 18, first: 0, last: 17, tipHash: 'cd'.repeat(32) },
    { name: 'longer', blocks: 0, first: undefined, last: undefined, tipHash: undefined },
  ],
  blocks: 18,
  transactions: 12_345,
  signatures: 12_399,
  blocksWithOtherCertificates: 0,
  firstDifference: undefined,
  findings: [
    { code: 'bad_signature', sources: ['a'], block: 17, transaction: 3, message: 'no' },
    { code: 'source_failed', sources: ['longer'], message: 'gone' },
  ],
  findingsDropped: 2,
  faults: 3,
  notChecked: ['this'],
  threads: 2,
  elapsedMs: 2_000,
};

describe('auditor: report and progress', () => {
  it('says it for people', () => {
    expect(formatReport(REPORT)).to.deep.equal([
      'channel main: 4 consenters, 3 signatures certify a block',
      `genesis ${'ab'.repeat(32)} (pinned by genesis.block)`,
      '  a       blocks 0 to 17 (18)  tip cdcdcdcdcdcdcdcd',
      '  longer  no blocks',
      'checked 18 blocks, 12,345 transactions, 12,399 signatures in 2.0 s (9.0 blocks/s, 6,200 signatures/s, 2 threads)',
      'not checked: this',
      'FAULT block 17, transaction 3 (a): no',
      'NOT CHECKED (longer): gone',
      'and 2 more findings',
      'BAD: 3 faults, the first at block 17',
    ]);
    const [first] = REPORT.findings;
    expect(first && formatFinding({ ...first, sources: [] })).to.equal(
      'FAULT block 17, transaction 3: no',
    );
    expect(formatRate(5, 0)).to.equal('0.0');
  });

  it('draws a bar on a terminal, no more often than one can see', () => {
    let nowMs = 0;
    let written = '';
    const stream = { isTTY: true, columns: 60, write: (text: string) => (written += text) };
    const display = createProgress(stream, () => nowMs);
    display.update({ done: 1, total: 10, signatures: 5 });
    expect(written).to.equal('');
    nowMs = 500;
    display.update({ done: 5, total: 10, signatures: 50 });
    expect(written).to.include('[############............]  50 %').and.to.have.length.below(60);
    display.print('a line');
    expect(written.endsWith('\r\u001b[Ka line\n')).to.equal(true);
    display.finish();
    expect(written.endsWith('a line\n')).to.equal(true);
  });

  it('prints plain lines elsewhere', () => {
    let nowMs = 0;
    let written = '';
    const stream = { write: (text: string) => (written += text) };
    const display = createProgress(stream, () => nowMs);
    nowMs = 1_000;
    display.update({ done: 1, total: undefined, signatures: 0 });
    expect(written).to.equal('');
    nowMs = 10_000;
    display.update({ done: 20, total: undefined, signatures: 100 });
    expect(written).to.equal('20 blocks, 2.0 blocks/s, 10 signatures/s\n');
    expect(progressLine({ done: 20, total: 10, signatures: 0 }, 1_000)).to.include('100 %');
  });

  it('keeps a bounded number of findings and counts the rest', () => {
    const log = createFindingLog();
    const many = VERIFY_LIMITS.findingsMax + 5;
    log.add(Array.from({ length: many }, () => ({ code: 'note', sources: [], message: '' })));
    expect(log.kept).to.have.length(VERIFY_LIMITS.findingsMax);
    expect(log).to.include({ dropped: 5 });
    expect(log.counts.information).to.equal(many);
  });
});
