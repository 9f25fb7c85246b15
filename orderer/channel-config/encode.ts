/**
 * Channel configuration to Fabric's genesis block, as configtxgen writes it: same groups,
 * values, policies and mod_policy. The bytes depend on the configuration alone, so every
 * machine writes the same block.
 */

import type {
  ConfigGroup,
  ConfigPolicy,
} from '@hyperledger/fabric-protos/lib/common/configtx_pb.js';
import configtx from '@hyperledger/fabric-protos/lib/common/configtx_pb.js';
import configuration from '@hyperledger/fabric-protos/lib/common/configuration_pb.js';
import orderer from '@hyperledger/fabric-protos/lib/orderer/configuration_pb.js';
import { sha256 } from '@noble/hashes/sha2.js';
import {
  computeTxId,
  dataHash,
  encodeBlock,
  encodeEnvelope,
  encodePayload,
  GENESIS_SIGNATURES_METADATA,
  HEADER_TYPES,
} from '../../ledger/format/index.ts';
import { encodePolicy } from '../policy/codec.ts';
import type { Policy, PolicyTree } from '../policy/types.ts';
import { formatDuration } from './duration.ts';
import { encodeMsp } from './msp-codec.ts';
import { type ProtoMap, utf8Bytes } from './proto.ts';
import { encodeSluiceOptions } from './sluice-options.ts';
import type { ChannelConfig, Consenter, MspConfig } from './types.ts';

/** configtxgen lets the group's own Admins change each of its elements. */
const MOD_POLICY = 'Admins';
/** Fabric hashes block data as one flat concatenation; the width says so. */
const FLAT_MERKLE_WIDTH = 0xffff_ffff;
const NONCE_BYTES = 24;
const EMPTY = new Uint8Array(0);

/** Serialized `common.Block` number 0. */
export function encodeGenesisBlock(config: ChannelConfig): Uint8Array {
  const inner = new configtx.Config();
  inner.setSequence(config.sequence);
  inner.setChannelGroup(channelGroup(config));
  const envelope = new configtx.ConfigEnvelope();
  envelope.setConfig(inner);
  const data = envelope.serializeBinary();
  // Fabric draws the nonce at random; nothing needs that of an unsigned block,
  // and equal bytes are worth more.
  const nonce = sha256(data).subarray(0, NONCE_BYTES);
  const channelHeader = {
    type: HEADER_TYPES.CONFIG,
    version: 1,
    timestampMs: config.createdAtMs,
    channelId: config.channel,
    txId: computeTxId(nonce, EMPTY, sha256),
    epoch: 0,
    extension: EMPTY,
    tlsCertHash: EMPTY,
  };
  const payload = encodePayload(channelHeader, { creator: EMPTY, nonce }, data);
  const transactions = [encodeEnvelope(payload, EMPTY)];
  return encodeBlock({
    header: { number: 0, previousHash: EMPTY, dataHash: dataHash(transactions, sha256) },
    data: transactions,
    metadata: [GENESIS_SIGNATURES_METADATA, EMPTY, EMPTY, EMPTY, EMPTY],
  });
}

function channelGroup(config: ChannelConfig): ConfigGroup {
  const group = newGroup(config.policies);
  const hashing = new configuration.HashingAlgorithm();
  hashing.setName('SHA256');
  setValue(group, 'HashingAlgorithm', hashing.serializeBinary());
  const structure = new configuration.BlockDataHashingStructure();
  structure.setWidth(FLAT_MERKLE_WIDTH);
  setValue(group, 'BlockDataHashingStructure', structure.serializeBinary());
  setValue(group, 'Capabilities', capabilities('V3_0'));
  setGroup(group, 'Orderer', ordererGroup(config));
  setGroup(group, 'Application', applicationGroup(config));
  return group;
}

