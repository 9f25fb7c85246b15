/**
 * Keys and values in LevelDB, which holds everything but the blocks themselves (segments/). Integers are big-endian, so that the order
 * of keys is the order of blocks.
 *
 *   key                                   value (after 4 bytes CRC-32 of key and value)
 *   ┌──────┐
 *   │ 0x01 │ format                       version u32, SHA-256 of the genesis block's header, channel name UTF-8
 *   ├──────┤
 *   │ 0x02 │ tip                          stored height u64, hash of the newest stored header
 *   ├──────┤
 *   │ 0x03 │ certified                    certified height u64
 *   ├──────┼──────────────────┐
 *   │ 0x10 │ block number u64 │ block     where it lies: segment u32, offset u32, bytes u32; then `common.BlockHeader`
 *   │ 0x12 │ block number u64 │ signat.   the SIGNATURES metadata entry: `common.Metadata`
 *   ├──────┼──────────────────┴────────┐
 *   │ 0x20 │ transaction id, 32 bytes  │ block number u64, index u32
 *   └──────┴───────────────────────────┘
 *
 * LevelDB does not verify its own checksums on reads, therefore every record has one. It
 * finds what rotted; what was changed on purpose is found by the hash chain and the
 * certificates (scripts/verify).
 */
import { crc32 } from 'node:zlib';
import { LedgerError } from '../errors.ts';
import { writeHex } from '../format/bytes.ts';
import { plainView } from '../format/wire-reader.ts';
import type { Place } from './segments/record.ts';

/** Layout described above; a folder of another version is refused. */
export const FORMAT_VERSION = 2;

export const KIND = {
  FORMAT: 0x01,
  TIP: 0x02,
  CERTIFIED: 0x03,
  BLOCK: 0x10,
  SIGNATURES: 0x12,
  TRANSACTION: 0x20,
} as const;

export const FORMAT_KEY: Uint8Array = Uint8Array.of(KIND.FORMAT);
export const TIP_KEY: Uint8Array = Uint8Array.of(KIND.TIP);
export const CERTIFIED_KEY: Uint8Array = Uint8Array.of(KIND.CERTIFIED);

export const CHECKSUM_BYTES = 4;
const HASH_BYTES = 32;
export const TRANSACTION_KEY_BYTES = 1 + HASH_BYTES;
export const LOCATION_BYTES = 12;
const PLACE_BYTES = 12;
const TWO_POW_32 = 0x1_0000_0000;

export interface FormatRecord {
  version: number;
  genesisHash: Uint8Array;
  channel: string;
}

export interface TipRecord {
  storedHeight: number;
  tipHash: Uint8Array;
}

/** What LevelDB knows of a block. */
export interface BlockEntry {
  place: Place;
  /** `common.BlockHeader`, serialized. */
  header: Uint8Array;
}

export interface TransactionLocation {
  blockNumber: number;
  /** Position in the block's data, from 0. */
  index: number;
}

export function blockKey(kind: number, number: number): Uint8Array {
  const key = new Uint8Array(9);
  key[0] = kind;
  new DataView(key.buffer).setBigUint64(1, BigInt(number));
  return key;
}

/** Block number of a key made by `blockKey`; undefined above 2^53 - 1 or for another length. */
export function blockNumberOf(key: Uint8Array): number | undefined {
  if (key.length !== 9) return undefined;
  const number = Number(view(key).getBigUint64(1));
  return Number.isSafeInteger(number) ? number : undefined;
}

/** 64 lower-case hex digits. Asked of every transaction several times: a regular expression takes three times as long. */
export function isTxId(txId: string): boolean {
  if (txId.length !== 2 * HASH_BYTES) return false;
  for (let at = 0; at < txId.length; at += 1) {
    const code = txId.charCodeAt(at);
    const isDigit = code >= 0x30 && code <= 0x39;
    if (!isDigit && (code < 0x61 || code > 0x66)) return false;
  }
  return true;
}

/** `txId`: 64 lower-case hex digits. */
export function transactionKey(txId: string): Uint8Array {
  const key = new Uint8Array(TRANSACTION_KEY_BYTES);
  key[0] = KIND.TRANSACTION;
  writeHex(key, 1, HASH_BYTES, txId);
  return key;
}

/** The same for many, in one buffer. What is no id becomes the key of no transaction. */
export function transactionKeys(txIds: readonly string[]): Uint8Array[] {
  const bytes = new Uint8Array(txIds.length * TRANSACTION_KEY_BYTES);
  return txIds.map((txId, index) => {
    const at = index * TRANSACTION_KEY_BYTES;
    bytes[at] = KIND.TRANSACTION;
    if (isTxId(txId)) writeHex(bytes, at + 1, HASH_BYTES, txId);
    return bytes.subarray(at, at + TRANSACTION_KEY_BYTES);
  });
}

