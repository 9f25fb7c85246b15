/** Four and more of `replica.ts`, each a process. */
import type { TestNetworkOptions } from '../../test/support/network.ts';
import { type BaseOrder, type BaseReport, ReplicaProcesses } from '../consensus/processes.ts';
import type { Counts, FormatName, Order, Report } from './replica.ts';
import type { SignedJob } from './workload.ts';

const PROGRAM = new URL('./replica.js', import.meta.url);
const SECOND_US = 1e6;

export interface SignedLoad extends SignedJob {
  readonly format: FormatName;
  /** At each replica. */
  readonly transactions: number;
  readonly payloadBytes: number;
}

export interface SignedFigures {
  readonly latenciesUs: readonly number[];
  readonly transactionsPerSecond: number;
  readonly transactionsPerCoreSecond: number;
  readonly cpuUsPerTransactionAndReplica: number;
  /** Of all transactions, how many each replica has checked the signature of, by replica. */
  readonly checkedShares: readonly number[];
  /** Of what peers have sent, how much was looked at because nobody had attested it in time. */
  readonly lateShare: number;
  /** By all replicas together; 0: all have executed everything. */
  readonly slotsPassedOver: number;
}

export class SignedCluster {
  readonly #processes: ReplicaProcesses<Order | BaseOrder, Report | BaseReport>;

  private constructor(processes: ReplicaProcesses<Order | BaseOrder, Report | BaseReport>) {
    this.#processes = processes;
  }

  static async start(options: TestNetworkOptions): Promise<SignedCluster> {
    return new SignedCluster(await ReplicaProcesses.start<Order, Report>(PROGRAM, options));
  }

  /** At all replicas at once; signing comes before and does not count. */
  async measure(load: SignedLoad): Promise<SignedFigures> {
    const { format, transactions: count, payloadBytes, inFlight, checks } = load;
    const processes = this.#processes;
    await processes.askAll({ kind: 'sign', format, count, payloadBytes }, 'signed');
    const countsBefore = await processes.askAll({ kind: 'counts' }, 'counts');
    const { done: reports, usage } = await processes.usageOf(() =>
      processes.askAll({ kind: 'job', job: { inFlight, checks } }, 'result'),
    );
    const { cpuUs, slotsPassedOver } = usage;
    const counts = await processes.askAll({ kind: 'counts' }, 'counts');
    const results = reports.map(({ result }) => result);
    const transactions = results.reduce((sum, one) => sum + one.transactions, 0);
    const elapsedMs = Math.max(...results.map((one) => one.elapsedMs));
    return {
      latenciesUs: results.flatMap(({ latenciesUs }) => [...latenciesUs]),
      transactionsPerSecond: (transactions * 1_000) / elapsedMs,
      transactionsPerCoreSecond: (transactions * SECOND_US) / cpuUs,
      cpuUsPerTransactionAndReplica: cpuUs / transactions / processes.count,
      slotsPassedOver,
      ...sharesOf(countsBefore, counts, transactions),
    };
  }

  async stop(): Promise<void> {
    await this.#processes.stop();
  }
}

/** What was looked at between two counts of the same replicas while they ordered so many transactions. */
export function sharesOf(
  before: readonly Counts[],
  after: readonly Counts[],
  transactions: number,
): Pick<SignedFigures, 'checkedShares' | 'lateShare'> {
  const checkedShares = after.map(({ signatures }, i) => {
    return (signatures - (before[i]?.signatures ?? 0)) / transactions;
  });
  const lateOf = (counts: readonly Counts[]): number =>
    counts.reduce((sum, { asked }) => sum + asked.late, 0);
  // Each transaction comes to all but its owner from a peer.
  const fromPeers = transactions * (after.length - 1);
  return { checkedShares, lateShare: (lateOf(after) - lateOf(before)) / fromPeers };
}
