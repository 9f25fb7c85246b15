/**
 * ECDSA over P-256 with SHA-256 on OpenSSL, the way Fabric's writers sign (Fabric:
 * bccsp/sw/ecdsa.go).
 *
 * The rule: the key is 65 bytes, an uncompressed point on the curve; the signature is, in DER,
 * `SEQUENCE { r INTEGER, s INTEGER }` with the shortest lengths and integers and nothing after it;
 * 1 <= r < n and 1 <= s <= n/2 (the other half would let anybody turn one valid signature into a
 * second); and the equation holds. The second implementation is `ledger/signature/p256-noble.ts`.
 */
import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { ORDERER_LIMITS } from '../limits.ts';

export const P256_PUBLIC_KEY_BYTES = 65;
/** Two 33-byte integers with their headers inside a sequence. */
export const P256_SIGNATURE_BYTES_MAX = 72;

const SCALAR_BYTES = 32;
/** Order n of the base point (SEC 2, section 2.4.2), and n/2 rounded down; big-endian. */
const ORDER = Buffer.from(
  'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551',
  'hex',
);
const HALF_ORDER = Buffer.from(
  '7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8',
  'hex',
);
const ZERO = Buffer.alloc(SCALAR_BYTES);
/** SubjectPublicKeyInfo up to the point: id-ecPublicKey, prime256v1, BIT STRING (RFC 5480). */
const SPKI_PREFIX = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex');

const TAG_SEQUENCE = 0x30;
const TAG_INTEGER = 0x02;

/** Reads a minimal, positive INTEGER into 32 bytes; undefined when it is anything else. */
function readScalar(der: Uint8Array, offset: number): { value: Buffer; end: number } | undefined {
  const length = der[offset + 1];
  const first = der[offset + 2];
  if (der[offset] !== TAG_INTEGER || length === undefined || first === undefined) return undefined;
  const end = offset + 2 + length;
  if (length === 0 || length > SCALAR_BYTES + 1 || end > der.length) return undefined;
  // A set top bit is a negative number; a leading zero is minimal only in front of one.
  if (first >= 0x80) return undefined;
  if (first === 0 && length > 1 && (der[offset + 3] ?? 0) < 0x80) return undefined;
  const digits = der.subarray(offset + 2 + (length === SCALAR_BYTES + 1 ? 1 : 0), end);
  if (length === SCALAR_BYTES + 1 && first !== 0) return undefined;
  const value = Buffer.alloc(SCALAR_BYTES);
  value.set(digits, SCALAR_BYTES - digits.length);
  return { value, end };
}

/** True when the bytes are a signature as the rule wants it; says nothing about the equation. */
function isStrictSignature(der: Uint8Array): boolean {
  if (der.length > P256_SIGNATURE_BYTES_MAX || der[0] !== TAG_SEQUENCE) return false;
  if (der[1] !== der.length - 2) return false;
  const r = readScalar(der, 2);
  if (r === undefined) return false;
  const s = readScalar(der, r.end);
  if (s === undefined || s.end !== der.length) return false;
  if (r.value.equals(ZERO) || Buffer.compare(r.value, ORDER) >= 0) return false;
  return !s.value.equals(ZERO) && Buffer.compare(s.value, HALF_ORDER) <= 0;
}

/**
 * Parsed keys, oldest use first; undefined stands for bytes that are no key. Changes speed, never
 * an answer.
 */
const keys = new Map<string, KeyObject | undefined>();

function keyObject(publicKey: Uint8Array): KeyObject | undefined {
  const name = Buffer.from(publicKey.buffer, publicKey.byteOffset, publicKey.length).toString(
    'latin1',
  );
  let key = keys.get(name);
  if (key === undefined && !keys.has(name)) key = parseKey(publicKey);
  keys.delete(name);
  keys.set(name, key);
  if (keys.size > ORDERER_LIMITS.p256KeysCachedMax) {
    const oldest = keys.keys().next();
    if (!oldest.done) keys.delete(oldest.value);
  }
  return key;
}

function parseKey(publicKey: Uint8Array): KeyObject | undefined {
  try {
    const spki = Buffer.concat([SPKI_PREFIX, publicKey]);
    return createPublicKey({ key: spki, format: 'der', type: 'spki' });
  } catch {
    // Not a point on the curve.
    return undefined;
  }
}

/** Checks an ECDSA signature under the rule above. Total: nothing throws. */
export function verifyP256(
  publicKey65: Uint8Array,
  message: Uint8Array,
  signatureDer: Uint8Array,
): boolean {
  if (publicKey65.length !== P256_PUBLIC_KEY_BYTES || publicKey65[0] !== 0x04) return false;
  if (!isStrictSignature(signatureDer)) return false;
  const key = keyObject(publicKey65);
  return key !== undefined && verify('sha256', message, key, signatureDer);
}
