/**
 * A single node in memory that really orders: envelopes checked for form, blocks built and hashed
 * with ledger/format, certified with one Ed25519 signature. For tests of what stands on
 * OrderingService and needs no second replica.
 */

import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import {
  type Block,
  type BlockHeader,
  type ChannelHeader,
  computeTxId,
  dataHash,
  decodeBlock,
  encodeBlock,
  encodeBlockHeader,
  encodeCertificate,
  encodeEnvelope,
  encodeIdentifierHeader,
  encodeOrdererBlockMetadata,
  encodePayload,
  encodeSerializedIdentity,
  GENESIS_SIGNATURES_METADATA,
  HEADER_TYPES,
  headerHash,
  METADATA,
  parseEnvelope,
  signedBytes,
  toHex,
} from '../../ledger/format/index.ts';
import type {
  Accepted,
  CertifiedBlock,
  ChannelHealth,
  ChannelInfo,
  ChannelService,
  Gateway,
  OrderingService,
  Receipt,
  Refusal,
  RefusalCode,
  TransactionLocation,
} from '../../orderer/service.ts';
import { ReceiptWaiters } from '../../orderer/waiters.ts';
import { sha256 } from './hash.ts';

export interface MemoryOptions {
  readonly channel?: string;
  readonly envelopeBytesMax?: number;
  readonly gateway?: boolean;
}

export interface MemoryChannel extends ChannelService {
  /** While held, transactions are queued but no block is cut. */
  hold(): void;
  /** Cuts what is queued and goes on. */
  resume(): void;
  /** Cuts one block of exactly these envelopes, unchecked. */
  append(envelopes: readonly Uint8Array[]): void;
  /** The next submission is refused with this. */
  refuseNext(refusal: Omit<Refusal, 'kind'>): void;
  setHealth(canOrder: boolean, reason: string): void;
  readonly waiting: number;
  readonly listeners: number;
  /** How often each block was read. */
  readonly reads: ReadonlyMap<number, number>;
}

export interface MemoryService extends OrderingService {
  readonly main: MemoryChannel;
}

export interface EnvelopeOptions {
  readonly channel?: string;
  readonly type?: number;
  readonly txId?: string;
  readonly nonce?: Uint8Array;
  readonly creator?: Uint8Array;
  readonly timestampMs?: number;
}

const DEFAULT_CREATOR = encodeSerializedIdentity({
  mspId: 'Org1MSP',
  idBytes: new TextEncoder().encode('no certificate: the memory service checks none'),
});

/** A well-formed envelope with a signature of zeros. */
export function makeEnvelope(data: Uint8Array | string, options: EnvelopeOptions = {}): Uint8Array {
  const creator = options.creator ?? DEFAULT_CREATOR;
  const nonce = options.nonce ?? randomBytes(24);
  const channelHeader: ChannelHeader = {
    type: options.type ?? HEADER_TYPES.ENDORSER_TRANSACTION,
    version: 0,
    timestampMs: options.timestampMs ?? 1_700_000_000_000,
    channelId: options.channel ?? 'main',
    txId: options.txId ?? computeTxId(nonce, creator, sha256),
    epoch: 0,
    extension: new Uint8Array(0),
    tlsCertHash: new Uint8Array(0),
  };
  const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
  const payload = encodePayload(channelHeader, { creator, nonce }, bytes);
  return encodeEnvelope(payload, new Uint8Array(64));
}

export function txIdOf(envelope: Uint8Array): string {
  const parsed = parseEnvelope(envelope);
  if (parsed.kind === 'malformed') throw new Error(parsed.reason);
  return parsed.value.channelHeader.txId;
}

export function createMemoryService(options: MemoryOptions = {}): MemoryService {
  const main = createChannel(options);
  return {
    version: '0.0.0-test',
    replica: 1,
    main,
    channels: () => [main.channel],
    channel: (name) => (name === main.channel ? main : undefined),
  };
}

