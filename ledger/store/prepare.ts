/** Turns blocks into records, after checking that they extend the chain. No state, no I/O. */
import { LedgerError } from '../errors.ts';
import {
  type Block,
  bytesEqual,
  dataHash,
  decodeCertificate,
  encodeBlockData,
  encodeBlockHeader,
  headerHash,
  METADATA,
  parseEnvelope,
  type Sha256,
} from '../format/index.ts';
import type { Operation } from './database.ts';
import { indexRecords } from './index-records.ts';
import type { ChainState, HashedHeader } from './opening.ts';
import { put } from './reading.ts';
import {
  blockKey,
  CHECKSUM_BYTES,
  encodeTip,
  isTxId,
  KIND,
  sealInPlace,
  TIP_KEY,
  type TransactionLocation,
} from './records.ts';

const EMPTY = new Uint8Array(0);

/** A block and, for each entry of its data, the transaction id to index, or undefined for none. */
export interface BlockToAppend {
  block: Block;
  /** 64 lower-case hex digits, equal to the envelope's own tx_id. */
  txIds: readonly (string | undefined)[];
  /** They were read from these very bytes by `parseEnvelope` in this process: nobody has to do that again. */
  idsWereRead?: boolean;
}

export interface Prepared {
  operations: Operation[];
  next: ChainState;
  locations: Map<string, TransactionLocation>;
}

/** Checks the blocks and makes their records, without changing any state. */
export function prepareBlocks(
  blocks: readonly BlockToAppend[],
  certified: boolean,
  state: ChainState,
  sha256: Sha256,
): Prepared {
  const operations: Operation[] = [];
  const locations = new Map<string, TransactionLocation>();
  let { tip } = state;
  for (const { block, txIds, idsWereRead = false } of blocks) {
    requireExtension(block, txIds, tip, sha256);
    if (!idsWereRead) requireOwnIds(block, txIds);
    const { number } = block.header;
    operations.push(
      put(blockKey(KIND.HEADER, number), encodeBlockHeader(block.header)),
      putData(number, block.data),
    );
    const signatures = block.metadata[METADATA.SIGNATURES] ?? EMPTY;
    if (certified) requireCertificate(signatures, number);
    if (signatures.length > 0) {
      const kind = certified ? KIND.SIGNATURES : KIND.UNSIGNED;
      operations.push(put(blockKey(kind, number), signatures));
    }
    for (const [index, txId] of txIds.entries()) {
      if (txId === undefined) continue;
      locations.set(txId, { blockNumber: number, index });
    }
    for (const record of indexRecords(txIds, number)) operations.push(record);
    tip = {
      number,
      previousHash: block.header.previousHash.slice(),
      dataHash: block.header.dataHash.slice(),
      hash: headerHash(block.header, sha256),
    };
  }
  const storedHeight = tip.number + 1;
  operations.push(put(TIP_KEY, encodeTip({ storedHeight, tipHash: tip.hash })));
  return { operations, next: { ...state, storedHeight, tip }, locations };
}

/**
 * The block is the one after `tip`, and what will be read back later
 * is what Fabric's readers accept.
 */
function requireExtension(
  block: Block,
  txIds: readonly (string | undefined)[],
  tip: HashedHeader,
  sha256: Sha256,
): void {
  const { header, data } = block;
  if (header.number !== tip.number + 1) {
    throw invalidCall(`block ${header.number} was appended, ${tip.number + 1} must be next`);
  }
  const name = `block ${header.number}`;
  if (!bytesEqual(header.previousHash, tip.hash)) {
    throw invalidCall(`${name} names another previous block than the stored one`);
  }
  if (!bytesEqual(header.dataHash, dataHash(data, sha256))) {
    throw invalidCall(`${name} has data that does not fit its data hash`);
  }
  if (data.length === 0) throw invalidCall(`${name} has no transactions`);
  if (txIds.length !== data.length) {
    throw invalidCall(`${name} has ${data.length} transactions and ${txIds.length} ids`);
  }
}

function requireOwnIds({ header, data }: Block, txIds: readonly (string | undefined)[]): void {
  const name = `block ${header.number}`;
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

/** Blocks are large: the checksum goes into the same allocation. */
function putData(number: number, data: readonly Uint8Array[]): Operation {
  const key = blockKey(KIND.DATA, number);
  return { type: 'put', key, value: sealInPlace(key, encodeBlockData(data, CHECKSUM_BYTES)) };
}

export function bytesOf(operations: readonly Operation[]): number {
  let bytes = 0;
  for (const operation of operations) {
    bytes += operation.key.length + (operation.type === 'put' ? operation.value.length : 0);
  }
  return bytes;
}

export function invalidCall(message: string): LedgerError {
  return new LedgerError('invalid_call', message);
}
