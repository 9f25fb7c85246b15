/** Measured replicas, each in a process of its own as in a real network, ordered about by messages. */
import { type ChildProcess, fork } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { TestNetwork, type TestNetworkOptions } from '../../test/support/network.ts';
import { patience } from '../../test/support/slow.ts';

/** Of whole processes since they began. */
export interface Usage {
  readonly cpuUs: number;
  /** Slots that a replica has not executed because it had fallen behind what the others keep. */
  readonly slotsPassedOver: number;
}

/** What any of their programs must understand and say (`child.ts`); `ready`: it has a session with every other. */
export type BaseOrder = { readonly kind: 'usage' };
export type BaseReport =
  | { readonly kind: 'ready' }
  | ({ readonly kind: 'usage' } & Usage)
  /** The last that it says. */
  | { readonly kind: 'failed'; readonly reason: string; readonly stack: string };

interface Message {
  readonly kind: string;
}

const READY_TIMEOUT_MS = patience(120_000);
const LOG_CHARACTERS_MAX = 4_000;

export class ReplicaProcesses<Order extends Message, Report extends Message> {
  readonly #network: TestNetwork;
  readonly #replicas: readonly Replica[];
  /** Rejects when the first of them ends: what the others do without it is not what is measured. */
  readonly #broken: Promise<never>;

