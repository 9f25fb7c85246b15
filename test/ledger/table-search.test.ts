import { createHash } from 'node:crypto';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { fromHex, ID_WORDS } from '../../ledger/format/index.ts';
import { LedgerError, LedgerSnapshot } from '../../ledger/store/index.ts';
import { readTableBlock } from '../../ledger/store/index-entries.ts';
import { IndexImage } from '../../ledger/store/index-image.ts';
import { tablesOf } from '../../ledger/store/manifest.ts';
import { encodeLocation, KIND, seal, transactionKey } from '../../ledger/store/records.ts';
import { scanTables } from '../../ledger/store/table-scan.ts';
import { inTemporaryFolder } from './helpers.ts';
import {
  dataBlockOf,
  type MadeBlock,
  type MadeEntry,
  type MadeField,
  manifestOf,
  tableOf,
  writeDatabase,
} from './made-database.ts';

const COUNT = 12;
const LAST_SEQUENCE = 50;
const IDS = Array.from({ length: COUNT }, (_, name) =>
  createHash('sha256').update(`${name}`).digest('hex'),
).sort();
const ENTRIES: readonly MadeEntry[] = IDS.map((id, index) => {
  const key = transactionKey(id);
  const value = seal(key, encodeLocation({ blockNumber: 1, index }));
  return { key, value, sequence: index + 1 };
});
const WORDS = new Uint32Array(COUNT * ID_WORDS).map((_, at) =>
  Buffer.from(fromHex(IDS[Math.floor(at / ID_WORDS)]!)).readUInt32BE(4 * (at % ID_WORDS)),
);
const keyAt = (index: number): Uint8Array => ENTRIES[index]!.key;
const blockFrom = (from: number, to: number, upTo = to - 1): MadeBlock => ({
  upTo: keyAt(upTo),
  entries: ENTRIES.slice(from, to),
});

interface Plan {
  tables: { level: number; blocks: MadeBlock[]; smallest: Uint8Array; largest: Uint8Array }[];
  fields: MadeField[];
}

/** Tables of two blocks of three entries each, as LevelDB would write them. */
function honestPlan(): Plan {
  const tables = [0, 6].map((from) => ({
    level: 1,
    blocks: [blockFrom(from, from + 3), blockFrom(from + 3, from + 6)],
    smallest: keyAt(from),
    largest: keyAt(from + 5),
  }));
  return { tables, fields: [] };
}

async function writePlan(directory: string, { tables, fields }: Plan): Promise<void> {
  const files = new Map(tables.map(({ blocks }, index) => [10 + index, tableOf(blocks)]));
  const adds = tables.map(({ level, smallest, largest }, index): MadeField => {
    const number = 10 + index;
    const bytes = files.get(number)!.length;
    return { kind: 'add', table: { number, level, bytes, smallest, largest } };
  });
  await writeDatabase(directory, files, manifestOf([[...adds, ...fields]], LAST_SEQUENCE));
}

/** What the image is sure of; LevelDB must say it of each. Undefined when the audit does not open such a database. */
async function certain(plan: Plan): Promise<{ sure: number; missed: number } | undefined> {
  return inTemporaryFolder(async (directory) => {
    await writePlan(directory, plan);
    const snapshot = await LedgerSnapshot.open({ directory }).catch((error: unknown) => error);
    if (snapshot instanceof LedgerError) return undefined;
    if (!(snapshot instanceof LedgerSnapshot)) throw snapshot;
    try {
      const said = await snapshot.transactions(IDS);
      const left = snapshot.unconfirmed(1, WORDS);
      const sure = IDS.flatMap((_, index) => (left.includes(index) ? [] : [index]));
      for (const index of sure) expect(said[index]).to.deep.equal({ blockNumber: 1, index });
      return { sure: sure.length, missed: said.filter((place) => place === undefined).length };
    } finally {
      await snapshot.close();
    }
  });
}

async function reasonsIn(folder: string): Promise<string[]> {
  const found = await scanTables(folder, Number.MAX_SAFE_INTEGER, new IndexImage(100));
  return found.map(({ file, reason }) => `${file}: ${reason}`);
}

