/** What `submit` and `deliver` have in common: from the options to a client that knows where the replicas are and whom to trust. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join, resolve, sep } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import {
  ClientError,
  createWriter,
  readTrustRoot,
  SluiceClient,
  type Writer,
} from '../../api/client/index.ts';
import { APPLICATION_MSP, NETWORK_FILE, writerDirectory } from '../../orderer/network/layout.ts';
import { readNetworkFile, SettingsError } from '../../orderer/settings/index.ts';

export interface ConnectOptions {
  readonly data: string;
  readonly url?: readonly string[];
  readonly channel?: string;
  readonly genesis?: string;
}

/** The command cannot begin: a file is missing, options contradict each other. Exit code 2. */
export class CommandError extends Error {}

/** Exit codes that every command of this folder keeps to. */
export const EXIT = { OK: 0, REFUSED: 1, UNABLE: 2 } as const;

/** Adds the options that say where the network is. */
export function addConnectOptions(command: Command): Command {
  return command
    .option('--data <dir>', "the network's folder: replicas, genesis block, keys", 'data')
    .option('--url <url>', "a replica's API instead; may be given several times", collect)
    .option('--channel <name>', 'channel; needed only when there are several')
    .option('--genesis <file>', 'block 0, the root of trust, when it is not in the data folder');
}

/** For options that may be given several times. */
export function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError('give a whole number, 0 or more');
  }
  return value;
}

export function positiveNumber(text: string): number {
  const value = wholeNumber(text);
  if (value === 0) throw new InvalidArgumentError('give a whole number above 0');
  return value;
}

/** Usage errors end with 2, as everything that keeps a command from its work; commander's own choice is 1. */
export function exitWithUsageCode(command: Command): Command {
  return command.exitOverride((error) => {
    process.exit(error.exitCode === 0 ? EXIT.OK : EXIT.UNABLE);
  });
}

export function readInput(path: string, what: string): Uint8Array {
  try {
    return new Uint8Array(readFileSync(path));
  } catch (error) {
    throw new CommandError(`cannot read ${what}: ${(error as Error).message}`);
  }
}

export interface Place {
  readonly urls: readonly string[];
  readonly channel: string | undefined;
  readonly genesisFile: string | undefined;
}

/** Where the network is, from the options first and network.yaml for the rest. */
export function findPlace(options: ConnectOptions): Place {
  const file = join(options.data, NETWORK_FILE);
  const { url: urls } = options;
  if (!existsSync(file)) {
    if (urls !== undefined) {
      return { urls, channel: options.channel, genesisFile: options.genesis };
    }
    const advice = 'make one with: sluice init (or sluice start), or name a replica with --url';
    throw new CommandError(`there is no network in ${options.data} (no ${file}); ${advice}`);
  }
  const { channels, replicas } = readNetworkFile(file);
  const names = channels.map(({ name }) => name).join(', ');
  if (options.channel === undefined && channels.length > 1) {
    throw new CommandError(`${file} has channels ${names}; name one with --channel`);
  }
  const found = channels.find(({ name }) => name === (options.channel ?? name));
  if (found === undefined && options.genesis === undefined) {
    throw new CommandError(`${file} has no channel ${options.channel}, it has ${names}`);
  }
  return {
    urls: urls ?? replicas.map(({ api }) => api),
    channel: options.channel ?? found?.name,
    genesisFile: options.genesis ?? found?.genesisFile,
  };
}

/** A client for the network that the options name. Throws `CommandError`, `ClientError`, `SettingsError`. */
export function connect(options: ConnectOptions): SluiceClient {
  const { urls, channel, genesisFile } = findPlace(options);
  if (genesisFile === undefined) {
    throw new CommandError(
      'whom to trust? give the genesis block with --genesis FILE (or the network folder with --data DIR)',
    );
  }
  const root = readTrustRoot(readInput(genesisFile, 'the genesis block'));
  if (root.kind === 'malformed') throw new CommandError(`${genesisFile}: ${root.reason}`);
  return new SluiceClient({
    urls,
    channel: channel ?? root.value.channel,
    trust: root.value,
  });
}

/** The organization of a writer's folder: `.../orgs/Org1MSP/users/alice` says it. */
function organizationOf(folder: string): string | undefined {
  const parts = resolve(folder).split(sep);
  const users = parts.lastIndexOf('users');
  return users > 0 ? parts[users - 1] : undefined;
}

/** Reads `cert.pem` and `key.pem` of a writer; by default the user that `sluice init` made. */
export function readWriter(options: {
  readonly data: string;
  readonly writer?: string;
  readonly msp?: string;
}): Writer {
  const folder = options.writer ?? writerDirectory(options.data, APPLICATION_MSP, 'user');
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
    const advice = 'name a folder with cert.pem and key.pem, as sluice keygen makes it';
    throw new CommandError(`there is no writer in ${folder}; ${advice}`);
  }
  const text = (name: string) => new TextDecoder().decode(readInput(join(folder, name), name));
  return createWriter({
    mspId: options.msp ?? organizationOf(folder) ?? APPLICATION_MSP,
    certificatePem: text('cert.pem'),
    privateKeyPem: text('key.pem'),
  });
}

/** Codes of `ClientError` that say "could not", as against "no". */
const UNABLE_CODES = new Set([
  'deadline_exceeded',
  'unreachable',
  'aborted',
  'invalid_argument',
  'malformed_key',
  'malformed_certificate',
  'malformed_genesis',
]);

/**
 * Whether each replica that was asked has closed its port at some time of the call, in Node's words, and
 * none has answered. Not the last word of each: the call's deadline may cut an attempt short before it is refused.
 */
function nobodyListens({ causes }: ClientError): boolean {
  const refused = causes.filter(({ message }) => message.startsWith('connect ECONNREFUSED'));
  const closed = new Set(refused.map(({ url }) => url));
  return (
    closed.size > 0 && causes.every(({ url, status }) => status === undefined && closed.has(url))
  );
}

/** Sentence and exit code for an error that a reader can do something about; rethrows bugs. */
export function explain(error: unknown): {
  message: string;
  code: string | undefined;
  exitCode: number;
} {
  if (error instanceof ClientError) {
    const exitCode = UNABLE_CODES.has(error.code) ? EXIT.UNABLE : EXIT.REFUSED;
    const hint = nobodyListens(error) ? '. Is the network running? See: sluice start' : '';
    return { message: `${error.message}${hint} (${error.code})`, code: error.code, exitCode };
  }
  if (error instanceof CommandError || error instanceof SettingsError) {
    return { message: error.message, code: undefined, exitCode: EXIT.UNABLE };
  }
  throw error;
}
