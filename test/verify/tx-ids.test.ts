import { createHash } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import { ID_WORDS, writeIdWords } from '../../ledger/format/index.ts';
import { createTxIdTable } from '../../scripts/verify/tx-ids.ts';

function idOf(name: number): Uint32Array {
  const words = new Uint32Array(ID_WORDS);
  writeIdWords(words, 0, createHash('sha256').update(String(name)).digest());
  return words;
}

describe('auditor: table of transaction ids', () => {
  it('answers as a Map does, growing and cloned', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat({ max: 3_000 }), fc.maxSafeNat()), { maxLength: 2_000 }),
        fc.nat({ max: 2_000 }),
        (entries, cloneAt) => {
          let table = createTxIdTable();
          const model = new Map<number, number>();
          entries.forEach(([name, block], position) => {
            if (position === cloneAt) table = table.clone();
            expect(table.add(idOf(name), 0, block)).to.equal(model.get(name));
            if (!model.has(name)) model.set(name, block);
            expect(table.blockOf(idOf(name), 0)).to.equal(model.get(name));
          });
          expect(table.size).to.equal(model.size);
        },
      ),
      { numRuns: 20 },
    );
  });

  it('keeps a clone apart from its original', () => {
    const table = createTxIdTable();
    table.add(idOf(1), 0, 7);
    const clone = table.clone();
    expect(clone.add(idOf(2), 0, 8)).to.equal(undefined);
    expect(table.blockOf(idOf(2), 0)).to.equal(undefined);
    expect(table.add(idOf(2), 0, 9)).to.equal(undefined);
    expect(clone.add(idOf(1), 0, 9)).to.equal(7);
  });

  it('holds twenty thousand ids', () => {
    const table = createTxIdTable();
    for (let name = 0; name < 20_000; name++) table.add(idOf(name), 0, name);
    expect(table.size).to.equal(20_000);
    expect(table.add(idOf(17_777), 0, 0)).to.equal(17_777);
  });
});
