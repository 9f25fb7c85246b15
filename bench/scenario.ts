/** What every scenario is given, and what it is. */
import type { ProviderName } from '../rdma/contract.ts';
import type { Section } from './result.ts';

export interface BenchOptions {
  /** A tenth of the work: to see that everything runs, not to quote. */
  readonly short: boolean;
  readonly providers: readonly ProviderName[];
  readonly say: (line: string) => void;
}

export interface Scenario {
  readonly name: string;
  readonly title: string;
  run(options: BenchOptions): Promise<Section>;
}

/** `full`, or a tenth of it. */
export function amount({ short }: Pick<BenchOptions, 'short'>, full: number): number {
  return short ? Math.max(1, Math.ceil(full / 10)) : full;
}
