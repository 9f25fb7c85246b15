/**
 * A frontier as bytes: per lane, in lane order, seq u64 and digest 32.
 * Used by proposals, progress and checkpoints.
 */
import type { BatchRef, Frontier } from '../core/types.ts';
import { copyShort, type Decoded, isZero, malformed, ok, readU64, writeU64 } from './bytes.ts';
import type { ByteReader, ByteWriter } from './stream.ts';

export const TIP_BYTES = 40;
const DIGEST32_BYTES = 32;

export function writeFrontier(bytes: Uint8Array, offset: number, frontier: Frontier): void {
  let at = offset;
  for (const { seq, digest } of frontier) {
    if (digest.length !== DIGEST32_BYTES) throw new RangeError('a batch digest has 32 bytes');
    writeU64(bytes, at, seq);
    for (let i = 0; i < DIGEST32_BYTES; i++) bytes[at + 8 + i] = digest[i] as number;
    at += TIP_BYTES;
  }
}

/**
 * Reads `replicas` tips from `offset`; the caller has checked the length. Digests are copies.
 * An empty lane (seq 0) must have the zero digest, so that there is one encoding of it.
 */
export function readFrontier(
  bytes: Uint8Array,
  offset: number,
  replicas: number,
): Decoded<Frontier> {
  const tips: BatchRef[] = [];
  for (let lane = 0; lane < replicas; lane++) {
    const at = offset + lane * TIP_BYTES;
    const seq = readU64(bytes, at);
    if (seq === undefined) return malformed('batch sequence exceeds 2^53 - 1');
    if (seq === 0 && !isZero(bytes, at + 8, at + TIP_BYTES)) {
      return malformed('empty lane with a digest');
    }
    tips.push({ seq, digest: copyShort(bytes, at + 8, DIGEST32_BYTES) });
  }
  return ok(tips);
}

export function appendFrontier(writer: ByteWriter, frontier: Frontier): void {
  writer.fill(frontier.length * TIP_BYTES, (bytes, at) => writeFrontier(bytes, at, frontier));
}

export function nextFrontier(reader: ByteReader, replicas: number): Frontier {
  const tips = reader.take(replicas * TIP_BYTES);
  if (reader.failed) return [];
  const frontier = readFrontier(tips, 0, replicas);
  if (frontier.kind === 'ok') return frontier.value;
  reader.fail(frontier.reason);
  return [];
}
