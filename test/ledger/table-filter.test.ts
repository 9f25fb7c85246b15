import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { LedgerSnapshot } from '../../ledger/store/index.ts';
import { IndexImage } from '../../ledger/store/index-image.ts';
import { encodeLocation, seal, transactionKey } from '../../ledger/store/records.ts';
import { scanTables } from '../../ledger/store/table-scan.ts';
import { certified, inTemporaryFolder, makeChain, makeGenesis, openLedger } from './helpers.ts';
import {
  compact,
  filterFor,
  hideKey,
  inDatabase,
  readTable,
  tablesIn,
  withFilter,
} from './tables.ts';

const KEYS = Array.from({ length: 400 }, (_, name) =>
  transactionKey(createHash('sha256').update(`${name}`).digest('hex')),
).sort(Buffer.compare);

/** What the scan of an audit says of the tables. */
async function reasonsIn(directory: string): Promise<string[]> {
  const image = new IndexImage(10_000);
  const findings = await scanTables(join(directory, 'db'), Number.MAX_SAFE_INTEGER, image);
  return findings.map(({ reason }) => reason);
}

describe('ledger/store: filters of tables', function () {
  this.timeout(120_000);
  let directory: string;
  let path: string;
  let sound: Uint8Array;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sluice-ledger-'));
    await inDatabase(directory, async (database) => {
      for (const [index, key] of KEYS.entries()) {
        await database.put(key, seal(key, encodeLocation({ blockNumber: 1, index })));
      }
      await compact(database);
    });
    const names = await tablesIn(directory);
    expect(names).to.have.length(1);
    path = join(directory, 'db', names[0] ?? '');
    sound = await readFile(path);
  });

  after(() => rm(directory, { recursive: true, force: true }));

  /** How many of the keys LevelDB does not find. */
  async function lost(): Promise<number> {
    const found = await inDatabase(directory, (database) => database.getMany([...KEYS]));
    return found.filter((value) => value === undefined).length;
  }

  async function expectLikeLevelDB(filter: Uint8Array): Promise<number> {
    await writeFile(path, withFilter(sound, filter));
    const count = await lost();
    const reasons = count === 0 ? [] : [`the filter hides ${count} entries from LevelDB`];
    expect((await reasonsIn(directory)).map((reason) => reason.split(':')[0])).to.deep.equal(
      reasons,
    );
    return count;
  }

  it('pass every key of what LevelDB wrote', async () => {
    const { blocks, filter } = readTable(sound);
    expect(blocks.length).to.be.greaterThan(3);
    expect(await expectLikeLevelDB(filter)).to.equal(0);
  });

  it('hide what LevelDB does not find, whatever their bytes are', async () => {
    const { filter } = readTable(sound);
    const room = filter.length;
    const changed = fc
      .array(fc.tuple(fc.nat(room - 1), fc.nat(255)), { maxLength: 4 })
      .map((changes) => {
        const bytes = Uint8Array.from(filter);
        for (const [at, byte] of changes) bytes[at]! ^= byte;
        return bytes;
      });
    const tail = changed.chain((bytes) =>
      fc.tuple(fc.nat(60), fc.nat(255)).map(([back, byte]) => bytes.with(room - 1 - back, byte)),
    );
    const number = fc.oneof(fc.nat(80), fc.nat(0xffff_ffff));
    const made = fc
      .record({
        bits: fc.uint8Array({ maxLength: 60 }),
        offsets: fc.array(number, { maxLength: 8 }),
        begin: fc.option(number, { nil: undefined }),
        base: fc.oneof(fc.constantFrom(11, 12, 13), fc.nat(255)),
      })
      .map(({ bits, offsets, begin = bits.length, base }) =>
        Uint8Array.from([
          ...bits,
          ...new Uint8Array(Uint32Array.from([...offsets, begin]).buffer),
          base,
        ]),
      );
    const any = fc.uint8Array({ maxLength: 100 });
    let hiding = 0;
    const property = fc.asyncProperty(fc.oneof(changed, tail, made, any), async (bytes) => {
      if ((await expectLikeLevelDB(bytes)) > 0) hiding += 1;
    });
    await fc.assert(property, { numRuns: 60 });
    expect(hiding).to.be.greaterThan(3);
  });

  it('are read as LevelDB reads them at each border', async () => {
    const { filter } = readTable(sound);
    const { start, limit } = filterFor(filter, 0);
    const [begin, end] = [filter.length - 5, filter.length - 1];
    const offsets = new DataView(filter.buffer).getUint32(begin, true);
    const change = (...changes: [number, number][]): Uint8Array =>
      changes.reduce((bytes, [at, byte]) => bytes.with(at, byte), filter);
    const firstEnds = (limitAt: number): Uint8Array => {
      const bytes = Uint8Array.from(filter);
      new DataView(bytes.buffer).setUint32(offsets + 4, limitAt, true);
      return bytes;
    };
    const passing: [string, Uint8Array][] = [
      ['nothing', new Uint8Array(0)],
      ['four bytes', new Uint8Array(4)],
      ['no filter', new Uint8Array(5)],
      ['offsets behind the end', change([begin, 0xff], [begin + 1, 0xff])],
      ['no probes', change([limit - 1, 0])],
      ['probes of a later kind', change([limit - 1, 31])],
      ['probes below zero', change([limit - 1, 0xff])],
      ['a filter that ends among the offsets', firstEnds(offsets + 1)],
      ['bytes for one filter that wrap', change([end, 64 + 11])],
      ['the same, and are below zero', change([end, 128 + 11])],
    ];
    for (const [what, bytes] of passing) {
      expect(await expectLikeLevelDB(bytes), what).to.equal(0);
    }
    const hiding: [string, Uint8Array][] = [
      ['a filter of no bytes', firstEnds(start)],
      ['a filter of no bits', firstEnds(start + 1)],
      ['a filter with all probes there may be', change([limit - 1, 30])],
      ['the first filter for all blocks', change([end, 63])],
      ['the same, wrapped', change([end, 127])],
    ];
    for (const [what, bytes] of hiding) {
      expect(await expectLikeLevelDB(bytes), what).to.be.greaterThan(0);
    }
  });

  it('of another name are none, and none is no fault', async () => {
    const { filter } = readTable(sound);
    const closed = filter.fill(0, 0, filterFor(filter, 0).limit - 1);
    for (const name of ['filter.leveldb.BuiltinBloomFilter', 'filter.other', '']) {
      await writeFile(path, withFilter(sound, closed, { name }));
      expect(await lost(), name).to.equal(0);
      expect(await reasonsIn(directory), name).to.deep.equal([]);
    }
  });

  it('are damaged when they are not where the meta index says, or it leads elsewhere', async () => {
    const { filterOffset } = readTable(sound);
    const cases: [Parameters<typeof withFilter>[2], string][] = [
      [{ handle: [] }, 'the filter is damaged'],
      [{ handle: [0x80] }, 'the filter is damaged'],
      [{ handle: [filterOffset & 0x7f, 3] }, 'the filter is damaged'],
      [{ handle: [0xff, 0xff, 0xff, 0x7f, 9] }, 'the filter is damaged'],
      // By a second point LevelDB may come to an entry that is not there for whoever reads one after another.
      [{ restarts: [0, 0] }, 'the meta index is damaged'],
      [{ restarts: [] }, 'the meta index is damaged'],
      [{ restarts: [1] }, 'the meta index is damaged'],
    ];
    for (const [options, reason] of cases) {
      await writeFile(path, withFilter(sound, new Uint8Array(9), options));
      expect(await reasonsIn(directory), JSON.stringify(options)).to.deep.equal([reason]);
    }
  });
});

