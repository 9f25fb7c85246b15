/** The same load on one channel, and spread over several: each has a ledger and a consensus of its own. */
import { type LoadResult, runClosed } from '../http/load.ts';
import { LoadedNetwork } from '../http/network.ts';
import type { Series } from '../result.ts';
import { amount, type BenchOptions, type Scenario } from '../scenario.ts';
import { distributionOf } from '../statistics.ts';

const CHANNELS = [1, 4, 8];
const REPLICAS = 4;
const PAYLOAD_BYTES = 256;
const BULK = 50;
/** Requests under way, over all channels and replicas. */
const IN_FLIGHT = 32;
const TRANSACTIONS = 16_000;
const TITLE = 'Many channels';

export const channels: Scenario = {
  name: 'channels',
  title: TITLE,
  async run(options) {
    const series: Series[] = [];
    for (const count of CHANNELS) {
      options.say(`${count} channels`);
      series.push(await measure(count, options));
    }
    const rate = (index: number): number => series[index]?.figures?.['tx/s'] ?? Number.NaN;
    return {
      name: 'channels',
      title: TITLE,
      text: `${REPLICAS} replicas on this one machine, wal; signed transactions of ${PAYLOAD_BYTES} bytes in bulks of ${BULK}, ${IN_FLIGHT} requests under way in all, spread evenly over the channels.`,
      unit: 'ms',
      series,
      ratios: CHANNELS.slice(1).map((count, index) => ({
        name: `throughput with ${count} channels / with one`,
        value: rate(index + 1) / rate(0),
      })),
      plots: [],
    };
  },
};

async function measure(count: number, options: BenchOptions): Promise<Series> {
  const names = Array.from({ length: count }, (_, i) => `c${i + 1}`);
  const [channel = '', ...moreChannels] = names;
  const network = await LoadedNetwork.start({ replicas: REPLICAS, channel, moreChannels });
  const clients = names.map((name) => network.clientOf(name));
  try {
    const share = Math.ceil(amount(options, TRANSACTIONS) / count);
    const inFlight = Math.max(1, IN_FLIGHT / REPLICAS / count);
    const run = async (transactions: number): Promise<LoadResult> => {
      const load = names.map((name) => network.presign(transactions, PAYLOAD_BYTES, name));
      const closed = { bulk: BULK, inFlight, replicas: REPLICAS };
      const results = await Promise.all(
        clients.map((client, i) => runClosed(client, load[i] ?? [], closed)),
      );
      return {
        latenciesMs: results.flatMap(({ latenciesMs }) => latenciesMs),
        refused: 0,
        seconds: Math.max(...results.map(({ seconds }) => seconds)),
        clientCpuSeconds: Math.max(...results.map(({ clientCpuSeconds }) => clientCpuSeconds)),
      };
    };
    await network.measure(() => run(Math.ceil(share / 8)));
    const figures = await network.measure(() => run(share));
    return {
      name: count === 1 ? 'one channel' : `${count} channels`,
      parameters: { replicas: REPLICAS, payload: `${PAYLOAD_BYTES} B`, durability: 'wal' },
      distribution: distributionOf(figures.latenciesMs),
      figures: {
        'tx/s': figures.latenciesMs.length / figures.seconds,
        'CPU us per tx and replica': figures.replicaCpuUsPerTransaction,
        'RSS peak MiB': figures.residentMiBPeak,
      },
    };
  } finally {
    for (const client of clients) client.close();
    await network.stop();
  }
}
