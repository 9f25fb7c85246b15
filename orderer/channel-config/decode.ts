/**
 * Genesis block to channel configuration. Total: anything that is wrong is a ConfigError that
 * names where in the configuration tree. Reads Fabric's own BFT channels too (without
 * Sluice's options, for auditing).
 */

import type {
  ConfigGroup,
  ConfigPolicy,
  ConfigValue,
} from '@hyperledger/fabric-protos/lib/common/configtx_pb.js';
import configtx from '@hyperledger/fabric-protos/lib/common/configtx_pb.js';
import configuration from '@hyperledger/fabric-protos/lib/common/configuration_pb.js';
import orderer from '@hyperledger/fabric-protos/lib/orderer/configuration_pb.js';
import { sha256 } from '@noble/hashes/sha2.js';
import {
  checkBlockLinks,
  decodeBlock,
  HEADER_TYPES,
  parseEnvelope,
} from '../../ledger/format/index.ts';
import { decodePolicy } from '../policy/codec.ts';
import type { Policy, PolicyTree } from '../policy/types.ts';
import { consentersProblem } from './consenters.ts';
import { parseDuration } from './duration.ts';
import { ConfigError } from './errors.ts';
import { CONFIG_LIMITS } from './limits.ts';
import { decodeMsp } from './msp-codec.ts';
import { entriesOf, type ProtoMap, parseProto, utf8 } from './proto.ts';
import { decodeSluiceOptions, sluiceOptionsProblem } from './sluice-options.ts';
import type { BatchSize, ChannelConfig, Consenter, MspConfig, SluiceOptions } from './types.ts';
import { WIRE_SHAPES } from './wire-guard.ts';

/** Fabric's rule for channel names (fabric common/configtx/validator.go `validateChannelID`). */
const CHANNEL_NAME = /^[a-z][a-z0-9.-]*$/;

export function isChannelName(name: string): boolean {
  return name.length <= CONFIG_LIMITS.channelNameMax && CHANNEL_NAME.test(name);
}

/** `genesisBlock`: serialized `common.Block` number 0. Throws ConfigError. */
export function readChannelConfig(genesisBlock: Uint8Array): ChannelConfig {
  const { channel, createdAtMs, data } = openGenesis(genesisBlock);
  const envelope = parseProto(
    'ConfigEnvelope',
    configtx.ConfigEnvelope,
    data,
    WIRE_SHAPES.configEnvelope,
  );
  const config = envelope.getConfig();
  const root = config?.getChannelGroup();
  if (config === undefined || root === undefined) {
    throw new ConfigError('ConfigEnvelope', 'holds no channel group');
  }
  const ordererGroup = groupOf('Channel', root, 'Orderer');
  const applicationGroup = groupMap(root).get('Application');
  const msps = [
    ...organizations('Channel/Orderer', 'orderer', ordererGroup),
    ...organizations('Channel/Application', 'application', applicationGroup),
  ];
  checkDistinct('Channel', msps);
  checkHashing(root);
  const consensus = consensusType(ordererGroup);
  const consenters = consenterList(ordererGroup);
  const problem = consentersProblem(consenters, msps);
  if (problem !== undefined) throw new ConfigError('Channel/Orderer/Orderers', problem);
  return {
    channel,
    sequence: config.getSequence(),
    createdAtMs,
    batchSize: batchSize(ordererGroup),
    batchTimeoutMs: batchTimeoutMs(ordererGroup),
    consenters,
    msps,
    policies: policyTree('Channel', root, 0),
    sluice: sluiceOptionsOf(consensus.getMetadata_asU8(), consenters.length),
    ordererAddresses: addresses(root, ordererGroup),
  };
}

/** What only a Sluice channel has; throws ConfigError `not_a_sluice_channel` for Fabric's own. */
export function requireSluiceOptions(config: ChannelConfig): SluiceOptions {
  if (config.sluice !== undefined) return config.sluice;
  throw new ConfigError(
    'Channel/Orderer/ConsensusType',
    `channel ${config.channel} is not a Sluice channel: its consensus metadata is another orderer's. It can be audited (sluice verify), not ordered; create a channel with sluice init.`,
    'not_a_sluice_channel',
  );
}

