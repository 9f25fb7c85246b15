import { expect } from 'chai';
import fc from 'fast-check';
import type { Operation } from '../../ledger/store/database.ts';
import { eachIndexRecord } from '../../ledger/store/index-records.ts';
import { put } from '../../ledger/store/reading.ts';
import {
  decodeLocation,
  encodeLocation,
  transactionKey,
  unseal,
} from '../../ledger/store/records.ts';

const txId = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Buffer.from(bytes).toString('hex'));

function indexRecords(txIds: readonly (string | undefined)[], blockNumber: number): Operation[] {
  const records: Operation[] = [];
  eachIndexRecord({ txIds, blockNumber }, (key, value) => {
    records.push({ type: 'put', key: key.slice(), value: value.slice() });
  });
  return records;
}

describe('index records of a block', () => {
  it('are those that are made one by one (property)', () => {
    fc.assert(
      fc.property(
        fc.array(fc.option(txId, { nil: undefined }), { maxLength: 20 }),
        fc.maxSafeNat(),
        (txIds, blockNumber) => {
          const expected = txIds.flatMap((id, index) =>
            id === undefined
              ? []
              : [put(transactionKey(id), encodeLocation({ blockNumber, index }))],
          );
          expect(indexRecords(txIds, blockNumber)).to.deep.equal(expected);
        },
      ),
    );
  });

  it('have the id in their key, and read back as what was written', () => {
    const id = 'f0'.repeat(16) + '09a5'.repeat(8);
    const [record] = indexRecords([undefined, id], 2 ** 40 + 7).slice(-1);
    if (record?.type !== 'put') throw new Error('no record');
    expect(Buffer.from(record.key).toString('hex')).to.equal(`20${id}`);
    const content = unseal(record.key, record.value, 'it');
    expect(decodeLocation(content)).to.deep.equal({ blockNumber: 2 ** 40 + 7, index: 1 });
  });
});
