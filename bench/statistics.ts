/** Distributions: what is kept of many samples, and read off them. */

import { quantile } from '../test/load/driver.ts';

/** Quantiles that are kept: dense where distributions are interesting, at their end. */
const KEPT = [
  0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98,
  0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999, 1,
] as const;

export interface Distribution {
  readonly count: number;
  readonly mean: number;
  /** [quantile, value], ascending. */
  readonly points: readonly (readonly [number, number])[];
}

/** Throws RangeError for no samples: nothing was measured. */
export function distributionOf(samples: Float64Array | readonly number[]): Distribution {
  if (samples.length === 0) throw new RangeError('a distribution needs samples');
  const sorted = Float64Array.from(samples).sort();
  const sum = sorted.reduce((total, sample) => total + sample, 0);
  return {
    count: sorted.length,
    mean: sum / sorted.length,
    points: KEPT.map((kept) => [kept, quantile(sorted, kept)] as const),
  };
}

/** One of the quantiles that are kept. */
export function quantileOf(distribution: Distribution, wanted: (typeof KEPT)[number]): number {
  const point = distribution.points.find(([kept]) => kept === wanted);
  if (point === undefined) throw new RangeError(`quantile ${wanted} is not kept`);
  return point[1];
}

export function median(values: readonly number[]): number {
  return quantileOf(distributionOf(values), 0.5);
}
