/** Single blocks and certificates: from LevelDB and the segment files, or from memory while LevelDB does not know them yet. */
import { type Block, decodeBlockData, joinBlock } from '../format/index.ts';
import type { Database } from './database.ts';
import { readBlock, readEntry, readRecord, type StoredBlock } from './reading.ts';
import { type BlockEntry, blockKey, corrupt, KIND } from './records.ts';
import type { SegmentReader } from './segments/segment-reader.ts';

const EMPTY = new Uint8Array(0);

export class BlockReader {
  readonly #database: Database;
  readonly #segments: SegmentReader;
  /** What LevelDB does not have yet, by block; the write queue bounds it. */
  readonly #entries = new Map<number, BlockEntry>();
  readonly #certificates = new Map<number, Uint8Array>();

  constructor(database: Database, segments: SegmentReader) {
    this.#database = database;
    this.#segments = segments;
  }

  /** Notes what has entered the write queue. */
  queued(
    entries: ReadonlyMap<number, BlockEntry>,
    certificates: ReadonlyMap<number, Uint8Array>,
  ): void {
    for (const [number, entry] of entries) this.#entries.set(number, entry);
    for (const [number, certificate] of certificates) this.#certificates.set(number, certificate);
  }

  /** LevelDB has it. */
  indexed(
    entries: ReadonlyMap<number, BlockEntry>,
    certificates: ReadonlyMap<number, Uint8Array>,
  ): void {
    for (const number of entries.keys()) this.#entries.delete(number);
    for (const number of certificates.keys()) this.#certificates.delete(number);
  }

  /** Where a stored block lies, and its header. Throws `ledger_corrupt`, as all that follow. */
  async entry(number: number): Promise<BlockEntry> {
    return this.#entries.get(number) ?? readEntry(this.#database, number);
  }

  async stored(number: number): Promise<StoredBlock> {
    return readBlock(this.#segments, number, await this.entry(number));
  }

  /** With its certificate, or else with the metadata that it was appended with. */
  async block(number: number): Promise<Block> {
    const { header, dataBytes, signatures: appended } = await this.stored(number);
    const data = decodeBlockData(dataBytes);
    if (data.kind === 'malformed') {
      throw corrupt(`block ${number} is damaged (${data.reason})`, { blockNumber: number });
    }
    const signatures = (await this.certificate(number)) ?? appended;
    return { header, data: data.value, metadata: [signatures, EMPTY, EMPTY, EMPTY, EMPTY] };
  }

  /** Serialized `common.Block` of a block that must have its certificate. */
  async certified(number: number): Promise<Uint8Array> {
    const [{ headerBytes, dataBytes }, certificate] = await Promise.all([
      this.stored(number),
      this.certificate(number),
    ]);
    if (certificate === undefined) {
      throw corrupt(`the certificate of block ${number} is missing`, { blockNumber: number });
    }
    return joinBlock(headerBytes, dataBytes, [certificate, EMPTY, EMPTY, EMPTY, EMPTY]);
  }

  /** Undefined when there is none here. */
  async certificate(number: number): Promise<Uint8Array | undefined> {
    const what = `the certificate of block ${number}`;
    return (
      this.#certificates.get(number) ??
      readRecord(this.#database, blockKey(KIND.SIGNATURES, number), what)
    );
  }
}
