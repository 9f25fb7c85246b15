import { expect } from 'chai';
import type { BatchRef } from '../../consensus/core/index.ts';
import { encodeEnvelopeList } from '../../consensus/wire/index.ts';
import { Batches } from '../../orderer/batches.ts';
import type { BatchCheck, CheckedTransaction } from '../../orderer/envelope/index.ts';
import { refusal } from '../../orderer/errors.ts';
import { FaultLog } from '../../orderer/fault-log.ts';

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const SELF = 2;

function transaction(i: number): CheckedTransaction {
  const txId = Buffer.alloc(32, i).toString('hex');
  const bytes = new Uint8Array([i]);
  return { bytes, txId, sizeBytes: 1, validity: { notBeforeMs: 0, notAfterMs: 1 } };
}

const bytesOf = (i = 0): Uint8Array => new Uint8Array([i]);
const ref = (seq: number): BatchRef => ({ seq, digest: new Uint8Array(32).fill(seq) });
const payload = (...is: number[]): Uint8Array =>
  encodeEnvelopeList(is.map((i) => new Uint8Array([i])));
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function harness() {
  const submitted: number[][] = [];
  const checked: string[] = [];
  const stored = new Set<string>();
  const faults = new FaultLog(4, silent);
  let fatal: Error | undefined;
  const judge = (envelopes: readonly Uint8Array[]): BatchCheck => {
    const index = envelopes.findIndex(([i]) => i === 99);
    if (index >= 0) return { kind: 'invalid', index, refusal: refusal('bad_signature') };
    return { kind: 'valid', transactions: envelopes.map(([i]) => transaction(i ?? 0)) };
  };
  const batches = new Batches(
    {
      self: SELF,
      lane: {
        batchBytesMax: 1_000,
        batchTransactionsMax: 2,
        batchesUnwrittenMax: 2,
        batchesUndeliveredMax: 3,
        undeliveredBytesMax: 10_000,
        queueTransactionsMax: 100,
        queueBytesMax: 10_000,
      },
    },
    {
      checker: {
        // Of 98 nothing is wrong but the signature.
        checkBatch: async (envelopes, { signatures } = {}) =>
          judge(
            signatures === false ? envelopes : envelopes.map(([i]) => bytesOf(i === 98 ? 99 : i)),
          ),
        parseTrusted: judge,
      },
      faults,
      // Envelopes of one byte: the last byte of each entry of the list.
      submit: (list) => submitted.push([...list.subarray(-1)]),
      onChecked: (lane, { seq }, valid, signatures) =>
        checked.push(`${lane}/${seq} ${valid}${signatures ? '' : ', read'}`),
      isStored: (txId) => stored.has(txId),
      onFatal: (error) => {
        fatal = error;
      },
    },
  );
  return { batches, submitted, checked, stored, faults, fatal: () => fatal };
}

