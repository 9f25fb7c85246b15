/** Chains for the ledger's tests: built from scratch, or the vectors that Fabric wrote. */

import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { common } from '@hyperledger/fabric-protos';
import { LedgerError } from '../../ledger/errors.ts';
import {
  type Block,
  type BlockHeader,
  type ConsenterKey,
  computeTxId,
  dataHash,
  encodeBlock,
  encodeCertificate,
  encodeEnvelope,
  encodeOrdererBlockMetadata,
  encodePayload,
  GENESIS_SIGNATURES_METADATA,
  HEADER_TYPES,
  headerHash,
  type VerifySignature,
} from '../../ledger/format/index.ts';
import { Ledger, LedgerSnapshot, type RawBlock } from '../../ledger/store/index.ts';
import { sha256 } from '../support/hash.ts';

export const EMPTY = new Uint8Array(0);

export async function inTemporaryFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-ledger-'));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** An envelope of the given type that nobody signed for real; `seed` makes it unique. */
export function makeEnvelope(
  seed: string,
  options: { type?: number; channel?: string; bytes?: number; signature?: Uint8Array } = {},
): { envelope: Uint8Array; txId: string } {
  const nonce = sha256(new TextEncoder().encode(seed)).subarray(0, 24);
  const creator = new TextEncoder().encode('creator');
  const txId = computeTxId(nonce, creator, sha256);
  const payload = encodePayload(
    {
      type: options.type ?? HEADER_TYPES.ENDORSER_TRANSACTION,
      version: 0,
      timestampMs: 1_700_000_000_123,
      channelId: options.channel ?? 'main',
      txId,
      epoch: 0,
      extension: EMPTY,
      tlsCertHash: EMPTY,
    },
    { creator, nonce },
    new Uint8Array(options.bytes ?? 64).fill(seed.length),
  );
  return {
    envelope: encodeEnvelope(payload, options.signature ?? new Uint8Array(64).fill(7)),
    txId,
  };
}

export interface BuiltBlock {
  block: Block;
  txIds: (string | undefined)[];
}

export function makeGenesis(channel = 'main', seed = 'genesis'): Block {
  const { envelope } = makeEnvelope(seed, {
    type: HEADER_TYPES.CONFIG,
    channel,
    signature: EMPTY,
  });
  return {
    header: { number: 0, previousHash: EMPTY, dataHash: dataHash([envelope], sha256) },
    data: [envelope],
    metadata: [GENESIS_SIGNATURES_METADATA, EMPTY, EMPTY, EMPTY, EMPTY],
  };
}

/** A block after `previous` with `count` transactions, without certificate. */
export function makeBlock(previous: BlockHeader, count = 1, seed = '', bytes = 64): BuiltBlock {
  const number = previous.number + 1;
  const made = Array.from({ length: count }, (_, index) =>
    makeEnvelope(`${seed}/${number}/${index}`, { bytes }),
  );
  const data = made.map(({ envelope }) => envelope);
  return {
    block: {
      header: {
        number,
        previousHash: headerHash(previous, sha256),
        dataHash: dataHash(data, sha256),
      },
      data,
      metadata: [EMPTY, EMPTY, EMPTY, EMPTY, EMPTY],
    },
    txIds: made.map(({ txId }) => txId),
  };
}

/** Blocks 1 to `count` after the genesis block. */
export function makeChain(genesis: Block, count: number, perBlock = 1, seed = ''): BuiltBlock[] {
  const chain: BuiltBlock[] = [];
  let previous = genesis.header;
  for (let number = 1; number <= count; number += 1) {
    const built = makeBlock(previous, perBlock, seed);
    chain.push(built);
    previous = built.block.header;
  }
  return chain;
}

/** Well-formed, signed by nobody: the store does not check signatures. */
export function makeCertificate(number: number): Uint8Array {
  return encodeCertificate({
    value: encodeOrdererBlockMetadata({ lastConfigIndex: 0, consenterMetadata: EMPTY }),
    signatures: [
      { identifier: 1, nonce: Uint8Array.of(number & 0xff, 1), signature: new Uint8Array(64) },
    ],
  });
}

export function certified(built: BuiltBlock): BuiltBlock {
  const certificate = makeCertificate(built.block.header.number);
  return {
    txIds: built.txIds,
    block: { ...built.block, metadata: [certificate, EMPTY, EMPTY, EMPTY, EMPTY] },
  };
}

