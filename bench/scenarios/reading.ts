/** The chain read: by subscribers, by a replica that has lost its disk, by the auditor. */
import { execFile } from 'node:child_process';
import { readdirSync, rmSync, statSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { eventually } from '../../test/support/until.ts';
import { runClosed } from '../http/load.ts';
import { LoadedNetwork } from '../http/network.ts';
import type { Section, Series } from '../result.ts';
import { amount, type BenchOptions, type Scenario } from '../scenario.ts';

const TRANSACTIONS = 40_000;
const PAYLOAD_BYTES = 256;
const BULK = 250;
const SUBSCRIBERS = [1, 10, 100];
const CATCH_UP_MS_MAX = 300_000;
const SLUICE = fileURLToPath(new URL('../../scripts/sluice.js', import.meta.url));
const TITLE = 'Reading the chain';

interface Tip {
  readonly height: number;
  readonly tipHash: string;
}

export const reading: Scenario = {
  name: 'reading',
  title: TITLE,
  async run(options) {
    const network = await LoadedNetwork.start({});
    try {
      const transactions = amount(options, TRANSACTIONS);
      options.say(`making a chain of ${transactions} transactions`);
      const envelopes = network.presign(transactions, PAYLOAD_BYTES);
      await network.measure((client) =>
        runClosed(client, envelopes, { bulk: BULK, inFlight: 1, replicas: 4 }),
      );
      const chain = { transactions, bytes: envelopes.reduce((sum, { length }) => sum + length, 0) };
      const series = [
        ...(await measureDeliver(network, options)),
        await measureCatchUp(network, chain.transactions, options),
        await measureAudit(network, chain.bytes, options),
      ];
      return sectionOf(series, chain);
    } finally {
      await network.stop();
    }
  },
};

async function measureDeliver(network: LoadedNetwork, options: BenchOptions): Promise<Series[]> {
  const found: Series[] = [];
  const url = network.network.url(1);
  const { height } = await tipOf(url);
  for (const subscribers of SUBSCRIBERS) {
    options.say(`${subscribers} subscribers`);
    const agent = new Agent({ maxSockets: subscribers });
    const startedMs = performance.now();
    const bytes = await Promise.all(
      Array.from({ length: subscribers }, () =>
        readAll(agent, `${url}/v1/channels/main/deliver?from=0&to=${height - 1}`),
      ),
    );
    const seconds = (performance.now() - startedMs) / 1_000;
    agent.destroy();
    const all = bytes.reduce((sum, one) => sum + one, 0);
    found.push({
      name: `${subscribers} subscribers of one replica`,
      parameters: { subscribers, 'subscribers run in': 'this process', height },
      figures: { 'MB/s': all / seconds / 1e6 },
    });
  }
  return found;
}

/** Bytes that came. */
function readAll(agent: Agent, url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    get(url, { agent }, (incoming) => {
      let bytes = 0;
      if (incoming.statusCode !== 200) reject(new Error(`${url}: ${incoming.statusCode}`));
      incoming.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
      incoming.on('end', () => resolve(bytes));
      incoming.on('error', reject);
    }).on('error', reject);
  });
}

async function measureCatchUp(
  { network }: LoadedNetwork,
  transactions: number,
  options: BenchOptions,
): Promise<Series> {
  options.say('a replica with an empty disk');
  const goal = await tipOf(network.url(1));
  await network.kill(4);
  rmSync(network.channelFolder(4), { recursive: true });
  const startedMs = performance.now();
  network.spawn(4);
  await eventually(
    'replica 4 has the chain again',
    async () => (await tipOf(network.url(4))).height >= goal.height,
    CATCH_UP_MS_MAX,
  );
  const seconds = (performance.now() - startedMs) / 1_000;
  return {
    name: 'a replica with an empty disk, from its start',
    parameters: { transactions, 'others order': 'nothing meanwhile', certificates: 'checked' },
    figures: { 'tx/s': transactions / seconds, seconds },
  };
}

async function tipOf(url: string): Promise<Tip> {
  const answer = await fetch(`${url}/v1/channels/main`);
  return (await answer.json()) as Tip;
}

async function measureAudit(
  { network }: LoadedNetwork,
  chainBytes: number,
  options: BenchOptions,
): Promise<Series> {
  options.say('sluice verify --no-signatures');
  await network.stop();
  const startedMs = performance.now();
  await promisify(execFile)(process.execPath, [
    SLUICE,
    'verify',
    '--no-signatures',
    '--data',
    network.ledgerFolder(1),
  ]);
  const seconds = (performance.now() - startedMs) / 1_000;
  return {
    name: 'sluice verify --no-signatures, one source, from its start',
    parameters: {
      folder: `${(folderBytes(network.ledgerFolder(1)) / 1e6).toFixed(0)} MB`,
      checks: 'encoding, links, hashes, ids',
    },
    figures: { 'MB/s': chainBytes / seconds / 1e6, seconds },
  };
}

function folderBytes(folder: string): number {
  return readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    const path = join(folder, entry.name);
    return sum + (entry.isDirectory() ? folderBytes(path) : statSync(path).size);
  }, 0);
}

function sectionOf(
  series: readonly Series[],
  chain: { transactions: number; bytes: number },
): Section {
  return {
    name: 'reading',
    title: TITLE,
    text: `A chain of ${chain.transactions} transactions (${(chain.bytes / 1e6).toFixed(0)} MB of envelopes) at four replicas on this one machine.`,
    unit: 'ms',
    series,
    ratios: [],
    plots: [],
  };
}
