import { expect } from 'chai';
import { evidenceFields } from '../../orderer/evidence.ts';
import { byConsenterNumber, type Log } from '../../orderer/log.ts';

describe('what the log calls a replica', () => {
  const lines: object[] = [];
  const note = (data: object): void => {
    lines.push(data);
  };
  const log: Log = byConsenterNumber(
    { debug: note, info: note, warn: note, error: note },
    [1, 2, 5, 9],
  );

  it('is its consenter number, wherever the code has an index', () => {
    lines.length = 0;
    log.info({ peer: 0, reason: 'x' }, '');
    log.warn({ lane: 2, source: 3 }, '');
    log.error({ peer: 17 }, '');
    log.debug({ reason: 'y' }, '');
    expect(lines).to.deep.equal([
      { peer: 1, reason: 'x' },
      { lane: 5, source: 9 },
      { peer: 17 },
      { reason: 'y' },
    ]);
  });

  it('shows evidence as one readable line', () => {
    const digests = [Uint8Array.of(1, 2), Uint8Array.of(3, 255)] as const;
    expect(evidenceFields({ kind: 'lane-equivocation', peer: 2, seq: 7, digests })).to.deep.equal({
      fault: 'lane-equivocation',
      peer: 2,
      seq: 7,
      digests: ['0102', '03ff'],
    });
  });
});
