/** A frontier as bytes: per lane, in lane order, seq u64 and digest 32. Used by proposals and progress. */
import type { BatchRef, Frontier } from '../core/types.ts';
import { type Decoded, isZero, malformed, ok, readU64, viewOf, writeU64 } from './bytes.ts';

export const TIP_BYTES = 40;
const DIGEST32_BYTES = 32;

export function writeFrontier(bytes: Uint8Array, offset: number, frontier: Frontier): void {
  const view = viewOf(bytes);
  let at = offset;
  for (const tip of frontier) {
    if (tip.digest.length !== DIGEST32_BYTES) throw new RangeError('a batch digest has 32 bytes');
    writeU64(view, at, tip.seq);
    bytes.set(tip.digest, at + 8);
    at += TIP_BYTES;
  }
}

/**
 * Reads `replicas` tips from `offset`; the caller has checked the length. Digests are views into `bytes`.
 * An empty lane (seq 0) must have the zero digest, so that there is one encoding of it.
 */
export function readFrontier(
  bytes: Uint8Array,
  offset: number,
  replicas: number,
): Decoded<Frontier> {
  const view = viewOf(bytes);
  const tips: BatchRef[] = [];
  for (let lane = 0; lane < replicas; lane++) {
    const at = offset + lane * TIP_BYTES;
    const seq = readU64(view, at);
    if (seq === undefined) return malformed('batch sequence exceeds 2^53 - 1');
    const digest = bytes.subarray(at + 8, at + TIP_BYTES);
    if (seq === 0 && !isZero(digest)) return malformed('empty lane with a digest');
    tips.push({ seq, digest });
  }
  return ok(tips);
}
