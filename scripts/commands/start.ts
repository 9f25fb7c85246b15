/** `sluice start`: a whole network on this machine, created when it is not there. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { faultsOf, quorumOf } from '../../ledger/format/index.ts';
import {
  createNetwork,
  NETWORK_FILE,
  NetworkError,
  replicaDirectory,
  replicaFile,
} from '../../orderer/network/index.ts';
import {
  type NetworkSettings,
  type ReplicaSettings,
  readNetworkFile,
  readReplicaFile,
  SettingsError,
} from '../../orderer/settings/index.ts';
import { findBusy, type WantedAddress } from '../network/busy-ports.ts';
import { type ReplicaEnd, type ReplicaPlace, Supervisor } from '../network/supervisor.ts';
import { waitReady } from '../network/wait-ready.ts';
import { CommandError, EXIT, exitWithUsageCode } from './connect.ts';

const READY_TIMEOUT_MS = 60_000;
/** A start takes a second or two; from then on somebody wants to know what it waits for. */
const PATIENCE_MS = 4_000;
const LOOPBACK = '127.0.0.1';

interface StartOptions {
  readonly data: string;
  readonly replicas: number;
  readonly channel: string;
  readonly apiPort: number;
  readonly linkPort: number;
}

/** What the files of a network say, as far as starting it needs to know. */
interface FoundNetwork {
  readonly channel: string;
  readonly places: readonly ReplicaPlace[];
  readonly listening: readonly WantedAddress[];
  /** The first replica that signs for plain curl, if one does. */
  readonly gatewayUrl: string | undefined;
}

