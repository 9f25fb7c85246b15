/** Timing what is shorter than a look at the clock. */
import { median } from '../statistics.ts';

const CLOCK_READINGS = 20_000;
const ROUNDS = 7;

/** Between two readings of the clock, one after the other: what a timed piece of work seems to take longer. */
export function clockUs(): number {
  const startMs = performance.now();
  for (let i = 0; i < CLOCK_READINGS; i++) performance.now();
  return ((performance.now() - startMs) * 1_000) / CLOCK_READINGS;
}

/** What one call takes, on the average of many at a time; the median of several such rounds, the first left out. */
export function timeEach(calls: number, call: (index: number) => void): number {
  const tookUs: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const startMs = performance.now();
    for (let i = 0; i < calls; i++) call(i);
    const us = ((performance.now() - startMs) * 1_000) / calls;
    if (round > 0) tookUs.push(us);
  }
  return median(tookUs);
}

/** As `timeEach`, of `work` alone, which `prepare` comes before and `clear` after each time. */
export function timeBetween(
  times: number,
  { prepare, work, clear }: Record<'prepare' | 'work' | 'clear', (index: number) => void>,
): number {
  const tookUs: number[] = [];
  const lookUs = clockUs();
  for (let round = 0; round <= ROUNDS; round++) {
    let tookMs = 0;
    for (let i = 0; i < times; i++) {
      const index = round * times + i;
      prepare(index);
      const startMs = performance.now();
      work(index);
      tookMs += performance.now() - startMs;
      clear(index);
    }
    if (round > 0) tookUs.push(Math.max(0, (tookMs * 1_000) / times - lookUs));
  }
  return median(tookUs);
}
