import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { Level } from 'level';
import { fromHex, ID_WORDS } from '../../ledger/format/index.ts';
import { LedgerSnapshot } from '../../ledger/store/index.ts';
import { readLoggedBatch, readTableBlock } from '../../ledger/store/index-entries.ts';
import { IndexImage } from '../../ledger/store/index-image.ts';
import { encodeLocation, seal, transactionKey } from '../../ledger/store/records.ts';
import { certified, inTemporaryFolder, makeChain, makeGenesis, openLedger } from './helpers.ts';

type Database = Level<Uint8Array, Uint8Array>;
type Change = (database: Database) => Promise<unknown>;

const BLOCKS = 20;
const TRANSACTIONS = 30;
const genesis = makeGenesis();
const chain = makeChain(genesis, BLOCKS, TRANSACTIONS);

function wordsOf(txIds: readonly (string | undefined)[]): Uint32Array {
  const words = new Uint32Array(ID_WORDS * txIds.length);
  for (const [index, txId] of txIds.entries()) {
    if (txId === undefined) continue;
    const view = new DataView(fromHex(txId).buffer);
    for (let word = 0; word < ID_WORDS; word++) {
      words[ID_WORDS * index + word] = view.getUint32(4 * word);
    }
  }
  return words;
}

/** Of a block for which LevelDB looks whatever the key is. */
const ANY = { from: new Uint8Array(0), to: Uint8Array.of(0xff), sequenceMax: 2 ** 53 };

const idOf = (name: number): string => createHash('sha256').update(`${name}`).digest('hex');
const txIdOf = (block: number, index: number): string => chain[block - 1]!.txIds[index] ?? '';

function put(txId: string, blockNumber: number, index: number): Change {
  const key = transactionKey(txId);
  return (database) => database.put(key, seal(key, encodeLocation({ blockNumber, index })));
}

/** LevelDB as it is in a ledger's folder, its keys and values as bytes. */
async function inDatabase(directory: string, changes: readonly Change[]): Promise<void> {
  const options = { keyEncoding: 'view', valueEncoding: 'view' } as const;
  const database = new Level<Uint8Array, Uint8Array>(join(directory, 'db'), options);
  await database.open();
  for (const change of changes) await change(database);
  await database.close();
}

/** Everything into tables of the last level, the log empty. */
const compact: Change = (database) =>
  (
    database as Database & { compactRange(from: Uint8Array, to: Uint8Array): Promise<void> }
  ).compactRange(Uint8Array.of(0), Uint8Array.of(0xff));
/** What the log holds goes to a table at the next opening. */
const nothing: Change = () => Promise.resolve();

async function withLedger(
  changes: readonly (readonly Change[])[],
  use: (snapshot: LedgerSnapshot) => Promise<void>,
): Promise<void> {
  await inTemporaryFolder(async (directory) => {
    const ledger = await openLedger(directory, genesis);
    for (const built of chain) await ledger.appendCertified([certified(built)]);
    await ledger.close();
    for (const together of changes) await inDatabase(directory, together);
    const snapshot = await LedgerSnapshot.open({ directory });
    try {
      await use(snapshot);
    } finally {
      await snapshot.close();
    }
  });
}

/** Positions that the image leaves open, by block; of all others LevelDB must say the same. */
async function leftOpen(snapshot: LedgerSnapshot): Promise<string[]> {
  const open: string[] = [];
  for (const [position, { txIds }] of chain.entries()) {
    const block = position + 1;
    const left = snapshot.unconfirmed(block, wordsOf(txIds));
    const said = await snapshot.transactions(txIds.map((txId) => txId ?? ''));
    for (const index of txIds.keys()) {
      if (left.includes(index)) open.push(`${block}/${index}`);
      else expect(said[index]).to.deep.equal({ blockNumber: block, index });
    }
  }
  return open;
}

describe('ledger/store: the transaction index of a stopped replica', function () {
  this.timeout(30_000);

  it('is taken from the tables, and what the log has is left to LevelDB', async () => {
    await withLedger([[compact]], async (snapshot) => {
      expect(await leftOpen(snapshot)).to.deep.equal([]);
    });
    await withLedger([[nothing]], async (snapshot) => {
      expect(await leftOpen(snapshot)).to.deep.equal([]);
    });
    await withLedger([], async (snapshot) => {
      const open = await leftOpen(snapshot);
      expect(open.length).to.be.greaterThan(0);
      const said = await snapshot.transactions([txIdOf(BLOCKS, 3)]);
      expect(said).to.deep.equal([{ blockNumber: BLOCKS, index: 3 }]);
    });
  });

  it('leaves open what is wrong, missing, damaged, or was there in two versions', async () => {
    const key = transactionKey(txIdOf(4, 4));
    const sealed = seal(key, encodeLocation({ blockNumber: 4, index: 4 }));
    sealed[2]! ^= 1;
    const changes: Change[] = [
      put(txIdOf(1, 1), 1, 2),
      put(txIdOf(2, 2), 3, 2),
      (database) => database.del(transactionKey(txIdOf(3, 3))),
      (database) => database.put(key, sealed),
      (database) => database.put(transactionKey(txIdOf(5, 5)), new Uint8Array(3)),
      put(txIdOf(6, 6), 2 ** 33 + 6, 6),
    ];
    for (const then of [[], [[nothing]], [[compact]]]) {
      await withLedger([[compact], changes, ...then], async (snapshot) => {
        const places = ['1/1', '2/2', '3/3', '4/4', '5/5', '6/6'];
        expect(await leftOpen(snapshot)).to.deep.equal(places);
      });
    }
    // LevelDB's answer is right again, and the image cannot know that it is the newest.
    const twice = [[compact], [put(txIdOf(6, 6), 7, 7)], [put(txIdOf(6, 6), 6, 6)], [nothing]];
    await withLedger(twice, async (snapshot) => {
      expect(await leftOpen(snapshot)).to.deep.equal(['6/6']);
    });
  });

  it('never says other than LevelDB, whatever has been written and removed', async function () {
    this.timeout(120_000);
    const change = fc.oneof(
      { arbitrary: fc.constantFrom(compact, nothing), weight: 1 },
      {
        arbitrary: fc
          .tuple(fc.integer({ min: 1, max: 3 }), fc.nat({ max: 3 }), fc.boolean())
          .map(([block, index, right]) => put(txIdOf(block, index), block, right ? index : 9)),
        weight: 3,
      },
      {
        arbitrary: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.nat({ max: 3 })).map(
          ([block, index]): Change =>
            (database) =>
              database.del(transactionKey(txIdOf(block, index))),
        ),
        weight: 2,
      },
    );
    const sessions = fc.array(fc.array(change, { maxLength: 4 }), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(sessions, (changes) =>
        withLedger(changes, async (snapshot) => void (await leftOpen(snapshot))),
      ),
      { numRuns: 12 },
    );
  });
});

