/**
 * What replicas say to each other about block certificates, as application messages of the two-sided channel.
 *
 *   SIGNATURE  kind u8 = 1 | block number u64 LE | header hash 32 | nonce 24 | signature 64
 *   REQUEST    kind u8 = 2 | block number u64 LE   (send me what you have from this block on)
 *   CERTIFICATE kind u8 = 3 | block number u64 LE | SIGNATURES metadata: the whole certificate, for who came late
 */
import type { Decoded } from '../../ledger/format/index.ts';

export const SIGNATURE_NONCE_BYTES = 24;
const SIGNATURE_KIND = 1;
const REQUEST_KIND = 2;
const CERTIFICATE_KIND = 3;
const HASH_OFFSET = 9;
const NONCE_OFFSET = HASH_OFFSET + 32;
const SIGNATURE_OFFSET = NONCE_OFFSET + SIGNATURE_NONCE_BYTES;
const SIGNATURE_MESSAGE_BYTES = SIGNATURE_OFFSET + 64;
const REQUEST_BYTES = 9;
/** Far above a certificate of 64 replicas. */
export const CERTIFICATE_BYTES_MAX = 64 * 1024;

export type SignatureMessage =
  | {
      readonly kind: 'signature';
      readonly blockNumber: number;
      readonly headerHash: Uint8Array;
      readonly nonce: Uint8Array;
      readonly signature: Uint8Array;
    }
  | { readonly kind: 'request'; readonly blockNumber: number }
  | {
      readonly kind: 'certificate';
      readonly blockNumber: number;
      /** Serialized `common.Metadata`. */
      readonly metadata: Uint8Array;
    };

export function encodeSignatureMessage(message: SignatureMessage): Uint8Array {
  const bytes = new Uint8Array(encodedBytes(message));
  new DataView(bytes.buffer).setBigUint64(1, BigInt(message.blockNumber), true);
  switch (message.kind) {
    case 'signature':
      bytes[0] = SIGNATURE_KIND;
      bytes.set(message.headerHash, HASH_OFFSET);
      bytes.set(message.nonce, NONCE_OFFSET);
      bytes.set(message.signature, SIGNATURE_OFFSET);
      return bytes;
    case 'request':
      bytes[0] = REQUEST_KIND;
      return bytes;
    case 'certificate':
      bytes[0] = CERTIFICATE_KIND;
      bytes.set(message.metadata, REQUEST_BYTES);
      return bytes;
  }
}

function encodedBytes(message: SignatureMessage): number {
  if (message.kind === 'signature') return SIGNATURE_MESSAGE_BYTES;
  return message.kind === 'request' ? REQUEST_BYTES : REQUEST_BYTES + message.metadata.length;
}

function hasLengthOf(kind: number | undefined, length: number): boolean {
  if (kind === SIGNATURE_KIND) return length === SIGNATURE_MESSAGE_BYTES;
  if (kind === REQUEST_KIND) return length === REQUEST_BYTES;
  if (kind !== CERTIFICATE_KIND) return false;
  return length > REQUEST_BYTES && length <= REQUEST_BYTES + CERTIFICATE_BYTES_MAX;
}

export function decodeSignatureMessage(bytes: Uint8Array): Decoded<SignatureMessage> {
  const kind = bytes[0];
  if (!hasLengthOf(kind, bytes.length)) {
    return {
      kind: 'malformed',
      reason: `block signature message of kind ${kind} with ${bytes.length} bytes`,
    };
  }
  const number = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(1, true);
  if (number > BigInt(Number.MAX_SAFE_INTEGER)) {
    return { kind: 'malformed', reason: 'block number above 2^53' };
  }
  const blockNumber = Number(number);
  if (kind === REQUEST_KIND) return { kind: 'ok', value: { kind: 'request', blockNumber } };
  if (kind === CERTIFICATE_KIND) {
    const metadata = bytes.subarray(REQUEST_BYTES);
    return { kind: 'ok', value: { kind: 'certificate', blockNumber, metadata } };
  }
  return {
    kind: 'ok',
    value: {
      kind: 'signature',
      blockNumber,
      headerHash: bytes.subarray(HASH_OFFSET, NONCE_OFFSET),
      nonce: bytes.subarray(NONCE_OFFSET, SIGNATURE_OFFSET),
      signature: bytes.subarray(SIGNATURE_OFFSET),
    },
  };
}
