import { expect } from 'chai';
import fc from 'fast-check';
import { encodeBlock } from '../../ledger/format/index.ts';
import type { Ledger } from '../../ledger/store/index.ts';
import {
  type BuiltBlock,
  certified,
  codeOf,
  inTemporaryFolder,
  makeBlock,
  makeCertificate,
  makeGenesis,
  openLedger,
} from './helpers.ts';

const genesis = makeGenesis();

type Step =
  | { kind: 'append'; counts: number[]; certified: boolean; wait: boolean }
  | { kind: 'attach'; back: number }
  | { kind: 'truncate'; back: number }
  | { kind: 'reopen' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      counts: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 3 }),
      certified: fc.boolean(),
      wait: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('attach' as const), back: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('truncate' as const), back: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen' as const) }) },
);

/** What the ledger must hold: a list, and the set of certificates. */
class Model {
  readonly blocks: BuiltBlock[] = [];
  readonly certificates = new Set<number>();
  readonly dropped: string[] = [];

  certifiedHeight(): number {
    let height = 1;
    while (this.certificates.has(height)) height += 1;
    return height;
  }

  async check(ledger: Ledger): Promise<void> {
    expect(ledger.storedHeight()).to.equal(this.blocks.length + 1);
    expect(ledger.certifiedHeight()).to.equal(this.certifiedHeight());
    for (const [index, built] of this.blocks.entries()) {
      const number = index + 1;
      const bytes = await ledger.block(number);
      const expected = encodeBlock(certified(built).block);
      expect(bytes).to.deep.equal(number < this.certifiedHeight() ? expected : undefined);
      expect((await ledger.storedBlock(number))?.data).to.deep.equal(built.block.data);
      for (const [position, txId] of built.txIds.entries()) {
        const location = await ledger.transaction(txId ?? '');
        expect(location).to.deep.equal({ blockNumber: number, index: position });
      }
    }
    expect((await ledger.hasTransactions(this.dropped)).includes(true)).to.equal(false);
  }
}

async function run(directory: string, steps: readonly Step[]): Promise<void> {
  const model = new Model();
  let forks = 0;
  let ledger = await openLedger(directory, genesis);
  let open: Promise<void>[] = [];
  for (const next of steps) {
    const height = model.blocks.length + 1;
    if (next.kind === 'append') {
      const list = next.counts.map((count) => {
        const previous = model.blocks.at(-1)?.block.header ?? genesis.header;
        const built = makeBlock(previous, count, String(forks));
        model.blocks.push(built);
        if (next.certified) model.certificates.add(built.block.header.number);
        return next.certified ? certified(built) : built;
      });
      open.push(next.certified ? ledger.appendCertified(list) : ledger.appendBlocks(list));
      if (next.wait) await Promise.all(open);
    } else if (next.kind === 'attach') {
      const number = height - 1 - next.back;
      if (number < 1) continue;
      model.certificates.add(number);
      open.push(ledger.attachCertificate(number, makeCertificate(number)));
    } else if (next.kind === 'truncate') {
      const to = Math.max(1, height - next.back);
      const allowed = to > Math.max(0, ...model.certificates);
      expect(await codeOf(ledger.truncateUncertified(to))).to.equal(
        allowed ? 'none' : 'invalid_call',
      );
      if (!allowed) continue;
      for (const { txIds } of model.blocks.splice(to - 1)) {
        model.dropped.push(...txIds.map((txId) => txId ?? ''));
      }
      forks += 1;
    } else {
      await ledger.close();
      ledger = await openLedger(directory, genesis);
    }
    if (next.kind === 'reopen') {
      await Promise.all(open);
      open = [];
      await model.check(ledger);
    }
  }
  await Promise.all(open);
  await model.check(ledger);
  await ledger.close();
}

describe('ledger/store: any sequence of calls', () => {
  it('holds what a list would hold, across reopening', async function () {
    this.timeout(30_000);
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 14 }), (steps) =>
        inTemporaryFolder((directory) => run(directory, steps)),
      ),
      { numRuns: 25 },
    );
  });
});