function createChannel(options: MemoryOptions): MemoryChannel {
  const channel = options.channel ?? 'main';
  const envelopeBytesMax = options.envelopeBytesMax ?? 64 * 1024;
  const chain = createChain(channel);
  const waiters = new ReceiptWaiters();
  const listeners = new Set<(height: number) => void>();
  const reads = new Map<number, number>();
  const refusals: Refusal[] = [];
  let queue: { txId: string; envelope: Uint8Array }[] = [];
  let held = false;
  let health: ChannelHealth = { channel, canOrder: true, reason: 'ordering' };

  function cut(): void {
    if (held || queue.length === 0) return;
    const envelopes = queue.map(({ envelope }) => envelope);
    queue = [];
    append(envelopes);
  }

  function append(envelopes: readonly Uint8Array[]): void {
    const number = chain.append(envelopes);
    for (const envelope of envelopes) {
      const txId = txIdOf(envelope);
      if (!waiters.has(txId)) continue;
      const location = chain.locations.get(txId);
      if (location !== undefined) waiters.settle(txId, chain.receipt(location));
    }
    queueMicrotask(() => {
      for (const listener of [...listeners]) listener(number + 1);
    });
  }

  function submitOne(envelope: Uint8Array): Accepted | Refusal {
    const planned = refusals.shift();
    if (planned !== undefined) return planned;
    const checked = check(envelope, channel, envelopeBytesMax);
    if (checked.kind === 'refused') return checked;
    const { txId } = checked;
    const location = chain.locations.get(txId);
    if (location !== undefined) {
      return { ...refuse('duplicate_transaction', 'already ordered'), location };
    }
    if (queue.some((item) => item.txId === txId)) {
      return { kind: 'accepted', txId, duplicate: true };
    }
    queue.push({ txId, envelope: Uint8Array.from(envelope) });
    setImmediate(cut);
    return { kind: 'accepted', txId, duplicate: false };
  }

  return {
    channel,
    envelopeBytesMax,
    gateway: options.gateway === true ? createGateway(channel) : undefined,
    info: () => channelInfo(channel, chain, queue.length),
    health: () => health,
    submit: async (envelopes) => envelopes.map(submitOne),
    committed(txIds, signal, onReceipt) {
      const receipts = waiters.wait(txIds, signal, onReceipt);
      for (const txId of txIds) {
        const location = chain.locations.get(txId);
        if (location !== undefined) waiters.settle(txId, chain.receipt(location));
      }
      return receipts;
    },
    transaction: async (txId) => chain.locations.get(txId),
    async block(number) {
      reads.set(number, (reads.get(number) ?? 0) + 1);
      const bytes = chain.blocks[number];
      return bytes === undefined ? undefined : ({ number, bytes } satisfies CertifiedBlock);
    },
    onHeight(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    hold() {
      held = true;
    },
    resume() {
      held = false;
      cut();
    },
    append,
    refuseNext(refusal) {
      refusals.push({ kind: 'refused', ...refusal });
    },
    setHealth(canOrder, reason) {
      health = { channel, canOrder, reason };
    },
    get waiting() {
      return waiters.count;
    },
    get listeners() {
      return listeners.size;
    },
    reads,
  };
}

function check(
  envelope: Uint8Array,
  channel: string,
  bytesMax: number,
): { kind: 'ok'; txId: string } | Refusal {
  if (envelope.length === 0) return refuse('empty_envelope', 'no bytes');
  if (envelope.length > bytesMax) return refuse('envelope_too_large', `more than ${bytesMax}`);
  const parsed = parseEnvelope(envelope);
  if (parsed.kind === 'malformed') {
    const canonical = parsed.reason.startsWith('not canonical');
    return refuse(canonical ? 'not_canonical' : 'malformed_envelope', parsed.reason);
  }
  const { channelHeader, signatureHeader } = parsed.value;
  if (channelHeader.channelId !== channel) return refuse('wrong_channel', `not ${channel}`);
  const txId = computeTxId(signatureHeader.nonce, signatureHeader.creator, sha256);
  return channelHeader.txId === txId ? { kind: 'ok', txId } : refuse('bad_tx_id', 'not the hash');
}

function refuse(code: RefusalCode, message: string): Refusal {
  return { kind: 'refused', code, message };
}

interface Chain {
  readonly blocks: Uint8Array[];
  readonly locations: Map<string, TransactionLocation>;
  append(envelopes: readonly Uint8Array[]): number;
  receipt(location: TransactionLocation): Receipt;
  tipHash(): string;
}

function createChain(channel: string): Chain {
  const { privateKey } = generateKeyPairSync('ed25519');
  const blocks: Uint8Array[] = [];
  const locations = new Map<string, TransactionLocation>();
  let tip: BlockHeader | undefined;

  function store(data: Uint8Array[], certify: (header: BlockHeader) => Uint8Array): number {
    const header: BlockHeader = {
      number: blocks.length,
      previousHash: tip === undefined ? new Uint8Array(0) : headerHash(tip, sha256),
      dataHash: dataHash(data, sha256),
    };
    const empty = new Uint8Array(0);
    const metadata = [certify(header), empty, empty, empty, empty];
    blocks.push(encodeBlock({ header, data, metadata }));
    tip = header;
    return header.number;
  }

  function certificate(header: BlockHeader): Uint8Array {
    const value = encodeOrdererBlockMetadata({
      lastConfigIndex: 0,
      consenterMetadata: new Uint8Array(0),
    });
    const nonce = randomBytes(24);
    const message = signedBytes(value, encodeIdentifierHeader(1, nonce), header);
    const signature = sign(null, message, privateKey);
    return encodeCertificate({ value, signatures: [{ identifier: 1, nonce, signature }] });
  }

  store(
    [makeEnvelope('genesis', { channel, type: HEADER_TYPES.CONFIG })],
    () => GENESIS_SIGNATURES_METADATA,
  );

  return {
    blocks,
    locations,
    append(envelopes) {
      const number = store([...envelopes], certificate);
      envelopes.forEach((envelope, index) => {
        const txId = txIdOf(envelope);
        locations.set(txId, { txId, blockNumber: number, index });
      });
      return number;
    },
    receipt(location) {
      const block = blockAt(blocks, location.blockNumber);
      return {
        ...location,
        blockHash: toHex(headerHash(block.header, sha256)),
        header: encodeBlockHeader(block.header),
        certificate: block.metadata[METADATA.SIGNATURES] ?? new Uint8Array(0),
      };
    },
    tipHash: () => (tip === undefined ? '' : toHex(headerHash(tip, sha256))),
  };
}

function blockAt(blocks: readonly Uint8Array[], number: number): Block {
  const decoded = decodeBlock(blocks[number] ?? new Uint8Array(0));
  if (decoded.kind === 'malformed') throw new Error(decoded.reason);
  return decoded.value;
}

function createGateway(channel: string): Gateway {
  return { wrap: (data) => makeEnvelope(data, { channel }) };
}

function channelInfo(channel: string, chain: Chain, transactionsPending: number): ChannelInfo {
  return {
    channel,
    height: chain.blocks.length,
    tipHash: chain.tipHash(),
    replica: 1,
    replicas: 1,
    faultsTolerated: 0,
    quorum: 1,
    state: 'ordering',
    view: 0,
    leader: 1,
    changing: false,
    viewChanges: 0,
    mute: false,
    transferring: false,
    path: 'fast',
    executedSlot: chain.blocks.length - 1,
    stableSlot: 0,
    windowSlots: 256,
    durability: 'wal',
    disk: 'ok',
    transactionsPending,
    peers: [],
  };
}
