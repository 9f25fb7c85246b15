/**
 * What a verifier must trust, read from the genesis block: the channel, the consenters' keys, and
 * the organizations with their certificate authorities. Browser-safe, and a second implementation
 * beside `orderer/channel-config`.
 *
 * The way to a value (fabric-protos common/configtx.proto): Block.data[0] is an Envelope of type
 * CONFIG, its data a ConfigEnvelope {1: Config{2: ConfigGroup}}; a ConfigGroup has {2: groups, 3:
 * values, 4: policies} as maps, a ConfigValue its bytes in field 2.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import {
  type ConsenterKey,
  checkBlockLinks,
  type Decoded,
  decodeBlock,
  HEADER_TYPES,
  headerHash,
  parseEnvelope,
} from '../../ledger/format/index.ts';
import { decodeCertificatePem } from './certificate.ts';
import { ConfigReadError, type Fields, readFields, readMap, totally } from './config-reader.ts';

/** An organization and what it trusts; all certificates and revocation lists as PEM bytes. */
export interface TrustedOrganization {
  readonly mspId: string;
  readonly rootCertificates: readonly Uint8Array[];
  readonly intermediateCertificates: readonly Uint8Array[];
  readonly revocationLists: readonly Uint8Array[];
}

export interface TrustRoot {
  readonly channel: string;
  /**
   * Header hash of block 0, hex. Undefined when the trust was given as keys: block 0 itself is then
   * taken as it comes, and only the certificate of block 1, which names its hash, vouches for it.
   */
  readonly genesisHash: string | undefined;
  /** Sorted by number. */
  readonly consenters: readonly ConsenterKey[];
  readonly organizations: readonly TrustedOrganization[];
}

/** `common.Consenter`: {1: id, 5: identity (PEM)}. */
function readConsenter(bytes: Uint8Array): ConsenterKey {
  const consenter = readFields(bytes);
  const number = consenter.integer(1);
  const certificate = decodeCertificatePem(consenter.bytes(5));
  if (certificate.kind === 'malformed') {
    throw new ConfigReadError(`identity of consenter ${number}: ${certificate.reason}`);
  }
  const { algorithm, bytes: publicKey } = certificate.value.publicKey;
  return { number, algorithm, publicKey };
}

function readConsenters(orderer: Fields): ConsenterKey[] {
  const orderers = readMap(orderer, 3).get('Orderers');
  if (orderers === undefined) {
    throw new ConfigReadError('no value Channel/Orderer/Orderers; is the consensus type BFT?');
  }
  const consenters = readFields(orderers.bytes(2)).list(1).map(readConsenter);
  const numbers = new Set(consenters.map(({ number }) => number));
  if (consenters.length === 0) throw new ConfigReadError('no consenters');
  if (numbers.size !== consenters.length) throw new ConfigReadError('a consenter number twice');
  const keys = new Set(consenters.map(({ publicKey }) => bytesToHex(publicKey)));
  // One key under two numbers would let one replica count twice in a quorum.
  if (keys.size !== consenters.length) throw new ConfigReadError('two consenters with one key');
  return consenters.sort((a, b) => a.number - b.number);
}

/**
 * `msp.MSPConfig` {2: FabricMSPConfig} with {1: name, 2: root_certs, 3:
 * intermediate_certs, 5: revocation_list}.
 */
function readOrganization(name: string, group: Fields): TrustedOrganization {
  const value = readMap(group, 3).get('MSP');
  if (value === undefined) throw new ConfigReadError(`organization ${name} has no value MSP`);
  const msp = readFields(readFields(value.bytes(2)).bytes(2));
  return {
    mspId: msp.text(1),
    rootCertificates: msp.list(2),
    intermediateCertificates: msp.list(3),
    revocationLists: msp.list(5),
  };
}

function readOrganizations(channelGroup: Fields): TrustedOrganization[] {
  const byMsp = new Map<string, TrustedOrganization>();
  for (const [section, group] of readMap(channelGroup, 2)) {
    if (section !== 'Orderer' && section !== 'Application') continue;
    for (const [name, organizationGroup] of readMap(group, 2)) {
      const organization = readOrganization(name, organizationGroup);
      // An organization may stand in both sections; its authorities are those of either.
      const known = byMsp.get(organization.mspId);
      byMsp.set(
        organization.mspId,
        known === undefined ? organization : merge(known, organization),
      );
    }
  }
  return [...byMsp.values()];
}

function merge(a: TrustedOrganization, b: TrustedOrganization): TrustedOrganization {
  return {
    mspId: a.mspId,
    rootCertificates: [...a.rootCertificates, ...b.rootCertificates],
    intermediateCertificates: [...a.intermediateCertificates, ...b.intermediateCertificates],
    revocationLists: [...a.revocationLists, ...b.revocationLists],
  };
}

function readGenesis(bytes: Uint8Array): TrustRoot {
  const block = decodeBlock(bytes);
  if (block.kind === 'malformed') throw new ConfigReadError(block.reason);
  const { header, data } = block.value;
  if (header.number !== 0) throw new ConfigReadError(`it is block ${header.number}, not block 0`);
  const links = checkBlockLinks(block.value, undefined, sha256);
  if (links.kind === 'invalid') throw new ConfigReadError(links.reason);
  const [first] = data;
  if (first === undefined || data.length !== 1) throw new ConfigReadError('not one transaction');
  const envelope = parseEnvelope(first);
  if (envelope.kind === 'malformed') throw new ConfigReadError(envelope.reason);
  const { channelHeader, data: configEnvelope } = envelope.value;
  if (channelHeader.type !== HEADER_TYPES.CONFIG) {
    throw new ConfigReadError(`its transaction has type ${channelHeader.type}, not CONFIG`);
  }
  const channelGroup = readFields(readFields(readFields(configEnvelope).bytes(1)).bytes(2));
  const orderer = readMap(channelGroup, 2).get('Orderer');
  if (orderer === undefined) throw new ConfigReadError('no group Channel/Orderer');
  return {
    channel: channelHeader.channelId,
    genesisHash: bytesToHex(headerHash(header, sha256)),
    consenters: readConsenters(orderer),
    organizations: readOrganizations(channelGroup),
  };
}

/** Reads the trust root out of a serialized genesis block. Total. */
export function readTrustRoot(genesisBlock: Uint8Array): Decoded<TrustRoot> {
  return totally('not a genesis block', () => readGenesis(genesisBlock));
}
