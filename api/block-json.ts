/**
 * The readable form of a block. Decoding is total: what cannot be decoded is
 * shown as such, with its bytes.
 */
import { createHash, X509Certificate } from 'node:crypto';
import {
  type Block,
  type Decoded,
  decodeBlock,
  decodeCertificate,
  decodeOrdererBlockMetadata,
  decodeSerializedIdentity,
  HEADER_TYPES,
  headerHash,
  METADATA,
  parseEnvelope,
  toHex,
} from '../ledger/format/index.ts';
import type { BlockView, TransactionView } from './schemas.ts';

/** Longest data that is also shown as text. */
const TEXT_BYTES_MAX = 4096;
/**
 * Certificates whose subject is remembered; parsing one costs as much
 * as the rest of its transaction.
 */
const SUBJECTS_MAX = 256;

const TYPE_NAMES = new Map(
  Object.entries(HEADER_TYPES).map(([name, type]) => [type as number, name]),
);
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export interface BlockJsonOptions {
  /** Adds the serialized block, base64. */
  readonly raw: boolean;
}

export type BlockJsonRenderer = (bytes: Uint8Array, options: BlockJsonOptions) => Decoded<Buffer>;

export function sha256(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest();
}

/** Renders serialized blocks as one line of JSON, line feed included. */
export function createBlockJsonRenderer(): BlockJsonRenderer {
  const subjects = new Map<string, string | undefined>();

  function subjectOf(idBytes: Uint8Array): string | undefined {
    const key = view(idBytes).toString('latin1');
    if (subjects.has(key)) {
      return subjects.get(key);
    }
    const [oldest] = subjects.keys();
    if (subjects.size >= SUBJECTS_MAX && oldest !== undefined) {
      subjects.delete(oldest);
    }
    const subject = readSubject(idBytes);
    subjects.set(key, subject);
    return subject;
  }

  return (bytes, options) => {
    const decoded = decodeBlock(bytes);
    if (decoded.kind === 'malformed') {
      return decoded;
    }
    // One transaction at a time, so that a large block is never in memory as one JavaScript string.
    const parts: Buffer[] = [];
    const head = JSON.stringify(blockHead(decoded.value, bytes.length));
    parts.push(Buffer.from(`${head.slice(0, -1)},"transactions":[`));
    decoded.value.data.forEach((envelope, index) => {
      const transaction = JSON.stringify(transactionView(envelope, index, subjectOf));
      parts.push(Buffer.from(index === 0 ? transaction : `,${transaction}`));
    });
    const raw = options.raw ? `,"raw":"${base64(bytes)}"` : '';
    parts.push(Buffer.from(`]${raw}}\n`));
    return { kind: 'ok', value: Buffer.concat(parts) };
  };
}

function blockHead(block: Block, bytes: number): Omit<BlockView, 'transactions' | 'raw'> {
  const { header, metadata } = block;
  return {
    number: header.number,
    hash: toHex(headerHash(header, sha256)),
    previousHash: toHex(header.previousHash),
    dataHash: toHex(header.dataHash),
    bytes,
    certificate: certificateView(metadata[METADATA.SIGNATURES]),
  };
}

function certificateView(entry: Uint8Array | undefined): BlockView['certificate'] {
  const certificate = entry === undefined ? undefined : decodeCertificate(entry);
  if (certificate?.kind !== 'ok') {
    return { signers: [], lastConfig: 0 };
  }
  const { value, signatures } = certificate.value;
  const body = decodeOrdererBlockMetadata(value);
  return {
    signers: signatures.map(({ identifier }) => identifier),
    lastConfig: body.kind === 'ok' ? body.value.lastConfigIndex : 0,
  };
}

function transactionView(
  envelope: Uint8Array,
  index: number,
  subjectOf: (idBytes: Uint8Array) => string | undefined,
): BlockView['transactions'][number] {
  const parsed = parseEnvelope(envelope);
  if (parsed.kind === 'malformed') {
    return { index, malformed: parsed.reason, data: base64(envelope) };
  }
  const { channelHeader, signatureHeader, data } = parsed.value;
  const text = readableText(data);
  return {
    index,
    txId: channelHeader.txId,
    type: TYPE_NAMES.get(channelHeader.type) ?? String(channelHeader.type),
    channel: channelHeader.channelId,
    timestamp:
      channelHeader.timestampMs === 0 ? '' : new Date(channelHeader.timestampMs).toISOString(),
    creator: creatorView(signatureHeader.creator, subjectOf),
    data: base64(data),
    ...(text === undefined ? {} : { text }),
  };
}

function creatorView(
  creator: Uint8Array,
  subjectOf: (idBytes: Uint8Array) => string | undefined,
): TransactionView['creator'] {
  const identity = decodeSerializedIdentity(creator);
  if (identity.kind === 'malformed') {
    return { mspId: '' };
  }
  const subject = subjectOf(identity.value.idBytes);
  return { mspId: identity.value.mspId, ...(subject === undefined ? {} : { subject }) };
}

/** One line, as OpenSSL prints it: `CN=writer, O=Org1`. Undefined when it is no certificate. */
function readSubject(idBytes: Uint8Array): string | undefined {
  try {
    return new X509Certificate(idBytes).subject?.split('\n').reverse().join(', ');
  } catch {
    return undefined;
  }
}

function readableText(data: Uint8Array): string | undefined {
  if (data.length === 0 || data.length > TEXT_BYTES_MAX) {
    return undefined;
  }
  for (const byte of data) {
    if (byte < 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return undefined;
  }
  try {
    return UTF8.decode(data);
  } catch {
    return undefined;
  }
}

function view(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function base64(bytes: Uint8Array): string {
  return view(bytes).toString('base64');
}
