/** `sluice start`: a whole network on this machine, created when it is not there. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import {
  createNetwork,
  NETWORK_FILE,
  replicaDirectory,
  replicaFile,
} from '../../orderer/network/index.ts';
import { readNetworkFile } from '../../orderer/settings/index.ts';
import { ReplicaProcess } from '../network/replica-process.ts';
import { waitReady } from '../network/wait-ready.ts';

const READY_TIMEOUT_MS = 60_000;
const LOG_TAIL_LINES = 12;

interface StartOptions {
  readonly data: string;
  readonly replicas: number;
  readonly channel: string;
  readonly apiPort: number;
  readonly linkPort: number;
}

interface ReplicaPlace {
  readonly number: number;
  readonly url: string;
  readonly configPath: string;
  readonly logPath: string;
}

export function register(program: Command): void {
  program
    .command('start')
    .description('create a network under --data if there is none, and run its replicas here')
    .option('--data <dir>', 'folder of the network', 'data')
    .option('--replicas <n>', 'replicas of a new network (3f+1 tolerate f liars)', positive, 4)
    .option('--channel <name>', 'channel of a new network', 'main')
    .option(
      '--api-port <port>',
      'API port of replica 1 in a new network; the others follow',
      positive,
      7051,
    )
    .option('--link-port <port>', 'port between replicas, for a new network', positive, 7151)
    .addHelpText(
      'after',
      `
The replicas are processes of their own; their logs are in DIR/replica-N/replica.log. Ctrl-C stops all of
them; starting again continues the same chain. The options for a new network change nothing in one that exists.

Examples:
  $ sluice start
  $ sluice start --data /tmp/seven --replicas 7 --api-port 8051 --link-port 8151`,
    )
    .action(async (options: StartOptions) => {
      process.exitCode = await start(options);
    });
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1 || value > 65_535) {
    throw new InvalidArgumentError('give a whole number from 1 to 65535');
  }
  return value;
}

/** Exit code: 0 stopped on request, 1 could not start or a replica failed. */
async function start(options: StartOptions): Promise<number> {
  const directory = resolve(options.data);
  await ensureNetwork(directory, options);
  const { channel, places } = findReplicas(directory);
  const supervisor = new Supervisor(places);
  const stopRequested = supervisor.watchSignals();
  const startedMs = Date.now();
  supervisor.spawnAll();
  const ready = await waitReady(
    places.map(({ url }) => url),
    {
      timeoutMs: READY_TIMEOUT_MS,
      signal: supervisor.interrupted,
      onProgress: (count) => say(`replicas ready: ${count} of ${places.length}`),
    },
  );
  if (!ready) {
    const failed = !supervisor.stopping;
    if (failed) supervisor.explainFailure();
    await supervisor.stopAll();
    return failed ? 1 : 0;
  }
  say(`ready after ${((Date.now() - startedMs) / 1_000).toFixed(1)} s`);
  printWelcome(channel, places, options.data);
  await stopRequested;
  say('stopping');
  await supervisor.stopAll();
  say(`stopped; 'sluice start' continues the same chain`);
  return supervisor.failed ? 1 : 0;
}

async function ensureNetwork(directory: string, options: StartOptions): Promise<void> {
  if (existsSync(join(directory, NETWORK_FILE))) return;
  say(`creating a network of ${options.replicas} replicas in ${directory}`);
  await createNetwork({
    directory,
    replicas: options.replicas,
    channel: options.channel,
    apiPortBase: options.apiPort,
    linkPortBase: options.linkPort,
    gateway: true,
    onProgress: ({ done, total, step }) => say(`  ${done}/${total} ${step}`),
  });
}

function findReplicas(directory: string): { channel: string; places: ReplicaPlace[] } {
  const network = readNetworkFile(join(directory, NETWORK_FILE));
  const places = network.replicas.map((replica) => ({
    number: replica.number,
    url: replica.api,
    configPath: replicaFile(directory, replica.number),
    logPath: join(replicaDirectory(directory, replica.number), 'replica.log'),
  }));
  return { channel: network.channels[0]?.name ?? 'main', places };
}

/** Owns the child processes. */
class Supervisor {
  readonly #places: readonly ReplicaPlace[];
  readonly #children: ReplicaProcess[] = [];
  readonly #interrupt = new AbortController();
  #stopping = false;
  #failed = false;

  constructor(places: readonly ReplicaPlace[]) {
    this.#places = places;
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  /** A replica has ended that nobody asked to. */
  get failed(): boolean {
    return this.#failed;
  }

  /** Aborted when the network is to stop, or a replica has ended before all were ready. */
  get interrupted(): AbortSignal {
    return this.#interrupt.signal;
  }

  /** Resolves at the first signal to stop. */
  watchSignals(): Promise<void> {
    return new Promise((resolve) => {
      const onSignal = (): void => {
        this.#stopping = true;
        this.#interrupt.abort();
        resolve();
      };
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
    });
  }

  spawnAll(): void {
    for (const { number, configPath, logPath } of this.#places) {
      const onExit = (code: number | null, signal: string | null): void => {
        if (this.#stopping) return;
        this.#failed = true;
        this.#interrupt.abort();
        say(`replica ${number} ended (${signal ?? `exit code ${code}`}); its log: ${logPath}`);
      };
      this.#children.push(new ReplicaProcess({ number, configPath, logPath, onExit }));
    }
  }

  explainFailure(): void {
    say('the replicas did not become ready; the last lines of their logs:');
    for (const child of this.#children) {
      process.stdout.write(`--- replica ${child.number}: ${child.logPath}\n`);
      process.stdout.write(`${tailOf(child.logPath)}\n`);
    }
  }

  async stopAll(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#children.map((child) => child.stop()));
  }
}

function tailOf(path: string): string {
  return readFileSync(path, 'utf8').trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n');
}

function printWelcome(channel: string, places: readonly ReplicaPlace[], data: string): void {
  const first = places[0]?.url ?? '';
  const lines = places.map(
    ({ number, url }) =>
      `  replica ${number}   ${url}   docs: ${url}/docs   log: ${data}/replica-${number}/replica.log`,
  );
  process.stdout.write(`
Sluice is ordering on channel '${channel}':
${lines.join('\n')}

Submit a transaction and wait for its certified block (signed by the replica's gateway identity):

  curl -s '${first}/v1/channels/${channel}/transactions?wait=commit' -H 'content-type: application/json' -d '{"data":"hello, order"}'

Or sign it yourself, watch blocks, audit the chain:

  ./sluice submit 'hello, order'
  ./sluice deliver --from 0 --follow
  ./sluice verify ${places.map(({ url }) => `--url ${url}`).join(' ')}

Ctrl-C stops all replicas; the chain continues at the next start.
`);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
