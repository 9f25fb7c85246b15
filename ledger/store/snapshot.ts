/**
 * A stopped replica's ledger, opened for reading without changing a byte of it. Blocks are read
 * from the segment files themselves. LevelDB has no read-only mode (opening turns the log into tables), so it is given a temporary
 * folder in which the log and the manifest are copies, and the tables, which LevelDB
 * never changes, are symbolic links.
 *
 * The folder's lock is taken through an empty database whose lock file is a link to the
 * real one: while the replica runs, opening fails with `ledger_locked`, and a replica
 * cannot start during the audit.
 *
 * Nothing here trusts the stored checksums: the auditor gets the bytes as they are,
 * and what is wrong as sentences.
 */
import { access, copyFile, mkdir, mkdtemp, readdir, realpath, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LedgerError } from '../errors.ts';
import { describeHeights, readCleanStop } from './clean-stop.ts';
import { type Database, openDatabase } from './database.ts';
import { IndexImage } from './index-image.ts';
import { STORE_LIMITS } from './limits.ts';
import { type ChangedBytes, scanLogs, tellFinding } from './log-scan.ts';
import { claimFolder, DATABASE_FOLDER } from './opening.ts';
import { type RawBlock, readRaw, StoredBlocks } from './raw-blocks.ts';
import {
  blockNumberOf,
  CERTIFIED_KEY,
  corrupt,
  decodeCertified,
  decodeFormat,
  decodeLocation,
  decodeTip,
  FORMAT_KEY,
  FORMAT_VERSION,
  inspect,
  KIND,
  LOCATION_BYTES,
  TIP_KEY,
  type TransactionLocation,
  transactionKeys,
} from './records.ts';
import { SEGMENT_FOLDER } from './segments/names.ts';
import { SegmentReader } from './segments/segment-reader.ts';
import { scanTables, tableBytes } from './table-scan.ts';

const EMPTY = new Uint8Array(0);
const PROBES_AT_ONCE = 4096;
/** Of the transaction index, at least: what an entry takes in a table. */
const INDEX_ENTRY_BYTES = 56;

export class LedgerSnapshot {
  readonly channel: string;
  readonly storedHeight: number;
  readonly certifiedHeight: number;
  /** What is wrong with the folder itself, apart from the blocks. Empty for a sound one. */
  readonly faults: readonly string[];
  /** What is worth knowing and not wrong: the end of a log that a crash cut off. */
  readonly notes: readonly string[];
  private readonly database: Database;
  private readonly image: IndexImage;
  private readonly blocks: StoredBlocks;
  private readonly cleanUp: () => Promise<void>;
  #placesTaken = false;

  /**
   * Opens the folder of one channel (as `Ledger.open`'s `directory`). Throws `ledger_missing`,
   * `ledger_locked`, `ledger_corrupt` (LevelDB cannot open it at all), `format_version`.
   */
  static async open(options: { directory: string }): Promise<LedgerSnapshot> {
    const source = join(options.directory, DATABASE_FOLDER);
    await requireLedger(source);
    const release = claimFolder(await realpath(source));
    const temporary = await mkdtemp(join(tmpdir(), 'sluice-audit-'));
    const databases: Database[] = [];
    const segments = new SegmentReader(join(options.directory, SEGMENT_FOLDER));
    const cleanUp = async (): Promise<void> => {
      for (const database of databases) await database.close().catch(() => undefined);
      segments.close();
      await rm(temporary, { recursive: true, force: true });
      release();
    };
    try {
      // Before anything is read, and held to the end: nobody writes meanwhile.
      databases.push(await lockFolder(source, join(temporary, 'lock')));
      const expected = (await tableBytes(source)) / INDEX_ENTRY_BYTES;
      const image = new IndexImage(STORE_LIMITS.auditIndexEntriesMax, expected);
      const logs = await scanLogs(source, image);
      // LevelDB may end the process over a damaged table, so it does not get to see one.
      requireSoundTables(source, await scanTables(source, Number.MAX_SAFE_INTEGER, image));
      const copy = join(temporary, 'copy');
      await imitate(source, copy);
      const database = await openDatabase(copy, { createIfMissing: false });
      databases.push(database);
      const faults: string[] = [];
      const notes: string[] = [];
      for (const finding of logs) tellFinding(finding, faults, notes);
      const head = await readHead(database, faults);
      const blocks = new StoredBlocks(database, segments, options.directory);
      const behind = await blocks.readTail(head.storedHeight);
      head.storedHeight += blocks.tailLength;
      faults.push(...behind.faults);
      notes.push(...behind.notes);
      await compareCleanStop(options.directory, head, faults);
      await probe(database, image);
      return new LedgerSnapshot({ database, image, blocks, cleanUp }, head, faults, notes);
    } catch (error) {
      await cleanUp();
      throw error;
    }
  }

