/** Private keys from PEM and signing with @noble, the same in Node and in a browser. */
import { p256 } from '@noble/curves/nist.js';
import * as ed25519 from '@noble/ed25519';
import { sha512 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import type { PublicKey } from './certificate.ts';
import { DER_TAG, DerError, expectTag, readChildren, readOnly } from './der.ts';
import { ClientError } from './errors.ts';
import { CLIENT_LIMITS } from './limits.ts';
import { readPem } from './pem.ts';

// The package brings no hash of its own for synchronous signing.
ed25519.hashes.sha512 = sha512;

export interface PrivateKey {
  readonly algorithm: 'ed25519' | 'p256';
  /** Ed25519: the 32-byte seed (RFC 8032). P-256: the 32-byte scalar. */
  readonly secret: Uint8Array;
}

const OID_ED25519 = '2b6570';
const OID_EC_PUBLIC_KEY = '2a8648ce3d0201';
const OID_PRIME256V1 = '2a8648ce3d030107';

function octets32(bytes: Uint8Array): Uint8Array {
  if (bytes.length !== 32) throw new DerError(`key of ${bytes.length} bytes instead of 32`);
  return bytes.slice();
}

function readPkcs8(der: Uint8Array): PrivateKey {
  const [, algorithm, wrapped] = readChildren(readOnly(der, DER_TAG.SEQUENCE));
  const [oid, parameters] = readChildren(expectTag(algorithm, DER_TAG.SEQUENCE));
  const oidHex = bytesToHex(expectTag(oid, DER_TAG.OID).content);
  const inner = expectTag(wrapped, DER_TAG.OCTET_STRING).content;
  if (oidHex === OID_ED25519) {
    const seed = readOnly(inner, DER_TAG.OCTET_STRING).content;
    return { algorithm: 'ed25519', secret: octets32(seed) };
  }
  const curve = parameters === undefined ? '' : bytesToHex(parameters.content);
  if (oidHex === OID_EC_PUBLIC_KEY && curve === OID_PRIME256V1) {
    const [, scalar] = readChildren(readOnly(inner, DER_TAG.SEQUENCE));
    const secret = octets32(expectTag(scalar, DER_TAG.OCTET_STRING).content);
    if (!p256.utils.isValidSecretKey(secret)) throw new DerError('scalar out of range');
    return { algorithm: 'p256', secret };
  }
  throw new DerError('neither an Ed25519 nor a P-256 key');
}

/**
 * Reads a PKCS#8 private key, Ed25519 (RFC 8410) or P-256 (RFC 5915), from PEM.
 * Throws `ClientError` with code `malformed_key`.
 */
export function parsePrivateKey(pem: string): PrivateKey {
  if (pem.length > CLIENT_LIMITS.pemBytesMax) {
    throw new ClientError('malformed_key', `a key file of ${pem.length} bytes is no key file`);
  }
  const blocks = readPem(pem);
  const block = blocks.find(({ label }) => label === 'PRIVATE KEY');
  if (block === undefined) {
    const found = blocks.map(({ label }) => label).join(', ') || 'nothing';
    throw new ClientError(
      'malformed_key',
      `expected an unencrypted PKCS#8 file ("BEGIN PRIVATE KEY") and found ${found}; ` +
        'convert with: openssl pkcs8 -topk8 -nocrypt -in key.pem',
    );
  }
  try {
    return readPkcs8(block.der);
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    throw new ClientError('malformed_key', `the PKCS#8 key cannot be read: ${error.message}`);
  }
}

/**
 * Ed25519 as RFC 8032 (64 bytes), or ECDSA over SHA-256 with low S in DER (RFC 6979 nonces): the
 * two forms that a replica accepts.
 */
export function sign(key: PrivateKey, message: Uint8Array): Uint8Array {
  if (key.algorithm === 'ed25519') return ed25519.sign(message, key.secret);
  return p256.sign(message, key.secret, { prehash: true, lowS: true, format: 'der' });
}

export function publicKeyOf(key: PrivateKey): PublicKey {
  const bytes =
    key.algorithm === 'ed25519'
      ? ed25519.getPublicKey(key.secret)
      : p256.getPublicKey(key.secret, false);
  return { algorithm: key.algorithm, bytes };
}
