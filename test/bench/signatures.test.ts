/** The measurement with signatures: what is signed, who has checked it, and how that is counted. */
import { expect } from 'chai';
import { batchesOf } from '../../bench/signatures/batches.ts';
import { sharesOf } from '../../bench/signatures/cluster.ts';
import { numberedPayload } from '../../bench/signatures/format.ts';
import { RECORD_OVERHEAD_BYTES, RecordFormat } from '../../bench/signatures/records.ts';
import { encodedListBytes } from '../../consensus/wire/index.ts';
import { VerifyPool } from '../../orderer/signature/index.ts';

const PAYLOAD_BYTES = 64;

describe('batches of a measurement', () => {
  const transactions = Array.from({ length: 10 }, (_, i) => new Uint8Array(100).fill(i));

  it('hold as many transactions as they may, in order', () => {
    const batches = batchesOf(transactions, { transactionsMax: 4, bytesMax: 10_000 });
    expect(batches.map(({ length }) => length)).to.eql([4, 4, 2]);
    expect(batches.flat()).to.eql(transactions);
  });

  it('hold as many bytes as they may, and one transaction at least', () => {
    const bytesMax = encodedListBytes(3, 300);
    const batches = batchesOf(transactions, { transactionsMax: 100, bytesMax });
    expect(batches.map(({ length }) => length)).to.eql([3, 3, 3, 1]);
    const alone = batchesOf(transactions, { transactionsMax: 100, bytesMax: 1 });
    expect(alone.map(({ length }) => length)).to.eql(new Array(10).fill(1));
  });

  it('are none when there is nothing', () => {
    expect(batchesOf([], { transactionsMax: 4, bytesMax: 10_000 })).to.eql([]);
  });
});

describe('payloads of a measurement', () => {
  it('differ by replica and number, and are as long as they should be', () => {
    const names = new Set<string>();
    for (let replica = 0; replica < 4; replica++) {
      for (let number = 0; number < 300; number++) {
        const payload = numberedPayload(replica, number, PAYLOAD_BYTES);
        expect(payload.length).to.equal(PAYLOAD_BYTES);
        names.add(Buffer.from(payload).toString('hex'));
      }
    }
    expect(names.size).to.equal(1_200);
    expect(() => numberedPayload(0, 0, 7)).to.throw(RangeError);
  });
});

describe('signed records', () => {
  let pool: VerifyPool;
  before(() => {
    pool = new VerifyPool({ threads: 1, queueMax: 1_000 });
  });
  after(() => pool.close());

  const flipped = (record: Uint8Array, at: number): Uint8Array => {
    const changed = record.slice();
    changed[at] = (changed[at] as number) ^ 1;
    return changed;
  };

  it('are found valid by every replica, each by a check of its own', async () => {
    const records = new RecordFormat({ replica: 0 }, { pool }).make(70, PAYLOAD_BYTES);
    const before = pool.stats().itemsVerified;
    for (const replica of [0, 1, 2]) {
      const format = new RecordFormat({ replica }, { pool });
      expect(await format.checkPeers(0, records, true)).to.equal(true);
      expect(await format.checkOwn(records)).to.equal(true);
    }
    expect(pool.stats().itemsVerified - before).to.equal(6 * records.length);
  });

  it('are refused when one of them was changed, or is of nobody', async () => {
    const format = new RecordFormat({ replica: 0 }, { pool });
    const records = format.make(70, PAYLOAD_BYTES);
    const check = (index: number, record: Uint8Array): Promise<boolean> =>
      format.checkPeers(0, records.with(index, record), true);
    for (const index of [0, 40, 69]) {
      const record = records[index] as Uint8Array;
      expect(await check(index, flipped(record, RECORD_OVERHEAD_BYTES))).to.equal(false);
      expect(await check(index, flipped(record, RECORD_OVERHEAD_BYTES - 40))).to.equal(false);
      expect(await check(index, flipped(record, 0))).to.equal(false);
      expect(await check(index, record.subarray(0, RECORD_OVERHEAD_BYTES))).to.equal(false);
    }
  });

  it("are only read when the signatures are others' business", async () => {
    const format = new RecordFormat({ replica: 0 }, { pool });
    const records = format.make(3, PAYLOAD_BYTES);
    const before = pool.stats().itemsVerified;
    const badSignature = flipped(records[1] as Uint8Array, RECORD_OVERHEAD_BYTES - 1);
    expect(await format.checkPeers(0, records.with(1, badSignature), false)).to.equal(true);
    const unknown = flipped(records[1] as Uint8Array, 0);
    expect(await format.checkPeers(0, records.with(1, unknown), false)).to.equal(false);
    expect(pool.stats().itemsVerified).to.equal(before);
  });
});

describe('shares of checked signatures', () => {
  it('count each replica, and late checks among those of peers', () => {
    const counts = (signatures: number, late: number) => ({
      signatures,
      asked: { all: 0, form: 0, late },
    });
    const before = [counts(10, 0), counts(20, 5), counts(0, 0), counts(0, 0)];
    const after = [counts(60, 0), counts(120, 35), counts(50, 0), counts(0, 0)];
    const { checkedShares, lateShare } = sharesOf(before, after, 100);
    expect(checkedShares).to.eql([0.5, 1, 0.5, 0]);
    expect(lateShare).to.equal(0.1);
  });
});
