/**
 * The providers; a region is plain memory of its reader in each. `shm`: replicas on one host write into each other's mapped memory.
 * `tcp`: each writes into its own copy of the peer's region, and the caller ships what is new. `verbs`: as `tcp`, and an RDMA
 * device ships it. TypeScript
 * keeps the sessions' keys and checks what callers pass; the addon moves and authenticates the
 * bytes.
 */

import type {
  CellContent,
  DeviceChoice,
  InboxHandler,
  PeerCounters,
  ProviderName,
  RegionOffer,
  ReplicaIndex,
  SessionKeys,
  SessionState,
  SlotInterest,
  Transport,
  WaitMode,
  WriteOutcome,
  WriteShipping,
} from '../contract.ts';
import { MEMORY_WINDOWS, PROVIDERS } from '../contract.ts';
import { TransportError } from '../errors.ts';
import { CELL_KIND_CODES, layoutDigest, type RegionDimensions, regionLayout } from '../layout.ts';
import { checkInteger, checkSizes, LIMITS } from '../limits.ts';
import { loadNative, type NativeTransport } from '../native.ts';
import { deriveDirectionKeys } from './keys.ts';
import { createPollBuffers, dispatchRecords, type PollBuffers } from './records.ts';

export interface MemoryTransportOptions extends DeviceChoice {
  readonly self: ReplicaIndex;
  readonly replicas: number;
  /** W: cells of each kind in a region. All replicas of a channel use the same. */
  readonly windowSlots: number;
  /** Name of the channel; part of every key. */
  readonly channel: string;
  /** Configuration epoch of the channel, 0..65535; cells of another epoch are refused. */
  readonly epoch: number;
  /** Default `adaptive`. */
  readonly waitMode?: WaitMode;
  readonly spinUs?: number;
  /** Powers of two, the same on all replicas. */
  readonly laneRingBytes?: number;
  readonly controlRingBytes?: number;
  /** Largest lane payload or message, the same on all replicas. */
  readonly payloadBytesMax?: number;
  /** What may wait for one peer's credits; memory is taken only while something waits. */
  readonly laneOutQueueBytesMax?: number;
  readonly controlOutQueueBytesMax?: number;
  /**
   * Ring bytes that one poll takes, shared equally by the peers (each may exceed its share by one
   * frame).
   */
  readonly pollBytesMax?: number;
  /** False: never use futex_waitv(2). For kernels and sandboxes where it misbehaves. */
  readonly futexWaitv?: boolean;
}

interface SessionSecrets {
  readonly pairSecret: Uint8Array;
  readonly selfIncarnation: bigint;
  readonly peerIncarnation: bigint;
}

const WAIT_MODES: readonly WaitMode[] = ['spin', 'adaptive', 'block'];
const STATES: readonly SessionState[] = ['closed', 'offered', 'mapped', 'open'];
const UINT64_MAX = (1n << 64n) - 1n;

function invalid(message: string): TransportError {
  return new TransportError('invalid_argument', message);
}

function parseIncarnation(name: string, value: unknown): bigint {
  if (typeof value === 'string' && /^[0-9]{1,20}$/.test(value)) {
    const incarnation = BigInt(value);
    if (incarnation <= UINT64_MAX) return incarnation;
  }
  throw invalid(`${name} must be an unsigned 64-bit integer as a decimal string`);
}

function checkKeys(keys: SessionKeys): SessionSecrets {
  if (
    !(keys?.pairSecret instanceof Uint8Array) ||
    keys.pairSecret.length !== LIMITS.pairSecretBytes
  ) {
    throw invalid(`pairSecret must be ${LIMITS.pairSecretBytes} bytes`);
  }
  return {
    pairSecret: Uint8Array.from(keys.pairSecret),
    selfIncarnation: parseIncarnation('selfIncarnation', keys.selfIncarnation),
    peerIncarnation: parseIncarnation('peerIncarnation', keys.peerIncarnation),
  };
}

function checkChannel(channel: unknown): string {
  const bytes = typeof channel === 'string' ? Buffer.byteLength(channel) : 0;
  if (typeof channel !== 'string' || bytes < 1 || bytes > LIMITS.channelNameBytesMax) {
    throw invalid(`channel must be a name of 1 to ${LIMITS.channelNameBytesMax} bytes`);
  }
  return channel;
}

function withDefaults(options: MemoryTransportOptions) {
  const {
    waitMode = 'adaptive',
    spinUs = LIMITS.spinUsDefault,
    laneRingBytes = LIMITS.laneRingBytesDefault,
    controlRingBytes = LIMITS.controlRingBytesDefault,
    payloadBytesMax = LIMITS.payloadBytesMaxDefault,
    laneOutQueueBytesMax = Math.max(LIMITS.outQueueBytesMaxDefault, payloadBytesMax),
    controlOutQueueBytesMax = Math.max(LIMITS.outQueueBytesMaxDefault, payloadBytesMax),
    pollBytesMax = LIMITS.pollBytesMaxDefault,
    futexWaitv = true,
    device = '',
    memoryWindows = 'auto',
  } = options;
  return {
    ...options,
    waitMode,
    spinUs,
    laneRingBytes,
    controlRingBytes,
    payloadBytesMax,
    laneOutQueueBytesMax,
    controlOutQueueBytesMax,
    pollBytesMax,
    futexWaitv,
    device,
    memoryWindows,
  };
}

