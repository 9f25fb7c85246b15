import { expect } from 'chai';
import type { Prepare } from '../../consensus/core/index.ts';
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

  it('shows what was signed in full, so that it proves the fault to others', () => {
    const prepare = (byte: number): Prepare => ({
      view: 3,
      slot: 9,
      digest: new Uint8Array(24).fill(byte),
      signer: 2,
      signature: new Uint8Array(64).fill(byte),
    });
    const prepares = [prepare(1), prepare(2)] as const;
    expect(evidenceFields({ kind: 'prepare-equivocation', peer: 2, prepares })).to.deep.equal({
      fault: 'prepare-equivocation',
      peer: 2,
      prepares: [1, 2].map((byte) => ({
        view: 3,
        slot: 9,
        digest: `0${byte}`.repeat(24),
        signature: `0${byte}`.repeat(64),
      })),
    });
  });

  it('quotes no more than a piece of a long reason', () => {
    const reason = 'x'.repeat(10_000);
    for (const kind of ['invalid-view-change', 'invalid-new-view'] as const) {
      const fields = evidenceFields({ kind, peer: 1, view: 4, reason });
      expect(fields).to.deep.include({ fault: kind, view: 4, reason: 'x'.repeat(256) });
    }
    const checkpoint = evidenceFields({
      kind: 'invalid-checkpoint',
      peer: 1,
      slot: 8,
      reason: 'y',
    });
    expect(checkpoint).to.deep.include({ fault: 'invalid-checkpoint', slot: 8, reason: 'y' });
  });
});