function openGenesis(bytes: Uint8Array): {
  channel: string;
  createdAtMs: number;
  data: Uint8Array;
} {
  const at = 'genesis block';
  if (bytes.length > CONFIG_LIMITS.genesisBytesMax) {
    throw new ConfigError(at, `${bytes.length} bytes; at most ${CONFIG_LIMITS.genesisBytesMax}`);
  }
  const block = decodeBlock(bytes);
  if (block.kind !== 'ok') throw new ConfigError(at, block.reason);
  const links = checkBlockLinks(block.value, undefined, sha256);
  if (links.kind !== 'ok') throw new ConfigError(at, links.reason);
  const first = block.value.data[0];
  if (block.value.data.length !== 1 || first === undefined) {
    throw new ConfigError(at, 'must hold one configuration transaction and nothing else');
  }
  const envelope = parseEnvelope(first);
  if (envelope.kind !== 'ok') throw new ConfigError(at, envelope.reason);
  const { channelHeader, data } = envelope.value;
  if (channelHeader.type !== HEADER_TYPES.CONFIG) {
    throw new ConfigError(at, `its transaction has type ${channelHeader.type}, not CONFIG (1)`);
  }
  const { channelId, timestampMs } = channelHeader;
  if (!isChannelName(channelId)) {
    const name = JSON.stringify(channelId.slice(0, 80));
    throw new ConfigError(
      at,
      `channel name ${name} must be lower-case letters, digits, dots and dashes, starting with a letter, at most ${CONFIG_LIMITS.channelNameMax}`,
    );
  }
  return { channel: channelId, createdAtMs: timestampMs, data };
}

function groupMap(group: ConfigGroup): ProtoMap<ConfigGroup> {
  return group.getGroupsMap();
}

function groupOf(path: string, parent: ConfigGroup, name: string): ConfigGroup {
  const group = groupMap(parent).get(name);
  if (group === undefined) throw new ConfigError(`${path}/${name}`, 'is missing');
  return group;
}

function optionalValue(group: ConfigGroup, name: string): Uint8Array | undefined {
  const map: ProtoMap<ConfigValue> = group.getValuesMap();
  return map.get(name)?.getValue_asU8();
}

function requiredValue(path: string, group: ConfigGroup, name: string): Uint8Array {
  const bytes = optionalValue(group, name);
  if (bytes === undefined) throw new ConfigError(`${path}/${name}`, 'is missing');
  return bytes;
}

function organizations(
  path: string,
  kind: 'orderer' | 'application',
  parent: ConfigGroup | undefined,
): MspConfig[] {
  if (parent === undefined) return [];
  const groups = entriesOf(groupMap(parent));
  if (groups.length > CONFIG_LIMITS.organizationsMax) {
    throw new ConfigError(path, `more than ${CONFIG_LIMITS.organizationsMax} organizations`);
  }
  return groups.map(([name, group]) => {
    const at = `${path}/${name}`;
    return decodeMsp(`${at}/MSP`, name, kind, requiredValue(at, group, 'MSP'));
  });
}

/** An organization may order and use the channel, but one MSP id stands for one set of CAs. */
function checkDistinct(path: string, msps: readonly MspConfig[]): void {
  const seen = new Map<string, MspConfig>();
  for (const msp of msps) {
    const other = seen.get(msp.mspId);
    if (other === undefined) {
      seen.set(msp.mspId, msp);
      continue;
    }
    const same = JSON.stringify(other.rootCertsPem) === JSON.stringify(msp.rootCertsPem);
    if (other.kind === msp.kind || !same) {
      throw new ConfigError(path, `two organizations are called ${msp.mspId}`);
    }
  }
}

function checkHashing(root: ConfigGroup): void {
  const at = 'Channel/HashingAlgorithm';
  const bytes = requiredValue('Channel', root, 'HashingAlgorithm');
  const name = parseProto(at, configuration.HashingAlgorithm, bytes).getName();
  if (name !== 'SHA256') throw new ConfigError(at, `must be SHA256, found ${JSON.stringify(name)}`);
}

function consensusType(group: ConfigGroup) {
  const at = 'Channel/Orderer/ConsensusType';
  const bytes = requiredValue('Channel/Orderer', group, 'ConsensusType');
  const consensus = parseProto(at, orderer.ConsensusType, bytes);
  if (consensus.getType() !== 'BFT') {
    throw new ConfigError(at, `type must be BFT, found ${JSON.stringify(consensus.getType())}`);
  }
  return consensus;
}

function batchSize(group: ConfigGroup): BatchSize {
  const at = 'Channel/Orderer/BatchSize';
  const message = parseProto(
    at,
    orderer.BatchSize,
    requiredValue('Channel/Orderer', group, 'BatchSize'),
  );
  const size = {
    maxMessageCount: message.getMaxMessageCount(),
    absoluteMaxBytes: message.getAbsoluteMaxBytes(),
    preferredMaxBytes: message.getPreferredMaxBytes(),
  };
  const problem = batchSizeProblem(size);
  if (problem !== undefined) throw new ConfigError(at, problem);
  return size;
}

/**
 * Undefined when the sizes are good. Source of the rules: fabric common/channelconfig/orderer.go.
 */
