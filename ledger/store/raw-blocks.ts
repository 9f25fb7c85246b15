/**
 * The blocks of a stopped replica as they are stored, for an audit: from the places that LevelDB names, and those behind, of which
 * a crash kept LevelDB from knowing. No checksum is trusted: what is wrong is said beside the bytes.
 */
import { join } from 'node:path';
import { bytesEqual, decodeBlockData, txIdOf } from '../format/index.ts';
import { type Database, readError } from './database.ts';
import { tellFinding } from './log-scan.ts';
import {
  type BlockEntry,
  blockKey,
  decodeBlockEntry,
  inspect,
  KIND,
  type TransactionLocation,
} from './records.ts';
import { SEGMENT_FOLDER } from './segments/names.ts';
import {
  type BlockRecord,
  decodeRecord,
  endOf,
  type Place,
  type Position,
} from './segments/record.ts';
import { type SegmentReader, SegmentWindow } from './segments/segment-reader.ts';
import { readTail, sizeOf } from './segments/tail.ts';

const EMPTY = new Uint8Array(0);
/** The binding takes `fillCache` of a `getSync`, too; its types know it of `get` alone. */
const BESIDE_CACHE = { keyEncoding: 'view', fillCache: false };

export interface BlockParts {
  readonly header: Uint8Array;
  readonly data: Uint8Array;
  readonly metadata: readonly Uint8Array[];
}

export type RawBlock =
  | {
      kind: 'block';
      number: number;
      /** The bytes as stored: `common.BlockHeader`, `common.BlockData`, and the metadata entries. */
      parts: BlockParts;
      certified: boolean;
      /** Set when a stored checksum does not fit. */
      fault: string | undefined;
    }
  | { kind: 'missing'; number: number; fault: string };

interface TailBlock {
  entry: BlockEntry;
  /** Undefined when it was stored without. */
  certificate: Uint8Array | undefined;
}

export class StoredBlocks {
  /** Where the transactions of the blocks are that LevelDB does not know. */
  readonly tailLocations = new Map<string, TransactionLocation>();
  readonly #database: Database;
  readonly #segments: SegmentReader;
  readonly #folder: string;
  readonly #tail = new Map<number, TailBlock>();
  /** Where the block read last ends, and its number. */
  #last: { number: number; end: Position } | undefined;

  constructor(database: Database, segments: SegmentReader, directory: string) {
    this.#database = database;
    this.#segments = segments;
    this.#folder = join(directory, SEGMENT_FOLDER);
  }

  get tailLength(): number {
    return this.#tail.size;
  }

