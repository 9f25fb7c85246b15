/** Gives blocks to those who lack them, at a pace that leaves this replica time for its own work. */
import { encodeBlock } from '../../ledger/format/index.ts';
import type { Ledger } from '../../ledger/store/index.ts';
import { BLOCKS_BYTES_MAX, BLOCKS_PER_FRAME_MAX } from './wire.ts';

/** Bytes of blocks that one peer gets from a running replica. */
const SERVED_BYTES_PER_MS = 16 * 1024;

/** Read side by side: one by one, a thousand small blocks are thousands of ways through the thread pool. */
const READ_AT_ONCE = 16;
/**
 * After so long an answer goes out as it is. Whoever asks waits for some seconds, then asks another, and throws away what comes
 * late: a busy replica that took longer for a full answer would never give one.
 */
const READ_MS_MAX = 250;

/** Blocks from `fromNumber` on, as many as fit in one answer and are read soon, all below `end`. */
export async function readBlocks(
  ledger: Pick<Ledger, 'storedBlock'>,
  fromNumber: number,
  end: number,
  nowMs: () => number = () => performance.now(),
): Promise<{ readonly blocks: Uint8Array[]; readonly bytes: number }> {
  const untilMs = nowMs() + READ_MS_MAX;
  const last = Math.min(end, fromNumber + BLOCKS_PER_FRAME_MAX);
  const blocks: Uint8Array[] = [];
  let bytes = 0;
  // The first one alone: how many of its size there is room for says how many are read next.
  for (let count = 1, from = fromNumber; from < last; from += count) {
    if (blocks.length > 0) count = Math.min(countOf(bytes / blocks.length), last - from);
    const read = await Promise.all(
      Array.from({ length: count }, (_, i) => ledger.storedBlock(from + i)),
    );
    for (const block of read) {
      if (block === undefined || bytes >= BLOCKS_BYTES_MAX) return { blocks, bytes };
      const encoded = encodeBlock(block);
      blocks.push(encoded);
      bytes += encoded.length;
    }
    if (nowMs() >= untilMs) break;
  }
  return { blocks, bytes };
}

function countOf(blockBytes: number): number {
  return Math.max(1, Math.min(READ_AT_ONCE, Math.floor(BLOCKS_BYTES_MAX / blockBytes)));
}

/** When each peer may be given blocks again. */
export class ServingPace {
  readonly #freeAtMs: number[];

  constructor(replicas: number) {
    this.#freeAtMs = new Array<number>(replicas).fill(0);
  }

  delayMs(peer: number, nowMs: number): number {
    return Math.max(0, (this.#freeAtMs[peer] ?? 0) - nowMs);
  }

  served(peer: number, bytes: number, nowMs: number): void {
    this.#freeAtMs[peer] = nowMs + bytes / SERVED_BYTES_PER_MS;
  }
}
