/**
 * A small valid chain in memory: real certificates, a genesis block from `orderer/channel-config`,
 * blocks certified by a quorum of Ed25519 or P-256 consenters. For tests of whatever reads chains;
 * `chain-service.ts` serves one over the API.
 */

import { createPrivateKey, type KeyObject, randomBytes, sign } from 'node:crypto';
import {
  type BuiltEnvelope,
  buildEnvelope,
  createWriter,
  parsePrivateKey,
  type Writer,
} from '../../api/client/index.ts';
import { sign as signLowS } from '../../api/client/keys.ts';
import {
  type Block,
  type BlockHeader,
  dataHash,
  decodeBlock,
  encodeBlock,
  encodeCertificate,
  encodeIdentifierHeader,
  encodeOrdererBlockMetadata,
  headerHash,
  quorumOf,
  signedBytes,
} from '../../ledger/format/index.ts';
import {
  type ChannelConfig,
  DEFAULT_SLUICE_OPTIONS,
  encodeGenesisBlock,
} from '../../orderer/channel-config/index.ts';
import { standardPolicies } from '../../orderer/policy/index.ts';
import {
  createTestAuthority,
  issueTestNetwork,
  type KeyAlgorithm,
  type TestAuthority,
} from './certificates.ts';
import { sha256 } from './hash.ts';

export interface TestChainOptions {
  readonly consenters?: number;
  readonly channel?: string;
  /** Keys of consenters and writers. */
  readonly algorithm?: KeyAlgorithm;
  /** Blocks after the genesis block, and transactions in each. */
  readonly blocks?: number;
  readonly transactions?: number;
}

export interface TestChain {
  readonly channel: string;
  readonly config: ChannelConfig;
  /** The application organization's authority: issues more writers. */
  readonly authority: TestAuthority;
  readonly writer: Writer;
  /** Serialized blocks, `blocks[0]` the genesis block. */
  readonly blocks: Uint8Array[];
  /** A signed transaction of `writer`. */
  envelope(data: string | Uint8Array): BuiltEnvelope;
  /** Builds, certifies and appends the next block; answers its number. */
  append(envelopes: readonly Uint8Array[], signers?: readonly number[]): number;
  /**
   * The SIGNATURES metadata for a header, signed by these consenter numbers (default: the first q).
   */
  certify(header: BlockHeader, signers?: readonly number[]): Uint8Array;
  decoded(number: number): Block;
}

const WRITER_MSP = 'Org1MSP';
const ORDERER_MSP = 'OrdererMSP';
const EMPTY = new Uint8Array(0);

/** Decodes a block that must be one. */
export function mustDecode(bytes: Uint8Array | undefined): Block {
  const decoded = decodeBlock(bytes ?? EMPTY);
  if (decoded.kind === 'malformed') throw new Error(decoded.reason);
  return decoded.value;
}

async function createConfig(
  options: Required<Pick<TestChainOptions, 'consenters' | 'channel' | 'algorithm'>>,
  authority: TestAuthority,
): Promise<{ config: ChannelConfig; keys: string[] }> {
  const network = await issueTestNetwork(options.consenters, options.algorithm);
  const organizations = [
    { group: 'OrdererOrg', mspId: ORDERER_MSP, kind: 'orderer', root: network.ca.certPem },
    { group: 'Org1', mspId: WRITER_MSP, kind: 'application', root: authority.certPem },
  ] as const;
  const consenters = network.replicas.map(({ number, identity, tls }) => ({
    number,
    host: '127.0.0.1',
    port: 7150 + number,
    mspId: ORDERER_MSP,
    identityPem: identity.certPem,
    clientTlsPem: tls.certPem,
    serverTlsPem: tls.certPem,
  }));
  const config: ChannelConfig = {
    channel: options.channel,
    sequence: 0,
    createdAtMs: 1_700_000_000_000,
    batchSize: { maxMessageCount: 500, absoluteMaxBytes: 10 << 20, preferredMaxBytes: 2 << 20 },
    batchTimeoutMs: 2_000,
    consenters,
    msps: organizations.map(({ group, mspId, kind, root }) => ({
      mspId,
      group,
      kind,
      rootCertsPem: [root],
      intermediateCertsPem: [],
      adminsPem: [],
      revokedPem: [],
      tlsRootCertsPem: kind === 'orderer' ? [network.tlsCa.certPem] : [],
      tlsIntermediateCertsPem: [],
      nodeOus: undefined,
      organizationalUnits: [],
    })),
    policies: standardPolicies(organizations, consenters),
    sluice: DEFAULT_SLUICE_OPTIONS,
    ordererAddresses: ['127.0.0.1:7051'],
  };
  return { config, keys: network.replicas.map(({ identity }) => identity.keyPem) };
}

