/**
 * Ed25519 on libsodium: the fast half of the one acceptance rule. The other half, on @noble, is
 * `ledger/signature/ed25519-noble.ts`; tests hold the two to the same answer on every input.
 *
 * The rule: a signature R || S by key A over message M is accepted when
 *  1. A is 32 bytes and the signature is 64,
 *  2. S < L (RFC 8032 section 5.1.7, step 1),
 *  3. A and R are canonical encodings of points on the curve (section 5.1.3),
 *  4. neither A nor R is one of the eight points of small order (the RFC is silent; with such a
 *     key one signature fits many messages),
 *  5. [S]B = R + [k]A without a cofactor (the RFC allows both equations; it must be the same one
 *     everywhere).
 * Keys and commitments with a small-order component are accepted when equation 5 holds.
 *
 * libsodium has changed its equation between releases (newer ones multiply by the cofactor), and
 * two replicas that judge one signature differently stall each other. So loading this module probes
 * the library with published vectors and throws if it follows another rule.
 */
import sodium from 'sodium-native';

export const ED25519_PUBLIC_KEY_BYTES = 32;
export const ED25519_SEED_BYTES = 32;
export const ED25519_SECRET_KEY_BYTES = 64;
export const ED25519_SIGNATURE_BYTES = 64;

/**
 * Checks an Ed25519 signature under the rule above. Total: wrong lengths are `false`, nothing
 * throws.
 *
 * @param publicKey32 32 bytes
 * @param signature64 64 bytes
 */
export function verifyEd25519Strict(
  publicKey32: Uint8Array,
  message: Uint8Array,
  signature64: Uint8Array,
): boolean {
  // libsodium's binding throws on a short key and ignores what follows the 64th byte of a long
  // signature.
  if (publicKey32.length !== ED25519_PUBLIC_KEY_BYTES) return false;
  if (signature64.length !== ED25519_SIGNATURE_BYTES) return false;
  return sodium.crypto_sign_verify_detached(signature64, message, publicKey32);
}

export interface Ed25519KeyPair {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 64 bytes, seed followed by public key, as `signEd25519` takes it. */
  readonly secretKey: Uint8Array;
}

/**
 * Key pair of a 32-byte seed (RFC 8032 section 5.1.5). Throws RangeError when the seed has another
 * length.
 */
export function ed25519KeyPair(seed: Uint8Array): Ed25519KeyPair {
  if (seed.length !== ED25519_SEED_BYTES) {
    throw new RangeError(`an Ed25519 seed has ${ED25519_SEED_BYTES} bytes, got ${seed.length}`);
  }
  const publicKey = new Uint8Array(ED25519_PUBLIC_KEY_BYTES);
  const secretKey = new Uint8Array(ED25519_SECRET_KEY_BYTES);
  sodium.crypto_sign_seed_keypair(publicKey, secretKey, seed);
  return { publicKey, secretKey };
}

/**
 * Signs `message`. Deterministic (RFC 8032 section 5.1.6).
 *
 * @param seedOrKey 32-byte seed, or 64-byte secret key from `ed25519KeyPair`. The key saves
 *   deriving the public half on each call, which costs as much as the signature.
 * @returns 64 bytes
 */
export function signEd25519(seedOrKey: Uint8Array, message: Uint8Array): Uint8Array {
  const secretKey =
    seedOrKey.length === ED25519_SECRET_KEY_BYTES ? seedOrKey : ed25519KeyPair(seedOrKey).secretKey;
  const signature = new Uint8Array(ED25519_SIGNATURE_BYTES);
  sodium.crypto_sign_detached(signature, message, secretKey);
  return signature;
}

interface Probe {
  readonly what: string;
  readonly message: string;
  readonly publicKey: string;
  readonly signature: string;
  readonly accept: boolean;
}

/**
 * From Chalkias, Garillot, Nikolaenko: "Taming the many EdDSAs" (2020), table 6(c): cases 0, 2, 3,
 * 4 and 6. The test runs all twelve; these are the ones on which libraries in use are known to
 * differ.
 */
const PROBES: readonly Probe[] = [
  {
    what: 'a key of small order',
    message: '8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6',
    publicKey: 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
    signature:
      'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a' +
      '0000000000000000000000000000000000000000000000000000000000000000',
    accept: false,
  },
  {
    what: 'a commitment of small order',
    message: 'aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab',
    publicKey: 'f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43',
    signature:
      'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa' +
      '8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e',
    accept: false,
  },
  {
    what: 'key and commitment of mixed order, equation holds',
    message: '9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79',
    publicKey: 'cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d',
    signature:
      '9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f' +
      '87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009',
    accept: true,
  },
  {
    what: 'the equation holds only after multiplying by the cofactor',
    message: 'e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c',
    publicKey: 'cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d',
    signature:
      '160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed512' +
      '5ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09',
    accept: false,
  },
  {
    what: 'S not reduced',
    message: '85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40',
    publicKey: '442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623',
    signature:
      'e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e' +
      '547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514',
    accept: false,
  },
];

function probeLibrary(): void {
  for (const probe of PROBES) {
    const accepted = verifyEd25519Strict(
      Buffer.from(probe.publicKey, 'hex'),
      Buffer.from(probe.message, 'hex'),
      Buffer.from(probe.signature, 'hex'),
    );
    if (accepted === probe.accept) continue;
    throw new Error(
      `this libsodium ${accepted ? 'accepts' : 'refuses'} an Ed25519 signature that Sluice ` +
        `${probe.accept ? 'accepts' : 'refuses'} (${probe.what}): replicas would disagree. ` +
        'Install the sodium-native version that package-lock.json names.',
    );
  }
}

probeLibrary();