export function serialized(built: BuiltBlock): Uint8Array {
  return encodeBlock(certified(built).block);
}

export function openLedger(directory: string, genesis: Block, channel = 'main'): Promise<Ledger> {
  return Ledger.open({ directory, channel, genesisBlock: encodeBlock(genesis) }, { sha256 });
}

export async function rawBlocks(snapshot: LedgerSnapshot): Promise<RawBlock[]> {
  const blocks: RawBlock[] = [];
  for await (const block of snapshot.rawBlocks()) blocks.push(block);
  return blocks;
}

export interface Audited {
  /** Of the folder, then of the blocks. */
  faults: string[];
  notes: readonly string[];
  blocks: RawBlock[];
}

/** What an audit reads of a stopped ledger. */
export async function audit(directory: string): Promise<Audited> {
  const snapshot = await LedgerSnapshot.open({ directory });
  try {
    const blocks = await rawBlocks(snapshot);
    const found = blocks.flatMap(({ fault }) => (fault === undefined ? [] : [fault]));
    return { faults: [...snapshot.faults, ...found], notes: snapshot.notes, blocks };
  } finally {
    await snapshot.close();
  }
}

/** The code that a call is refused with, or `none`. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof LedgerError) return error.code;
    throw error;
  }
  return 'none';
}

const VECTORS =
  process.env.SLUICE_VECTORS ?? join(process.cwd(), '..', 'shared', 'vectors', 'fabric-bft');

/** The blocks that Fabric wrote, by number; undefined when the folder is absent. */
function fabricBlocks(): Uint8Array[] | undefined {
  try {
    const names = readdirSync(VECTORS).filter((name) => name.endsWith('.block'));
    if (names.length === 0) return undefined;
    return names.sort().map((name) => new Uint8Array(readFileSync(join(VECTORS, name))));
  } catch {
    return undefined;
  }
}

/** For `before`: skips with a reason when the vectors are absent. */
export function requireFabricBlocks(context: Mocha.Context): Uint8Array[] {
  const blocks = fabricBlocks();
  if (blocks === undefined) {
    console.log(`      no Fabric vectors in ${VECTORS} (set SLUICE_VECTORS): skipped`);
    context.skip();
  }
  return blocks ?? [];
}

/** Consenters of a Fabric BFT genesis block, read with Fabric's own message types. */
export function fabricConsenters(genesis: Uint8Array): ConsenterKey[] {
  const entry = common.Block.deserializeBinary(genesis).getData()?.getDataList_asU8()[0] ?? EMPTY;
  const payload = common.Payload.deserializeBinary(
    common.Envelope.deserializeBinary(entry).getPayload_asU8(),
  );
  const config = common.ConfigEnvelope.deserializeBinary(payload.getData_asU8()).getConfig();
  const orderer = config?.getChannelGroup()?.getGroupsMap().get('Orderer');
  const value = orderer?.getValuesMap().get('Orderers')?.getValue_asU8() ?? EMPTY;
  const consenters = common.Orderers.deserializeBinary(value).getConsenterMappingList();
  return consenters.map((consenter) => ({
    number: consenter.getId(),
    algorithm: 'p256' as const,
    publicKey: rawP256(Buffer.from(consenter.getIdentity_asU8()).toString()),
  }));
}

function rawP256(pem: string): Uint8Array {
  const jwk = createPublicKey(pem).export({ format: 'jwk' });
  return Uint8Array.from([
    4,
    ...Buffer.from(jwk.x ?? '', 'base64url'),
    ...Buffer.from(jwk.y ?? '', 'base64url'),
  ]);
}

const nodeKeys = new WeakMap<ConsenterKey, KeyObject>();

/** OpenSSL's verification. */
export const verifyWithNode: VerifySignature = (key, message, signature) => {
  let publicKey = nodeKeys.get(key);
  if (publicKey === undefined) {
    const coordinate = (from: number, to: number): string =>
      Buffer.from(key.publicKey.subarray(from, to)).toString('base64url');
    const jwk =
      key.algorithm === 'p256'
        ? { kty: 'EC', crv: 'P-256', x: coordinate(1, 33), y: coordinate(33, 65) }
        : { kty: 'OKP', crv: 'Ed25519', x: coordinate(0, 32) };
    publicKey = createPublicKey({ key: jwk, format: 'jwk' });
    nodeKeys.set(key, publicKey);
  }
  return verify(key.algorithm === 'p256' ? 'sha256' : null, message, publicKey, signature);
};