/** Another writer of the chain's application organization. */
export async function issueWriter(
  authority: TestAuthority,
  commonName: string,
  algorithm: KeyAlgorithm = 'ed25519',
): Promise<Writer> {
  const { certPem, keyPem } = await authority.issue({ commonName, algorithm, usage: 'identity' });
  return createWriter({ mspId: WRITER_MSP, certificatePem: certPem, privateKeyPem: keyPem });
}

/**
 * Signs as a consenter does; OpenSSL's ECDSA may give a high S, so P-256
 * is signed by the client library.
 */
function consenterSigner(keyPem: string, algorithm: KeyAlgorithm) {
  if (algorithm === 'p256') {
    const key = parsePrivateKey(keyPem);
    return (message: Uint8Array) => signLowS(key, message);
  }
  const key: KeyObject = createPrivateKey(keyPem);
  return (message: Uint8Array) => new Uint8Array(sign(null, message, key));
}

export async function createTestChain(options: TestChainOptions = {}): Promise<TestChain> {
  const { consenters = 4, channel = 'main', algorithm = 'ed25519' } = options;
  const authority = await createTestAuthority('ca.org1.test', algorithm);
  const writer = await issueWriter(authority, 'writer.org1.test', algorithm);
  const { config, keys } = await createConfig({ consenters, channel, algorithm }, authority);
  const signWith = keys.map((keyPem) => consenterSigner(keyPem, algorithm));
  const blocks: Uint8Array[] = [new Uint8Array(encodeGenesisBlock(config))];
  const quorum = Array.from({ length: quorumOf(consenters) }, (_, index) => index + 1);

  const chain: TestChain = {
    channel,
    config,
    authority,
    writer,
    blocks,
    envelope(data) {
      const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
      return buildEnvelope({ channel, data: bytes, writer });
    },
    certify(header, signers = quorum) {
      const value = encodeOrdererBlockMetadata({ lastConfigIndex: 0, consenterMetadata: EMPTY });
      const signatures = signers.map((identifier) => {
        const nonce = new Uint8Array(randomBytes(24));
        const message = signedBytes(value, encodeIdentifierHeader(identifier, nonce), header);
        const signer = signWith[identifier - 1] ?? signWith[0];
        if (signer === undefined) throw new Error('a chain needs a consenter');
        return { identifier, nonce, signature: signer(message) };
      });
      return encodeCertificate({ value, signatures });
    },
    append(envelopes, signers) {
      const data = [...envelopes];
      const header: BlockHeader = {
        number: blocks.length,
        previousHash: headerHash(mustDecode(blocks.at(-1)).header, sha256),
        dataHash: dataHash(data, sha256),
      };
      const metadata = [chain.certify(header, signers), EMPTY, EMPTY, EMPTY, EMPTY];
      blocks.push(encodeBlock({ header, data, metadata }));
      return header.number;
    },
    decoded: (number) => mustDecode(blocks[number]),
  };
  for (let block = 1; block <= (options.blocks ?? 0); block++) {
    const count = options.transactions ?? 1;
    chain.append(
      Array.from({ length: count }, (_, index) => chain.envelope(`${block}/${index}`).envelope),
    );
  }
  return chain;
}
