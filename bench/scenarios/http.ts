/** Submission over HTTP to certified block: light load, heavy load, as much as there is; one replica dead. */

import { runClosed, runRate } from '../http/load.ts';
import { LoadedNetwork, type LoadFigures } from '../http/network.ts';
import { latencyPlot, type Parameters, type Section, type Series } from '../result.ts';
import { amount, type BenchOptions, type Scenario } from '../scenario.ts';
import { distributionOf } from '../statistics.ts';

const REPLICAS = 4;
const PAYLOAD_BYTES = 256;
const TITLE = 'HTTP end to end, signed transactions';
/** Long enough for a few hundred events at the lightest load. */
const RATE_SECONDS = 20;
const WARM_UP = 2_000;
const BULK = 250;
const BULKS_IN_FLIGHT = 2;
const SINGLES_IN_FLIGHT = 32;
const SATURATION_BULK = 40_000;
const SATURATION_SINGLE = 15_000;

type Durability = 'wal' | 'memory';

export const http: Scenario = {
  name: 'http',
  title: TITLE,
  async run(options) {
    const series: Series[] = [];
    for (const durability of ['wal', 'memory'] as const) {
      series.push(...(await measureOne(durability, options)));
    }
    return sectionOf(series);
  },
};

async function measureOne(durability: Durability, options: BenchOptions): Promise<Series[]> {
  const found: Series[] = [];
  const network = await LoadedNetwork.start({ replicas: REPLICAS, durability });
  try {
    const envelopes = (count: number): Uint8Array[] =>
      network.presign(amount(options, count), PAYLOAD_BYTES);
    const note = (name: string, figures: LoadFigures, more: Parameters): void => {
      found.push(seriesOf(`${name}, ${durability}`, figures, { durability, ...more }));
    };
    const closed = (bulk: number, inFlight: number, replicas = REPLICAS) => ({
      bulk,
      inFlight,
      replicas,
    });
    await network.measure((client) => runClosed(client, envelopes(WARM_UP), closed(BULK, 1)));
    for (const [transactionsPerSecond, bulk] of [
      [20, 1],
      [200, 1],
      [2_000, 20],
    ] as const) {
      options.say(`${transactionsPerSecond} tx/s, ${durability}`);
      const load = envelopes(transactionsPerSecond * RATE_SECONDS);
      const figures = await network.measure((client) =>
        runRate(client, load, { transactionsPerSecond, bulk }),
      );
      note(`${transactionsPerSecond} tx/s`, figures, { bulk });
    }
    options.say(`saturation with single submissions, ${durability}`);
    const singles = envelopes(SATURATION_SINGLE);
    note(
      'saturation, single',
      await network.measure((client) => runClosed(client, singles, closed(1, SINGLES_IN_FLIGHT))),
      { bulk: 1, 'in flight': SINGLES_IN_FLIGHT * REPLICAS },
    );
    options.say(`saturation with bulk submissions, ${durability}`);
    const bulks = envelopes(SATURATION_BULK);
    note(
      'saturation, bulk',
      await network.measure((client) => runClosed(client, bulks, closed(BULK, BULKS_IN_FLIGHT))),
      { bulk: BULK, 'in flight': BULKS_IN_FLIGHT * REPLICAS },
    );
    options.say(`saturation with bulk submissions, one replica dead, ${durability}`);
    await network.kill(REPLICAS);
    const rest = envelopes(SATURATION_BULK);
    note(
      'saturation, bulk, one dead',
      await network.measure((client) =>
        runClosed(client, rest, closed(BULK, BULKS_IN_FLIGHT, REPLICAS - 1)),
      ),
      { bulk: BULK, 'in flight': BULKS_IN_FLIGHT * (REPLICAS - 1) },
    );
    return found;
  } finally {
    await network.stop();
  }
}

function seriesOf(name: string, figures: LoadFigures, parameters: Parameters): Series {
  const { latenciesMs, refused, seconds, clientCpuSeconds } = figures;
  const { replicaCpuUsPerTransaction, residentMiBPeak } = figures;
  return {
    name,
    parameters: {
      replicas: REPLICAS,
      payload: `${PAYLOAD_BYTES} B`,
      signatures: 'Ed25519, checks shared',
      waitMode: 'adaptive',
      ...parameters,
    },
    distribution: distributionOf(latenciesMs),
    figures: {
      'tx/s': latenciesMs.length / seconds,
      'refused %': (100 * refused) / (latenciesMs.length + refused),
      'CPU us per tx and replica': replicaCpuUsPerTransaction,
      'client CPU us per tx': (clientCpuSeconds * 1e6) / latenciesMs.length,
      'RSS peak MiB': residentMiBPeak,
    },
  };
}

function sectionOf(series: readonly Series[]): Section {
  const rateOf = (name: string): number =>
    series.find((one) => one.name === name)?.figures?.['tx/s'] ?? Number.NaN;
  return {
    name: 'http',
    title: TITLE,
    text: `${REPLICAS} whole replicas, a process each, and the load generator, all on this one machine. Envelopes are signed before. A latency runs from when a request was due (rates) or sent (saturation) to the answer that holds the certified blocks of all its transactions.`,
    unit: 'ms',
    series,
    ratios: (['wal', 'memory'] as const).map((durability) => ({
      name: `throughput with one replica dead / with all, ${durability}`,
      value:
        rateOf(`saturation, bulk, one dead, ${durability}`) /
        rateOf(`saturation, bulk, ${durability}`),
    })),
    plots: [latencyPlot('Submission to certified block', 'ms', series)],
  };
}
