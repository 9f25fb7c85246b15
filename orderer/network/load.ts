/**
 * Everything that a replica needs to start, from its replica.yaml: settings, channels, keys; all of
 * it checked against each other, so that what goes wrong later is not a wrong file.
 */

import {
  type ChannelConfig,
  CONFIG_LIMITS,
  ConfigError,
  type Consenter,
  consenterKeys,
  readChannelConfig,
  requireSluiceOptions,
  type SluiceOptions,
} from '../channel-config/index.ts';
import { IdentityResolver, parseCertificatePem } from '../msp/index.ts';
import {
  type ChannelSettings,
  type NetworkSettings,
  type ReplicaSettings,
  readNetworkFile,
  readReplicaFile,
} from '../settings/index.ts';
import { NetworkError } from './errors.ts';
import {
  type LoadedKey,
  loadKey,
  loadWriter,
  readBytes,
  validityWarning,
  type WriterKey,
} from './key-files.ts';

export interface LoadedChannel {
  readonly name: string;
  /** Serialized block 0, as it is in the file. */
  readonly genesisBlock: Uint8Array;
  readonly config: ChannelConfig;
  readonly sluice: SluiceOptions;
  /** The replica's own choice, or the channel's. */
  readonly waitMode: SluiceOptions['waitMode'];
  /** Position of this replica in `config.consenters`. */
  readonly self: number;
}

export interface LoadedReplica {
  readonly settings: ReplicaSettings;
  readonly network: NetworkSettings;
  readonly number: number;
  readonly channels: readonly LoadedChannel[];
  /** Signs blocks and PREPAREs; Ed25519. */
  readonly identity: LoadedKey;
  /**
   * For the links between replicas: own pair, and the CAs that the others' certificates lead to.
   */
  readonly tls: LoadedKey & { readonly rootsPem: readonly string[] };
  readonly gateway: WriterKey | undefined;
  /** Sentences for the log: certificates that end soon. */
  readonly warnings: readonly string[];
}

/**
 * Throws SettingsError, ConfigError or NetworkError; each message names the file and what to do.
 */
export function loadReplica(file: string, nowMs: number = Date.now()): LoadedReplica {
  const settings = readReplicaFile(file);
  const network = readNetworkFile(settings.networkFile);
  const { number } = settings;
  const name = `replica ${number}`;
  const identity = loadKey(settings.keys.identity, `the identity of ${name}`);
  const tls = loadKey(settings.keys.tls, `the TLS end of ${name}`);
  const gateway =
    settings.gateway === undefined
      ? undefined
      : loadWriter(settings.gateway, `the gateway of ${name}`);
  const channels = network.channels.map((channel) => {
    const loaded = loadChannel(channel, settings, network);
    checkOwnKeys(loaded, settings, identity, tls);
    if (gateway !== undefined) checkGateway(loaded, settings, gateway);
    return loaded;
  });
  const warnings = [
    validityWarning(identity.certificate, `the identity of ${name}`, nowMs),
    validityWarning(tls.certificate, `the TLS end of ${name}`, nowMs),
    gateway && validityWarning(gateway.certificate, `the gateway of ${name}`, nowMs),
  ].filter((warning) => warning !== undefined);
  const rootsPem = tlsRoots(channels);
  return {
    settings,
    network,
    number,
    channels,
    identity,
    tls: { ...tls, rootsPem },
    gateway,
    warnings,
  };
}

/** 32-byte seed of the identity key, which `loadReplica` has checked to be Ed25519. */
export function signingSeedOf({ identity }: Pick<LoadedReplica, 'identity'>): Uint8Array {
  const { d } = identity.privateKey.export({ format: 'jwk' });
  return new Uint8Array(Buffer.from(d ?? '', 'base64url'));
}

/**
 * Genesis block of a channel; ConfigErrors name the file. Also for commands that know no replica.
 */
export function loadGenesis(file: string): { genesisBlock: Uint8Array; config: ChannelConfig } {
  const genesisBlock = readBytes(file, 'genesis block', CONFIG_LIMITS.genesisBytesMax);
  try {
    return { genesisBlock, config: readChannelConfig(genesisBlock) };
  } catch (error) {
    throw named(file, error);
  }
}

function named(file: string, error: unknown): unknown {
  if (!(error instanceof ConfigError)) return error;
  const { path, code, message } = error;
  return new ConfigError(`${file}: ${path}`, message.slice(path.length + 2), code);
}

