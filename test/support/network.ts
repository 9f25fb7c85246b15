/**
 * A real network for tests: replicas as processes, keys and genesis in a
 * temporary folder, ports reserved.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SluiceOptions } from '../../orderer/channel-config/index.ts';
import {
  type CreatedNetwork,
  createNetwork,
  replicaDirectory,
} from '../../orderer/network/index.ts';
import { PROVIDERS, type ProviderName } from '../../rdma/contract.ts';
import { ReplicaProcess } from '../../scripts/network/replica-process.ts';
import { waitReady } from '../../scripts/network/wait-ready.ts';
import { type ReservedPorts, reservePorts } from './ports.ts';
import { CHANNEL_OF_GUEST, IN_GUEST, patience } from './slow.ts';

const READY_TIMEOUT_MS = patience(60_000);

export interface TestNetworkOptions {
  readonly replicas?: number;
  readonly channel?: string;
  readonly moreChannels?: readonly string[];
  readonly sluice?: Partial<SluiceOptions>;
  /** replica.yaml `durability` of all replicas; `wal` when absent. */
  readonly durability?: 'wal' | 'memory';
  /** network.yaml `transport`; what SLUICE_TEST_PROVIDER says when absent, or `shm`. */
  readonly provider?: ProviderName;
  /** The machine of each replica; all on this one when absent. */
  readonly hosts?: readonly string[];
  /** What starts a process there: put before the command. */
  readonly launcherOf?: (number: number) => readonly string[];
  /** When it claims to have been created: its certificates are valid from then on. */
  readonly createdAtMs?: number;
}

/** What a test may want otherwise in one replica's replica.yaml. */
export interface TestReplicaSettings {
  readonly diskReserveBytes?: number;
}

/** So that any suite runs on any provider: `SLUICE_TEST_PROVIDER=tcp npm run test:chaos`. */
function providerOfTests(): ProviderName {
  const named = process.env.SLUICE_TEST_PROVIDER ?? 'shm';
  const provider = PROVIDERS.find((one) => one === named);
  if (provider === undefined) {
    throw new Error(`SLUICE_TEST_PROVIDER is ${named}; use ${PROVIDERS.join(' or ')}`);
  }
  return provider;
}

export class TestNetwork {
  readonly directory: string;
  readonly created: CreatedNetwork;
  readonly #ports: ReservedPorts;
  readonly #processes = new Map<number, ReplicaProcess>();
  readonly #launcherOf: (number: number) => readonly string[];

  private constructor(
    directory: string,
    created: CreatedNetwork,
    ports: ReservedPorts,
    { launcherOf = () => [] }: TestNetworkOptions,
  ) {
    this.#launcherOf = launcherOf;
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
      moreChannels: options.moreChannels ?? [],
      apiPortBase: ports.first,
      linkPortBase: ports.first + replicas,
      gateway: true,
      sluice: { ...(IN_GUEST ? CHANNEL_OF_GUEST : {}), ...options.sluice },
      provider: options.provider ?? providerOfTests(),
      hosts: options.hosts ?? [],
      ...(options.createdAtMs === undefined ? {} : { nowMs: options.createdAtMs }),
    });
    for (const { configFile } of created.replicas) {
      const text = readFileSync(configFile, 'utf8');
      const durability = `durability: ${options.durability ?? 'wal'}`;
      writeFileSync(configFile, text.replace('durability: wal', durability));
    }
    return new TestNetwork(base, created, ports, options);
  }

  get urls(): string[] {
    return this.created.replicas.map(({ api }) => api);
  }

  ledgerFolder(number: number): string {
    return replicaDirectory(this.created.directory, number);
  }

  /** Ledger, log and run record of a replica: all that it loses with its disk, but not its keys. */
  channelFolder(number: number): string {
    return join(this.ledgerFolder(number), 'ledger', this.created.config.channel);
  }

  url(number: number): string {
    return this.urls[number - 1] ?? '';
  }

  /** What a replica has logged, in all its lives. */
  log(number: number): string {
    return readFileSync(this.logPath(number), 'utf8');
  }

  /** For the next start of this replica. */
  configure(number: number, settings: TestReplicaSettings): void {
    const file = this.#replica(number).configFile;
    let text = readFileSync(file, 'utf8');
    for (const [key, value] of Object.entries(settings)) {
      const line = new RegExp(`^${key}: .*$`, 'm');
      if (!line.test(text)) throw new Error(`${file} has no ${key}`);
      text = text.replace(line, `${key}: ${value}`);
    }
    writeFileSync(file, text);
  }

  wasStarted(number: number): boolean {
    return this.#processes.has(number);
  }

  process(number: number): ReplicaProcess {
    const found = this.#processes.get(number);
    if (found === undefined) throw new Error(`replica ${number} was never started`);
    return found;
  }

  /** Starts the named replicas (all when none is named), without waiting. */
  spawn(...numbers: number[]): void {
    const wanted = numbers.length > 0 ? numbers : this.created.replicas.map(({ number }) => number);
    for (const number of wanted) this.spawnWith(number, {});
  }

  /** Starts one replica with these variables in its environment, besides those of this process. */
  spawnWith(number: number, environment: Readonly<Record<string, string>>): void {
    const configPath = this.#replica(number).configFile;
    const process = new ReplicaProcess({
      number,
      configPath,
      logPath: this.logPath(number),
      launcher: this.#launcherOf(number),
      environment,
    });
    this.#processes.set(number, process);
  }

  logPath(number: number): string {
    return join(this.directory, `replica-${number}.log`);
  }

  /** kill -9, as a power cut: no time to say or store anything. Resolves when they are gone. */
  async kill(...numbers: number[]): Promise<void> {
    const processes = numbers.map((number) => this.process(number));
    for (const process of processes) process.kill('SIGKILL');
    await Promise.all(processes.map(({ exited }) => exited));
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

  /** Stops everything and removes the folder, unless SLUICE_TEST_KEEP is set. */
  async destroy(): Promise<void> {
    await this.stop();
    this.#ports.release();
    if (process.env.SLUICE_TEST_KEEP !== undefined) {
      console.log(`kept: ${this.directory}`);
      return;
    }
    rmSync(this.directory, { recursive: true, force: true });
  }

  #replica(number: number): CreatedNetwork['replicas'][number] {
    const found = this.created.replicas.find((replica) => replica.number === number);
    if (found === undefined) throw new Error(`there is no replica ${number}`);
    return found;
  }
}
