/** Replicas that only agree (`replica.ts`), each in a process of its own, as in a real network. */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { TestNetwork, type TestNetworkOptions } from '../../test/support/network.ts';
import type { Job } from './instruments.ts';
import type { Order, ReplicaJobResult, Report } from './replica.ts';

const PROGRAM = fileURLToPath(new URL('./replica.js', import.meta.url));

export interface ClusterJobResult extends ReplicaJobResult {
  /** Processor time of all replicas, microseconds for each slot and replica. */
  readonly cpuUsPerSlot: number;
}

export class Cluster {
  readonly #network: TestNetwork;
  readonly #replicas: readonly ChildProcess[];

  private constructor(network: TestNetwork, replicas: readonly ChildProcess[]) {
    this.#network = network;
    this.#replicas = replicas;
  }

  /** Ready: every replica has a session with every other. */
  static async start(options: TestNetworkOptions): Promise<Cluster> {
    const network = await TestNetwork.create(options);
    const replicas = network.created.replicas.map(({ number, configFile }) => {
      mkdirSync(network.channelFolder(number), { recursive: true });
      return fork(PROGRAM, [configFile], { serialization: 'advanced', execArgv: process.execArgv });
    });
    const cluster = new Cluster(network, replicas);
    try {
      await Promise.all(replicas.map((replica) => answerOf(replica, 'ready')));
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  /** The job at one replica; 1 leads. */
  async run(job: Job, number = 1): Promise<ClusterJobResult> {
    const before = await this.#cpuUs();
    const submitter = this.#replicas[number - 1] as ChildProcess;
    const { result } = await ask(submitter, { kind: 'job', job }, 'result');
    const cpuUs = (await this.#cpuUs()) - before;
    return { ...result, cpuUsPerSlot: cpuUs / result.slots / this.#replicas.length };
  }

  /** The job at every replica at once: throughput. */
  async runEverywhere(job: Job): Promise<ClusterJobResult[]> {
    const before = await this.#cpuUs();
    const results = await Promise.all(
      this.#replicas.map(
        async (replica) => (await ask(replica, { kind: 'job', job }, 'result')).result,
      ),
    );
    const cpuUs = (await this.#cpuUs()) - before;
    const slots = Math.max(...results.map((result) => result.slots));
    const cpuUsPerSlot = cpuUs / slots / this.#replicas.length;
    return results.map((result) => ({ ...result, cpuUsPerSlot }));
  }

  async stop(): Promise<void> {
    for (const replica of this.#replicas) replica.kill('SIGKILL');
    await Promise.all(
      this.#replicas.map(
        (replica) =>
          new Promise<void>((resolve) => {
            if (replica.exitCode !== null || replica.signalCode !== null) return resolve();
            replica.once('exit', () => resolve());
          }),
      ),
    );
    await this.#network.destroy();
  }

  async #cpuUs(): Promise<number> {
    const all = await Promise.all(
      this.#replicas.map((replica) => ask(replica, { kind: 'cpu' }, 'cpu')),
    );
    return all.reduce((sum, { us }) => sum + us, 0);
  }
}

async function ask<Kind extends Report['kind']>(
  replica: ChildProcess,
  order: Order,
  kind: Kind,
): Promise<Extract<Report, { kind: Kind }>> {
  const answer = answerOf(replica, kind);
  replica.send(order);
  return await answer;
}

/** The next report of this kind; rejects when the replica ends. */
function answerOf<Kind extends Report['kind']>(
  replica: ChildProcess,
  kind: Kind,
): Promise<Extract<Report, { kind: Kind }>> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void => {
      replica.off('message', onMessage);
      reject(new Error(`a measured replica ended with ${code ?? 'a signal'}`));
    };
    const onMessage = (message: unknown): void => {
      const received = message as Report;
      if (received.kind !== kind) return;
      replica.off('message', onMessage);
      replica.off('exit', onExit);
      resolve(received as Extract<Report, { kind: Kind }>);
    };
    replica.on('message', onMessage);
    replica.once('exit', onExit);
  });
}