/**
 * Opens the transport of replica `self`. No session exists yet; no shared memory is used before
 * `offer`. Throws TransportError `invalid_argument` (names the option) or `addon_missing`.
 */
export function openShmTransport(options: MemoryTransportOptions): Transport {
  return new MemoryTransport('shm', options);
}

/** As `openShmTransport`; nothing travels but what the caller carries (`shipping`). */
export function openTcpTransport(options: MemoryTransportOptions): Transport {
  return new MemoryTransport('tcp', options);
}

/**
 * As `openShmTransport`, through an RDMA device. Throws TransportError `verbs_unavailable` (library, device or address
 * is missing) or `verbs_failed` (names the call) as well.
 */
export function openVerbsTransport(options: MemoryTransportOptions): Transport {
  return new MemoryTransport('verbs', options);
}

class MemoryTransport implements Transport {
  readonly self: ReplicaIndex;
  readonly replicas: number;
  readonly windowSlots: number;
  readonly wakeHandle: number;
  readonly usesWindows: boolean;
  readonly shipping: WriteShipping | undefined;

  readonly #provider: ProviderName;
  readonly #native: NativeTransport;
  readonly #channel: string;
  readonly #regionBytes: number;
  readonly #layoutDigest: string;
  /** By peer, from `offer` to `accept`: what the outbound keys will be derived from. */
  readonly #secrets: (SessionSecrets | undefined)[];
  readonly #buffers: PollBuffers;
  /** Where the addon looks for the body of the cell that is to be written. */
  readonly #body: Uint8Array;
  /** Of the last lane payload, by peer: as the addon tells it, and in words. */
  readonly #queued: Uint8Array;
  readonly #outcomes: WriteOutcome[];
  /** Peers whose session a handler has closed during the current poll. */
  readonly #dropped: Uint8Array;
  readonly #deviceFault = (peer: number) => this.#native.deviceFault(peer) ?? 'closed';
  #polling = false;

