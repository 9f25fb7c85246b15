/** As many transactions as consensus orders when clients' signatures are checked: by f + 1 replicas, by all, and not at all. */
import type { Section, Series } from '../result.ts';
import { PASSED_OVER_TEXT, passedOver, retaken, type Take, takeFigures } from '../retake.ts';
import { amount, type BenchOptions, type Scenario } from '../scenario.ts';
import { sha256Us } from '../sha256.ts';
import { SignedCluster, type SignedFigures, type SignedLoad } from '../signatures/cluster.ts';
import { RECORD_OVERHEAD_BYTES } from '../signatures/records.ts';
import type { FormatName } from '../signatures/replica.ts';
import { distributionOf, median } from '../statistics.ts';

type Checks = 'none' | 'f + 1' | 'all';

interface Point {
  readonly checks: Checks;
  readonly format: FormatName;
  readonly payloadBytes: number;
}

const REPLICAS = 4;
/** More would wait for the checks of others longer than attestations are waited for. */
const IN_FLIGHT = 2;
/** Everything is measured so often, each time after all the others: the machine changes while it is measured. */
const ROUNDS = 2;
const PAYLOADS_BYTES = [64, 256, 1024, 4096];
/** What the aims are stated for. */
const PAYLOAD_BYTES = 256;
/** At each replica and in each round: so many, but no more bytes. */
const TRANSACTIONS = 5_120;
const BYTES_MAX = 10_000_000;
/** Nobody's signatures: as many take a tenth of the time. */
const TRANSACTIONS_UNCHECKED = 25_600;
const WARM_UP_SHARE = 8;
const TITLE = 'Throughput of consensus with signature checks';

const RECORDS: readonly Point[] = PAYLOADS_BYTES.flatMap((payloadBytes) =>
  (['f + 1', 'all', 'none'] as const).map((checks) => ({
    checks,
    format: 'records' as const,
    payloadBytes,
  })),
);
const ENVELOPES: readonly Point[] = (['f + 1', 'all'] as const).map((checks) => ({
  checks,
  format: 'envelopes',
  payloadBytes: PAYLOAD_BYTES,
}));
const POINTS = [...RECORDS, ...ENVELOPES];

interface Measured {
  readonly take: Take<SignedFigures>;
  readonly sha256Us: number;
}

export const consensusSignatures: Scenario = {
  name: 'consensus-signatures',
  title: TITLE,
  async run(options) {
    const measured = new Map<Point, Measured[]>(POINTS.map((point) => [point, []]));
    for (let round = 1; round <= ROUNDS; round++) {
      for (const signatureChecks of ['shared', 'all'] as const) {
        const points = POINTS.filter(
          ({ checks }) => (checks === 'f + 1') === (signatureChecks === 'shared'),
        );
        options.say(`signatureChecks: ${signatureChecks}, round ${round} of ${ROUNDS}`);
        await measureAll(points, signatureChecks, options, (point, figures) => {
          measured.get(point)?.push(figures);
        });
      }
    }
    const [provider = 'shm'] = options.providers;
    return sectionOf(POINTS.map((point) => seriesOf(point, measured.get(point) ?? [], provider)));
  },
};

async function measureAll(
  points: readonly Point[],
  signatureChecks: 'shared' | 'all',
  options: BenchOptions,
  note: (point: Point, figures: Measured) => void,
): Promise<void> {
  const cluster = await startCluster(points, signatureChecks, options);
  try {
    for (const point of points) note(point, await measure(cluster, point, options));
  } finally {
    await cluster.stop();
  }
}