function findings(plan: Plan): Promise<string[]> {
  return inTemporaryFolder(async (directory) => {
    await writePlan(directory, plan);
    return reasonsIn(join(directory, 'db'));
  });
}

type Harm = (plan: Plan) => void;

/** Copies of some entries, in a block before or behind the others. */
const subset = fc.subarray([...ENTRIES], { minLength: 1, maxLength: 5 });
const anyKey = fc.nat(COUNT - 1).map(keyAt);
const pick = fc.nat(5);

const harms: fc.Arbitrary<Harm> = fc.oneof(
  fc.tuple(pick, pick, subset, fc.option(anyKey)).map(
    ([table, place, entries, upTo]): Harm =>
      ({ tables }) => {
        const { blocks } = tables[table % tables.length]!;
        const block = { entries, upTo: upTo ?? entries.at(-1)!.key };
        blocks.splice(place % (blocks.length + 1), 0, block);
      },
  ),
  fc.tuple(pick, pick, anyKey).map(
    ([table, place, upTo]): Harm =>
      ({ tables }) => {
        const { blocks } = tables[table % tables.length]!;
        blocks[place % blocks.length]!.upTo = upTo;
      },
  ),
  fc.tuple(pick, anyKey, fc.boolean()).map(
    ([table, key, low]): Harm =>
      ({ tables }) => {
        tables[table % tables.length]![low ? 'smallest' : 'largest'] = key;
      },
  ),
  fc.tuple(pick, pick, pick, fc.nat(2)).map(
    ([table, place, entry, what]): Harm =>
      ({ tables }) => {
        const { blocks } = tables[table % tables.length]!;
        const block = blocks[place % blocks.length]!;
        const at = entry % block.entries.length;
        const old = block.entries[at]!;
        const made = [
          { ...old, sequence: LAST_SEQUENCE + 1 + at },
          { ...old, deleted: true },
        ];
        if (what < 2) block.entries = block.entries.with(at, made[what]!);
        else block.entries = block.entries.toReversed();
      },
  ),
  fc.tuple(fc.nat(2), subset, fc.option(anyKey), fc.boolean()).map(
    ([level, entries, largest, hides]): Harm =>
      ({ tables }) => {
        const blocks = [{ entries, upTo: entries.at(-1)!.key }];
        const ends = { smallest: entries[0]!.key, largest: largest ?? entries.at(-1)!.key };
        if (hides) ends.smallest = Uint8Array.of(0);
        tables.push({ level, blocks, ...ends });
      },
  ),
  fc.tuple(fc.nat(2), fc.integer({ min: 9, max: 13 })).map(
    ([level, number]): Harm =>
      ({ fields }) => {
        fields.push({ kind: 'delete', level, number });
      },
  ),
);

