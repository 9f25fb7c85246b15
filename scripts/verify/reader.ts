/** Reads one source block by block and reports what is wrong with the reading: gaps, damage, order, an early end. */
import {
  type Block,
  type Decoded,
  decodeBlock,
  decodeBlockParts,
  ID_WORDS,
  idOfWords,
} from '../../ledger/format/index.ts';
import type { Finding, FindingCode, FindingLog } from './findings.ts';
import { type BlockSource, type ReadOptions, SourceError, type SourceRecord } from './sources.ts';

export interface SourceSummary {
  readonly name: string;
  /** Blocks read, and the numbers of the first and the last of them. */
  readonly blocks: number;
  readonly first: number | undefined;
  readonly last: number | undefined;
  /** Header hash of the last block that could be decoded, hex. */
  readonly tipHash: string | undefined;
}

/** What a source holds at some height. */
export interface Copy {
  readonly reader: SourceReader;
  readonly block: Block;
  /** False: the replica stopped before the certificate was complete. */
  readonly certified: boolean;
}

function decodeRecord(record: SourceRecord & { kind: 'block' }): Decoded<Block> {
  const { parts } = record;
  const block =
    parts === undefined ? undefined : decodeBlockParts(parts.header, parts.data, parts.metadata);
  // Why it is refused is said of the whole.
  return block === undefined ? decodeBlock(record.bytes) : { kind: 'ok', value: block };
}

export class SourceReader {
  readonly source: BlockSource;
  /** Header hash of the last block taken, hex; set by the comparison. */
  tipHash: string | undefined;
  readonly #records: AsyncIterator<SourceRecord>;
  readonly #log: FindingLog;
  /** The next record; undefined when the source has ended (or before the first `advance`). */
  #pending: SourceRecord | undefined;
  #blocks = 0;
  #first: number | undefined;
  #last: number | undefined;
  /** Absence is reported up to here already. */
  #reportedUpTo: number;
  #uncertified = false;

  constructor(source: BlockSource, options: ReadOptions, log: FindingLog) {
    this.source = source;
    this.#records = source.records(options)[Symbol.asyncIterator]();
    this.#log = log;
    this.#reportedUpTo = options.from;
  }

  /** Number of the next record; undefined at the end. */
  get next(): number | undefined {
    return this.#pending?.number;
  }

  get summary(): SourceSummary {
    const { tipHash } = this;
    const { name } = this.source;
    return { name, blocks: this.#blocks, first: this.#first, last: this.#last, tipHash };
  }

  /** Reads the next record. A source that fails has ended. */
  async advance(): Promise<void> {
    try {
      const next = await this.#records.next();
      this.#pending = next.done === true ? undefined : next.value;
    } catch (error) {
      if (!(error instanceof SourceError)) throw error;
      this.#pending = undefined;
      const code = error.kind === 'damaged' ? 'source_damaged' : 'source_failed';
      this.#report(code, error.message, this.#last === undefined ? undefined : this.#last + 1);
    }
  }

  /** Passes over records that should have come before `height`. */
  async skipStale(height: number): Promise<void> {
    for (let next = this.next; next !== undefined && next < height; next = this.next) {
      this.#report('out_of_order', `block ${next} comes after block ${height - 1}`, next);
      await this.advance();
    }
  }

  /** Reports the blocks from `height` to the next record, once. */
  reportMissing(height: number): void {
    const { next } = this;
    if (next === undefined || next <= height || this.#reportedUpTo >= next) return;
    const first = Math.max(height, this.#reportedUpTo);
    this.#reportedUpTo = next;
    const what = next - first === 1 ? `block ${first} is` : `blocks ${first} to ${next - 1} are`;
    this.#report('missing_block', `${what} missing, block ${next} is there`, first);
  }

  /** The block at `height`; undefined when the pending record, which is at `height`, holds none that can be decoded. */
  take(height: number): Copy | undefined {
    const record = this.#pending as SourceRecord;
    this.#blocks++;
    this.#first ??= height;
    this.#last = height;
    if (record.kind === 'damaged') {
      this.#report('damaged_record', record.reason, height);
      return undefined;
    }
    if (record.fault !== undefined) this.#report('damaged_record', record.fault, height);
    if (!record.certified && !this.#uncertified) {
      this.#uncertified = true;
      const message = 'from here on stored without certificate: the replica stopped before it came';
      this.#report('not_certified', message, height);
    }
    const decoded = decodeRecord(record);
    if (decoded.kind === 'malformed') {
      this.#report('undecodable_block', decoded.reason, height);
      return undefined;
    }
    const { number } = decoded.value.header;
    if (number !== height) {
      this.#report('bad_block', `stored as block ${height}, it says that it is ${number}`, height);
    }
    return { reader: this, block: decoded.value, certified: record.certified };
  }

  /** Does the source's own index say of each transaction of the block where it is? `idWords`: as in `CheckedBlock`. */
  async indexFindings(block: number, idWords: Uint32Array): Promise<readonly Finding[]> {
    const { source } = this;
    if (source.locate === undefined) return [];
    const all = () => Array.from({ length: idWords.length / ID_WORDS }, (_, index) => index);
    const positions = source.unconfirmed?.(block, idWords) ?? all();
    const txIds = positions.map((position) => idOfWords(idWords, ID_WORDS * position));
    const asked = positions.filter((_, at) => txIds[at] !== undefined);
    if (asked.length === 0) return [];
    const locations = await source.locate(txIds.filter((txId) => txId !== undefined));
    const found: Finding[] = [];
    for (const [at, transaction] of asked.entries()) {
      const location = locations[at];
      if (location?.blockNumber === block && location.index === transaction) continue;
      const said =
        location === undefined
          ? 'does not know it'
          : `says block ${location.blockNumber}, index ${location.index}`;
      const message = `the ledger's transaction index ${said}`;
      found.push({ code: 'bad_index', sources: [source.name], block, transaction, message });
    }
    return found;
  }

  #report(code: FindingCode, message: string, block: number | undefined): void {
    const sources = [this.source.name];
    this.#log.add([{ code, sources, message, ...(block === undefined ? {} : { block }) }]);
  }
}
