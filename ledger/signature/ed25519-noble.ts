/**
 * The one acceptance rule for Ed25519, second implementation: @noble only, no Node, for the client
 * library, the browser and the auditor. The first is `consensus/runtime/ed25519.ts` on libsodium,
 * where the rule is spelled out; tests hold the two to the same answer.
 *
 * @noble's own `verify(..., { zip215: false })` is not that rule: it multiplies by the cofactor and
 * takes an R of small order, so somebody who holds a key could make signatures that the replicas
 * refuse and it accepts.
 */
import { ed25519 } from '@noble/curves/ed25519.js';
import { sha512 } from '@noble/hashes/sha2.js';

const { Point } = ed25519;
type EdPoint = InstanceType<typeof Point>;

const POINT_BYTES = 32;
const SIGNATURE_BYTES = 64;
/** Order of the base point, L of RFC 8032 section 5.1. */
const ORDER = Point.Fn.ORDER;

/**
 * Keys kept decoded, the least recently used go first: a chain has few signers and many signatures.
 */
const KEYS_MAX = 64;
/**
 * A table of multiples costs as much as this many checks, and makes each
 * later one three times as fast.
 */
const USES_BEFORE_TABLE = 8;
const TABLE_WINDOW_BITS = 6;

interface PreparedKey {
  readonly point: EdPoint | undefined;
  uses: number;
}

const keys = new Map<string, PreparedKey>();

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i] as number);
  return value;
}

/**
 * RFC 8032 section 5.1.3: canonical encodings of points on the curve only; and not of small order.
 */
function decodePoint(bytes: Uint8Array): EdPoint | undefined {
  try {
    const point = Point.fromBytes(bytes, false);
    return point.isSmallOrder() ? undefined : point;
  } catch {
    return undefined;
  }
}

function prepareKey(publicKey: Uint8Array): EdPoint | undefined {
  const name = String.fromCharCode(...publicKey);
  const known = keys.get(name) ?? { point: decodePoint(publicKey), uses: 0 };
  known.uses++;
  if (known.uses === USES_BEFORE_TABLE) known.point?.precompute(TABLE_WINDOW_BITS, false);
  keys.delete(name);
  keys.set(name, known);
  if (keys.size > KEYS_MAX) keys.delete(keys.keys().next().value as string);
  return known.point;
}

/**
 * Checks an Ed25519 signature. Total: wrong lengths are `false`, nothing throws. 1.2 ms for a new
 * key, 0.4 ms for one that was used before.
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
  const a = prepareKey(publicKey);
  if (a === undefined) return false;
  const r = decodePoint(encodedR);
  if (r === undefined) return false;
  const digest = sha512.create().update(encodedR).update(publicKey).update(message).digest();
  const k = littleEndian(digest) % ORDER;
  // Cofactorless: `r` is compared as it came, its small-order component included.
  return Point.BASE.multiplyUnsafe(s).subtract(a.multiplyUnsafe(k)).equals(r);
}
