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

/** As `timeEach`, of `work` alone, which `prepare` comes before and `clear` after each time; the median of all. */
export function timeBetween(
  times: number,
  { prepare, work, clear }: Record<'prepare' | 'work' | 'clear', (index: number) => void>,
): number {
  const tookUs: number[] = [];
  const lookUs = clockUs();
  for (let index = 0; index < times * (ROUNDS + 1); index++) {
    prepare(index);
    const startMs = performance.now();
    work(index);
    const us = (performance.now() - startMs) * 1_000;
    if (index >= times) tookUs.push(us);
    clear(index);
  }
  return Math.max(0, median(tookUs) - lookUs);
}
