/**
 * Fabric's transaction: `common.Envelope` around `common.Payload` around two headers and data
 * (fabric-protos common/common.proto). An envelope is kept and hashed as the bytes that came.
 */
import { concatBytes, toHex } from './bytes.ts';
import { type Decoded, decoded, EMPTY, WireReader } from './wire-reader.ts';
import {
  bytesSize,
  encodeText,
  integerSize,
  presentSize,
  requireInteger,
  WireWriter,
} from './wire-writer.ts';

/**
 * SHA-256 injected by the caller: node:crypto on the server, @noble/hashes
 * in the client and the auditor.
 */
export type Sha256 = (bytes: Uint8Array) => Uint8Array;

/** `common.HeaderType`. */
export const HEADER_TYPES = {
  MESSAGE: 0,
  CONFIG: 1,
  CONFIG_UPDATE: 2,
  ENDORSER_TRANSACTION: 3,
  ORDERER_TRANSACTION: 4,
  DELIVER_SEEK_INFO: 5,
  CHAINCODE_PACKAGE: 6,
} as const;

export interface ChannelHeader {
  /** One of HEADER_TYPES, or any other int32 that came. */
  type: number;
  version: number;
  /**
   * Milliseconds since 1970, rounded down from the nanoseconds on the wire; 0
   * also when there is no timestamp.
   */
  timestampMs: number;
  channelId: string;
  /** As it came; whether it is the right one is `computeTxId`'s answer. */
  txId: string;
  epoch: number;
  extension: Uint8Array;
  tlsCertHash: Uint8Array;
}

export interface SignatureHeader {
  /** Serialized `msp.SerializedIdentity`. */
  creator: Uint8Array;
  nonce: Uint8Array;
}

/** All byte fields are views into `bytes`. */
export interface ParsedEnvelope {
  bytes: Uint8Array;
  /** What `signature` signs. */
  payload: Uint8Array;
  signature: Uint8Array;
  channelHeader: ChannelHeader;
  signatureHeader: SignatureHeader;
  data: Uint8Array;
}

const INT32_MIN = -0x8000_0000;
const INT32_MAX = 0x7fff_ffff;
/** 0001-01-01 and 9999-12-31: what google.protobuf.Timestamp may hold. */
const TIMESTAMP_SECONDS_MIN = -62_135_596_800;
const TIMESTAMP_SECONDS_MAX = 253_402_300_799;
const NANOS_PER_MS = 1_000_000;

/**
 * Parses an envelope that re-marshals to the same bytes, in all its layers. Refused with a
 * reason that starts with `not canonical` when only that fails, with `malformed` otherwise. An
 * empty signature is accepted (a genesis block's envelope has none); an envelope without
 * payload or without header is not.
 */
export function parseEnvelope(bytes: Uint8Array): Decoded<ParsedEnvelope> {
  const reader = new WireReader(bytes);
  const outerEnd = reader.enterBytes(1, 'Envelope.payload');
  if (outerEnd < 0) {
    // Reports what is there instead (an unknown field, fields out of
    // order) before the absence itself.
    reader.bytesField(2, 'Envelope.signature');
    reader.finish('Envelope', 2);
    reader.fail('malformed Envelope: no payload');
    return { kind: 'malformed', reason: reader.fault ?? 'malformed Envelope' };
  }
  const payload = reader.rest();
  const payloadEnd = reader.enterMessage(1, 'Payload.header');
  if (payloadEnd < 0) {
    reader.bytesField(2, 'Payload.data');
    reader.finish('Payload', 2);
    reader.fail('malformed Payload: no header');
    return { kind: 'malformed', reason: reader.fault ?? 'malformed Payload' };
  }
  const channelHeader = readChannelHeader(reader);
  const signatureHeader = readSignatureHeader(reader);
  reader.leave(payloadEnd, 'Header', 2);
  const data = reader.bytesField(2, 'Payload.data');
  reader.leave(outerEnd, 'Payload', 2);
  const signature = reader.bytesField(2, 'Envelope.signature');
  reader.finish('Envelope', 2);
  if (reader.fault !== undefined) return { kind: 'malformed', reason: reader.fault };
  return {
    kind: 'ok',
    value: { bytes: reader.bytes, payload, signature, channelHeader, signatureHeader, data },
  };
}

