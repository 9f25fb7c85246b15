/**
 * A frontier as bytes: per lane, in lane order, seq u64 and digest 32.
 * Used by proposals, progress and checkpoints.
 */
import { equalAt } from '../core/bytes.ts';
import type { BatchRef, Frontier } from '../core/types.ts';
import { copyShort, type Decoded, isZero, malformed, ok, readU64, writeU64 } from './bytes.ts';
import type { ByteReader, ByteWriter } from './stream.ts';

export const TIP_BYTES = 40;
const DIGEST_OFFSET = 8;
const DIGEST32_BYTES = 32;

export function writeFrontier(bytes: Uint8Array, offset: number, frontier: Frontier): void {
  let at = offset;
  for (const { seq, digest } of frontier) {
    if (digest.length !== DIGEST32_BYTES) throw new RangeError('a batch digest has 32 bytes');
    writeU64(bytes, at, seq);
    for (let i = 0; i < DIGEST32_BYTES; i++) bytes[at + DIGEST_OFFSET + i] = digest[i] as number;
    at += TIP_BYTES;
  }
}

/**
 * The tips that were read last: most lanes have not moved since the cell before, so that most tips need not become new
 * objects. Two for each lane, because what is held is ahead of what is proposed.
 */
export class KnownTips {
  readonly #newest: (BatchRef | undefined)[];
  readonly #older: (BatchRef | undefined)[];

  constructor(replicas: number) {
    this.#newest = new Array<BatchRef | undefined>(replicas).fill(undefined);
    this.#older = new Array<BatchRef | undefined>(replicas).fill(undefined);
  }

  /** The tip that lies at `at`, whose seq is `seq`. */
  read(lane: number, seq: number, bytes: Uint8Array, at: number): BatchRef {
    const newest = this.#newest[lane];
    if (newest !== undefined && isTip(newest, seq, bytes, at)) return newest;
    const older = this.#older[lane];
    if (older !== undefined && isTip(older, seq, bytes, at)) return older;
    const tip = tipAt(seq, bytes, at);
    this.#older[lane] = newest;
    this.#newest[lane] = tip;
    return tip;
  }
}

function isTip(tip: BatchRef, seq: number, bytes: Uint8Array, at: number): boolean {
  return tip.seq === seq && equalAt(bytes, at + DIGEST_OFFSET, tip.digest);
}

function tipAt(seq: number, bytes: Uint8Array, at: number): BatchRef {
  return { seq, digest: copyShort(bytes, at + DIGEST_OFFSET, DIGEST32_BYTES) };
}

/**
 * Reads `replicas` tips from `offset`; the caller has checked the length. Keeps nothing of `bytes`; a tip that is `known`
 * is the one that was read before.
 * An empty lane (seq 0) must have the zero digest, so that there is one encoding of it.
 */
export function readFrontier(
  bytes: Uint8Array,
  offset: number,
  replicas: number,
  known?: KnownTips,
): Decoded<Frontier> {
  const tips = new Array<BatchRef>(replicas);
  for (let lane = 0; lane < replicas; lane++) {
    const at = offset + lane * TIP_BYTES;
    const seq = readU64(bytes, at);
    if (seq === undefined) return malformed('batch sequence exceeds 2^53 - 1');
    if (seq === 0 && !isZero(bytes, at + DIGEST_OFFSET, at + TIP_BYTES)) {
      return malformed('empty lane with a digest');
    }
    tips[lane] = known === undefined ? tipAt(seq, bytes, at) : known.read(lane, seq, bytes, at);
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
