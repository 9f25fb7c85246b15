/**
 * Cryptography of the simulation. SHA-256 is real. Signatures are simulated: a keyed hash with a
 * secret per replica; that takes the place of Ed25519, which would be most of a run's time and adds nothing here. Byzantine code is handed the signer of its own identity and no other.
 */
import type { CoreCrypto } from '../../consensus/core/index.ts';
import { sha256 as nativeSha256 } from '../../rdma/index.ts';

const SIGNATURE_BYTES = 64;

let joined = Buffer.alloc(64 * 1024);

function joinParts(parts: readonly Uint8Array[]): Uint8Array {
  const [first] = parts;
  if (parts.length === 1 && first !== undefined) return first;
  let length = 0;
  for (const part of parts) length += part.length;
  if (length > joined.length) joined = Buffer.alloc(2 * length);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined.subarray(0, length);
}

export function sha256(...parts: Uint8Array[]): Uint8Array {
  return nativeSha256(joinParts(parts));
}

export interface SimulatedKeys {
  /** What a replica is given: it signs as itself and verifies anybody. */
  cryptoOf(self: number): CoreCrypto;
}

/** Odd constants of xxHash32: what a byte is mixed with must spread over all 32 bits. */
const PRIME_A = 0x9e3779b1;
const PRIME_B = 0x85ebca77;

/** Keyed, quick, and no hash for the world outside: nobody here works on inverting it. */
function keyedHash(key: number, message: Uint8Array): number {
  let mixed = key | 0;
  for (let i = 0; i < message.length; i++) {
    mixed = Math.imul(mixed ^ (message[i] as number), PRIME_A);
    mixed ^= mixed >>> 15;
  }
  mixed = Math.imul(mixed ^ message.length, PRIME_B);
  return mixed ^ (mixed >>> 13);
}

const WORDS = 2;

export function createSimulatedKeys(channel: number, replicas: number): SimulatedKeys {
  const secret = (replica: number, word: number): number =>
    keyedHash(channel + 1, Buffer.from(`simulated key ${word} of replica ${replica}`));
  const secrets = Array.from({ length: replicas }, (_, replica) =>
    Array.from({ length: WORDS }, (_, word) => secret(replica, word)),
  );
  const sign = (signer: number, message: Uint8Array): Uint8Array => {
    const signature = new Uint8Array(SIGNATURE_BYTES).fill(signer + 1);
    const view = new DataView(signature.buffer);
    for (const [word, key] of (secrets[signer] as number[]).entries()) {
      view.setInt32(4 * word, keyedHash(key, message));
    }
    return signature;
  };
  return {
    cryptoOf: (self) => ({
      sha256: nativeSha256,
      sign: (message) => sign(self, message),
      verify: (signer, message, signature) =>
        signer < replicas && isEqual(signature, sign(signer, message)),
    }),
  };
}

export function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
