/**
 * The one acceptance rule for ECDSA over P-256 with SHA-256, second implementation: @noble only, no
 * Node. The first is `orderer/signature/p256.ts` on OpenSSL, where the rule is spelled out; tests
 * hold the two to the same answer.
 */
import { p256 } from '@noble/curves/nist.js';

const PUBLIC_KEY_BYTES = 65;
const UNCOMPRESSED = 0x04;

/**
 * Checks an ECDSA signature. Total: bad lengths and encodings are `false`, nothing throws.
 *
 * @param publicKey 65 bytes, uncompressed SEC1
 * @param signature strict DER, s in the lower half of the order
 */
export function verifyP256Noble(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (publicKey.length !== PUBLIC_KEY_BYTES || publicKey[0] !== UNCOMPRESSED) return false;
  try {
    return p256.verify(signature, message, publicKey, {
      format: 'der',
      lowS: true,
      prehash: true,
    });
  } catch {
    return false;
  }
}