describe('ledger/store: tables in which LevelDB would not find what is there', function () {
  this.timeout(120_000);

  it('are trusted when they are as LevelDB writes them', async () => {
    expect(await certain(honestPlan())).to.deep.equal({ sure: COUNT, missed: 0 });
  });

  it('are not, whatever was done to tables and manifest', async () => {
    let sure = 0;
    let missed = 0;
    const property = fc.asyncProperty(fc.array(harms, { maxLength: 4 }), async (list) => {
      const plan = honestPlan();
      for (const harm of list) harm(plan);
      const outcome = await certain(plan);
      sure += outcome?.sure ?? 0;
      missed += outcome?.missed ?? 0;
    });
    await fc.assert(property, { numRuns: 60 });
    expect(sure).to.be.greaterThan(0);
    expect(missed).to.be.greaterThan(0);
  });

  it('are not when a block has what the index or the manifest says is elsewhere', async () => {
    const only = (...places: number[]): MadeBlock => ({
      upTo: keyAt(places.at(-1)!),
      entries: places.map((place) => ENTRIES[place]!),
    });
    const other = (from: number, to: number, block: MadeBlock) => ({
      level: 1,
      blocks: [block],
      smallest: keyAt(from),
      largest: keyAt(to),
    });
    // In each LevelDB finds the ends of every block, for which it is asked, and not what is between.
    const harmed: [string, Harm][] = [
      ['a block before', ({ tables }) => tables[0]!.blocks.unshift(only(0, 2))],
      [
        'a block behind',
        ({ tables }) => tables[0]!.blocks.splice(0, 1, blockFrom(0, 3, 0), only(2)),
      ],
      [
        'a table that says it is elsewhere',
        ({ tables }) => {
          tables[0] = { ...other(3, 4, blockFrom(0, 3)) };
          tables.push(other(0, 2, only(0, 2)));
        },
      ],
      [
        'a table that says it begins late',
        ({ tables }) => {
          const key = Uint8Array.of(KIND.BLOCK);
          const header = { upTo: key, entries: [{ key, sequence: 1, value: key }] };
          tables[0]!.blocks.unshift(header);
          tables[0]!.smallest = keyAt(2);
          tables.push(other(0, 1, only(0)));
        },
      ],
      [
        'a table that says it ends early',
        ({ tables }) => {
          tables[0]!.largest = keyAt(1);
          tables.push(other(2, 5, only(2, 3, 5)));
        },
      ],
    ];
    for (const [what, harm] of harmed) {
      const plan = honestPlan();
      harm(plan);
      const outcome = await certain(plan);
      expect(outcome?.missed, what).to.be.greaterThan(0);
      expect(outcome?.sure, what).to.equal(0);
    }
  });

  it('are not when an entry is of a later time than LevelDB sees', async () => {
    const plan = honestPlan();
    const block = plan.tables[0]!.blocks[0]!;
    const late = { ...block.entries[1]!, sequence: LAST_SEQUENCE + 1 };
    block.entries = block.entries.with(1, late);
    // Of all others the image is sure, and of this one LevelDB is asked.
    expect(await certain(plan)).to.deep.equal({ sure: COUNT - 1, missed: 1 });
    block.entries = block.entries.with(1, { ...late, sequence: LAST_SEQUENCE });
    expect(await certain(plan)).to.deep.equal({ sure: COUNT, missed: 0 });
  });

  it('are not when LevelDB begins its search behind an entry', () => {
    const image = new IndexImage(10);
    const range = { from: keyAt(0), to: keyAt(2), sequenceMax: LAST_SEQUENCE };
    const read = (restarts?: number[]): boolean =>
      readTableBlock(dataBlockOf(ENTRIES.slice(0, 3), restarts), image, range);
    expect(read()).to.equal(true);
    expect(read([0])).to.equal(true);
    expect(read([60])).to.equal(false);
    expect(read([])).to.equal(false);
  });

  it('have an index in order', async () => {
    const plan = honestPlan();
    const ends = { smallest: keyAt(0), largest: keyAt(5) };
    plan.tables[0]!.blocks.reverse();
    expect(await findings(plan)).to.deep.equal(['000010.ldb: the index is damaged']);
    const blocks = [blockFrom(0, 3), blockFrom(3, 6)];
    for (const restarts of [[], [1], [0, 0], [0]]) {
      const bytes = tableOf(blocks, restarts);
      const table = { number: 10, level: 1, bytes: bytes.length, ...ends };
      const manifest = manifestOf([[{ kind: 'add', table }]], LAST_SEQUENCE);
      const found = await inTemporaryFolder(async (directory) => {
        await writeDatabase(directory, new Map([[10, bytes]]), manifest);
        return reasonsIn(join(directory, 'db'));
      });
      const reasons = restarts.join() === '0' ? [] : ['000010.ldb: the index is damaged'];
      expect(found, restarts.join()).to.deep.equal(reasons);
    }
  });

  it('are of the size and the name by which LevelDB reads them', async () => {
    const files = new Map([[10, tableOf([blockFrom(0, 3)])]]);
    const bytes = files.get(10)!.length;
    const table = { number: 10, level: 1, bytes, smallest: keyAt(0), largest: keyAt(2) };
    await inTemporaryFolder(async (directory) => {
      await writeDatabase(directory, files, manifestOf([[{ kind: 'add', table }]], LAST_SEQUENCE));
      const db = join(directory, 'db');
      // Neither is opened by LevelDB when the other is there, or at all.
      await writeFile(join(db, '000010.sst'), 'no table');
      await writeFile(join(db, '10.ldb'), 'no table');
      expect(await reasonsIn(db)).to.deep.equal([]);
      await rename(join(db, '000010.ldb'), join(db, '000010.sst'));
      expect(await reasonsIn(db)).to.deep.equal([]);
      // A second end, behind the one that LevelDB finds.
      await writeFile(join(db, '000010.sst'), Buffer.concat([files.get(10)!, files.get(10)!]));
      const reason = `${2 * bytes} bytes, of which the manifest says ${bytes}`;
      expect(await reasonsIn(db)).to.deep.equal([`000010.sst: ${reason}`]);
    });
  });
});

