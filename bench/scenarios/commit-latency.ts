/** One slot at a time: from the submission of a batch at the leader to its delivery there. */
import type { ProviderName } from '../../rdma/contract.ts';
import { IN_GUEST } from '../../test/support/slow.ts';
import { Cluster, type ClusterJobResult } from '../consensus/cluster.ts';
import { latencyPlot, type Ratio, type Section, type Series } from '../result.ts';
import { PASSED_OVER_TEXT, passedOver, retaken, type Take, takeFigures } from '../retake.ts';
import { amount, type BenchOptions, type Scenario } from '../scenario.ts';
import { distributionOf, median, quantileOf } from '../statistics.ts';

interface Configuration {
  readonly provider: ProviderName;
  readonly durability: 'wal' | 'memory';
  readonly waitMode: 'spin' | 'adaptive' | 'block';
}

const REPLICAS = 4;
const BATCH_BYTES = 64;
const SLOTS = 5_000;
const WARM_UP_SLOTS = 3_000;
/** Every configuration is measured so often, each time after all the others: the machine changes while it is measured. */
const ROUNDS = IN_GUEST ? 2 : 3;
const TITLE = 'Commit latency of consensus';

export const commitLatency: Scenario = {
  name: 'commit-latency',
  title: TITLE,
  async run(options) {
    const measured = new Map<string, Take<ClusterJobResult>[]>();
    const configurations = configurationsOf(options);
    for (let round = 0; round < ROUNDS; round++) {
      for (const configuration of configurations) {
        const name = nameOf(configuration);
        options.say(`${name}, round ${round + 1} of ${ROUNDS}`);
        const take = await takeFigures(() => measure(configuration, options), options.say);
        measured.set(name, [...(measured.get(name) ?? []), take]);
      }
    }
    const series = configurations.map((configuration) =>
      seriesOf(configuration, measured.get(nameOf(configuration)) ?? []),
    );
    return sectionOf(series);
  },
};

function seriesOf(configuration: Configuration, takes: readonly Take<ClusterJobResult>[]): Series {
  const all = takes.map(({ figures }) => figures);
  return {
    name: nameOf(configuration),
    parameters: {
      replicas: REPLICAS,
      payload: `${BATCH_BYTES} B`,
      signatures: 'none',
      ...configuration,
      ...retaken(takes),
    },
    distribution: distributionOf(all.flatMap(({ latenciesUs }) => [...latenciesUs])),
    figures: {
      'CPU us per slot and replica': median(all.map(({ cpuUsPerSlot }) => cpuUsPerSlot)),
      ...passedOver(takes),
    },
  };
}

function configurationsOf({ providers }: BenchOptions): Configuration[] {
  // Starting four processes takes minutes there.
  if (IN_GUEST) {
    return providers.map((provider) => ({ provider, durability: 'memory', waitMode: 'adaptive' }));
  }
  const found: Configuration[] = [];
  for (const provider of providers) {
    for (const waitMode of ['spin', 'adaptive', 'block'] as const) {
      // A thread that spins keeps the links of `tcp` from the core that they need.
      if (provider === 'tcp' && waitMode === 'spin') continue;
      found.push({ provider, durability: 'memory', waitMode });
    }
    found.push({ provider, durability: 'wal', waitMode: 'adaptive' });
  }
  return found;
}

function nameOf({ provider, durability, waitMode }: Configuration): string {
  return `${provider}, ${durability}, ${waitMode}`;
}

async function measure(
  { provider, durability, waitMode }: Configuration,
  options: BenchOptions,
): Promise<ClusterJobResult> {
  const cluster = await Cluster.start({
    replicas: REPLICAS,
    provider,
    durability,
    sluice: { waitMode },
  });
  try {
    const job = { batchBytes: BATCH_BYTES, inFlight: 1 };
    await cluster.run({ ...job, batches: amount(options, WARM_UP_SLOTS) });
    return await cluster.run({ ...job, batches: amount(options, SLOTS) });
  } finally {
    await cluster.stop();
  }
}

function sectionOf(series: readonly Series[]): Section {
  const medianOf = (name: string): number | undefined => {
    const distribution = series.find((one) => one.name === name)?.distribution;
    return distribution && quantileOf(distribution, 0.5);
  };
  const ratio = (of: string, to: string): Ratio[] => {
    const [a, b] = [medianOf(of), medianOf(to)];
    return a === undefined || b === undefined ? [] : [{ name: `${of} / ${to}, p50`, value: a / b }];
  };
  return {
    name: 'commit-latency',
    title: TITLE,
    text: `${REPLICAS} replicas, a process each, on this one machine; real links, sessions, MACs, transport and loop; no orderer, ledger or API. One batch of ${BATCH_BYTES} bytes at a time from the leader; the time from its submission to its delivery there. ${PASSED_OVER_TEXT}`,
    unit: 'us',
    series,
    ratios: [
      ...ratio('shm, memory, adaptive', 'tcp, memory, adaptive'),
      ...ratio('verbs, memory, adaptive', 'tcp, memory, adaptive'),
      ...ratio('shm, wal, adaptive', 'shm, memory, adaptive'),
    ],
    plots: [latencyPlot('Submission to delivery at the leader', 'us', series)],
  };
}