function ordererGroup(config: ChannelConfig): ConfigGroup {
  const tree = subTree(config.policies, 'Orderer');
  const group = newGroup(tree);
  const consensus = new orderer.ConsensusType();
  consensus.setType('BFT');
  consensus.setState(orderer.ConsensusType.State.STATE_NORMAL);
  if (config.sluice !== undefined) consensus.setMetadata(encodeSluiceOptions(config.sluice));
  setValue(group, 'ConsensusType', consensus.serializeBinary());
  const size = new orderer.BatchSize();
  size.setMaxMessageCount(config.batchSize.maxMessageCount);
  size.setAbsoluteMaxBytes(config.batchSize.absoluteMaxBytes);
  size.setPreferredMaxBytes(config.batchSize.preferredMaxBytes);
  setValue(group, 'BatchSize', size.serializeBinary());
  const timeout = new orderer.BatchTimeout();
  timeout.setTimeout(formatDuration(config.batchTimeoutMs));
  setValue(group, 'BatchTimeout', timeout.serializeBinary());
  setValue(group, 'ChannelRestrictions', new orderer.ChannelRestrictions().serializeBinary());
  setValue(group, 'Capabilities', capabilities('V2_0'));
  setValue(group, 'Orderers', consenterMapping(config.consenters));
  for (const [position, msp] of config.msps.filter((item) => item.kind === 'orderer').entries()) {
    // Fabric's capability V3_0 wants endpoints per organization; which one owns
    // an address is not ours to know.
    const addresses = position === 0 ? config.ordererAddresses : [];
    setGroup(group, msp.group, organizationGroup(msp, tree, addresses));
  }
  return group;
}

function applicationGroup(config: ChannelConfig): ConfigGroup {
  const tree = subTree(config.policies, 'Application');
  const group = newGroup(tree);
  setValue(group, 'Capabilities', capabilities('V2_5'));
  for (const msp of config.msps.filter((item) => item.kind === 'application')) {
    setGroup(group, msp.group, organizationGroup(msp, tree, []));
  }
  return group;
}

function organizationGroup(
  msp: MspConfig,
  parent: PolicyTree,
  addresses: readonly string[],
): ConfigGroup {
  const group = newGroup(subTree(parent, msp.group));
  setValue(group, 'MSP', encodeMsp(msp));
  if (addresses.length > 0) {
    const endpoints = new configuration.OrdererAddresses();
    endpoints.setAddressesList([...addresses]);
    setValue(group, 'Endpoints', endpoints.serializeBinary());
  }
  return group;
}

function consenterMapping(consenters: readonly Consenter[]): Uint8Array {
  const list = new configuration.Orderers();
  for (const consenter of [...consenters].sort((left, right) => left.number - right.number)) {
    const item = new configuration.Consenter();
    item.setId(consenter.number);
    item.setHost(consenter.host);
    item.setPort(consenter.port);
    item.setMspId(consenter.mspId);
    item.setIdentity(utf8Bytes(consenter.identityPem));
    item.setClientTlsCert(utf8Bytes(consenter.clientTlsPem));
    item.setServerTlsCert(utf8Bytes(consenter.serverTlsPem));
    list.addConsenterMapping(item);
  }
  return list.serializeBinary();
}

function capabilities(name: string): Uint8Array {
  const message = new configuration.Capabilities();
  const map: ProtoMap<unknown> = message.getCapabilitiesMap();
  map.set(name, new configuration.Capability());
  return message.serializeBinary();
}

function subTree(tree: PolicyTree, name: string): PolicyTree {
  return tree.groups.get(name) ?? { policies: new Map(), groups: new Map() };
}

function newGroup(tree: PolicyTree): ConfigGroup {
  const group = new configtx.ConfigGroup();
  group.setModPolicy(MOD_POLICY);
  const map: ProtoMap<ConfigPolicy> = group.getPoliciesMap();
  for (const [name, policy] of tree.policies) map.set(name, configPolicy(policy));
  return group;
}

function configPolicy(policy: Policy): ConfigPolicy {
  const message = new configtx.ConfigPolicy();
  message.setModPolicy(MOD_POLICY);
  message.setPolicy(encodePolicy(policy));
  return message;
}

function setValue(group: ConfigGroup, name: string, bytes: Uint8Array): void {
  const value = new configtx.ConfigValue();
  value.setModPolicy(MOD_POLICY);
  value.setValue(bytes);
  const map: ProtoMap<unknown> = group.getValuesMap();
  map.set(name, value);
}

function setGroup(parent: ConfigGroup, name: string, group: ConfigGroup): void {
  const map: ProtoMap<ConfigGroup> = parent.getGroupsMap();
  map.set(name, group);
}