async function startCluster(
  [first]: readonly Point[],
  signatureChecks: 'shared' | 'all',
  options: BenchOptions,
): Promise<SignedCluster> {
  const [provider = 'shm'] = options.providers;
  const cluster = await SignedCluster.start({
    replicas: REPLICAS,
    provider,
    durability: 'memory',
    sluice: { signatureChecks },
  });
  try {
    // How long to wait for attestations is learned from them.
    if (first !== undefined) await cluster.measure(loadOf(first, options));
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

async function measure(
  cluster: SignedCluster,
  point: Point,
  options: BenchOptions,
): Promise<Measured> {
  const load = loadOf(point, options);
  const transactions = Math.ceil(load.transactions / WARM_UP_SHARE);
  await cluster.measure({ ...load, transactions });
  const before = sha256Us();
  const take = await takeFigures(
    () => cluster.measure(load),
    (line) => options.say(`${nameOf(point)} ${line}`),
  );
  return { take, sha256Us: (before + sha256Us()) / 2 };
}

function loadOf({ checks, format, payloadBytes }: Point, options: BenchOptions): SignedLoad {
  const most = checks === 'none' ? TRANSACTIONS_UNCHECKED : TRANSACTIONS;
  const fitting = Math.floor(BYTES_MAX / payloadBytes);
  return {
    format,
    payloadBytes,
    inFlight: IN_FLIGHT,
    checks: checks === 'none' ? 'none' : 'real',
    transactions: amount(options, Math.min(most, fitting)),
  };
}

function nameOf({ checks, format, payloadBytes }: Point): string {
  const by = checks === 'none' ? 'no checks' : `checked by ${checks}`;
  return `${payloadBytes} B, ${by}${format === 'envelopes' ? ', envelopes' : ''}`;
}

function seriesOf(point: Point, rounds: readonly Measured[], provider: string): Series {
  const { format, payloadBytes, checks } = point;
  const takes = rounds.map(({ take }) => take);
  const all = takes.map(({ figures }) => figures);
  const middle = (of: (figures: SignedFigures) => number): number => median(all.map(of));
  return {
    name: nameOf(point),
    parameters: {
      replicas: REPLICAS,
      provider,
      transactions:
        format === 'records'
          ? `${payloadBytes} B and ${RECORD_OVERHEAD_BYTES} B key and signature`
          : `${payloadBytes} B in envelopes with their certificate`,
      'batches in flight': IN_FLIGHT,
      durability: 'memory',
      signatures: checks,
      waitMode: 'adaptive',
      rounds: ROUNDS,
      ...retaken(takes),
    },
    distribution: distributionOf(all.flatMap(({ latenciesUs }) => latenciesUs)),
    figures: {
      'tx/s': middle((one) => one.transactionsPerSecond),
      'tx per core-second': middle((one) => one.transactionsPerCoreSecond),
      'CPU us per tx and replica': middle((one) => one.cpuUsPerTransactionAndReplica),
      'checks per tx': middle(({ checkedShares }) => checkedShares.reduce((a, b) => a + b, 0)),
      'checked by a replica, least share': middle((one) => Math.min(...one.checkedShares)),
      'checked by a replica, largest share': middle((one) => Math.max(...one.checkedShares)),
      'checked late, share': middle((one) => one.lateShare),
      'SHA-256 of 256 B, us': median(rounds.map((one) => one.sha256Us)),
      ...passedOver(takes),
    },
  };
}

function sectionOf(series: readonly Series[]): Section {
  const rateOf = (point: Point | undefined): number => {
    const found = point && series.find(({ name }) => name === nameOf(point));
    return found?.figures?.['tx/s'] ?? Number.NaN;
  };
  const at = (checks: Checks, payloadBytes: number, format: FormatName = 'records'): number =>
    rateOf(
      POINTS.find(
        (one) =>
          one.checks === checks && one.payloadBytes === payloadBytes && one.format === format,
      ),
    );
  return {
    name: 'consensus-signatures',
    title: TITLE,
    text: `${REPLICAS} replicas, a process each, on this one machine; real links, sessions, MACs, transport and loop; no ledger, no API. Every transaction is another one, signed by a client's Ed25519 key before the clock starts. Its replica checks it before it submits it, and answers for peers' batches when its verify thread has checked what consensus asks for; so "f + 1" are the channel's shared checks as they are, and "all" the same without them. Nothing is remembered from one replica to another. With no checks the same code finds everything valid at once. Latency is from before the own check to execution, of a batch. ${PASSED_OVER_TEXT}`,
    unit: 'us',
    series,
    ratios: [
      {
        name: 'checked by f + 1 / by all, 256 B',
        value: at('f + 1', PAYLOAD_BYTES) / at('all', PAYLOAD_BYTES),
      },
      {
        name: 'checked by f + 1 / by all, 256 B, envelopes',
        value: at('f + 1', PAYLOAD_BYTES, 'envelopes') / at('all', PAYLOAD_BYTES, 'envelopes'),
      },
    ],
    plots: [
      {
        title: 'Ordered transactions a second, by who checks signatures',
        x: { label: 'payload, bytes', log: true },
        y: { label: 'tx/s', log: true },
        lines: (['none', 'f + 1', 'all'] as const).map((checks) => ({
          name: checks === 'none' ? 'no checks' : `checked by ${checks}`,
          points: PAYLOADS_BYTES.map((bytes) => [bytes, at(checks, bytes)] as const),
        })),
      },
    ],
  };
}
