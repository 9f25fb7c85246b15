/** Submission over HTTP to certified block: light load, heavy load, as much as there is; one replica dead. */

import { type HopsFigures, measureHops } from '../http/hops.ts';
import { type Closed, runClosed, runRate, runStreamRate, runStreams } from '../http/load.ts';
import { LoadedNetwork, type LoadFigures } from '../http/network.ts';
import { latencyPlot, type Parameters, type Section, type Series } from '../result.ts';
import { amount, type BenchOptions, type Scenario } from '../scenario.ts';
import { distributionOf } from '../statistics.ts';

const REPLICAS = 4;
const PAYLOAD_BYTES = 256;
const TITLE = 'HTTP end to end, signed transactions';
/** Long enough for a few hundred events at the lightest load. */
const RATE_SECONDS = 20;
const HOPS_RATES = [20, 200];
const WARM_UP = 2_000;
/** As much as the replicas can make use of: with more under way only latency grows. */
const BULK = 125;
const BULKS_IN_FLIGHT = 2;
const SINGLES_IN_FLIGHT = 32;
/** As many as are in the bulks of one replica. */
const STREAM_IN_FLIGHT = BULK * BULKS_IN_FLIGHT;
const SATURATION_BULK = 40_000;
/** A minute's. */
const SUSTAINED_BULK = 300_000;
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
    options.say('the hops alone');
    for (const rate of HOPS_RATES) {
      const count = amount(options, rate * RATE_SECONDS);
      series.push(hopsSeriesOf(rate, await measureHops({ rate, count })));
    }
    return sectionOf(series);
  },
};

/** One network under one load after the other. */
interface Course {
  readonly network: LoadedNetwork;
  envelopes(count: number): Uint8Array[];
  note(name: string, figures: LoadFigures, more: Parameters): void;
  say(load: string): void;
}

async function measureOne(durability: Durability, options: BenchOptions): Promise<Series[]> {
  const found: Series[] = [];
  const network = await LoadedNetwork.start({ replicas: REPLICAS, durability });
  const course: Course = {
    network,
    envelopes: (count) => network.presign(amount(options, count), PAYLOAD_BYTES),
    note: (name, figures, more) =>
      found.push(seriesOf(`${name}, ${durability}`, figures, { durability, ...more })),
    say: (load) => options.say(`${load}, ${durability}`),
  };
  try {
    const warmUp = course.envelopes(WARM_UP);
    await network.measure((client) => runClosed(client, warmUp, closed(BULK, 1)));
    await measureRates(course, RATES, '');
    await measureSaturation(course);
    await measureRates(course, RATES.slice(0, 1), ', once more');
    course.say('saturation with bulk submissions, one replica dead');
    await network.kill(REPLICAS);
    const rest = course.envelopes(SATURATION_BULK);
    const three = closed(BULK, BULKS_IN_FLIGHT, REPLICAS - 1);
    const figures = await network.measure((client) => runClosed(client, rest, three));
    course.note('saturation, bulk, one dead', figures, {
      bulk: BULK,
      'tx in flight': BULK * BULKS_IN_FLIGHT * (REPLICAS - 1),
    });
    return found;
  } finally {
    await network.stop();
  }
}

function closed(bulk: number, inFlight: number, replicas = REPLICAS): Closed {
  return { bulk, inFlight, replicas };
}

/** Transactions a second, and how many of them come together. */
const RATES = [
  [20, 1],
  [200, 1],
  [2_000, 20],
] as const;

async function measureRates(
  { network, envelopes, note, say }: Course,
  rates: readonly (readonly [number, number])[],
  suffix: string,
): Promise<void> {
  for (const [transactionsPerSecond, bulk] of rates) {
    const rate = { transactionsPerSecond, bulk };
    say(`${transactionsPerSecond} tx/s${suffix}`);
    const load = envelopes(transactionsPerSecond * RATE_SECONDS);
    note(
      `${transactionsPerSecond} tx/s${suffix}`,
      await network.measure((client) => runRate(client, load, rate)),
      { bulk },
    );
    say(`${transactionsPerSecond} tx/s over streams${suffix}`);
    const more = envelopes(transactionsPerSecond * RATE_SECONDS);
    note(
      `${transactionsPerSecond} tx/s, stream${suffix}`,
      await network.measure((client) => runStreamRate(client, more, rate, REPLICAS)),
      { together: bulk },
    );
  }
}

/** Name, transactions of a request, requests under way at each replica, transactions in all. */
const SATURATIONS = [
  ['single', 1, SINGLES_IN_FLIGHT, SATURATION_SINGLE],
  ['bulk', BULK, BULKS_IN_FLIGHT, SUSTAINED_BULK],
  ['bulk, twice as much under way', 2 * BULK, BULKS_IN_FLIGHT, SATURATION_BULK],
] as const;

async function measureSaturation({ network, envelopes, note, say }: Course): Promise<void> {
  for (const [way, bulk, inFlight, transactions] of SATURATIONS) {
    say(`saturation, ${way}`);
    const load = envelopes(transactions);
    note(
      `saturation, ${way}`,
      await network.measure((client) => runClosed(client, load, closed(bulk, inFlight))),
      { bulk, 'tx in flight': bulk * inFlight * REPLICAS },
    );
  }
  say('saturation over streams');
  const streamed = envelopes(SATURATION_BULK);
  const streams = { inFlight: STREAM_IN_FLIGHT, replicas: REPLICAS };
  note(
    'saturation, stream',
    await network.measure((client) => runStreams(client, streamed, streams)),
    { streams: REPLICAS, 'tx in flight': STREAM_IN_FLIGHT * REPLICAS },
  );
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

function hopsSeriesOf(rate: number, figures: HopsFigures): Series {
  return {
    name: `${rate} tx/s, the hops alone`,
    parameters: {
      replicas: REPLICAS,
      'run in': 'one process',
      payload: 'none',
      signatures: 'none',
    },
    distribution: distributionOf(figures.latenciesMs),
    figures: { 'CPU us per tx and replica': figures.cpuUsPerTransactionAndReplica },
  };
}

function sectionOf(series: readonly Series[]): Section {
  const rateOf = (name: string): number =>
    series.find((one) => one.name === name)?.figures?.['tx/s'] ?? Number.NaN;
  return {
    name: 'http',
    title: TITLE,
    text: `${REPLICAS} whole replicas, a process each, and the load generator, all on this one machine. Envelopes are signed before. A latency runs from when a request was due (rates) or sent (saturation) to the answer that holds the certified blocks of all its transactions; over a stream, to the result of each. "Once more": behind all of that, when V8 has optimized what is used. "The hops alone": the threads of four replicas wake each other as they do for a transaction and do nothing else; no HTTP, signature, MAC, rule or disk, and one process instead of four, so a floor.`,
    unit: 'ms',
    series,
    ratios: (['wal', 'memory'] as const).flatMap((durability) => {
      const bulk = rateOf(`saturation, bulk, ${durability}`);
      const ratio = (name: string, way: string) => ({
        name: `throughput ${name}, ${durability}`,
        value: rateOf(`saturation, ${way}, ${durability}`) / bulk,
      });
      return [
        ratio('with one replica dead / with all', 'bulk, one dead'),
        ratio('over streams / in bulk', 'stream'),
        ratio('of single submissions / in bulk', 'single'),
      ];
    }),
    plots: [latencyPlot('Submission to certified block', 'ms', series)],
  };
}
