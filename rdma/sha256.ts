/**
 * SHA-256 by the addon, which has OpenSSL's context at hand: for short texts several times as fast as `node:crypto`, which
 * allocates for each hash.
 */
import { LAYOUT } from './layout.ts';
import { loadNative, type NativeAddon } from './native.ts';

let addon: NativeAddon | undefined;
let hash: Uint8Array;

/**
 * The first `bytes` of the hash of `first`, followed by `second` if given: an array of its own. Throws TransportError
 * `addon_missing`, or `invalid_argument` for memory that threads share.
 */
export function sha256(
  first: Uint8Array,
  second?: Uint8Array,
  bytes: number = LAYOUT.SHA256_BYTES,
): Uint8Array {
  if (addon === undefined) {
    addon = loadNative();
    hash = new Uint8Array(addon.hash);
  }
  addon.sha256(first, second);
  const copy = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i++) copy[i] = hash[i] as number;
  return copy;
}