describe('batches between consensus and the stream', () => {
  it("are checked, and delivered once; what is invalid is its sender's fault", async () => {
    const h = harness();
    await h.batches.check(0, ref(1), payload(1, 2), 'all');
    await h.batches.check(1, ref(1), payload(99), 'all');
    await h.batches.check(3, ref(1), new Uint8Array([1, 2, 3]), 'all');
    expect(h.checked).to.deep.equal(['0/1 true', '1/1 false', '3/1 false']);
    expect([0, 1, 2, 3].map((peer) => h.faults.count(peer))).to.deep.equal([0, 1, 0, 1]);
    const delivered = h.batches.deliver([{ lane: 0, ref: ref(1) }]);
    expect(delivered?.map(({ bytes }) => bytes[0])).to.deep.equal([1, 2]);
    expect(h.batches.deliver([{ lane: 1, ref: ref(1) }])).to.equal(undefined);
    expect(h.fatal()?.message).to.match(/a quorum found batch 1 of lane 1 valid/);
  });

  it('of which others look at the signatures are delivered as they were read', async () => {
    const h = harness();
    await h.batches.check(0, ref(1), payload(1), 'form');
    await h.batches.check(0, ref(2), payload(98), 'form');
    await h.batches.check(0, ref(3), payload(99), 'form');
    await h.batches.check(0, ref(2), payload(98), 'late');
    expect(h.checked).to.deep.equal([
      '0/1 true, read',
      '0/2 true, read',
      '0/3 false, read',
      '0/2 false',
    ]);
    expect(h.faults.count(0), 'the bad form, and the bad signature').to.equal(2);
    expect(h.batches.deliver([{ lane: 0, ref: ref(1) }])).to.have.length(1);
  });

  it('that are looked at late do not come back when they are delivered or dropped', async () => {
    const h = harness();
    await h.batches.check(0, ref(1), payload(1), 'form');
    await h.batches.check(0, ref(2), payload(2), 'form');
    h.batches.deliver([{ lane: 0, ref: ref(1) }]);
    h.batches.drop(0, ref(2));
    for (const seq of [1, 2]) await h.batches.check(0, ref(seq), payload(seq), 'late');
    expect(h.checked.slice(2)).to.deep.equal(['0/1 true', '0/2 true']);
    for (const seq of [1, 2]) {
      expect(h.batches.deliver([{ lane: 0, ref: ref(seq) }])).to.equal(undefined);
    }
  });

  it('come back from the log at once, the own ones counted as on their way', async () => {
    const h = harness();
    h.batches.restore(0, ref(1), payload(1));
    for (const seq of [4, 5]) h.batches.restore(SELF, ref(seq), payload(10 + seq));
    expect(h.checked).to.deep.equal(['0/1 true', `${SELF}/4 true`, `${SELF}/5 true`]);
    for (let i = 20; i < 30; i++) h.batches.push(transaction(i));
    await turn();
    expect(h.submitted, 'one more may be undelivered').to.have.length(1);
    h.batches.onOwnBatch(ref(6));
    h.batches.deliver([{ lane: SELF, ref: ref(4) }]);
    expect(h.submitted).to.have.length(2);
    // Never ordered: into a new batch.
    h.batches.drop(SELF, ref(5));
    await turn();
    expect(h.submitted.length).to.be.above(2);
  });

  it('from the own log that do not pass any more are fatal, with what to compare', () => {
    const h = harness();
    h.batches.restore(0, ref(7), payload(99));
    expect(h.fatal()?.message).to.match(/batch 7 of lane 0 in this replica's own log/);
    expect(h.checked).to.deep.equal([]);
  });

  it('that a checkpoint has passed are forgotten; own transactions not on the chain go again', async () => {
    const h = harness();
    await h.batches.check(0, ref(1), payload(1), 'all');
    await h.batches.check(0, ref(9), payload(9), 'all');
    for (const [seq, i] of [
      [1, 11],
      [2, 12],
      [3, 13],
    ] as const) {
      h.batches.restore(SELF, ref(seq), payload(i));
    }
    h.stored.add(transaction(11).txId);
    const frontier = [ref(5), ref(0), ref(2), ref(0)];
    h.batches.passed(frontier);
    await turn();
    expect(h.submitted).to.deep.equal([[12]]);
    expect(h.batches.deliver([{ lane: 0, ref: ref(9) }])).to.have.length(1);
    expect(h.batches.deliver([{ lane: SELF, ref: ref(3) }])).to.have.length(1);
    // Told again that they are dropped: they have been taken care of.
    h.batches.drop(SELF, ref(2));
    await turn();
    expect(h.submitted).to.have.length(1);
  });

  it('leave what was not ordered to the next run', async () => {
    const h = harness();
    h.batches.restore(SELF, ref(1), payload(11));
    for (let i = 20; i < 30; i++) h.batches.push(transaction(i));
    await turn();
    h.batches.onOwnBatch(ref(2));
    const rest = h.batches.stop().map(({ bytes }) => bytes[0] ?? 0);
    expect(rest.sort((a, b) => a - b)).to.deep.equal([11, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29]);
  });
});