  constructor(provider: ProviderName, given: MemoryTransportOptions) {
    const options = withDefaults(given);
    checkSizes(options);
    checkInteger('self', options.self, 0, options.replicas - 1);
    checkInteger('epoch', options.epoch, 0, 0xffff);
    checkInteger('spinUs', options.spinUs, 0, LIMITS.spinUsMax);
    const waitMode = WAIT_MODES.indexOf(options.waitMode);
    if (waitMode < 0) throw invalid(`waitMode must be one of ${WAIT_MODES.join(', ')}`);
    if (!MEMORY_WINDOWS.includes(options.memoryWindows)) {
      throw invalid(`memoryWindows must be one of ${MEMORY_WINDOWS.join(', ')}`);
    }
    const dimensions: RegionDimensions = options;
    this.#provider = provider;
    this.#channel = checkChannel(options.channel);
    this.#layoutDigest = layoutDigest(dimensions);
    this.#regionBytes = regionLayout(dimensions).regionBytes;
    this.self = options.self;
    this.replicas = options.replicas;
    this.windowSlots = options.windowSlots;
    this.#secrets = new Array(options.replicas).fill(undefined);
    this.#queued = new Uint8Array(options.replicas);
    this.#outcomes = new Array<WriteOutcome>(options.replicas).fill('skipped');
    this.#dropped = new Uint8Array(options.replicas);
    const { NativeTransport } = loadNative();
    this.#native = new NativeTransport({
      ...options,
      waitMode,
      provider: PROVIDERS.indexOf(provider),
      gidIndex: options.gidIndex === undefined ? 0 : options.gidIndex + 1,
      memoryWindows: options.memoryWindows === 'auto',
      digest: Buffer.from(this.#layoutDigest, 'hex'),
    });
    const memory = this.#native.memory();
    this.#buffers = createPollBuffers(memory, options.replicas);
    this.#body = new Uint8Array(memory, LIMITS.pollRecordBytesMax);
    this.usesWindows = this.#native.usesWindows();
    this.wakeHandle = this.#native.wakeHandle();
    this.shipping = provider === 'tcp' ? this.#createShipping() : undefined;
  }

  offer(peer: ReplicaIndex, keys: SessionKeys): RegionOffer {
    const secrets = checkKeys(keys);
    const name = this.#native.offer(peer);
    try {
      const inbound = deriveDirectionKeys(secrets.pairSecret, {
        channel: this.#channel,
        writer: peer,
        reader: this.self,
        writerIncarnation: secrets.peerIncarnation,
        readerIncarnation: secrets.selfIncarnation,
        regionName: name,
      });
      this.#native.setInboundKeys(peer, inbound, secrets.peerIncarnation);
      inbound.fill(0);
    } catch (error) {
      this.#native.close(peer);
      throw error;
    }
    this.#secrets[peer] = secrets;
    const region = { name, regionBytes: this.#regionBytes, layoutDigest: this.#layoutDigest };
    if (this.#provider !== 'verbs') return { provider: this.#provider, ...region };
    const endpoint = Buffer.from(this.#native.endpoint(peer)).toString('hex');
    return { provider: this.#provider, ...region, endpoint };
  }

  accept(peer: ReplicaIndex, offer: RegionOffer): void {
    const state = STATES[this.#native.state(peer)];
    const secrets = this.#secrets[peer];
    if (secrets === undefined) {
      throw new TransportError(
        'invalid_state',
        `accept from peer ${peer} in state ${state}: call offer first, and accept once`,
        { peer, state },
      );
    }
    this.#checkOffer(peer, offer);
    const outbound = deriveDirectionKeys(secrets.pairSecret, {
      channel: this.#channel,
      writer: this.self,
      reader: peer,
      writerIncarnation: secrets.selfIncarnation,
      readerIncarnation: secrets.peerIncarnation,
      regionName: offer.name,
    });
    const endpoint = offer.endpoint === undefined ? undefined : Buffer.from(offer.endpoint, 'hex');
    this.#native.map(peer, offer.name, outbound, secrets.selfIncarnation, endpoint);
    outbound.fill(0);
    this.#forget(peer);
  }

  /** The offer comes from the peer: every field may be anything. */
  #checkOffer(peer: ReplicaIndex, offer: RegionOffer): void {
    const expected = { regionBytes: this.#regionBytes, layoutDigest: this.#layoutDigest };
    if (offer?.provider !== this.#provider) {
      throw new TransportError(
        'offer_mismatch',
        `replica ${peer} offers a region of another transport than ${this.#provider}: choose the same one on ` +
          'every replica (`transport.provider` in network.yaml)',
        { peer, provider: this.#provider },
      );
    }
    if (
      typeof offer.name !== 'string' ||
      offer.regionBytes !== expected.regionBytes ||
      offer.layoutDigest !== expected.layoutDigest
    ) {
      throw new TransportError(
        'offer_mismatch',
        `replica ${peer} offers a region of another layout: run the same release with the same ` +
          'window and ring sizes on every replica',
        { peer, expected },
      );
    }
  }

  #forget(peer: ReplicaIndex): void {
    this.#secrets[peer]?.pairSecret.fill(0);
    this.#secrets[peer] = undefined;
  }

  confirm(peer: ReplicaIndex): void {
    this.#native.confirm(peer);
  }

  close(peer: ReplicaIndex): void {
    this.#native.close(peer);
    this.#dropped[peer] = 1;
    this.#forget(peer);
  }

  sessionState(peer: ReplicaIndex): SessionState {
    return STATES[this.#native.state(peer)] ?? 'closed';
  }

  writeCell(cell: CellContent, quiet = false): void {
    const { kind, slot, view, flags, body } = cell;
    if (!(body instanceof Uint8Array) || body.length > this.#body.length) {
      throw invalid('body must be a Uint8Array that fits into a cell');
    }
    for (let i = 0; i < body.length; i++) this.#body[i] = body[i] as number;
    this.#native.writeCell(CELL_KIND_CODES[kind], slot, view, flags, body.length, quiet);
  }

  rewriteCells(peer: ReplicaIndex): void {
    this.#native.rewriteCells(peer);
  }

  writeLane(payload: Uint8Array): readonly WriteOutcome[] {
    this.#native.writeLane(payload, this.#queued);
    for (let peer = 0; peer < this.replicas; peer++) {
      this.#outcomes[peer] = this.#queued[peer] === 1 ? 'queued' : 'skipped';
    }
    return this.#outcomes;
  }

  send(peer: ReplicaIndex, payload: Uint8Array): WriteOutcome {
    return this.#native.send(peer, payload) ? 'queued' : 'skipped';
  }

  poll(interest: SlotInterest, handler: InboxHandler): number {
    if (this.#polling) {
      throw new TransportError('invalid_state', 'poll was called by a handler of poll');
    }
    const { fromSlot, toSlot } = interest;
    const { payloads } = this.#buffers;
    const items = this.#native.poll(fromSlot, toSlot, payloads);
    if (items === 0) return 0;
    this.#polling = true;
    this.#dropped.fill(0);
    try {
      dispatchRecords(this.#buffers, items, handler, this.#dropped, this.#deviceFault);
    } finally {
      this.#polling = false;
      payloads.length = 0;
    }
    return items;
  }

  #createShipping(): WriteShipping {
    const buffer = new Uint8Array(LIMITS.writesParcelBytes);
    return {
      take: (peer) => {
        if (peer === this.self) return undefined;
        const bytes = this.#native.takeWrites(peer, buffer);
        return bytes === 0 ? undefined : buffer.slice(0, bytes);
      },
      apply: (peer, frames) => this.#native.applyWrites(peer, frames),
    };
  }

  wait(timeoutUs: number): boolean {
    return this.#native.wait(timeoutUs);
  }

  counters(peer: ReplicaIndex): PeerCounters {
    return this.#native.counters(peer);
  }

  destroy(): void {
    this.#dropped.fill(1);
    for (let peer = 0; peer < this.replicas; peer++) this.#forget(peer);
    this.#native.destroy();
  }
}