/** `common.ChannelHeader` alone. */
export function decodeChannelHeader(bytes: Uint8Array): Decoded<ChannelHeader> {
  const reader = new WireReader(bytes);
  const header = readChannelHeaderFields(reader);
  reader.finish('ChannelHeader', 8);
  return decoded(reader, header);
}

export function encodeChannelHeader(header: ChannelHeader): Uint8Array {
  requireInteger(header.type, INT32_MIN, INT32_MAX, 'ChannelHeader.type');
  requireInteger(header.version, INT32_MIN, INT32_MAX, 'ChannelHeader.version');
  requireInteger(header.epoch, 0, Number.MAX_SAFE_INTEGER, 'ChannelHeader.epoch');
  requireInteger(
    header.timestampMs,
    TIMESTAMP_SECONDS_MIN * 1000,
    TIMESTAMP_SECONDS_MAX * 1000 + 999,
    'ChannelHeader.timestampMs',
  );
  const seconds = Math.floor(header.timestampMs / 1000);
  const nanos = (header.timestampMs - seconds * 1000) * NANOS_PER_MS;
  const timestampSize = integerSize(seconds) + integerSize(nanos);
  const channelId = encodeText(header.channelId, 'ChannelHeader.channelId');
  const txId = encodeText(header.txId, 'ChannelHeader.txId');
  const writer = new WireWriter(
    integerSize(header.type) +
      integerSize(header.version) +
      bytesSize(timestampSize) +
      bytesSize(channelId.length) +
      bytesSize(txId.length) +
      integerSize(header.epoch) +
      bytesSize(header.extension.length) +
      bytesSize(header.tlsCertHash.length),
  );
  writer.integerField(1, header.type);
  writer.integerField(2, header.version);
  if (timestampSize > 0) {
    writer.openField(3, timestampSize);
    writer.integerField(1, seconds);
    writer.integerField(2, nanos);
  }
  writer.bytesField(4, channelId);
  writer.bytesField(5, txId);
  writer.integerField(6, header.epoch);
  writer.bytesField(7, header.extension);
  writer.bytesField(8, header.tlsCertHash);
  return writer.finish();
}

/** `common.SignatureHeader` alone. */
export function decodeSignatureHeader(bytes: Uint8Array): Decoded<SignatureHeader> {
  const reader = new WireReader(bytes);
  const header = readSignatureHeaderFields(reader);
  reader.finish('SignatureHeader', 2);
  return decoded(reader, header);
}

export function encodeSignatureHeader(header: SignatureHeader): Uint8Array {
  const writer = new WireWriter(bytesSize(header.creator.length) + bytesSize(header.nonce.length));
  writer.bytesField(1, header.creator);
  writer.bytesField(2, header.nonce);
  return writer.finish();
}

/** `common.Payload`: what the writer signs. A `timestampMs` of 0 is written as no timestamp. */
export function encodePayload(
  channelHeader: ChannelHeader,
  signatureHeader: SignatureHeader,
  data: Uint8Array,
): Uint8Array {
  const channelHeaderBytes = encodeChannelHeader(channelHeader);
  const signatureHeaderBytes = encodeSignatureHeader(signatureHeader);
  const headerSize = bytesSize(channelHeaderBytes.length) + bytesSize(signatureHeaderBytes.length);
  const writer = new WireWriter(presentSize(headerSize) + bytesSize(data.length));
  writer.openField(1, headerSize);
  writer.bytesField(1, channelHeaderBytes);
  writer.bytesField(2, signatureHeaderBytes);
  writer.bytesField(2, data);
  return writer.finish();
}