  /** Looks for blocks behind the `storedHeight` ones that LevelDB knows. */
  async readTail(storedHeight: number): Promise<{ faults: string[]; notes: string[] }> {
    const faults: string[] = [];
    const notes: string[] = [];
    const newest = this.#entry(storedHeight - 1).entry;
    if (newest === undefined) return { faults, notes };
    for await (const part of readTail(this.#folder, endOf(newest.place), this.#segments)) {
      if (part.kind === 'record') {
        this.#noteTail(part.record, part.at, storedHeight, faults);
        continue;
      }
      tellFinding(part.finding, faults, notes);
    }
    if (this.tailLength > 0) {
      const what = this.tailLength === 1 ? 'block is' : 'blocks are';
      const from = `from block ${storedHeight} on`;
      notes.push(
        `the newest ${this.tailLength} ${what} not in LevelDB yet (${from}): the next start tells it`,
      );
    }
    return { faults, notes };
  }

  /** To read blocks through, one after the other. `overwrites`: as `SegmentWindow` has it. */
  window(overwrites: boolean): SegmentWindow {
    return new SegmentWindow(this.#segments, overwrites);
  }

  async rawBlock(
    number: number,
    mustBeCertified: boolean,
    window: SegmentWindow,
  ): Promise<RawBlock> {
    const known = this.#tail.get(number);
    const { entry, fault: entryFault } =
      known === undefined ? this.#entry(number) : { entry: known.entry, fault: undefined };
    const missing = (fault: string): RawBlock => ({ kind: 'missing', number, fault });
    if (entry === undefined) return missing(entryFault ?? `block ${number} is missing`);
    const bytes = await window.read(entry.place);
    const decoded = bytes && decodeRecord(bytes);
    if (decoded === undefined) return missing(`block ${number} is not where LevelDB says`);
    const certificate =
      known === undefined
        ? readRaw(this.#database, blockKey(KIND.SIGNATURES, number))
        : { content: known.certificate, fault: undefined };
    const { record, intact } = decoded;
    const lost = certificate.content === undefined && mustBeCertified;
    const fault =
      entryFault ??
      (intact ? undefined : 'a record does not match its checksum') ??
      certificate.fault ??
      (lost ? 'its certificate is missing' : undefined) ??
      (await this.#misplaced(number, entry, record));
    this.#last = { number, end: endOf(entry.place) };
    return {
      kind: 'block',
      number,
      parts: {
        header: record.header,
        data: record.data,
        metadata: [certificate.content ?? EMPTY, EMPTY, EMPTY, EMPTY, EMPTY],
      },
      certified: certificate.content !== undefined,
      fault: fault === undefined ? undefined : `block ${number}: ${fault}`,
    };
  }

  /** Whether it is the block that LevelDB means, and lies behind the one before it with nothing between. */
  async #misplaced(
    number: number,
    { place, header }: BlockEntry,
    record: BlockRecord,
  ): Promise<string | undefined> {
    if (record.number !== number || !bytesEqual(record.header, header)) {
      return 'LevelDB names another block at its place';
    }
    if (number > 0 && this.#last?.number !== number - 1) return undefined;
    const end = number === 0 ? { segment: 0, offset: 0 } : (this.#last?.end as Position);
    return (await this.#isNext(end, place))
      ? undefined
      : 'it does not lie behind the block before it';
  }

  async #isNext(end: Position, place: Place): Promise<boolean> {
    if (place.segment === end.segment) return place.offset === end.offset;
    if (place.segment !== end.segment + 1 || place.offset !== 0) return false;
    return (await sizeOf(this.#folder, end.segment)) === end.offset;
  }

  #entry(number: number): { entry: BlockEntry | undefined; fault: string | undefined } {
    const { content, fault } = readRaw(this.#database, blockKey(KIND.BLOCK, number));
    if (content === undefined) return { entry: undefined, fault };
    try {
      return { entry: decodeBlockEntry(content), fault };
    } catch {
      return { entry: undefined, fault: `what LevelDB says of block ${number} is too short` };
    }
  }

  #noteTail(record: BlockRecord, place: Place, storedHeight: number, faults: string[]): void {
    const { number, header, signatures, certified } = record;
    if (number !== storedHeight + this.tailLength) {
      const where = `segment ${place.segment}, byte ${place.offset}`;
      faults.push(`${where}: block ${number} lies there, and is not the next`);
      return;
    }
    const certificate = certified ? signatures.slice() : undefined;
    this.#tail.set(number, { entry: { place, header: header.slice() }, certificate });
    const data = decodeBlockData(record.data);
    if (data.kind === 'malformed') return;
    for (const [index, envelope] of data.value.entries()) {
      const txId = txIdOf(envelope);
      if (txId !== undefined) this.tailLocations.set(txId, { blockNumber: number, index });
    }
  }
}

/**
 * Content whatever its checksum says; what LevelDB cannot read has a fault and no content. In this thread: nothing else waits for
 * it, and the way through the thread pool costs as much as reading a small block.
 */
export function readRaw(
  database: Database,
  key: Uint8Array,
): { content: Uint8Array | undefined; fault: string | undefined } {
  let value: Uint8Array | undefined;
  try {
    value = database.getSync(key, BESIDE_CACHE);
  } catch (error) {
    return { content: undefined, fault: readError(error, 'the record').message };
  }
  if (value === undefined) return { content: undefined, fault: undefined };
  const { content, intact } = inspect(key, value);
  return { content, fault: intact ? undefined : 'a record does not match its checksum' };
}
