/**
 * What replicas say to each other about block certificates, as application messages of the two-sided channel.
 *
 *   SIGNATURE  kind u8 = 1 | block number u64 LE | header hash 32 | nonce 24 | signature 64
 *   REQUEST    kind u8 = 2 | block number u64 LE   (send me your signatures from this block on)
 */
import type { Decoded } from '../../ledger/format/index.ts';

export const SIGNATURE_NONCE_BYTES = 24;
const SIGNATURE_KIND = 1;
const REQUEST_KIND = 2;
const HASH_OFFSET = 9;
const NONCE_OFFSET = HASH_OFFSET + 32;
const SIGNATURE_OFFSET = NONCE_OFFSET + SIGNATURE_NONCE_BYTES;
const SIGNATURE_MESSAGE_BYTES = SIGNATURE_OFFSET + 64;
const REQUEST_BYTES = 9;

export type SignatureMessage =
  | {
      readonly kind: 'signature';
      readonly blockNumber: number;
      readonly headerHash: Uint8Array;
      readonly nonce: Uint8Array;
      readonly signature: Uint8Array;
    }
  | { readonly kind: 'request'; readonly blockNumber: number };

export function encodeSignatureMessage(message: SignatureMessage): Uint8Array {
  const isSignature = message.kind === 'signature';
  const bytes = new Uint8Array(isSignature ? SIGNATURE_MESSAGE_BYTES : REQUEST_BYTES);
  bytes[0] = isSignature ? SIGNATURE_KIND : REQUEST_KIND;
  new DataView(bytes.buffer).setBigUint64(1, BigInt(message.blockNumber), true);
  if (isSignature) {
    bytes.set(message.headerHash, HASH_OFFSET);
    bytes.set(message.nonce, NONCE_OFFSET);
    bytes.set(message.signature, SIGNATURE_OFFSET);
  }
  return bytes;
}

export function decodeSignatureMessage(bytes: Uint8Array): Decoded<SignatureMessage> {
  const kind = bytes[0];
  const expected = kind === SIGNATURE_KIND ? SIGNATURE_MESSAGE_BYTES : REQUEST_BYTES;
  if ((kind !== SIGNATURE_KIND && kind !== REQUEST_KIND) || bytes.length !== expected) {
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
