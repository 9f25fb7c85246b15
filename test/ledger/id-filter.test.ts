import { expect } from 'chai';
import fc from 'fast-check';
import { fromHex } from '../../ledger/format/index.ts';
import { IdFilter } from '../../ledger/store/id-filter.ts';
import { sha256 } from '../support/hash.ts';

function idOf(number: number): string {
  return Buffer.from(sha256(Buffer.from(String(number)))).toString('hex');
}

describe('ledger/store: the filter of ids', () => {
  it('never denies what was added, as text or as bytes', () => {
    const hex = fc.uint8Array({ minLength: 32, maxLength: 32 });
    fc.assert(
      fc.property(fc.array(hex, { maxLength: 40 }), fc.array(fc.boolean()), (ids, asText) => {
        const filter = new IdFilter();
        for (const [at, id] of ids.entries()) {
          if (asText[at] === true) filter.add(Buffer.from(id).toString('hex'));
          else filter.addBytes(Uint8Array.from([0x20, ...id]), 1);
          const held = ids.slice(0, at + 1).map((one) => Buffer.from(one).toString('hex'));
          expect(held.every((one) => filter.mayHold(one))).to.equal(true);
        }
      }),
    );
  });

  it('denies nearly all that was not, in the first layer and with others behind it', function () {
    this.timeout(30_000);
    const filter = new IdFilter();
    expect(filter.mayHold(idOf(-1))).to.equal(false);
    let added = 0;
    for (const [upTo, share] of [
      [100_000, 0.001],
      [2 ** 18, 0.02],
      [500_000, 0.03],
    ] as const) {
      for (; added < upTo; added += 1) filter.addBytes(sha256(Buffer.from(String(added))), 0);
      for (const number of [0, 1, upTo >> 1, upTo - 1]) {
        expect(filter.mayHold(idOf(number))).to.equal(true);
      }
      let wrong = 0;
      for (let number = 1; number <= 5_000; number += 1) {
        if (filter.mayHold(idOf(-number))) wrong += 1;
      }
      expect(wrong / 5_000, `of ${upTo}`).to.be.lessThan(share);
    }
  });

  it('says of nothing that it is not there once it is full', function () {
    this.timeout(60_000);
    const filter = new IdFilter();
    const id = fromHex(idOf(1));
    for (let added = 0; added < 31 * 2 ** 18; added += 1) filter.addBytes(id, 0);
    expect(filter.mayHold(idOf(2))).to.equal(false);
    filter.addBytes(id, 0);
    expect(filter.mayHold(idOf(2))).to.equal(true);
    filter.add(idOf(3));
    expect(filter.mayHold(idOf(4))).to.equal(true);
  });
});
