/**
 * What a peer that holds the session's keys can seal: a second implementation of the layout, MAC and key
 * derivation included.
 */

import { createCipheriv, createHash, hkdfSync } from 'node:crypto';
import {
  LAYOUT,
  type RegionDimensions,
  type RegionLayout,
  regionLayout,
} from '../../../rdma/layout.ts';
import { incarnationOf, SMALL } from '../../rdma/support/pair.ts';

/** AES-128-CMAC, RFC 4493, for whole blocks. */
export function cmac(key: Uint8Array, message: Uint8Array): Buffer {
  const encrypt = (bytes: Uint8Array) => {
    const cipher = createCipheriv('aes-128-cbc', key, Buffer.alloc(16)).setAutoPadding(false);
    return cipher.update(bytes);
  };
  const zero = encrypt(Buffer.alloc(16));
  let doubled = BigInt(`0x${zero.toString('hex')}`) << 1n;
  if (doubled >> 128n !== 0n) doubled = (doubled & ((1n << 128n) - 1n)) ^ 0x87n;
  const subkey = Buffer.from(doubled.toString(16).padStart(32, '0'), 'hex');
  const last = Buffer.from(message);
  for (let i = 0; i < 16; i++) last[last.length - 16 + i]! ^= subkey[i]!;
  return encrypt(last).subarray(-16);
}

/** The three keys of the direction writer -> reader, derived independently of rdma/memory/keys.ts. */
function directionKeys(
  pairSecret: Uint8Array,
  writer: number,
  reader: number,
  regionName: string,
  channel: string,
): { cell: Buffer; lane: Buffer; control: Buffer } {
  const head = Buffer.alloc(28);
  head.writeUInt32LE(writer, 0);
  head.writeUInt32LE(reader, 4);
  head.writeBigUInt64LE(BigInt(incarnationOf(writer)), 8);
  head.writeBigUInt64LE(BigInt(incarnationOf(reader)), 16);
  head.writeUInt16LE(channel.length, 24);
  head.writeUInt16LE(regionName.length, 26);
  const info = Buffer.concat([
    Buffer.from('sluice/region/1'),
    head,
    Buffer.from(channel + regionName),
  ]);
  const keys = Buffer.from(hkdfSync('sha256', pairSecret, '', info, 48));
  return { cell: keys.subarray(0, 16), lane: keys.subarray(16, 32), control: keys.subarray(32) };
}

export interface ForgedCell {
  readonly kind: number;
  readonly slot: bigint;
  readonly view?: number;
  readonly epoch?: number;
  readonly incarnation?: bigint;
  readonly body?: Uint8Array;
  readonly heads?: readonly [bigint, bigint];
}

export interface ForgedFrame {
  readonly payload: Uint8Array;
  readonly length?: number;
  readonly total?: number;
  readonly sequence?: bigint;
  readonly hash?: Uint8Array;
  readonly mac?: Uint8Array;
}

/** Of one direction of one session of the tests' own transports. */
export interface ForgeOptions {
  readonly regionName: string;
  readonly pairSecret: Uint8Array;
  readonly writer: number;
  readonly reader: number;
  readonly replicas: number;
  readonly channel?: string;
}

/** One key for each use, as `NativeTransport.map` takes them one after the other. */
export interface ForgeKeys {
  readonly cell: Uint8Array;
  readonly lane: Uint8Array;
  readonly control: Uint8Array;
}

export interface ForgeIdentity {
  readonly incarnation: bigint;
  readonly epoch: number;
}

export function forgeOf({ channel = SMALL.channel, ...options }: ForgeOptions): Forge {
  const { pairSecret, writer, reader, regionName, replicas } = options;
  const keys = directionKeys(pairSecret, writer, reader, regionName, channel);
  const identity = { incarnation: BigInt(incarnationOf(writer)), epoch: SMALL.epoch };
  return new Forge({ ...SMALL, replicas, payloadBytesMax: 0 }, keys, identity);
}

export class Forge {
  readonly layout: RegionLayout;
  readonly #windowSlots: number;
  readonly #keys: ForgeKeys;
  readonly #identity: ForgeIdentity;

  constructor(dimensions: RegionDimensions, keys: ForgeKeys, identity: ForgeIdentity) {
    this.layout = regionLayout(dimensions);
    this.#windowSlots = dimensions.windowSlots;
    this.#keys = keys;
    this.#identity = identity;
  }

  cellIndex(slot: bigint): number {
    return Number(slot % BigInt(this.#windowSlots));
  }

  cellBytes(kind: number): number {
    if (kind === LAYOUT.KIND_PROPOSAL) return this.layout.proposalCellBytes;
    if (kind >= LAYOUT.KIND_PROGRESS) return this.layout.progressCellBytes;
    return LAYOUT.VOTE_CELL_BYTES;
  }

  cellOffset(kind: number, index: number): number {
    const { proposalsOffset, votesOffset, commitsOffset, progressOffset } = this.layout;
    if (kind >= LAYOUT.KIND_PROGRESS) return progressOffset;
    const start = { 1: proposalsOffset, 2: votesOffset, 3: commitsOffset }[kind] ?? 0;
    return start + index * this.cellBytes(kind);
  }

  /** The cell's number, as hints name it. */
  cellOrdinal(kind: number, index: number): number {
    const kinds = LAYOUT.KIND_PROGRESS - LAYOUT.KIND_PROPOSAL;
    if (kind >= LAYOUT.KIND_PROGRESS) return kinds * this.#windowSlots;
    return (kind - LAYOUT.KIND_PROPOSAL) * this.#windowSlots + index;
  }

  sealCell(cell: ForgedCell): Buffer {
    const bytes = Buffer.alloc(this.cellBytes(cell.kind));
    bytes.writeBigUInt64LE(cell.slot, 0);
    bytes.writeUInt32LE(cell.view ?? 0, 8);
    bytes.writeUInt16LE(cell.epoch ?? this.#identity.epoch, 12);
    bytes.writeUInt8(cell.kind, 14);
    if (cell.body !== undefined) bytes.set(cell.body, 16);
    if (cell.heads !== undefined) {
      bytes.writeBigUInt64LE(cell.heads[0], bytes.length - 40);
      bytes.writeBigUInt64LE(cell.heads[1], bytes.length - 32);
    }
    bytes.writeBigUInt64LE(cell.incarnation ?? this.#identity.incarnation, bytes.length - 24);
    bytes.set(cmac(this.#keys.cell, bytes.subarray(0, -16)), bytes.length - 16);
    return bytes;
  }

  /** Frame after frame, each at the next place. */
  sealFrames(ring: 'lane' | 'control', frames: readonly ForgedFrame[]): Buffer {
    return Buffer.concat(frames.map((frame) => this.#sealFrame(ring, frame)));
  }

  #sealFrame(ring: 'lane' | 'control', frame: ForgedFrame): Buffer {
    const { payload } = frame;
    const header = Buffer.alloc(LAYOUT.FRAME_HEADER_BYTES);
    header.writeUInt32LE(frame.length ?? payload.length, 0);
    header.writeUInt32LE(frame.total ?? payload.length, 4);
    header.writeBigUInt64LE(frame.sequence ?? 0n, 8);
    header.set(frame.hash ?? createHash('sha256').update(payload).digest(), 16);
    header.set(frame.mac ?? cmac(this.#keys[ring], header.subarray(0, 48)), 48);
    const align = LAYOUT.FRAME_ALIGN;
    const padding = Buffer.alloc(Math.ceil(payload.length / align) * align - payload.length);
    return Buffer.concat([header, payload, padding]);
  }
}