export function encodeEnvelope(payload: Uint8Array, signature: Uint8Array): Uint8Array {
  const writer = new WireWriter(bytesSize(payload.length) + bytesSize(signature.length));
  writer.bytesField(1, payload);
  writer.bytesField(2, signature);
  return writer.finish();
}

/** Lower-case hex of SHA-256(nonce || creator): Fabric's `protoutil.ComputeTxID`. */
export function computeTxId(nonce: Uint8Array, creator: Uint8Array, sha256: Sha256): string {
  return toHex(txIdDigest(nonce, creator, sha256));
}

/** The 32 bytes that a transaction id writes out. */
export function txIdDigest(nonce: Uint8Array, creator: Uint8Array, sha256: Sha256): Uint8Array {
  return sha256(concatBytes([nonce, creator]));
}

function readChannelHeader(reader: WireReader): ChannelHeader {
  const outerEnd = reader.enterBytes(1, 'Header.channel_header');
  if (outerEnd < 0) return emptyChannelHeader();
  const header = readChannelHeaderFields(reader);
  reader.leave(outerEnd, 'ChannelHeader', 8);
  return header;
}

function emptyChannelHeader(): ChannelHeader {
  return {
    type: 0,
    version: 0,
    timestampMs: 0,
    channelId: '',
    txId: '',
    epoch: 0,
    extension: EMPTY,
    tlsCertHash: EMPTY,
  };
}

function readChannelHeaderFields(reader: WireReader): ChannelHeader {
  const type = reader.int32Field(1, 'ChannelHeader.type');
  const version = reader.int32Field(2, 'ChannelHeader.version');
  const timestampMs = readTimestampMs(reader);
  const channelId = reader.stringField(4, 'ChannelHeader.channel_id');
  const txId = reader.stringField(5, 'ChannelHeader.tx_id');
  const epoch = reader.uint64Field(6, 'ChannelHeader.epoch');
  const extension = reader.bytesField(7, 'ChannelHeader.extension');
  const tlsCertHash = reader.bytesField(8, 'ChannelHeader.tls_cert_hash');
  return { type, version, timestampMs, channelId, txId, epoch, extension, tlsCertHash };
}

/** Total as the reader is; also for `EnvelopeScan`. */
export function readTimestampMs(reader: WireReader): number {
  const outerEnd = reader.enterMessage(3, 'ChannelHeader.timestamp');
  if (outerEnd < 0) return 0;
  const seconds = reader.int64Field(1, 'Timestamp.seconds');
  const nanos = reader.int32Field(2, 'Timestamp.nanos');
  reader.leave(outerEnd, 'Timestamp', 2);
  if (seconds < TIMESTAMP_SECONDS_MIN || seconds > TIMESTAMP_SECONDS_MAX) {
    reader.fail('malformed Timestamp.seconds: outside the years 1 to 9999');
  }
  if (nanos < 0 || nanos > 999_999_999) {
    reader.fail('malformed Timestamp.nanos: outside 0 to 999999999');
  }
  return seconds * 1000 + Math.floor(nanos / NANOS_PER_MS);
}

function readSignatureHeader(reader: WireReader): SignatureHeader {
  const outerEnd = reader.enterBytes(2, 'Header.signature_header');
  if (outerEnd < 0) return { creator: EMPTY, nonce: EMPTY };
  const header = readSignatureHeaderFields(reader);
  reader.leave(outerEnd, 'SignatureHeader', 2);
  return header;
}

function readSignatureHeaderFields(reader: WireReader): SignatureHeader {
  const creator = reader.bytesField(1, 'SignatureHeader.creator');
  const nonce = reader.bytesField(2, 'SignatureHeader.nonce');
  return { creator, nonce };
}

/**
 * The id by which an entry of a block is found again; undefined when it has none, as a configuration: it is no transaction, and
 * nobody waits for it.
 */
export function txIdOf(entry: Uint8Array): string | undefined {
  const parsed = parseEnvelope(entry);
  if (parsed.kind === 'malformed') return undefined;
  const { type, txId } = parsed.value.channelHeader;
  return type === HEADER_TYPES.CONFIG ? undefined : txId;
}
