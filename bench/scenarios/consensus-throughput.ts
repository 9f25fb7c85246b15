/** As many transactions as consensus orders, from submission to execution, without signature checks and without a ledger. */
import type { ProviderName } from '../../rdma/contract.ts';
import { Cluster } from '../consensus/cluster.ts';
import type { Section, Series } from '../result.ts';
import { PASSED_OVER_TEXT, passedOver, retaken, takeFigures } from '../retake.ts';
import { amount, type BenchOptions, type Scenario } from '../scenario.ts';
import { distributionOf } from '../statistics.ts';

const REPLICAS = 4;
/** As the lane feeder gathers them under load. */
const BATCH_TRANSACTIONS = 256;
const IN_FLIGHT = 4;
const PAYLOADS_BYTES = [64, 256, 1024, 4096];
const BYTES_EACH = 256 * 1024 * 1024;
const BATCHES_MAX = 4_000;
const TITLE = 'Throughput of consensus without signature checks';

export const consensusThroughput: Scenario = {
  name: 'consensus-throughput',
  title: TITLE,
  async run(options) {
    const series: Series[] = [];
    for (const payloadBytes of PAYLOADS_BYTES) {
      options.say(`${payloadBytes} B`);
      series.push(await seriesOf(payloadBytes, options));
    }
    return sectionOf(series);
  },
};

interface Figures {
  readonly latenciesUs: readonly number[];
  readonly transactionsPerSecond: number;
  readonly slotsPassedOver: number;
}

async function seriesOf(payloadBytes: number, options: BenchOptions): Promise<Series> {
  const [provider = 'shm'] = options.providers;
  const take = await takeFigures(() => measure(payloadBytes, provider, options), options.say);
  const { latenciesUs, transactionsPerSecond } = take.figures;
  return {
    name: `${payloadBytes} B`,
    parameters: {
      replicas: REPLICAS,
      provider,
      payload: `${payloadBytes} B`,
      batch: BATCH_TRANSACTIONS,
      'in flight': IN_FLIGHT,
      durability: 'memory',
      signatures: 'none',
      waitMode: 'adaptive',
      ...retaken([take]),
    },
    distribution: distributionOf(latenciesUs),
    figures: {
      'tx/s': transactionsPerSecond,
      'MB/s': (transactionsPerSecond * payloadBytes) / 1e6,
      ...passedOver([take]),
    },
  };
}

async function measure(
  payloadBytes: number,
  provider: ProviderName,
  options: BenchOptions,
): Promise<Figures> {
  const batchBytes = payloadBytes * BATCH_TRANSACTIONS;
  const batches = amount(options, Math.min(BATCHES_MAX, Math.floor(BYTES_EACH / batchBytes)));
  const cluster = await Cluster.start({ replicas: REPLICAS, provider, durability: 'memory' });
  try {
    const job = { batchBytes, inFlight: IN_FLIGHT };
    await cluster.runEverywhere({ ...job, batches: Math.ceil(batches / 4) });
    const { results, slotsPassedOver } = await cluster.runEverywhere({ ...job, batches });
    const seconds = Math.max(...results.map(({ elapsedMs }) => elapsedMs)) / 1_000;
    return {
      latenciesUs: results.flatMap(({ latenciesUs }) => [...latenciesUs]),
      transactionsPerSecond: (batches * BATCH_TRANSACTIONS * REPLICAS) / seconds,
      slotsPassedOver,
    };
  } finally {
    await cluster.stop();
  }
}

function sectionOf(series: readonly Series[]): Section {
  return {
    name: 'consensus-throughput',
    title: TITLE,
    text: `Every replica submits batches of ${BATCH_TRANSACTIONS} transactions, ${IN_FLIGHT} at a time; batches are hashed, spread, agreed on and delivered at all ${REPLICAS}. Nobody checks signatures or stores anything. ${PASSED_OVER_TEXT}`,
    unit: 'us',
    series,
    ratios: [],
    plots: [
      {
        title: 'Ordered transactions a second',
        x: { label: 'payload, bytes', log: true },
        y: { label: 'tx/s', log: true },
        lines: [
          {
            name: 'no signature checks',
            points: series.map(
              ({ figures = {} }, i) => [PAYLOADS_BYTES[i] ?? 0, figures['tx/s'] ?? 0] as const,
            ),
          },
        ],
      },
    ],
  };
}
