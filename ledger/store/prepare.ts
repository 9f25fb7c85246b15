/** Turns blocks into what is stored of them, after checking that they extend the chain. No state, no I/O. */
import { LedgerError } from '../errors.ts';
import {
  type Block,
  bytesEqual,
  dataHash,
  decodeCertificate,
  encodeBlockHeader,
  headerHash,
  METADATA,
  parseEnvelope,
  type Sha256,
} from '../format/index.ts';
import type { Allocate } from '../format/wire-writer.ts';
import type { Operation } from './database.ts';
import { type BlockTransactions, INDEX_RECORD_BYTES } from './index-records.ts';
import type { ChainState, HashedHeader } from './opening.ts';
import { put } from './reading.ts';
import {
  type BlockEntry,
  blockKey,
  corrupt,
  encodeBlockEntry,
  encodeTip,
  isTxId,
  KIND,
  TIP_KEY,
} from './records.ts';
import { encodeRecord, endOf, placeAfter } from './segments/record.ts';
import type { PlacedRecord } from './segments/segment-writer.ts';

const EMPTY = new Uint8Array(0);

/** A block and, for each entry of its data, the transaction id to index, or undefined for none. */
export interface BlockToAppend {
  block: Block;
  /** 64 lower-case hex digits, equal to the envelope's own tx_id. */
  txIds: readonly (string | undefined)[];
  /** This process has cut it, from envelopes that it has parsed itself: nobody has to hash them and read their ids again. */
  isOwn?: boolean;
}

export interface Prepared {
  /** For the segment files. */
  records: PlacedRecord[];
  /** For LevelDB, once the records are on the disk. */
  operations: Operation[];
  /** What is to be indexed with them. */
  transactions: BlockTransactions[];
  next: ChainState;
  /** What the operations say, for whoever asks before LevelDB has them. */
  entries: Map<number, BlockEntry>;
  /** Of blocks that are stored with them. */
  certificates: Map<number, Uint8Array>;
}

/** Checks the blocks and makes their records, without changing any state. */
export function prepareBlocks(
  blocks: readonly BlockToAppend[],
  certified: boolean,
  state: ChainState,
  {
    sha256,
    segmentBytesMax,
    allocate,
  }: { sha256: Sha256; segmentBytesMax: number; allocate?: Allocate },
): Prepared {
  const records: PlacedRecord[] = [];
  const operations: Operation[] = [];
  const entries = new Map<number, BlockEntry>();
  const certificates = new Map<number, Uint8Array>();
  const transactions: BlockTransactions[] = [];
  let { tip, end } = state;
  for (const { block, txIds, isOwn = false } of blocks) {
    requireExtension(block, txIds, tip);
    if (!isOwn) requireOwnContent(block, txIds, sha256);
    const { number } = block.header;
    const signatures = block.metadata[METADATA.SIGNATURES] ?? EMPTY;
    if (certified) {
      requireCertificate(signatures, number);
      certificates.set(number, signatures);
      operations.push(put(blockKey(KIND.SIGNATURES, number), signatures));
    }
    const header = encodeBlockHeader(block.header);
    const parts = { header, signatures, data: block.data };
    const bytes = encodeRecord(number, parts, certified, allocate);
    const place = placeAfter(end, bytes.length, segmentBytesMax);
    end = endOf(place);
    records.push({ place, bytes });
    entries.set(number, { place, header });
    operations.push(put(blockKey(KIND.BLOCK, number), encodeBlockEntry({ place, header })));
    transactions.push({ blockNumber: number, txIds });
    tip = {
      number,
      previousHash: block.header.previousHash.slice(),
      dataHash: block.header.dataHash.slice(),
      hash: headerHash(block.header, sha256),
    };
  }
  const storedHeight = tip.number + 1;
  operations.push(put(TIP_KEY, encodeTip({ storedHeight, tipHash: tip.hash })));
  const next = { ...state, storedHeight, tip, end };
  return { records, operations, transactions, next, entries, certificates };
}

/** The same for a block that is in the segment files already: what is wrong with it is no caller's fault. */
export function prepareRestored(
  block: BlockToAppend,
  certified: boolean,
  state: ChainState,
  sha256: Sha256,
): Prepared {
  try {
    // It lies where it lies.
    const deps = { sha256, segmentBytesMax: Number.POSITIVE_INFINITY };
    return prepareBlocks([block], certified, state, deps);
  } catch (error) {
    if (!(error instanceof LedgerError) || error.code !== 'invalid_call') throw error;
    const { number } = block.block.header;
    throw corrupt(`behind the newest known block: ${error.message}`, { blockNumber: number });
  }
}

/**
 * The block is the one after `tip`, and what will be read back later
 * is what Fabric's readers accept.
 */
function requireExtension(
  block: Block,
  txIds: readonly (string | undefined)[],
  tip: HashedHeader,
): void {
  const { header, data } = block;
  if (header.number !== tip.number + 1) {
    throw invalidCall(`block ${header.number} was appended, ${tip.number + 1} must be next`);
  }
  const name = `block ${header.number}`;
  if (!bytesEqual(header.previousHash, tip.hash)) {
    throw invalidCall(`${name} names another previous block than the stored one`);
  }
  if (data.length === 0) throw invalidCall(`${name} has no transactions`);
  if (txIds.length !== data.length) {
    throw invalidCall(`${name} has ${data.length} transactions and ${txIds.length} ids`);
  }
}

function requireOwnContent(
  { header, data }: Block,
  txIds: readonly (string | undefined)[],
  sha256: Sha256,
): void {
  const name = `block ${header.number}`;
  if (!bytesEqual(header.dataHash, dataHash(data, sha256))) {
    throw invalidCall(`${name} has data that does not fit its data hash`);
  }
  for (const [index, entry] of data.entries()) {
    const envelope = parseEnvelope(entry);
    if (envelope.kind === 'malformed') {
      throw invalidCall(`transaction ${index} of ${name}: ${envelope.reason}`);
    }
    const txId = txIds[index];
    if (txId === undefined) continue;
    if (!isTxId(txId) || txId !== envelope.value.channelHeader.txId) {
      throw invalidCall(`transaction ${index} of ${name} was given another id than its own`);
    }
  }
}

export function requireCertificate(bytes: Uint8Array, number: number): void {
  const certificate = decodeCertificate(bytes);
  if (certificate.kind === 'malformed' || certificate.value.signatures.length === 0) {
    const reason = certificate.kind === 'malformed' ? certificate.reason : 'it holds no signature';
    throw invalidCall(`the certificate of block ${number} is none: ${reason}`);
  }
}

export function bytesOf(
  operations: readonly Operation[],
  transactions: readonly BlockTransactions[] = [],
  records: readonly PlacedRecord[] = [],
): number {
  let bytes = records.reduce((sum, record) => sum + record.bytes.length, 0);
  for (const { txIds } of transactions) bytes += txIds.length * INDEX_RECORD_BYTES;
  for (const operation of operations) {
    bytes += operation.key.length + (operation.type === 'put' ? operation.value.length : 0);
  }
  return bytes;
}

export function invalidCall(message: string): LedgerError {
  return new LedgerError('invalid_call', message);
}
