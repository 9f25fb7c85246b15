/** What a network is to be: what was asked for, with defaults, checked. */
import { PROVIDERS, type ProviderName } from '../../rdma/contract.ts';
import {
  batchSizeProblem,
  type ChannelConfig,
  CONFIG_LIMITS,
  defaultSluiceOptions,
  isChannelName,
  type SluiceOptions,
  sluiceOptionsProblem,
} from '../channel-config/index.ts';
import { SETTINGS_DEFAULTS, SETTINGS_LIMITS } from '../settings/defaults.ts';
import { NetworkError } from './errors.ts';
import type { ReplicaPlace } from './yaml-text.ts';

export interface CreateNetworkOptions {
  /** Must not exist, or be empty. */
  readonly directory: string;
  /** Number of replicas, 4 when absent; 3f + 1 tolerate f faulty ones. */
  readonly replicas?: number;
  readonly channel?: string;
  /** Further channels of the same replicas, each with a chain, a ledger and a consensus of its own. */
  readonly moreChannels?: readonly string[];
  /** Where replicas reach each other; replica i listens on `linkPortBase + i - 1`. */
  readonly linkHost?: string;
  readonly linkPortBase?: number;
  /**
   * Where clients reach replica i: `apiPortBase + i - 1`; 0 lets the system choose at each start.
   */
  readonly apiHost?: string;
  readonly apiPortBase?: number;
  /** The machine of each replica, for links and API, instead of `linkHost` and `apiHost`; as many as `replicas`. */
  readonly hosts?: readonly string[];
  readonly batchSize?: Partial<ChannelConfig['batchSize']>;
  readonly batchTimeoutMs?: number;
  readonly sluice?: Partial<SluiceOptions>;
  /** How replicas reach each other's memory; `shm` when absent: all on this machine. */
  readonly provider?: ProviderName;
  /** False: no gateway key; replicas accept signed envelopes only. */
  readonly gateway?: boolean;
  readonly nowMs?: number;
  /** Called after each step with how many of all are done. */
  readonly onProgress?: (progress: { done: number; total: number; step: string }) => void;
}

/** Defaults of `sluice init`; Fabric's sample network has the same batch settings. */
export const NETWORK_DEFAULTS = {
  replicas: 4,
  channel: 'main',
  linkHost: '127.0.0.1',
  linkPortBase: 7151,
  apiHost: '127.0.0.1',
  apiPortBase: 7051,
  batchSize: {
    maxMessageCount: 500,
    absoluteMaxBytes: 10 * 1024 * 1024,
    preferredMaxBytes: 2 * 1024 * 1024,
  },
  batchTimeoutMs: 2000,
  provider: SETTINGS_DEFAULTS.provider,
} as const;

/** One alone has nobody to agree with. */
export const REPLICAS_MIN = 2;
/** What `CreateNetworkOptions.provider` may be. */
export { PROVIDERS };

export type Plan = Required<Omit<CreateNetworkOptions, 'onProgress' | 'sluice' | 'batchSize'>> &
  Pick<ChannelConfig, 'batchSize'> & { readonly sluice: SluiceOptions };

/** Throws NetworkError `bad_option`. */
export function planOf(options: CreateNetworkOptions): Plan {
  const { onProgress: _, ...given } = options;
  const plan: Plan = {
    ...NETWORK_DEFAULTS,
    hosts: [],
    moreChannels: [],
    gateway: true,
    nowMs: Date.now(),
    ...given,
    batchSize: { ...NETWORK_DEFAULTS.batchSize, ...options.batchSize },
    sluice: {
      ...defaultSluiceOptions(options.replicas ?? NETWORK_DEFAULTS.replicas),
      ...options.sluice,
    },
  };
  const { consentersMax, batchTimeoutMsMax } = CONFIG_LIMITS;
  requireRange('replicas', plan.replicas, REPLICAS_MIN, consentersMax);
  requireRange('batchTimeoutMs', plan.batchTimeoutMs, 1, batchTimeoutMsMax);
  requireRange('linkPortBase', plan.linkPortBase, 1, 65_536 - plan.replicas);
  requireRange('apiPortBase', plan.apiPortBase, 0, 65_536 - plan.replicas);
  checkChannels(channelsOf(plan));
  checkHosts(plan);
  const problem =
    batchSizeProblem(plan.batchSize) ?? sluiceOptionsProblem(plan.sluice, plan.replicas);
  if (problem !== undefined) throw new NetworkError('bad_option', problem);
  checkPorts(plan);
  return plan;
}

function checkHosts(plan: Plan): void {
  const { hosts, replicas, provider } = plan;
  const bad = (problem: string): never => {
    throw new NetworkError('bad_option', problem);
  };
  const named = [
    ['linkHost', plan.linkHost],
    ['apiHost', plan.apiHost],
    ...hosts.map((host) => ['hosts', host] as const),
  ] as const;
  for (const [name, host] of named) {
    if (/^[A-Za-z0-9.:_-]{1,255}$/.test(host)) continue;
    bad(`${name}: ${JSON.stringify(host)} is no host name or IP address`);
  }
  if (hosts.length > 0 && hosts.length !== replicas) {
    bad(`hosts: ${hosts.length} are named for ${replicas} replicas; name one for each`);
  }
  if (provider === 'shm' && new Set(hosts).size > 1) {
    bad('transport: shm reaches one machine only; choose tcp for several hosts');
  }
}

/**
 * On one host, an API port that is also a link port would only show when the second replica starts.
 */
function checkPorts(plan: Plan): void {
  if (plan.apiPortBase === 0 || plan.apiHost !== plan.linkHost) return;
  if (Math.abs(plan.apiPortBase - plan.linkPortBase) >= plan.replicas) return;
  throw new NetworkError(
    'bad_option',
    `the API ports ${plan.apiPortBase}.. and the link ports ${plan.linkPortBase}.. of ${plan.replicas} replicas overlap; move one of them`,
  );
}

function requireRange(name: string, value: number, min: number, max: number): void {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return;
  throw new NetworkError('bad_option', `${name}: must be ${min}..${max}, found ${value}`);
}

export function placesOf(plan: Plan): ReplicaPlace[] {
  return Array.from({ length: plan.replicas }, (_, index) => {
    const host = plan.hosts[index];
    // Ports count up where replicas share a machine.
    const offset = plan.hosts.slice(0, index).filter((other) => other === host).length;
    const at = host === undefined ? index : offset;
    return {
      number: index + 1,
      host: host ?? plan.linkHost,
      linkPort: plan.linkPortBase + at,
      apiHost: host ?? plan.apiHost,
      apiPort: plan.apiPortBase === 0 ? 0 : plan.apiPortBase + at,
    };
  });
}

export function channelsOf({ channel, moreChannels }: Plan): readonly string[] {
  return [channel, ...moreChannels];
}

function checkChannels(names: readonly string[]): void {
  const bad = names.find((name) => !isChannelName(name));
  if (bad !== undefined) {
    throw new NetworkError(
      'bad_option',
      `channel: ${JSON.stringify(bad)} is no channel name; use lower-case letters, digits, dots and dashes, starting with a letter`,
    );
  }
  if (new Set(names).size < names.length) {
    throw new NetworkError('bad_option', 'channel: two channels have the same name');
  }
  if (names.length > SETTINGS_LIMITS.channelsMax) {
    throw new NetworkError(
      'bad_option',
      `channel: ${names.length} channels, at most ${SETTINGS_LIMITS.channelsMax} are allowed`,
    );
  }
}