describe('ledger/store: the image of an index', () => {
  function imageOf(countMax: number, count: number, expected = 0): IndexImage {
    const image = new IndexImage(countMax, expected);
    for (let name = 0; name < count; name++) {
      const key = transactionKey(idOf(name));
      const value = seal(key, encodeLocation({ blockNumber: name + 2 ** 34, index: name % 7 }));
      image.add(key, value, 0, value.length);
    }
    return image;
  }
  const agrees = (image: IndexImage, name: number, block = name + 2 ** 34): boolean =>
    !image.unconfirmed(wordsOf(Array(7).fill(idOf(name))), block).includes(name % 7);

  for (const expected of [0, 9_000, 10 ** 12]) {
    it(`keeps what it has room for, of ${expected} expected, and nothing when it is discarded`, () =>
      fillAndDiscard(imageOf(10_000, 12_000, expected)));
  }

  function fillAndDiscard(image: IndexImage): void {
    expect(image.count).to.equal(10_000);
    for (const name of [0, 1, 4095, 4096, 9_999]) {
      expect(agrees(image, name)).to.equal(true);
      expect(agrees(image, name, name)).to.equal(false);
    }
    for (const name of [10_000, 11_999, 20_000]) expect(agrees(image, name)).to.equal(false);
    // Full, and yet what is said of those that are kept is heard.
    image.doubt(transactionKey(idOf(7)));
    expect(agrees(image, 7)).to.equal(false);
    expect(agrees(image, 8)).to.equal(true);
    image.discard();
    expect(agrees(image, 8)).to.equal(false);
    image.doubt(transactionKey(idOf(8)));
    expect(image.contradicts(transactionKey(idOf(8)), undefined)).to.equal(false);
  }

  it('is contradicted by any answer but the one it holds', () => {
    const image = imageOf(10, 3);
    const key = transactionKey(idOf(1));
    const answer = seal(key, encodeLocation({ blockNumber: 1 + 2 ** 34, index: 1 }));
    expect(image.contradicts(key, answer)).to.equal(false);
    for (const other of [
      undefined,
      answer.subarray(1),
      answer.map((byte, at) => byte ^ +(at === 15)),
    ]) {
      expect(image.contradicts(key, other)).to.equal(true);
    }
    expect(image.contradicts(transactionKey(idOf(5)), undefined)).to.equal(false);
  });

  it('reads blocks and batches of any bytes without an exception', () => {
    const property = fc.property(fc.uint8Array({ maxLength: 200 }), (content) => {
      const image = new IndexImage(10);
      readTableBlock(content, image, ANY);
      readLoggedBatch(content, image);
    });
    fc.assert(property, { numRuns: 2_000 });
  });

  it('refuses a block in another order than LevelDB searches', () => {
    const [low, high] = [idOf(1), idOf(2)].sort() as [string, string];
    const read = (txIds: string[], restarts: number[]): boolean =>
      readTableBlock(tableBlock(txIds, restarts), new IndexImage(10), ANY);
    expect(read([low, high], [0])).to.equal(true);
    expect(read([low, high], [0, 60])).to.equal(true);
    expect(read([low, low], [0])).to.equal(true);
    expect(read([high, low], [0])).to.equal(false);
    expect(read([low, high], [0, 59])).to.equal(false);
    expect(read([low, high], [60, 0])).to.equal(false);
  });
});

/** Entries of 60 bytes, each with its whole key: lengths (3), key and suffix (41), value (16). */
function tableBlock(txIds: readonly string[], restarts: readonly number[]): Uint8Array {
  const parts = txIds.flatMap((txId) => {
    const key = transactionKey(txId);
    const suffix = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);
    return [
      0,
      41,
      16,
      ...key,
      ...suffix,
      ...seal(key, encodeLocation({ blockNumber: 1, index: 0 })),
    ];
  });
  const numbers = new Uint8Array(Uint32Array.from([...restarts, restarts.length]).buffer);
  return Uint8Array.from([...parts, ...numbers]);
}
