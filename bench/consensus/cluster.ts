/** Replicas that only agree (`replica.ts`), each in a process of its own. */
import type { TestNetworkOptions } from '../../test/support/network.ts';
import type { Job } from './instruments.ts';
import { type BaseOrder, type BaseReport, ReplicaProcesses } from './processes.ts';
import type { Order, ReplicaJobResult, Report } from './replica.ts';

const PROGRAM = new URL('./replica.js', import.meta.url);

export interface ClusterJobResult extends ReplicaJobResult {
  /** Processor time of all replicas, microseconds for each slot and replica. */
  readonly cpuUsPerSlot: number;
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
    const before = await this.#processes.cpuUs();
    const { result } = await this.#processes.ask(number, { kind: 'job', job }, 'result');
    const cpuUs = (await this.#processes.cpuUs()) - before;
    return { ...result, cpuUsPerSlot: cpuUs / result.slots / this.#processes.count };
  }

  /** The job at every replica at once: throughput. */
  async runEverywhere(job: Job): Promise<ClusterJobResult[]> {
    const before = await this.#processes.cpuUs();
    const reports = await this.#processes.askAll({ kind: 'job', job }, 'result');
    const cpuUs = (await this.#processes.cpuUs()) - before;
    const slots = Math.max(...reports.map(({ result }) => result.slots));
    const cpuUsPerSlot = cpuUs / slots / this.#processes.count;
    return reports.map(({ result }) => ({ ...result, cpuUsPerSlot }));
  }

  async stop(): Promise<void> {
    await this.#processes.stop();
  }
}
