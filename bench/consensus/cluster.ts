/** Replicas that only agree (`replica.ts`), each in a process of its own. */
import type { TestNetworkOptions } from '../../test/support/network.ts';
import type { Job } from './instruments.ts';
import { type BaseOrder, type BaseReport, ReplicaProcesses } from './processes.ts';
import type { Order, ReplicaJobResult, Report } from './replica.ts';

const PROGRAM = new URL('./replica.js', import.meta.url);

export interface ClusterJobResult extends ReplicaJobResult {
  /** Processor time of all replicas, microseconds for each slot and replica. */
  readonly cpuUsPerSlot: number;
  /** As in `Usage`. */
  readonly slotsPassedOver: number;
}

export class Cluster {
  readonly #processes: ReplicaProcesses<Order | BaseOrder, Report | BaseReport>;

  private constructor(processes: ReplicaProcesses<Order | BaseOrder, Report | BaseReport>) {
    this.#processes = processes;
  }

  /** Ready: every replica has a session with every other. */
  static async start(options: TestNetworkOptions): Promise<Cluster> {
    return new Cluster(await ReplicaProcesses.start<Order, Report>(PROGRAM, options));
  }

  /** The job at one replica; 1 leads. */
  async run(job: Job, number = 1): Promise<ClusterJobResult> {
    const { done, usage } = await this.#processes.usageOf(() =>
      this.#processes.ask(number, { kind: 'job', job }, 'result'),
    );
    const { result } = done;
    const { cpuUs, slotsPassedOver } = usage;
    return {
      ...result,
      cpuUsPerSlot: cpuUs / result.slots / this.#processes.count,
      slotsPassedOver,
    };
  }

  /** The job at every replica at once: throughput. */
  async runEverywhere(
    job: Job,
  ): Promise<{ readonly results: ReplicaJobResult[]; readonly slotsPassedOver: number }> {
    const { done, usage } = await this.#processes.usageOf(() =>
      this.#processes.askAll({ kind: 'job', job }, 'result'),
    );
    const { slotsPassedOver } = usage;
    return { results: done.map(({ result }) => result), slotsPassedOver };
  }

  async stop(): Promise<void> {
    await this.#processes.stop();
  }
}