function loadChannel(
  channel: ChannelSettings,
  settings: ReplicaSettings,
  network: NetworkSettings,
): LoadedChannel {
  const { genesisFile } = channel;
  const { genesisBlock, config } = loadGenesis(genesisFile);
  if (config.channel !== channel.name) {
    throw new NetworkError(
      'mismatch',
      `${network.file} says that ${genesisFile} is the genesis block of channel ${channel.name}, but it is that of ${config.channel}; correct the name or the path`,
    );
  }
  checkBatch(channel, config, network);
  const self = config.consenters.findIndex((item) => item.number === settings.number);
  if (self < 0) {
    const numbers = config.consenters.map((item) => item.number).join(', ');
    throw new NetworkError(
      'mismatch',
      `${settings.file}: number: ${settings.number} is not among the consenters of channel ${channel.name} (${numbers}); use one of those numbers with its keys`,
    );
  }
  const listed = new Set(network.replicas.map((replica) => replica.number));
  const missing = config.consenters.find((item) => !listed.has(item.number));
  if (missing !== undefined) {
    throw new NetworkError(
      'mismatch',
      `${network.file}: replicas: number ${missing.number} is missing, a consenter of channel ${channel.name}; say where it is`,
    );
  }
  try {
    const sluice = requireSluiceOptions(config);
    requireEd25519(config);
    const waitMode = settings.waitMode ?? sluice.waitMode;
    return { name: channel.name, genesisBlock, config, sluice, waitMode, self };
  } catch (error) {
    throw named(genesisFile, error);
  }
}

function checkBatch(
  channel: ChannelSettings,
  config: ChannelConfig,
  network: NetworkSettings,
): void {
  const { batch } = channel;
  if (batch === undefined) return;
  const chain = { ...config.batchSize, timeoutMs: config.batchTimeoutMs };
  for (const key of Object.keys(chain) as (keyof typeof chain)[]) {
    if (batch[key] === chain[key]) continue;
    throw new NetworkError(
      'mismatch',
      `${network.file}:${batch.line}: batch of channel ${channel.name}: ${key} is ${batch[key]} here and ${chain[key]} in the genesis block, which decides; change it back, or create a new network`,
    );
  }
}

/** Sluice's replicas sign with Ed25519 everywhere; a P-256 consenter is Fabric's own orderer. */
function requireEd25519(config: ChannelConfig): void {
  const other = consenterKeys(config).find((key) => key.algorithm !== 'ed25519');
  if (other === undefined) return;
  throw new ConfigError(
    'Channel/Orderer/Orderers',
    `consenter ${other.number} has a ${other.algorithm} key; a Sluice channel needs Ed25519 identities`,
  );
}

function checkOwnKeys(
  channel: LoadedChannel,
  settings: ReplicaSettings,
  identity: LoadedKey,
  tls: LoadedKey,
): void {
  const consenter = channel.config.consenters[channel.self];
  if (consenter === undefined) return;
  const { keys, number } = settings;
  const compare = (
    file: string,
    own: LoadedKey,
    field: 'identityPem' | 'serverTlsPem' | 'clientTlsPem',
    what: string,
  ): void => {
    if (sameCertificate(own, consenter, field)) return;
    throw new NetworkError(
      'mismatch',
      `${file} is not the ${what} certificate that channel ${channel.name} knows consenter ${number} by; use the keys that belong to this genesis block`,
    );
  };
  compare(keys.identity.certificateFile, identity, 'identityPem', 'identity');
  compare(keys.tls.certificateFile, tls, 'serverTlsPem', 'TLS server');
  compare(keys.tls.certificateFile, tls, 'clientTlsPem', 'TLS client');
}

function sameCertificate(
  own: LoadedKey,
  consenter: Consenter,
  field: 'identityPem' | 'serverTlsPem' | 'clientTlsPem',
): boolean {
  const known = parseCertificatePem(consenter[field]);
  return known.kind === 'ok' && Buffer.compare(known.value.der, own.certificate.der) === 0;
}

/** A gateway that may not write would only show with the first curl. */
function checkGateway(channel: LoadedChannel, settings: ReplicaSettings, gateway: WriterKey): void {
  const resolver = new IdentityResolver(channel.config, { cacheEntriesMax: 1 });
  const resolved = resolver.resolve(gateway.creator, undefined);
  const problem =
    resolved.kind === 'refused'
      ? resolved.message
      : resolved.identity.mayWrite
        ? undefined
        : "the channel's Writers policy is not satisfied";
  if (problem === undefined) return;
  throw new NetworkError(
    'mismatch',
    `${settings.file}: gateway: its identity may not write to channel ${channel.name}: ${problem}; issue another one with sluice keygen, or remove the section`,
  );
}

function tlsRoots(channels: readonly LoadedChannel[]): string[] {
  const roots = channels.flatMap((channel) =>
    channel.config.msps
      .filter((msp) => msp.kind === 'orderer')
      .flatMap((msp) => [...msp.tlsRootCertsPem, ...msp.tlsIntermediateCertsPem]),
  );
  return [...new Set(roots)];
}
