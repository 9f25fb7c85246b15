/**
 * Real cryptography for tests: SHA-256 and Ed25519 of node:crypto, keys from fixed seeds. What one replica has
 * checked is not computed again for the next one; the answer would be the same.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import type { CoreCrypto } from '../../../consensus/core/index.ts';

/**
 * DER prefix of an Ed25519 private key in PKCS #8 (RFC 8410, section 7); the 32-byte seed follows.
 */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

function keyPair(replica: number) {
  const seed = createHash('sha256').update(`test replica ${replica}`).digest();
  const key = Buffer.concat([PKCS8_PREFIX, seed]);
  const privateKey = createPrivateKey({ key, format: 'der', type: 'pkcs8' });
  return { privateKey, publicKey: createPublicKey(privateKey) };
}

const KEYS = Array.from({ length: 10 }, (_, replica) => keyPair(replica));

const CHECKED_MAX = 10_000;
const checked = new Map<string, boolean>();

function check(
  signer: number,
  key: KeyObject,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  const hash = createHash('sha256').update(signature).update(message).digest('base64');
  const name = `${signer} ${signature.length} ${hash}`;
  let valid = checked.get(name);
  if (valid === undefined) {
    valid = verify(null, message, key, signature);
    if (checked.size >= CHECKED_MAX) checked.clear();
    checked.set(name, valid);
  }
  return valid;
}

export interface CountingCrypto extends CoreCrypto {
  readonly counts: { signed: number; verified: number };
}

export function testCrypto(self: number): CountingCrypto {
  const counts = { signed: 0, verified: 0 };
  return {
    counts,
    sha256(first, second, bytes = 32) {
      const hash = createHash('sha256').update(first);
      if (second !== undefined) hash.update(second);
      return Uint8Array.from(hash.digest().subarray(0, bytes));
    },
    sign(message) {
      counts.signed++;
      return sign(null, message, KEYS[self]!.privateKey);
    },
    verify(signer, message, signature) {
      counts.verified++;
      return check(signer, KEYS[signer]!.publicKey, message, signature);
    },
  };
}
