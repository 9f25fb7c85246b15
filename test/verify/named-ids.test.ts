import { createHash } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import { fromHex, ID_WORDS, writeIdWords } from '../../ledger/format/index.ts';
import { IndexImage } from '../../ledger/store/index-image.ts';
import { encodeLocation, seal, transactionKey } from '../../ledger/store/records.ts';
import { createNamedTxIds } from '../../scripts/verify/named-ids.ts';
import { createTxIdTable, type TxIdMemory } from '../../scripts/verify/tx-ids.ts';

const NAMES = 12;
const ids = Array.from({ length: NAMES }, (_, name) =>
  createHash('sha256').update(`${name}`).digest('hex'),
);
const words = new Uint32Array(NAMES * ID_WORDS);
for (const [name, id] of ids.entries()) writeIdWords(words, ID_WORDS * name, fromHex(id));

interface Place {
  readonly name: number;
  readonly block: number;
  readonly position: number;
}

function imageOf(places: readonly Place[], doubted: readonly number[]): IndexImage {
  const image = new IndexImage(NAMES);
  for (const { name, block, position } of places) {
    const key = transactionKey(ids[name] as string);
    const value = seal(key, encodeLocation({ blockNumber: block, index: position }));
    image.add(key, value, 0, value.length);
  }
  for (const name of doubted) image.doubt(transactionKey(ids[name] as string));
  return image;
}

const place = fc.record({
  name: fc.nat({ max: NAMES - 1 }),
  // Of two ranges: what does not fit into 32 bits is stored in two words.
  block: fc.oneof(
    fc.nat({ max: 5 }),
    fc.nat({ max: 2 }).map((low) => 2 ** 32 + low),
  ),
  position: fc.nat({ max: 3 }),
});

describe('auditor: ids whose place an index names', () => {
  it('finds the duplicates that a table finds, whatever the index says, and so does a clone', () => {
    fc.assert(
      fc.property(
        fc.array(place, { maxLength: 40 }),
        fc.array(place, { maxLength: 12 }),
        fc.array(fc.nat({ max: NAMES - 1 }), { maxLength: 3 }),
        fc.nat({ max: 40 }),
        (chain, lies, doubted, cloneAt) => {
          // Half of what the index says is what the chain will say.
          const said = [...chain.filter((_, at) => at % 2 === 0), ...lies];
          const table = createTxIdTable();
          const named: TxIdMemory = createNamedTxIds(imageOf(said, doubted));
          let clone: TxIdMemory | undefined;
          for (const [at, { name, block, position }] of chain.entries()) {
            if (at === cloneAt) clone = named.clone();
            const expected = table.add(words, ID_WORDS * name, block);
            for (const memory of [named, clone ?? named].slice(0, clone === undefined ? 1 : 2)) {
              expect(memory.add(words, ID_WORDS * name, block, position)).to.equal(expected);
            }
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('keeps what a clone is told from its original', () => {
    const [first, second] = [0, ID_WORDS];
    const named = createNamedTxIds(imageOf([{ name: 0, block: 3, position: 1 }], []));
    expect(named.add(words, first, 3, 1)).to.equal(undefined);
    const clone = named.clone();
    expect(clone.add(words, second, 4, 0)).to.equal(undefined);
    expect(named.add(words, second, 5, 0)).to.equal(undefined);
    expect(clone.add(words, first, 9, 0)).to.equal(3);
    expect(clone.add(words, second, 9, 1)).to.equal(4);
    expect(named.add(words, second, 9, 1)).to.equal(5);
  });

  it('takes what stands twice at the same place for twice', () => {
    const named = createNamedTxIds(imageOf([{ name: 0, block: 3, position: 1 }], []));
    expect(named.add(words, 0, 3, 1)).to.equal(undefined);
    expect(named.add(words, 0, 3, 1)).to.equal(3);
  });
});
