/**
 * The one form in which a signature may be written. Whoever holds a valid signature could otherwise
 * make another valid one out of it (ECDSA: negate S; BER: longer lengths), and a byte of a
 * certificate could change unnoticed.
 */

/**
 * Half the order of P-256, big-endian: S must not be above it (SEC 2 section
 * 2.4.2; Fabric bccsp/utils/ecdsa.go).
 */
const P256_HALF_ORDER = Uint8Array.from([
  0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
  0xde, 0x73, 0x7d, 0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8,
]);

/** Of any 64 bytes the form is right (RFC 8032 section 5.1.7): what they say is for who has the key. */
export const ED25519_SIGNATURE_BYTES = 64;

/**
 * Says what is wrong with the form of a signature, or undefined when nothing
 * is. Checks no key and no message.
 */
export function signatureFault(
  algorithm: 'ed25519' | 'p256',
  signature: Uint8Array,
): string | undefined {
  if (algorithm === 'ed25519') {
    const { length } = signature;
    if (length === ED25519_SIGNATURE_BYTES) return undefined;
    return `has ${length} bytes instead of ${ED25519_SIGNATURE_BYTES}`;
  }
  return p256Fault(signature);
}

/**
 * DER `SEQUENCE { r INTEGER, s INTEGER }` (X.690 sections 8.3, 10.1), both
 * positive, nothing behind it, S low.
 */
function p256Fault(signature: Uint8Array): string | undefined {
  const length = signature.length;
  // Two integers of at most 33 octets: every length fits in one byte.
  if (length < 8 || length > 72) return `has ${length} bytes, no DER ECDSA signature on P-256`;
  if (signature[0] !== 0x30 || signature[1] !== length - 2) return 'is not one DER SEQUENCE';
  const rEnd = integerEnd(signature, 2);
  if (rEnd === undefined) return 'has an R that is not a positive DER INTEGER';
  const sEnd = integerEnd(signature, rEnd);
  if (sEnd === undefined) return 'has an S that is not a positive DER INTEGER';
  if (sEnd !== length) return 'has bytes after S';
  return isLow(signature.subarray(rEnd + 2, sEnd)) ? undefined : 'has a high S';
}

/**
 * End of the INTEGER at `start`, or undefined when it is no minimal positive one of
 * at most 32 significant octets.
 */
function integerEnd(bytes: Uint8Array, start: number): number | undefined {
  const size = bytes[start + 1];
  const first = bytes[start + 2];
  if (bytes[start] !== 0x02 || size === undefined || first === undefined) return undefined;
  const end = start + 2 + size;
  if (size === 0 || end > bytes.length || first >= 0x80) return undefined;
  const second = bytes[start + 3] ?? 0;
  if (first === 0 && (size === 1 || second < 0x80)) return undefined;
  return size - (first === 0 ? 1 : 0) > 32 ? undefined : end;
}

function isLow(s: Uint8Array): boolean {
  const octets = s[0] === 0 ? s.subarray(1) : s;
  if (octets.length < 32) return true;
  for (let index = 0; index < 32; index += 1) {
    const difference = (octets[index] ?? 0) - (P256_HALF_ORDER[index] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return true;
}