  private constructor(
    parts: {
      database: Database;
      image: IndexImage;
      blocks: StoredBlocks;
      cleanUp: () => Promise<void>;
    },
    head: Head,
    faults: readonly string[],
    notes: readonly string[],
  ) {
    this.database = parts.database;
    this.image = parts.image;
    this.blocks = parts.blocks;
    this.cleanUp = parts.cleanUp;
    this.channel = head.channel;
    this.storedHeight = head.storedHeight;
    this.certifiedHeight = head.certifiedHeight;
    this.faults = faults;
    this.notes = notes;
  }

  /**
   * Every stored block from `from` on, in order, gaps named, uncertified ones
   * included. `mayOverwrite`: the bytes of a block are not looked at any more once the second block after it is asked for.
   */
  async *rawBlocks(
    from = 0,
    { mayOverwrite = false } = {},
  ): AsyncGenerator<RawBlock, void, undefined> {
    const window = this.blocks.window(mayOverwrite);
    for (let number = from; number < this.storedHeight; number += 1) {
      yield await this.blocks.rawBlock(number, number < this.certifiedHeight, window);
    }
  }

  /**
   * The positions in a block of those of its transactions of which only LevelDB can say what the index says: of all others it
   * says what it must. `ids`: `ID_WORDS` words each, as they lie in the block.
   */
  unconfirmed(blockNumber: number, ids: Uint32Array): number[] {
    return this.image.unconfirmed(ids, blockNumber);
  }

  /** The index as one place for each id, for an auditor to note where it has been; once only, because the notes are kept in it. */
  takePlaces(): IndexImage | undefined {
    const first = !this.#placesTaken;
    this.#placesTaken = true;
    return first ? this.image : undefined;
  }

  /** What the transaction index says of each; the auditor compares it with the blocks. */
  async transactions(txIds: readonly string[]): Promise<(TransactionLocation | undefined)[]> {
    const keys = transactionKeys(txIds);
    const values = await this.database.getMany(keys, { fillCache: false }).catch(() => []);
    return keys.map((key, index) => {
      const behind = this.blocks.tailLocations.get(txIds[index] ?? '');
      if (behind !== undefined) return behind;
      const value = values[index];
      if (value === undefined) return undefined;
      const { content, intact } = inspect(key, value);
      return intact && content.length === LOCATION_BYTES ? decodeLocation(content) : undefined;
    });
  }

  async close(): Promise<void> {
    await this.cleanUp();
  }
}

interface Head {
  channel: string;
  storedHeight: number;
  certifiedHeight: number;
  tipHash: Uint8Array;
}

function requireSoundTables(source: string, findings: readonly ChangedBytes[]): void {
  if (findings.length === 0) return;
  const places = findings.slice(0, 5).map(({ file, offset, reason }) => {
    return `${file}, byte ${offset}: ${reason}`;
  });
  const more = findings.length > 5 ? `, and ${findings.length - 5} more` : '';
  throw corrupt(`${source}: ${places.join('; ')}${more}`, { location: source });
}

async function requireLedger(source: string): Promise<void> {
  const names = await readdir(source).catch(() => []);
  if (names.length > 0) return;
  throw new LedgerError(
    'ledger_missing',
    `${source} holds no ledger: name the folder of one channel of one replica`,
    { location: source },
  );
}

