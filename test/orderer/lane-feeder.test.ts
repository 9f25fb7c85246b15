import { expect } from 'chai';
import type { CheckedTransaction } from '../../orderer/envelope/index.ts';
import { LaneFeeder } from '../../orderer/lane-feeder.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function transaction(i: number): CheckedTransaction {
  const txId = Buffer.alloc(32, i).toString('hex');
  const bytes = new Uint8Array(10).fill(i);
  return { bytes, txId, sizeBytes: 10, validity: { notBeforeMs: 0, notAfterMs: 1 } };
}

describe('lane feeder', () => {
  it('never hands out more batches than are allowed, even when others invent batches in its lane', async () => {
    const submitted: Uint8Array[] = [];
    const feeder = new LaneFeeder(
      {
        batchBytesMax: 1_000,
        batchTransactionsMax: 1,
        batchesUnwrittenMax: 2,
        batchesUndeliveredMax: 3,
        undeliveredBytesMax: 10_000,
        queueTransactionsMax: 100,
        queueBytesMax: 10_000,
      },
      { submit: (payload) => submitted.push(payload), onBatch: () => {} },
    );
    for (let i = 0; i < 20; i++) feeder.push(transaction(i));
    await turn();
    let seq = 1;
    const ref = (fill: number) => ({ seq: seq++, digest: new Uint8Array(32).fill(fill) });
    const first = ref(1);
    feeder.written(first);
    feeder.written(ref(2));
    feeder.written(ref(3));
    expect(submitted).to.have.length(3);
    for (let i = 0; i < 10; i++) expect(feeder.settled(ref(200 + i))).to.equal(false);
    expect(submitted).to.have.length(3);
    expect(feeder.settled(first)).to.equal(true);
    expect(feeder.settled(first)).to.equal(false);
    expect(submitted).to.have.length(4);
  });

  it('hands out no more bytes than peers hold of a lane, but always one batch', async () => {
    const submitted: Uint8Array[] = [];
    const feeder = new LaneFeeder(
      {
        batchBytesMax: 20,
        batchTransactionsMax: 10,
        batchesUnwrittenMax: 8,
        batchesUndeliveredMax: 8,
        undeliveredBytesMax: 40,
        queueTransactionsMax: 100,
        queueBytesMax: 10_000,
      },
      { submit: (payload) => submitted.push(payload), onBatch: () => {} },
    );
    const large = { ...transaction(1), bytes: new Uint8Array(100) };
    for (const one of [large, transaction(2), transaction(3), transaction(4)]) feeder.push(one);
    await turn();
    expect(submitted).to.have.length(1);
    const ref = { seq: 1, digest: new Uint8Array(32) };
    feeder.written(ref);
    feeder.settled(ref);
    expect(submitted.map(({ length }) => length)).to.deep.equal([108, 18, 18]);
  });
});
