/**
 * A real network for tests: replicas as processes, keys and genesis in a
 * temporary folder, ports reserved.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type CreatedNetwork,
  createNetwork,
  replicaDirectory,
} from '../../orderer/network/index.ts';
import { ReplicaProcess } from '../../scripts/network/replica-process.ts';
import { waitReady } from '../../scripts/network/wait-ready.ts';
import { type ReservedPorts, reservePorts } from './ports.ts';

const READY_TIMEOUT_MS = 60_000;

export interface TestNetworkOptions {
  readonly replicas?: number;
  readonly channel?: string;
}

export class TestNetwork {
  readonly directory: string;
  readonly created: CreatedNetwork;
  readonly #ports: ReservedPorts;
  readonly #processes = new Map<number, ReplicaProcess>();

  private constructor(directory: string, created: CreatedNetwork, ports: ReservedPorts) {
    this.directory = directory;
    this.created = created;
    this.#ports = ports;
  }

  static async create(options: TestNetworkOptions = {}): Promise<TestNetwork> {
    const replicas = options.replicas ?? 4;
    const ports = await reservePorts(2 * replicas);
    const base = mkdtempSync(join(tmpdir(), 'sluice-network-'));
    const created = await createNetwork({
      directory: join(base, 'data'),
      replicas,
      channel: options.channel ?? 'main',
      apiPortBase: ports.first,
      linkPortBase: ports.first + replicas,
      gateway: true,
    });
    return new TestNetwork(base, created, ports);
  }

  get urls(): string[] {
    return this.created.replicas.map(({ api }) => api);
  }

  ledgerFolder(number: number): string {
    return replicaDirectory(this.created.directory, number);
  }

  process(number: number): ReplicaProcess {
    const found = this.#processes.get(number);
    if (found === undefined) throw new Error(`replica ${number} was never started`);
    return found;
  }

  /** Starts the named replicas (all when none is named), without waiting. */
  spawn(...numbers: number[]): void {
    const wanted = numbers.length > 0 ? numbers : this.created.replicas.map(({ number }) => number);
    for (const { number, configFile } of this.created.replicas) {
      if (!wanted.includes(number)) continue;
      const logPath = join(this.directory, `replica-${number}.log`);
      this.#processes.set(number, new ReplicaProcess({ number, configPath: configFile, logPath }));
    }
  }

  /** Starts all replicas and waits until they can order. */
  async start(): Promise<void> {
    this.spawn();
    await this.ready();
  }

  async ready(urls: readonly string[] = this.urls): Promise<void> {
    if (await waitReady(urls, { timeoutMs: READY_TIMEOUT_MS })) return;
    throw new Error(`the replicas did not become ready\n${this.logs()}`);
  }

  logs(): string {
    return [...this.#processes.values()]
      .map(
        ({ number, logPath }) =>
          `--- replica ${number}\n${readFileSync(logPath, 'utf8').slice(-4_000)}`,
      )
      .join('\n');
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#processes.values()].map((process) => process.stop()));
  }

  /** Stops everything and removes the folder. */
  async destroy(): Promise<void> {
    await this.stop();
    this.#ports.release();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
