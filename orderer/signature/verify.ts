/**
 * The one acceptance rule for signatures, server side. Every replica, client and auditor must give
 * the same answer on the same bytes: see `consensus/runtime/ed25519.ts`, `p256.ts`, and
 * `ledger/signature/` for the second implementation.
 */
import {
  ED25519_PUBLIC_KEY_BYTES,
  ED25519_SIGNATURE_BYTES,
  verifyEd25519Strict,
} from '../../consensus/runtime/ed25519.ts';
import { P256_PUBLIC_KEY_BYTES, P256_SIGNATURE_BYTES_MAX, verifyP256 } from './p256.ts';

export interface VerifyKey {
  readonly algorithm: 'ed25519' | 'p256';
  /** Ed25519: 32 bytes. P-256: 65 bytes, uncompressed SEC1. */
  readonly bytes: Uint8Array;
}

export interface VerifyItem {
  readonly key: VerifyKey;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

/**
 * Checks one signature, on the calling thread (~50 us Ed25519, ~100 us P-256). Total: nothing
 * throws.
 */
export function verifySignature(
  key: VerifyKey,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  switch (key.algorithm) {
    case 'ed25519':
      return verifyEd25519Strict(key.bytes, message, signature);
    case 'p256':
      return verifyP256(key.bytes, message, signature);
    default:
      key.algorithm satisfies never;
      return false;
  }
}

/** False when lengths alone decide that the signature is invalid: spares the trip to the pool. */
export function hasPlausibleLengths(key: VerifyKey, signature: Uint8Array): boolean {
  switch (key.algorithm) {
    case 'ed25519':
      return (
        key.bytes.length === ED25519_PUBLIC_KEY_BYTES &&
        signature.length === ED25519_SIGNATURE_BYTES
      );
    case 'p256':
      return (
        key.bytes.length === P256_PUBLIC_KEY_BYTES && signature.length <= P256_SIGNATURE_BYTES_MAX
      );
    default:
      key.algorithm satisfies never;
      return false;
  }
}