export function register(program: Command): void {
  exitWithUsageCode(program.command('start'))
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

Exit code: 0 stopped on request, 1 a replica failed, 2 could not start (settings, ports).

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

/** Runs the command; answers the exit code. */
async function start(options: StartOptions): Promise<number> {
  try {
    const directory = resolve(options.data);
    const isNew = !existsSync(join(directory, NETWORK_FILE));
    // Before anything is created: a start that fails leaves nothing behind.
    if (isNew) await requireFree(plannedAddresses(options), directory, isNew);
    if (isNew) await create(directory, options);
    const network = findNetwork(directory);
    if (!isNew) await requireFree(network.listening, directory, isNew);
    return await run(network, options.data);
  } catch (error) {
    const expected =
      error instanceof CommandError ||
      error instanceof SettingsError ||
      error instanceof NetworkError;
    if (!expected) throw error;
    process.stderr.write(`sluice start: ${error.message}\n`);
    return EXIT.UNABLE;
  }
}

function plannedAddresses({ replicas, apiPort, linkPort }: StartOptions): WantedAddress[] {
  return Array.from({ length: replicas }, (_, i) => [
    { host: LOOPBACK, port: apiPort + i, use: `API of replica ${i + 1}` },
    { host: LOOPBACK, port: linkPort + i, use: `links of replica ${i + 1}` },
  ]).flat();
}

async function create(directory: string, options: StartOptions): Promise<void> {
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

/** Throws `SettingsError` naming file, line and key; `CommandError`. */
function findNetwork(directory: string): FoundNetwork {
  const file = join(directory, NETWORK_FILE);
  const network: NetworkSettings = readNetworkFile(file);
  const found = network.replicas.map((address) => {
    const settings: ReplicaSettings = readReplicaFile(replicaFile(directory, address.number));
    if (settings.api.port === 0) {
      throw new CommandError(
        `${settings.file}: api.port is 0, any free port, so nobody could find the replica; ` +
          `choose one, here and in ${file}`,
      );
    }
    return { address, settings };
  });
  return {
    channel: network.channels[0]?.name ?? 'main',
    places: found.map(({ address: { number, api } }) => ({
      number,
      url: api,
      configPath: replicaFile(directory, number),
      logPath: join(replicaDirectory(directory, number), 'replica.log'),
    })),
    listening: found.flatMap(({ address: { number, host, port }, settings }) => [
      { ...settings.api, use: `API of replica ${number}` },
      { host, port, use: `links of replica ${number}` },
    ]),
    gatewayUrl: found.find(({ settings }) => settings.gateway !== undefined)?.address.api,
  };
}

/** Throws `CommandError` naming the addresses where something listens already. */
async function requireFree(
  wanted: readonly WantedAddress[],
  directory: string,
  isNew: boolean,
): Promise<void> {
  const busy = await findBusy(wanted);
  const [first] = busy;
  if (first === undefined) return;
  const places = busy.map(({ host, port, use, code }) => {
    const why = code === 'EADDRINUSE' ? 'in use' : code;
    return `${host}:${port} (${use}): ${why}`;
  });
  const choose = 'choose other ports with --api-port and --link-port';
  const advice = isNew
    ? `stop what listens there, or ${choose}`
    : busy.length === wanted.length
      ? `is ${directory} running already? Stop it first, or run another network beside it: --data DIR --api-port PORT --link-port PORT`
      : 'stop what listens there; the ports of a network are in its network.yaml, replica.yaml and (links) genesis block';
  throw new CommandError(`ports are taken\n  ${places.join('\n  ')}\n${advice}`);
}

async function run(network: FoundNetwork, data: string): Promise<number> {
  const { channel, places } = network;
  let isReady = false;
  const supervisor = new Supervisor(places, (end, running) =>
    reportEnd(end, { running, total: places.length, isReady }),
  );
  supervisor.watchSignals();
  const startedMs = Date.now();
  supervisor.spawnAll();
  const urls = places.map(({ url }) => url);
  const ready = await waitWithProgress(urls, supervisor.interrupted);
  if (!ready || supervisor.failed) {
    const stopped = supervisor.interrupted.aborted && !supervisor.failed;
    if (!stopped) explainFailure(supervisor);
    await supervisor.stopAll();
    return stopped ? EXIT.OK : EXIT.REFUSED;
  }
  const seconds = ((Date.now() - startedMs) / 1_000).toFixed(1);
  isReady = true;
  printWelcome(network, data, `ready after ${seconds} s`, await channelHeight(urls[0], channel));
  await supervisor.over;
  say('stopping');
  await supervisor.stopAll();
  say(`stopped; 'sluice start' continues the same chain`);
  return supervisor.failed ? EXIT.REFUSED : EXIT.OK;
}

/** Says how many are ready when that changes, and what the others wait for when it takes long. */
async function waitWithProgress(urls: readonly string[], signal: AbortSignal): Promise<boolean> {
  let shown = 0;
  let waitingFor: readonly string[] = [];
  say(`starting ${urls.length} replicas`);
  const timer = setInterval(() => {
    say(`still waiting:\n  ${waitingFor.join('\n  ')}`);
  }, PATIENCE_MS);
  try {
    return await waitReady(urls, {
      timeoutMs: READY_TIMEOUT_MS,
      signal,
      onProgress: (count, reasons) => {
        waitingFor = reasons;
        if (count !== shown) say(`replicas ready: ${count} of ${urls.length}`);
        shown = count;
      },
    });
  } finally {
    clearInterval(timer);
  }
}

function reportEnd(
  { place, how }: ReplicaEnd,
  { running, total, isReady }: { running: number; total: number; isReady: boolean },
): void {
  say(`replica ${place.number} ended (${how}); its log: ${place.logPath}`);
  // Before all were ready: everything stops anyway.
  if (!isReady) return;
  const quorum = quorumOf(total);
  if (running < quorum) {
    say(`${running} of ${total} replicas run, ${quorum} are needed to order; to start it again:`);
  } else {
    say(
      `the other ${running} go on ordering (${faultsOf(total)} of ${total} may be missing); to start it again:`,
    );
  }
  say(`  ./sluice replica --config ${place.configPath}`);
}

function explainFailure(supervisor: Supervisor): void {
  say('the replicas did not become ready; what they logged last:');
  for (const { place, text } of supervisor.logTails()) {
    say(`--- replica ${place.number} (${place.logPath})`);
    say(text);
  }
}

/** Undefined when the replica says nothing usable: the welcome is then shorter. */
async function channelHeight(url = '', channel: string): Promise<number | undefined> {
  try {
    const answer = await fetch(`${url}/v1/channels/${channel}`);
    const { height } = (await answer.json()) as Record<string, unknown>;
    return typeof height === 'number' ? height : undefined;
  } catch {
    return undefined;
  }
}

function printWelcome(
  { channel, places, gatewayUrl }: FoundNetwork,
  data: string,
  readiness: string,
  height: number | undefined,
): void {
  const urls = places.map(({ url }) => url);
  const where = data === 'data' ? '' : ` --data ${data}`;
  const chain = height === undefined || height <= 1 ? '' : `, which has ${height} blocks`;
  const curl = `Submit a transaction and wait for its certified block (the replica's gateway signs it):

  curl -s '${gatewayUrl}/v1/channels/${channel}/transactions?wait=commit' -H 'content-type: application/json' -d '{"data":"hello, order"}'

Or sign it yourself`;
  process.stdout.write(`${readiness}

Sluice is ordering on channel '${channel}'${chain}:
${places.map(({ number, url }) => `  replica ${number}   ${url}`).join('\n')}

API: ${urls[0]}/docs   Logs: ${join(data, 'replica-N', 'replica.log')}

${gatewayUrl === undefined ? 'Sign and submit a transaction' : curl}, watch blocks, audit the chain:

  ./sluice submit${where} 'hello, order'
  ./sluice deliver${where} --from 0 --follow
  ./sluice verify ${urls.map((url) => `--url ${url}`).join(' ')}

Ctrl-C stops all replicas; the chain continues at the next start.
`);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
