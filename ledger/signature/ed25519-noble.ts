/**
 * The one acceptance rule for Ed25519, second implementation: @noble only, no Node, for the client
 * library, the browser and the auditor. The first is `consensus/runtime/ed25519.ts` on libsodium,
 * where the rule is spelled out; tests hold the two to the same answer.
 *
 * @noble's own `verify(..., { zip215: false })` is not that rule: it multiplies by the cofactor and
 * takes an R of small order, so somebody who holds a key could make signatures that the replicas
 * refuse and it accepts.
 */
import { Point } from '@noble/ed25519';
import { sha512 } from '@noble/hashes/sha2.js';

const POINT_BYTES = 32;
const SIGNATURE_BYTES = 64;
/** Order of the base point, L of RFC 8032 section 5.1. */
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i] as number);
  return value;
}

/**
 * RFC 8032 section 5.1.3: canonical encodings of points on the curve only; and not of small order.
 */
function decodePoint(bytes: Uint8Array): Point | undefined {
  try {
    const point = Point.fromBytes(bytes, false);
    return point.isSmallOrder() ? undefined : point;
  } catch {
    return undefined;
  }
}

/**
 * Checks an Ed25519 signature. Total: wrong lengths are `false`, nothing throws. ~3 ms.
 *
 * @param publicKey 32 bytes
 * @param signature 64 bytes
 */
export function verifyEd25519Noble(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (publicKey.length !== POINT_BYTES || signature.length !== SIGNATURE_BYTES) return false;
  const encodedR = signature.subarray(0, POINT_BYTES);
  const s = littleEndian(signature.subarray(POINT_BYTES));
  if (s >= ORDER) return false;
  const a = decodePoint(publicKey);
  const r = decodePoint(encodedR);
  if (a === undefined || r === undefined) return false;
  const digest = sha512.create().update(encodedR).update(publicKey).update(message).digest();
  const k = littleEndian(digest) % ORDER;
  // Cofactorless: `r` is compared as it came, its small-order component included.
  return Point.BASE.multiply(s, false).subtract(a.multiply(k, false)).equals(r);
}
