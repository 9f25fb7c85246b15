/** network.yaml: what all replicas of a network agree on outside the chain. */

import { dirname, resolve } from 'node:path';
import { PROVIDERS, type ProviderName } from '../../rdma/contract.ts';
import {
  type BatchSize,
  batchSizeProblem,
  CONFIG_LIMITS,
  isChannelName,
  parseDuration,
} from '../channel-config/index.ts';
import { LIMIT_KEYS, SETTINGS_DEFAULTS, SETTINGS_LIMITS } from './defaults.ts';
import { readYaml, type Section } from './yaml-section.ts';

export interface NetworkSettings {
  readonly file: string;
  readonly channels: readonly ChannelSettings[];
  /** Sorted by number. */
  readonly replicas: readonly ReplicaAddress[];
  readonly transport: { readonly provider: ProviderName };
  /** Only the limits that the file sets. */
  readonly limits: Partial<Record<keyof typeof LIMIT_KEYS, number>>;
}

export interface ChannelSettings {
  readonly name: string;
  /** Absolute path. */
  readonly genesisFile: string;
  /** For the reader of the file; must be what the genesis block says. */
  readonly batch: (BatchSize & { readonly timeoutMs: number; readonly line: number }) | undefined;
}

export interface ReplicaAddress {
  readonly number: number;
  /** Where the other replicas connect. */
  readonly host: string;
  readonly port: number;
  /** Base URL of the API. */
  readonly api: string;
}

/** Throws SettingsError. */
export function readNetworkFile(file: string): NetworkSettings {
  return readYaml(file, (root) => {
    root.integer('version', { min: 1, max: 1 });
    const directory = dirname(resolve(file));
    const channels = root.list('channels', SETTINGS_LIMITS.channelsMax, (item) =>
      readChannel(item, directory),
    );
    reportRepeated(
      root,
      'channels',
      'name',
      channels.map((channel) => channel.name),
    );
    const replicas = root.list('replicas', CONFIG_LIMITS.consentersMax, readAddress);
    reportRepeated(
      root,
      'replicas',
      'number',
      replicas.map((replica) => replica.number),
    );
    reportRepeated(
      root,
      'replicas',
      'host and port',
      replicas.map(({ host, port }) => `${host}:${port}`),
    );
    const transport = root.section('transport', 'optional');
    const provider = transport?.choice('provider', PROVIDERS, SETTINGS_DEFAULTS.provider);
    return {
      file,
      channels,
      replicas: replicas.sort((left, right) => left.number - right.number),
      transport: { provider: provider ?? SETTINGS_DEFAULTS.provider },
      limits: readLimits(root.section('limits', 'optional')),
    };
  });
}

function readChannel(item: Section, directory: string): ChannelSettings {
  const name = item.text('name', {
    expected: (text) =>
      isChannelName(text)
        ? undefined
        : 'lower-case letters, digits, dots and dashes, starting with a letter',
  });
  const genesisFile = resolve(directory, item.text('genesis'));
  const batch = item.section('batch', 'optional');
  return { name, genesisFile, batch: batch === undefined ? undefined : readBatch(batch) };
}

function readBatch(batch: Section): NonNullable<ChannelSettings['batch']> {
  const { maxMessageCountMax, absoluteMaxBytesMax } = CONFIG_LIMITS;
  const size = {
    maxMessageCount: batch.integer('maxMessageCount', { min: 1, max: maxMessageCountMax }),
    absoluteMaxBytes: batch.integer('absoluteMaxBytes', { min: 1, max: absoluteMaxBytesMax }),
    preferredMaxBytes: batch.integer('preferredMaxBytes', { min: 1, max: absoluteMaxBytesMax }),
  };
  if (batchSizeProblem(size) !== undefined) {
    batch.problem('preferredMaxBytes', 'must not be above absoluteMaxBytes');
  }
  const text = batch.text('timeout', {
    expected: (value) => (parseDuration(value) === undefined ? 'a duration like 2s' : undefined),
  });
  return { ...size, timeoutMs: parseDuration(text) ?? 0, line: batch.line };
}

function readAddress(item: Section): ReplicaAddress {
  const { portMax } = SETTINGS_LIMITS;
  return {
    number: item.integer('number', { min: 1, max: CONFIG_LIMITS.consenterNumberMax }),
    host: item.text('host', { expected: hostExpected }),
    port: item.integer('port', { min: 1, max: portMax }),
    api: item.text('api', {
      expected: (text) =>
        /^https?:$/.test(protocolOf(text)) ? undefined : 'a URL like http://127.0.0.1:7051',
    }),
  };
}

/** What the message says must be there when the text is no host. */
export function hostExpected(text: string): string | undefined {
  return /^[A-Za-z0-9.:_-]{1,255}$/.test(text) ? undefined : 'a host name or IP address';
}

function protocolOf(text: string): string {
  try {
    return new URL(text).protocol;
  } catch {
    return '';
  }
}

function readLimits(section: Section | undefined): NetworkSettings['limits'] {
  const limits: NetworkSettings['limits'] = {};
  if (section === undefined) return limits;
  for (const [name, range] of Object.entries(LIMIT_KEYS)) {
    if (!section.has(name)) continue;
    limits[name as keyof typeof LIMIT_KEYS] = section.integer(name, range);
  }
  return limits;
}

function reportRepeated(
  root: Section,
  key: string,
  what: string,
  values: readonly (string | number)[],
): void {
  const repeated = values.find((value, index) => values.indexOf(value) !== index);
  if (repeated !== undefined) root.problem(key, `two entries have the ${what} ${repeated}`);
}
