/**
 * Signature checks for those who audit a chain: the client library, the browser, `scripts/verify`.
 * @noble only, so that what the replicas accepted on libsodium and OpenSSL is judged by code that
 * shares nothing with them.
 */
import { verifyEd25519Noble } from './ed25519-noble.ts';
import { verifyP256Noble } from './p256-noble.ts';

export { verifyEd25519Noble } from './ed25519-noble.ts';
export { verifyP256Noble } from './p256-noble.ts';

export interface NobleKey {
  readonly algorithm: 'ed25519' | 'p256';
  /** Ed25519: 32 bytes. P-256: 65 bytes, uncompressed SEC1. */
  readonly publicKey: Uint8Array;
}

/** The one acceptance rule; total. Fits `VerifySignature` of ledger/format. */
export function verifySignatureNoble(
  key: NobleKey,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  switch (key.algorithm) {
    case 'ed25519':
      return verifyEd25519Noble(key.publicKey, message, signature);
    case 'p256':
      return verifyP256Noble(key.publicKey, message, signature);
    default:
      key.algorithm satisfies never;
      return false;
  }
}
