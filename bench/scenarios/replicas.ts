/** What a slot costs as the number of replicas grows. */
import { OneThreadCluster } from '../consensus/one-thread.ts';
import type { Series } from '../result.ts';
import { amount, type BenchOptions, type Scenario } from '../scenario.ts';
import { median } from '../statistics.ts';

const REPLICAS = [4, 7, 10, 16, 31];
const BATCH_BYTES = 64;
const SLOT_REPLICAS = 40_000;
const ROUNDS = 5;
const TITLE = 'Cost of a slot as n grows';

export const replicas: Scenario = {
  name: 'replicas',
  title: TITLE,
  async run(options) {
    const measured = REPLICAS.map((n) => {
      options.say(`n = ${n}`);
      return { n, us: measure(n, options) };
    });
    const series = measured.map(
      ({ n, us }): Series => ({
        name: `n = ${n}`,
        parameters: {
          provider: 'shm',
          payload: `${BATCH_BYTES} B`,
          durability: 'memory',
          signatures: 'none',
        },
        figures: { 'us per slot and replica': us, 'us per slot': us * n },
      }),
    );
    return {
      name: 'replicas',
      title: TITLE,
      text: 'All replicas of a cluster on one thread, one turn each in turn: real loops, real transport, real MACs, nobody waits. Time divided by slots and replicas is what the protocol costs a replica; the network costs nothing here. All n vote to all n.',
      unit: 'us',
      series,
      ratios: measured.slice(1).map(({ n, us }) => ({
        name: `cost for a replica, n = ${n} / n = 4`,
        value: us / (measured[0]?.us ?? Number.NaN),
      })),
      plots: [
        {
          title: 'Cost of one slot for one replica',
          x: { label: 'replicas', log: false },
          y: { label: 'us', log: false },
          lines: [
            { name: 'votes all-to-all', points: measured.map(({ n, us }) => [n, us] as const) },
          ],
        },
      ],
    };
  },
};

function measure(n: number, options: BenchOptions): number {
  const cluster = new OneThreadCluster({ replicas: n, provider: 'shm', walFolder: undefined });
  try {
    const job = {
      batches: amount(options, Math.ceil(SLOT_REPLICAS / n / ROUNDS)),
      batchBytes: BATCH_BYTES,
      inFlight: 1,
    };
    cluster.run(job);
    const costs: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const { elapsedMs, slots } = cluster.run(job);
      costs.push((elapsedMs * 1_000) / slots / n);
    }
    return median(costs);
  } finally {
    cluster.close();
  }
}