  private constructor(network: TestNetwork, replicas: readonly Replica[]) {
    this.#network = network;
    this.#replicas = replicas;
    this.#broken = Promise.race(replicas.map(({ ended }) => ended)).then((error) => {
      throw error;
    });
    // Nobody may be waiting for anything just then.
    this.#broken.catch(() => {});
  }

  /** Each runs `program` with its settings file as the argument. Resolves when all are ready. */
  static async start<Order extends Message, Report extends Message>(
    program: URL,
    options: TestNetworkOptions,
  ): Promise<ReplicaProcesses<Order | BaseOrder, Report | BaseReport>> {
    const network = await TestNetwork.create(options);
    const replicas = network.created.replicas.map(({ number, configFile }) => {
      mkdirSync(network.channelFolder(number), { recursive: true });
      return new Replica(program, { number, configFile, logFile: network.logPath(number) });
    });
    const started = new ReplicaProcesses<Order | BaseOrder, Report | BaseReport>(network, replicas);
    try {
      await started.#ready();
    } catch (error) {
      await started.stop();
      throw error;
    }
    return started;
  }

  get count(): number {
    return this.#replicas.length;
  }

  async ask<Kind extends Report['kind']>(
    number: number,
    order: Order,
    kind: Kind,
  ): Promise<Extract<Report, { kind: Kind }>> {
    const [answer] = await this.#unlessBroken([this.#at(number).ask<Report, Kind>(order, kind)]);
    return answer as Extract<Report, { kind: Kind }>;
  }

  async askAll<Kind extends Report['kind']>(
    order: Order,
    kind: Kind,
  ): Promise<Extract<Report, { kind: Kind }>[]> {
    return await this.#unlessBroken(
      this.#replicas.map((one) => one.ask<Report, Kind>(order, kind)),
    );
  }

  /** What all of them together have used while `work` was done. */
  async usageOf<T>(work: () => Promise<T>): Promise<{ readonly done: T; readonly usage: Usage }> {
    const before = await this.#usage();
    const done = await work();
    const after = await this.#usage();
    const usage = {
      cpuUs: after.cpuUs - before.cpuUs,
      slotsPassedOver: after.slotsPassedOver - before.slotsPassedOver,
    };
    return { done, usage };
  }

  async #usage(): Promise<Usage> {
    const order: BaseOrder = { kind: 'usage' };
    const all = await this.#unlessBroken(
      this.#replicas.map((one) => one.ask<BaseReport, 'usage'>(order, 'usage')),
    );
    const sum = (of: (usage: Usage) => number): number =>
      all.reduce((total, one) => total + of(one), 0);
    return {
      cpuUs: sum(({ cpuUs }) => cpuUs),
      slotsPassedOver: sum(({ slotsPassedOver }) => slotsPassedOver),
    };
  }

  signal(number: number, signal: NodeJS.Signals): void {
    this.#at(number).signal(signal);
  }

  async stop(): Promise<void> {
    for (const one of this.#replicas) one.signal('SIGKILL');
    await Promise.all(this.#replicas.map(({ ended }) => ended));
    await this.#network.destroy();
  }

  async #ready(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        const error = new Error(`no sessions between measured replicas in ${READY_TIMEOUT_MS} ms`);
        error.stack = [error.message, ...this.#replicas.map((one) => one.log())].join('\n');
        reject(error);
      }, READY_TIMEOUT_MS);
    });
    const ready = this.#replicas.map((one) => one.next<BaseReport, 'ready'>('ready'));
    try {
      await Promise.race([this.#unlessBroken(ready), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #unlessBroken<T>(answers: readonly Promise<T>[]): Promise<T[]> {
    return await Promise.race([Promise.all(answers), this.#broken]);
  }

  #at(number: number): Replica {
    const found = this.#replicas[number - 1];
    if (found === undefined) throw new RangeError(`there is no replica ${number}`);
    return found;
  }
}

interface ReplicaOptions {
  readonly number: number;
  readonly configFile: string;
  readonly logFile: string;
}

class Replica {
  readonly #process: ChildProcess;
  readonly #options: ReplicaOptions;
  /** Why there will be no more reports. */
  readonly ended: Promise<Error>;

  constructor(program: URL, options: ReplicaOptions) {
    this.#options = options;
    const log = openSync(options.logFile, 'a', 0o600);
    this.#process = fork(fileURLToPath(program), [options.configFile], {
      serialization: 'advanced',
      execArgv: process.execArgv,
      stdio: ['ignore', log, log, 'ipc'],
    });
    closeSync(log);
    let failed: Extract<BaseReport, { kind: 'failed' }> | undefined;
    this.#process.on('message', (message: BaseReport) => {
      if (message.kind === 'failed') failed = message;
    });
    this.ended = new Promise((resolve) => {
      // Not `exit`: the last report may still be on its way then.
      this.#process.once('close', (code, signal) => {
        if (failed !== undefined) return resolve(this.#error(failed.reason, failed.stack));
        const how = signal === null ? `it ended with code ${code}` : `it ended by ${signal}`;
        resolve(this.#error(how, this.log()));
      });
      // An order that cannot be sent goes to a process that is about to end; one that was never there has no end.
      this.#process.on('error', (error) => {
        if (this.#process.pid === undefined) resolve(this.#error(error.message, ''));
      });
    });
  }

  /** The end of what it has written. */
  log(): string {
    return readFileSync(this.#options.logFile, 'utf8').slice(-LOG_CHARACTERS_MAX);
  }

  #error(what: string, details: string): Error {
    const error = new Error(`measured replica ${this.#options.number}: ${what}`);
    // Where this was noticed says nothing.
    error.stack = `${error.message}\n${details}`;
    return error;
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  async ask<Report extends Message, Kind extends Report['kind']>(
    order: Message,
    kind: Kind,
  ): Promise<Extract<Report, { kind: Kind }>> {
    const answer = this.next<Report, Kind>(kind);
    this.#process.send(order);
    return await answer;
  }

  /** The next report of this kind; there is none any more when it ends. */
  next<Report extends Message, Kind extends Report['kind']>(
    kind: Kind,
  ): Promise<Extract<Report, { kind: Kind }>> {
    return new Promise((resolve) => {
      const onMessage = (message: unknown): void => {
        const received = message as Report;
        if (received.kind !== kind) return;
        this.#process.off('message', onMessage);
        resolve(received as Extract<Report, { kind: Kind }>);
      };
      this.#process.on('message', onMessage);
    });
  }
}