describe('ledger/store: the manifest', () => {
  const table = (number: number, from: number, to: number, level = 1): MadeField => ({
    kind: 'add',
    table: { number, level, bytes: 1, smallest: keyAt(from), largest: keyAt(to) },
  });
  const gone = (number: number, level = 1): MadeField => ({ kind: 'delete', number, level });
  const read = (...edits: MadeField[][]) => tablesOf(manifestOf(edits, LAST_SEQUENCE), 'MANIFEST');
  const numbers = (...edits: MadeField[][]): number[] => [
    ...(read(...edits)?.byNumber.keys() ?? []),
  ];

  it('says which tables there are', () => {
    expect(numbers([table(7, 0, 1)], [table(8, 2, 3)], [gone(7), table(9, 0, 1)])).to.deep.equal([
      8, 9,
    ]);
    // As LevelDB moves a table to another level.
    const moved = read([table(7, 0, 1)], [gone(7), table(7, 0, 1, 2)]);
    expect(moved?.byNumber.get(7)?.level).to.equal(2);
    expect(moved).to.include({ fault: undefined, lastSequence: LAST_SEQUENCE });
  });

  it('is at fault when LevelDB would take other tables from it', () => {
    const odd = [
      read([table(7, 0, 1), gone(7)]),
      read([table(7, 0, 1)], [gone(7, 2)]),
      read([table(7, 0, 1)], [table(7, 0, 1, 2)]),
      read([gone(7)]),
    ];
    for (const tables of odd) expect(tables?.fault?.reason).to.match(/as LevelDB never does/);
  });

  it('is at fault when tables of a level overlap, over which LevelDB ends the process', async () => {
    const overlaps = (...fields: MadeField[]) => read(fields)?.fault?.reason;
    expect(overlaps(table(7, 0, 3), table(8, 4, 5))).to.equal(undefined);
    expect(overlaps(table(7, 0, 3, 0), table(8, 1, 5, 0))).to.equal(undefined);
    expect(overlaps(table(7, 0, 3, 1), table(8, 1, 5, 2))).to.equal(undefined);
    expect(overlaps(table(8, 1, 5), table(7, 0, 3))).to.equal('tables 7 and 8 overlap in it');
    expect(overlaps(table(7, 0, 3), table(8, 3, 5))).to.equal('tables 7 and 8 overlap in it');
    const plan = honestPlan();
    plan.tables[0]!.largest = keyAt(8);
    expect(await findings(plan)).to.deep.equal(['MANIFEST-000002: tables 10 and 11 overlap in it']);
    expect(await certain(plan)).to.equal(undefined);
  });

  it('is read to its end whatever its bytes are', () => {
    const sound = manifestOf([[table(7, 0, 1)], [gone(7)]], LAST_SEQUENCE);
    const property = fc.property(fc.nat(sound.length - 1), fc.uint8Array(), (at, bytes) => {
      tablesOf(sound.subarray(0, at), '');
      tablesOf(Uint8Array.from([...sound.subarray(0, at), ...bytes]), '');
    });
    fc.assert(property, { numRuns: 500 });
  });
});
