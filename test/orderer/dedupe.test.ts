import { expect } from 'chai';
import fc from 'fast-check';
import { Deduplicator } from '../../orderer/dedupe/index.ts';
import { OrdererError } from '../../orderer/errors.ts';

interface Tx {
  readonly txId: string;
  /** Position in the stream. */
  readonly at: number;
}

function txs(...ids: string[]): Tx[] {
  return ids.map((txId, at) => ({ txId, at }));
}

const noBlocks = async (txIds: readonly string[]) => txIds.map(() => undefined);

/** A ledger of ids, whose look-ups take a turn. */
function memoryLedger(stored: Iterable<string> = []) {
  const known = new Set(stored);
  let lookups = 0;
  return {
    known,
    lookups: () => lookups,
    hasTransactions: async (txIds: readonly string[]) => {
      lookups += txIds.length;
      const answers = txIds.map((txId) => known.has(txId));
      await Promise.resolve();
      return answers;
    },
    blocksOf: noBlocks,
  };
}

async function code(promise: Promise<unknown>): Promise<string | undefined> {
  const reason = await promise.then(() => undefined).catch((error: unknown) => error);
  return reason instanceof OrdererError ? reason.code : String(reason);
}

describe('Deduplicator', () => {
  it('lets the first through and names the others', async () => {
    const dedupe = new Deduplicator({}, memoryLedger());
    const stream = txs('a', 'b', 'a', 'c', 'b');
    const { fresh, duplicates } = await dedupe.filter(stream);
    expect(fresh).to.deep.equal([stream[0], stream[1], stream[3]]);
    expect(duplicates).to.deep.equal([stream[2], stream[4]]);
    expect(dedupe.inFlight).to.equal(3);
  });

  it('knows what is in the ledger', async () => {
    const dedupe = new Deduplicator({}, memoryLedger(['a']));
    const { fresh, duplicates } = await dedupe.filter(txs('a', 'b', 'a'));
    expect(fresh.map(({ txId }) => txId)).to.deep.equal(['b']);
    expect(duplicates.map(({ at }) => at)).to.deep.equal([0, 2]);
  });

  it('knows what is in flight, without asking the ledger', async () => {
    const ledger = memoryLedger();
    const dedupe = new Deduplicator({}, ledger);
    await dedupe.filter(txs('a'));
    expect(dedupe.isInFlight('a')).to.equal(true);
    const { fresh, duplicates } = await dedupe.filter(txs('a', 'b'));
    expect(fresh.map(({ txId }) => txId)).to.deep.equal(['b']);
    expect(duplicates.map(({ txId }) => txId)).to.deep.equal(['a']);
    expect(ledger.lookups()).to.equal(2);
  });

  it('gives the same answer before, while and after a transaction is stored', async () => {
    for (const moment of ['before', 'during', 'after']) {
      const ledger = memoryLedger();
      const dedupe = new Deduplicator({}, ledger);
      await dedupe.filter(txs('a'));
      const store = () => {
        ledger.known.add('a');
        dedupe.stored(['a']);
      };
      if (moment === 'before') store();
      const filtering = dedupe.filter(txs('a', 'b'));
      if (moment === 'during') store();
      const { fresh } = await filtering;
      if (moment === 'after') store();
      expect(
        fresh.map(({ txId }) => txId),
        moment,
      ).to.deep.equal(['b']);
    }
  });

  it('treats one object handed in twice as a duplicate', async () => {
    const dedupe = new Deduplicator({}, memoryLedger());
    const [a] = txs('a') as [Tx];
    const { fresh, duplicates } = await dedupe.filter([a, a]);
    expect([fresh, duplicates]).to.deep.equal([[a], [a]]);
  });

  it('does not know of blocks that come later in a stream that is delivered again', async () => {
    const blocks = new Map([
      ['a', 3],
      ['b', 4],
    ]);
    const dedupe = new Deduplicator(
      {},
      {
        hasTransactions: async (txIds) => txIds.map((txId) => blocks.has(txId)),
        blocksOf: async (txIds) => txIds.map((txId) => blocks.get(txId)),
      },
    );
    const ids = (list: readonly Tx[]): string[] => list.map(({ txId }) => txId);
    const again = await dedupe.filter(txs('a', 'b', 'c'), 4);
    expect(ids(again.fresh)).to.deep.equal(['b', 'c']);
    expect(ids(again.duplicates)).to.deep.equal(['a']);
    dedupe.reset();
    expect(dedupe.inFlight).to.equal(0);
    expect(ids((await dedupe.filter(txs('a', 'b', 'c'))).fresh)).to.deep.equal(['c']);
  });

  it('takes an empty slot without asking the ledger', async () => {
    const ledger = memoryLedger();
    const result = await new Deduplicator({}, ledger).filter([]);
    expect(result).to.deep.equal({ fresh: [], duplicates: [] });
    expect(ledger.lookups()).to.equal(0);
  });

  it('holds the stream back while too many are in flight', async () => {
    const dedupe = new Deduplicator({ inFlightMax: 2 }, memoryLedger());
    await dedupe.filter(txs('a', 'b', 'c'));
    let done = false;
    const held = dedupe.filter(txs('d')).then(() => {
      done = true;
    });
    dedupe.stored(['a']);
    await new Promise((resolve) => setImmediate(resolve));
    expect(done).to.equal(false);
    dedupe.stored(['b']);
    await held;
    expect(dedupe.inFlight).to.equal(2);
  });

  it('refuses two calls at once: the stream has one order', async () => {
    const dedupe = new Deduplicator({}, memoryLedger());
    const first = dedupe.filter(txs('a'));
    expect(await code(dedupe.filter(txs('b')))).to.equal('misuse');
    await first;
    expect((await dedupe.filter(txs('b'))).fresh).to.have.length(1);
  });

  it('passes on a failing ledger and goes on from where it was', async () => {
    let fail = true;
    const dedupe = new Deduplicator(
      {},
      {
        hasTransactions: async (txIds) => {
          if (fail) throw new Error('disk');
          return txIds.map(() => false);
        },
        blocksOf: noBlocks,
      },
    );
    expect(await code(dedupe.filter(txs('a')))).to.equal('Error: disk');
    expect(dedupe.inFlight).to.equal(0);
    fail = false;
    expect((await dedupe.filter(txs('a'))).fresh).to.have.length(1);
  });

  it('notices a ledger that answers too little', async () => {
    const dedupe = new Deduplicator({}, { hasTransactions: async () => [], blocksOf: noBlocks });
    expect(await code(dedupe.filter(txs('a')))).to.equal('misuse');
  });

  it('names a limit that makes no sense', () => {
    expect(() => new Deduplicator({ inFlightMax: 0 }, memoryLedger())).to.throw(OrdererError, '0');
  });

  it('lets each id through once, however slots are cut and whenever blocks are stored', async () => {
    const slot = fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 15 });
    const storing = fc.nat({ max: 3 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(slot, storing, storing), { maxLength: 20 }),
        async (slots) => {
          const ledger = memoryLedger();
          const dedupe = new Deduplicator({}, ledger);
          const waiting: string[][] = [];
          const seen = new Set<string>();
          const store = (blocks: number) => {
            for (const block of waiting.splice(0, blocks)) {
              for (const txId of block) ledger.known.add(txId);
              dedupe.stored(block);
            }
          };
          for (const [ids, before, during] of slots) {
            store(before);
            const stream = txs(...ids.map(String));
            const filtering = dedupe.filter(stream);
            store(during);
            const { fresh, duplicates } = await filtering;
            // The answer depends on the stream alone: a set that never forgets gives the same.
            const expected = stream.filter(({ txId }) => !seen.has(txId) && seen.add(txId));
            expect(fresh).to.deep.equal(expected);
            expect(fresh.length + duplicates.length).to.equal(stream.length);
            if (fresh.length > 0) waiting.push(fresh.map(({ txId }) => txId));
          }
          store(waiting.length);
          expect(dedupe.inFlight).to.equal(0);
          expect(ledger.known).to.deep.equal(seen);
        },
      ),
      { numRuns: 200 },
    );
  });
});
