/**
 * Exponential back-off with jitter: attempt k waits between half and all
 * of `min * 2^k`, at most `max`.
 *
 * @param attempt failed attempts so far, from 0
 * @param random uniform in [0, 1)
 */
export function backoffMs(attempt: number, minMs: number, maxMs: number, random: number): number {
  const ceiling = Math.min(maxMs, minMs * 2 ** Math.min(attempt, 30));
  return Math.ceil(ceiling / 2 + (ceiling / 2) * random);
}