describe('ledger/store: a filter that was made to hide a transaction', () => {
  it('keeps it from the replica, and is found by an audit', async () => {
    const genesis = makeGenesis();
    const chain = makeChain(genesis, 20, 30);
    await inTemporaryFolder(async (directory) => {
      const ledger = await openLedger(directory, genesis);
      await ledger.appendCertified(chain.map(certified));
      await ledger.close();
      await inDatabase(directory, compact);
      const image = new IndexImage(10_000);
      expect(await scanTables(join(directory, 'db'), 1 << 30, image)).to.deep.equal([]);
      const ids = chain.flatMap(({ txIds }) => txIds.filter((id) => id !== undefined));
      // Of these LevelDB is asked in any case.
      const asked = new Set(image.probes.map((key) => Buffer.from(key).toString('hex')));
      const hidden = ids.find((id) => !asked.has(`20${id}`)) ?? '';
      const [name = ''] = await tablesIn(directory);
      const path = join(directory, 'db', name);
      const key = transactionKey(hidden);
      await writeFile(path, hideKey(await readFile(path), key, image.probes));
      const replica = await openLedger(directory, genesis);
      expect(await replica.transaction(hidden)).to.equal(undefined);
      expect(replica.hasTransactionNow(hidden)).to.equal(false);
      await replica.close();
      const error = await LedgerSnapshot.open({ directory }).catch((caught: unknown) => caught);
      expect(error).to.have.property('code', 'ledger_corrupt');
      expect(error)
        .to.have.property('message')
        .that.matches(new RegExp(`${name}, byte \\d+: the filter hides \\d+ entr.*move the whole`));
    });
  });
});