async function lockFolder(source: string, folder: string): Promise<Database> {
  await mkdir(folder);
  const lock = join(await realpath(source), 'LOCK');
  // A copied folder may lack the file; nobody can run in there without creating it.
  if (await access(lock).then(always, never)) await symlink(lock, join(folder, 'LOCK'));
  try {
    return await openDatabase(folder, { createIfMissing: true });
  } catch (error) {
    if (!(error instanceof LedgerError) || error.code !== 'ledger_locked') throw error;
    throw new LedgerError('ledger_locked', `${source} is in use: stop its replica first`, {
      location: source,
    });
  }
}

const always = (): boolean => true;
const never = (): boolean => false;

async function imitate(source: string, copy: string): Promise<void> {
  await mkdir(copy);
  const absolute = await realpath(source);
  for (const name of await readdir(absolute)) {
    const from = join(absolute, name);
    const to = join(copy, name);
    if (/\.(ldb|sst)$/.test(name)) await symlink(from, to);
    else if (/\.log$|^MANIFEST-|^CURRENT$/.test(name)) await copyFile(from, to);
  }
}

async function readHead(database: Database, faults: string[]): Promise<Head> {
  const head: Head = { channel: '', storedHeight: 0, certifiedHeight: 0, tipHash: EMPTY };
  attempt(database, FORMAT_KEY, 'format', faults, (content) => {
    const format = decodeFormat(content);
    if (format.version !== FORMAT_VERSION) {
      throw new LedgerError(
        'format_version',
        `the folder has ledger format ${format.version}, this Sluice reads ${FORMAT_VERSION}`,
        { found: format.version, expected: FORMAT_VERSION },
      );
    }
    head.channel = format.channel;
  });
  attempt(database, TIP_KEY, 'tip', faults, (content) => {
    const tip = decodeTip(content);
    head.storedHeight = tip.storedHeight;
    head.tipHash = tip.tipHash;
  });
  attempt(database, CERTIFIED_KEY, 'certified-height', faults, (content) => {
    head.certifiedHeight = decodeCertified(content);
  });
  const highest = await highestBlock(database);
  if (highest !== undefined && highest >= head.storedHeight) {
    faults.push(`the tip record says ${head.storedHeight} blocks, but block ${highest} is stored`);
    head.storedHeight = highest + 1;
  }
  return head;
}

/**
 * Whether LevelDB finds the first and the last entry of each block of the index, and so, by their order, all between: whatever it
 * finds with, the list of its tables and their indexes, is then what the image was made from.
 */
async function probe(database: Database, image: IndexImage): Promise<void> {
  const { probes } = image;
  for (let from = 0; from < probes.length; from += PROBES_AT_ONCE) {
    const keys = probes.slice(from, from + PROBES_AT_ONCE);
    const answers = await database.getMany(keys, { fillCache: false }).catch(() => []);
    if (keys.some((key, at) => image.contradicts(key, answers[at]))) return image.discard();
  }
  probes.length = 0;
}

function attempt(
  database: Database,
  key: Uint8Array,
  name: string,
  faults: string[],
  use: (content: Uint8Array) => void,
): void {
  const { content, fault } = readRaw(database, key);
  if (content === undefined || fault !== undefined) {
    faults.push(`the ${name} record: ${fault ?? 'missing'}`);
    return;
  }
  try {
    use(content);
  } catch (error) {
    if (!(error instanceof LedgerError) || error.code !== 'ledger_corrupt') throw error;
    faults.push(error.message);
  }
}

async function highestBlock(database: Database): Promise<number | undefined> {
  try {
    const range = { gte: Uint8Array.of(KIND.BLOCK), lt: Uint8Array.of(KIND.BLOCK + 1) };
    const [key] = await database.keys({ ...range, reverse: true, limit: 1 }).all();
    return key === undefined ? undefined : blockNumberOf(key);
  } catch {
    return undefined;
  }
}

async function compareCleanStop(directory: string, head: Head, faults: string[]): Promise<void> {
  try {
    const closedAt = await readCleanStop(directory);
    const found = describeHeights(head);
    if (closedAt !== undefined && closedAt !== found) {
      faults.push(`the ledger was closed at "${closedAt}", LevelDB holds "${found}"`);
    }
  } catch (error) {
    if (!(error instanceof LedgerError)) throw error;
    faults.push(error.message);
  }
}