export function batchSizeProblem(size: BatchSize): string | undefined {
  const { maxMessageCount, absoluteMaxBytes, preferredMaxBytes } = size;
  const { maxMessageCountMax, absoluteMaxBytesMax } = CONFIG_LIMITS;
  if (!inRange(maxMessageCount, maxMessageCountMax)) {
    return `max_message_count must be 1..${maxMessageCountMax}, found ${maxMessageCount}`;
  }
  if (!inRange(absoluteMaxBytes, absoluteMaxBytesMax)) {
    return `absolute_max_bytes must be 1..${absoluteMaxBytesMax}, found ${absoluteMaxBytes}`;
  }
  if (!inRange(preferredMaxBytes, absoluteMaxBytes)) {
    return `preferred_max_bytes must be 1..absolute_max_bytes (${absoluteMaxBytes}), found ${preferredMaxBytes}`;
  }
  return undefined;
}

function inRange(value: number, max: number): boolean {
  return Number.isSafeInteger(value) && value >= 1 && value <= max;
}

function batchTimeoutMs(group: ConfigGroup): number {
  const at = 'Channel/Orderer/BatchTimeout';
  const bytes = requiredValue('Channel/Orderer', group, 'BatchTimeout');
  const text = parseProto(at, orderer.BatchTimeout, bytes).getTimeout();
  const ms = parseDuration(text);
  const max = CONFIG_LIMITS.batchTimeoutMsMax;
  if (ms === undefined || ms <= 0 || ms > max) {
    const shown = JSON.stringify(text.slice(0, 80));
    throw new ConfigError(
      at,
      `must be a duration like "2s", above 0 and at most 1h; found ${shown}`,
    );
  }
  return Math.max(1, Math.round(ms));
}

function consenterList(group: ConfigGroup): Consenter[] {
  const at = 'Channel/Orderer/Orderers';
  const list = parseProto(
    at,
    configuration.Orderers,
    requiredValue('Channel/Orderer', group, 'Orderers'),
    WIRE_SHAPES.orderers,
  ).getConsenterMappingList();
  return list
    .map((item, index) => ({
      number: item.getId(),
      host: item.getHost(),
      port: item.getPort(),
      mspId: item.getMspId(),
      identityPem: utf8(`${at}[${index}]/identity`, item.getIdentity_asU8()),
      clientTlsPem: utf8(`${at}[${index}]/client_tls_cert`, item.getClientTlsCert_asU8()),
      serverTlsPem: utf8(`${at}[${index}]/server_tls_cert`, item.getServerTlsCert_asU8()),
    }))
    .sort((left, right) => left.number - right.number);
}

function sluiceOptionsOf(metadata: Uint8Array, replicas: number): SluiceOptions | undefined {
  const options = decodeSluiceOptions(metadata);
  if (options.kind === 'foreign') return undefined;
  const problem =
    options.kind === 'malformed' ? options.reason : sluiceOptionsProblem(options.value, replicas);
  if (options.kind === 'malformed' || problem !== undefined) {
    throw new ConfigError('Channel/Orderer/ConsensusType/metadata', problem ?? '');
  }
  return options.value;
}

function addresses(root: ConfigGroup, ordererGroup: ConfigGroup): string[] {
  const list: string[] = [];
  const add = (path: string, bytes: Uint8Array | undefined): void => {
    if (bytes === undefined) return;
    list.push(...parseProto(path, configuration.OrdererAddresses, bytes).getAddressesList());
  };
  add('Channel/OrdererAddresses', optionalValue(root, 'OrdererAddresses'));
  for (const [name, group] of entriesOf(groupMap(ordererGroup))) {
    add(`Channel/Orderer/${name}/Endpoints`, optionalValue(group, 'Endpoints'));
  }
  return [...new Set(list)];
}

function policyTree(path: string, group: ConfigGroup, depth: number): PolicyTree {
  if (depth > CONFIG_LIMITS.groupDepthMax) {
    throw new ConfigError(path, `groups are nested deeper than ${CONFIG_LIMITS.groupDepthMax}`);
  }
  const policies = new Map<string, Policy>();
  const map: ProtoMap<ConfigPolicy> = group.getPoliciesMap();
  for (const [name, item] of entriesOf(map)) {
    const message = item.getPolicy();
    if (message === undefined) throw new ConfigError(`${path}/${name}`, 'policy is empty');
    const policy = decodePolicy(message);
    if (policy.kind !== 'ok') throw new ConfigError(`${path}/${name}`, policy.reason);
    policies.set(name, policy.value);
  }
  const groups = new Map<string, PolicyTree>();
  for (const [name, inner] of entriesOf(groupMap(group))) {
    groups.set(name, policyTree(`${path}/${name}`, inner, depth + 1));
  }
  return { policies, groups };
}