/** Puts the checksum before the content. */
export function seal(key: Uint8Array, content: Uint8Array): Uint8Array {
  const value = new Uint8Array(CHECKSUM_BYTES + content.length);
  value.set(content, CHECKSUM_BYTES);
  view(value).setUint32(0, crc32(content, crc32(key)));
  return value;
}

/**
 * The content, whatever the checksum says, and whether it says that
 * the content is what was written.
 */
export function inspect(
  key: Uint8Array,
  value: Uint8Array,
): { content: Uint8Array; intact: boolean } {
  if (value.length < CHECKSUM_BYTES) return { content: new Uint8Array(0), intact: false };
  const content = plainView(value).subarray(CHECKSUM_BYTES);
  return { content, intact: view(value).getUint32(0) === crc32(content, crc32(key)) };
}

/** The content; throws `ledger_corrupt` naming `what` when it is not what was written. */
export function unseal(key: Uint8Array, value: Uint8Array, what: string): Uint8Array {
  const { content, intact } = inspect(key, value);
  if (!intact) throw corrupt(`${what} does not match its checksum`, numberData(key));
  return content;
}

export function encodeFormat(record: FormatRecord): Uint8Array {
  const channel = new TextEncoder().encode(record.channel);
  const out = new Uint8Array(4 + HASH_BYTES + channel.length);
  view(out).setUint32(0, record.version);
  out.set(record.genesisHash, 4);
  out.set(channel, 4 + HASH_BYTES);
  return out;
}

export function decodeFormat(content: Uint8Array): FormatRecord {
  if (content.length < 4 + HASH_BYTES) throw corrupt('the format record is too short');
  return {
    version: view(content).getUint32(0),
    genesisHash: content.slice(4, 4 + HASH_BYTES),
    channel: new TextDecoder().decode(content.subarray(4 + HASH_BYTES)),
  };
}

export function encodeTip(record: TipRecord): Uint8Array {
  const out = new Uint8Array(8 + HASH_BYTES);
  view(out).setBigUint64(0, BigInt(record.storedHeight));
  out.set(record.tipHash, 8);
  return out;
}

export function decodeTip(content: Uint8Array): TipRecord {
  if (content.length !== 8 + HASH_BYTES) throw corrupt('the tip record has a wrong length');
  return { storedHeight: readHeight(content, 0, 'tip'), tipHash: content.slice(8) };
}

export function encodeCertified(height: number): Uint8Array {
  const out = new Uint8Array(8);
  view(out).setBigUint64(0, BigInt(height));
  return out;
}

export function decodeCertified(content: Uint8Array): number {
  if (content.length !== 8) throw corrupt('the certified-height record has a wrong length');
  return readHeight(content, 0, 'certified-height');
}

export function encodeBlockEntry({ place, header }: BlockEntry): Uint8Array {
  const out = new Uint8Array(PLACE_BYTES + header.length);
  const to = view(out);
  to.setUint32(0, place.segment);
  to.setUint32(4, place.offset);
  to.setUint32(8, place.bytes);
  out.set(header, PLACE_BYTES);
  return out;
}

export function decodeBlockEntry(content: Uint8Array): BlockEntry {
  if (content.length < PLACE_BYTES) throw corrupt('the record of a block is too short');
  const from = view(content);
  const [segment, offset, bytes] = [from.getUint32(0), from.getUint32(4), from.getUint32(8)];
  return { place: { segment, offset, bytes }, header: content.subarray(PLACE_BYTES) };
}

export function encodeLocation(location: TransactionLocation): Uint8Array {
  const out = new Uint8Array(LOCATION_BYTES);
  writeLocation(view(out), 0, location.blockNumber, location.index);
  return out;
}

export function writeLocation(
  to: DataView,
  offset: number,
  blockNumber: number,
  index: number,
): void {
  to.setUint32(offset, Math.floor(blockNumber / TWO_POW_32));
  to.setUint32(offset + 4, blockNumber % TWO_POW_32);
  to.setUint32(offset + 8, index);
}

export function decodeLocation(content: Uint8Array): TransactionLocation {
  if (content.length !== LOCATION_BYTES)
    throw corrupt('a transaction index record has a wrong length');
  return {
    blockNumber: readHeight(content, 0, 'transaction index'),
    index: view(content).getUint32(8),
  };
}

export function corrupt(
  what: string,
  data: Record<string, string | number | undefined> = {},
): LedgerError {
  return new LedgerError(
    'ledger_corrupt',
    `${what}; the stored ledger is not what was written: check the disk, move the whole folder of the channel away (its log included) and start the replica: it joins the others and fetches the chain from them`,
    data,
  );
}

function numberData(key: Uint8Array): Record<string, string | number | undefined> {
  const number = blockNumberOf(key);
  return number === undefined ? {} : { blockNumber: number };
}

function readHeight(content: Uint8Array, offset: number, name: string): number {
  const value = Number(view(content).getBigUint64(offset));
  if (!Number.isSafeInteger(value)) throw corrupt(`the ${name} record holds an impossible number`);
  return value;
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
