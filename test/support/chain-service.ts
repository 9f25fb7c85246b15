/**
 * Serves a test chain as an ordering service: each submission is cut
 * into a block of its own at once.
 */
import {
  computeTxId,
  encodeBlockHeader,
  headerHash,
  METADATA,
  parseEnvelope,
  toHex,
} from '../../ledger/format/index.ts';
import type {
  Accepted,
  ChannelInfo,
  ChannelService,
  OrderingService,
  Receipt,
  Refusal,
  TransactionLocation,
} from '../../orderer/service.ts';
import { ReceiptWaiters } from '../../orderer/waiters.ts';
import type { TestChain } from './chain.ts';
import { sha256 } from './hash.ts';

export interface ChainService extends OrderingService {
  /** While held, submissions are queued and no block is cut. */
  hold(): void;
  resume(): void;
  /** Cuts a block of these envelopes and tells the listeners. */
  append(envelopes: readonly Uint8Array[]): void;
}

function indexOf(chain: TestChain): Map<string, TransactionLocation> {
  const locations = new Map<string, TransactionLocation>();
  chain.blocks.forEach((_, blockNumber) => {
    chain.decoded(blockNumber).data.forEach((entry, index) => {
      const parsed = parseEnvelope(entry);
      if (parsed.kind === 'malformed') return;
      const { txId } = parsed.value.channelHeader;
      locations.set(txId, { txId, blockNumber, index });
    });
  });
  return locations;
}

export function createChainService(chain: TestChain, replica = 1): ChainService {
  const waiters = new ReceiptWaiters();
  const listeners = new Set<(height: number) => void>();
  const locations = indexOf(chain);
  let queue: Uint8Array[] = [];
  let held = false;

  function receiptOf(location: TransactionLocation): Receipt {
    const { header, metadata } = chain.decoded(location.blockNumber);
    return {
      ...location,
      blockHash: toHex(headerHash(header, sha256)),
      header: encodeBlockHeader(header),
      certificate: metadata[METADATA.SIGNATURES] ?? new Uint8Array(0),
    };
  }

  function append(envelopes: readonly Uint8Array[]): void {
    const blockNumber = chain.append(envelopes);
    for (const [txId, location] of indexOf(chain)) {
      if (location.blockNumber !== blockNumber) continue;
      locations.set(txId, location);
      waiters.settle(txId, receiptOf(location));
    }
    queueMicrotask(() => {
      for (const listener of [...listeners]) listener(blockNumber + 1);
    });
  }

  function cut(): void {
    if (held || queue.length === 0) return;
    const envelopes = queue;
    queue = [];
    append(envelopes);
  }

  function info(): ChannelInfo {
    const { length } = chain.blocks;
    const replicas = chain.config.consenters.length;
    return {
      channel: chain.channel,
      height: length,
      tipHash: toHex(headerHash(chain.decoded(length - 1).header, sha256)),
      replica,
      replicas,
      faultsTolerated: Math.floor((replicas - 1) / 3),
      quorum: replicas,
      state: 'ordering',
      view: 0,
      leader: 1,
      changing: false,
      viewChanges: 0,
      mute: false,
      transferring: false,
      path: 'fast',
      executedSlot: length - 1,
      stableSlot: 0,
      windowSlots: 256,
      durability: 'wal',
      disk: 'ok',
      transactionsPending: queue.length,
      peers: [],
    };
  }

  const submitOne = (envelope: Uint8Array): Accepted | Refusal => {
    const parsed = parseEnvelope(envelope);
    const refuse = (code: Refusal['code'], message: string): Refusal => ({
      kind: 'refused',
      code,
      message,
    });
    if (parsed.kind === 'malformed') return refuse('malformed_envelope', parsed.reason);
    const { channelHeader, signatureHeader } = parsed.value;
    if (channelHeader.channelId !== chain.channel) return refuse('wrong_channel', 'another');
    const txId = computeTxId(signatureHeader.nonce, signatureHeader.creator, sha256);
    const location = locations.get(txId);
    if (location !== undefined) {
      return { ...refuse('duplicate_transaction', 'already ordered'), location };
    }
    queue.push(Uint8Array.from(envelope));
    setImmediate(cut);
    return { kind: 'accepted', txId, duplicate: false };
  };

  const channel: ChannelService = {
    channel: chain.channel,
    envelopeBytesMax: chain.config.batchSize.absoluteMaxBytes,
    gateway: undefined,
    info,
    health: () => ({ channel: chain.channel, canOrder: true, reason: 'ordering' }),
    submit: async (envelopes) => envelopes.map(submitOne),
    committed(txIds, signal, onReceipt) {
      const receipts = waiters.wait(txIds, signal, onReceipt);
      for (const txId of txIds) {
        const location = locations.get(txId);
        if (location !== undefined) waiters.settle(txId, receiptOf(location));
      }
      return receipts;
    },
    transaction: async (txId) => locations.get(txId),
    async block(number) {
      const bytes = chain.blocks[number];
      return bytes === undefined ? undefined : { number, bytes };
    },
    onHeight(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  return {
    version: '0.0.0-test',
    replica,
    channels: () => [chain.channel],
    channel: (name) => (name === chain.channel ? channel : undefined),
    hold() {
      held = true;
    },
    resume() {
      held = false;
      cut();
    },
    append,
  };
}
