/** Measured replicas, each in a process of its own as in a real network, ordered about by messages. */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { TestNetwork, type TestNetworkOptions } from '../../test/support/network.ts';

/** What any of their programs must understand and say; `ready`: it has a session with every other. */
export type BaseOrder = { readonly kind: 'cpu' };
export type BaseReport =
  | { readonly kind: 'ready' }
  /** Of the whole process since it began. */
  | { readonly kind: 'cpu'; readonly us: number };

interface Message {
  readonly kind: string;
}

export class ReplicaProcesses<Order extends Message, Report extends Message> {
  readonly #network: TestNetwork;
  readonly #processes: readonly ChildProcess[];

  private constructor(network: TestNetwork, processes: readonly ChildProcess[]) {
    this.#network = network;
    this.#processes = processes;
  }

  /** Each runs `program` with its settings file as the argument. Resolves when all are ready. */
  static async start<Order extends Message, Report extends Message>(
    program: URL,
    options: TestNetworkOptions,
  ): Promise<ReplicaProcesses<Order | BaseOrder, Report | BaseReport>> {
    const network = await TestNetwork.create(options);
    const processes = network.created.replicas.map(({ number, configFile }) => {
      mkdirSync(network.channelFolder(number), { recursive: true });
      return fork(fileURLToPath(program), [configFile], {
        serialization: 'advanced',
        execArgv: process.execArgv,
      });
    });
    const started = new ReplicaProcesses<Order | BaseOrder, Report | BaseReport>(
      network,
      processes,
    );
    try {
      await Promise.all(processes.map((one) => answerOf<BaseReport, 'ready'>(one, 'ready')));
    } catch (error) {
      await started.stop();
      throw error;
    }
    return started;
  }

  get count(): number {
    return this.#processes.length;
  }

  async ask<Kind extends Report['kind']>(
    number: number,
    order: Order,
    kind: Kind,
  ): Promise<Extract<Report, { kind: Kind }>> {
    return await ask(this.#processes[number - 1] as ChildProcess, order, kind);
  }

  async askAll<Kind extends Report['kind']>(
    order: Order,
    kind: Kind,
  ): Promise<Extract<Report, { kind: Kind }>[]> {
    return await Promise.all(this.#processes.map((one) => ask<Report, Kind>(one, order, kind)));
  }

  /** Processor time of all of them together. */
  async cpuUs(): Promise<number> {
    const order: BaseOrder = { kind: 'cpu' };
    const all = await Promise.all(
      this.#processes.map((one) => ask<BaseReport, 'cpu'>(one, order, 'cpu')),
    );
    return all.reduce((sum, { us }) => sum + us, 0);
  }

  async stop(): Promise<void> {
    for (const one of this.#processes) one.kill('SIGKILL');
    await Promise.all(
      this.#processes.map(
        (one) =>
          new Promise<void>((resolve) => {
            if (one.exitCode !== null || one.signalCode !== null) return resolve();
            one.once('exit', () => resolve());
          }),
      ),
    );
    await this.#network.destroy();
  }
}

async function ask<Report extends Message, Kind extends Report['kind']>(
  replica: ChildProcess,
  order: Message,
  kind: Kind,
): Promise<Extract<Report, { kind: Kind }>> {
  const answer = answerOf<Report, Kind>(replica, kind);
  replica.send(order);
  return await answer;
}

/** The next report of this kind; rejects when the replica ends. */
function answerOf<Report extends Message, Kind extends Report['kind']>(
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
