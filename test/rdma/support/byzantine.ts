/**
 * A peer that holds the session's keys and writes whatever it likes into the region, through the
 * file under /dev/shm. It is a second implementation of the layout, MAC and key derivation
 * included.
 */

import { createCipheriv, createHash, hkdfSync } from 'node:crypto';
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { LAYOUT, type RegionLayout, regionLayout } from '../../../rdma/layout.ts';
import { incarnationOf, SMALL } from './pair.ts';

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
): { cell: Buffer; lane: Buffer; control: Buffer } {
  const head = Buffer.alloc(28);
  head.writeUInt32LE(writer, 0);
  head.writeUInt32LE(reader, 4);
  head.writeBigUInt64LE(BigInt(incarnationOf(writer)), 8);
  head.writeBigUInt64LE(BigInt(incarnationOf(reader)), 16);
  head.writeUInt16LE(SMALL.channel.length, 24);
  head.writeUInt16LE(regionName.length, 26);
  const info = Buffer.concat([
    Buffer.from('sluice/region/1'),
    head,
    Buffer.from(SMALL.channel + regionName),
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

export class ByzantinePeer {
  readonly layout: RegionLayout;
  readonly #fd: number;
  readonly #writer: number;
  readonly #keys: ReturnType<typeof directionKeys>;
  #doorbell = 0;

  /** Call while the region's name is still there, with the replicas and window of the reader. */
  constructor(
    name: string,
    pairSecret: Uint8Array,
    writer: number,
    reader: number,
    replicas: number,
  ) {
    this.#fd = openSync(`/dev/shm${name}`, 'r+');
    this.#writer = writer;
    this.#keys = directionKeys(pairSecret, writer, reader, name);
    this.layout = regionLayout({ ...SMALL, replicas, payloadBytesMax: 0 });
  }

  close(): void {
    closeSync(this.#fd);
  }

  read(offset: number, bytes: number): Buffer {
    const buffer = Buffer.alloc(bytes);
    readSync(this.#fd, buffer, 0, bytes, offset);
    return buffer;
  }

  write(offset: number, bytes: Uint8Array): void {
    writeSync(this.#fd, bytes, 0, bytes.length, offset);
  }

  /** Rings the doorbell; the reader will look everywhere, because the hint is none. */
  ring(): void {
    this.#doorbell = this.read(LAYOUT.HEADER_DOORBELL, 4).readUInt32LE() + 1;
    const hint = Buffer.alloc(4);
    hint.writeUInt32LE(0xfffffffe);
    this.write(LAYOUT.HEADER_HINTS + 4 * ((this.#doorbell - 1) % LAYOUT.HINTS), hint);
    const word = Buffer.alloc(4);
    word.writeUInt32LE(this.#doorbell >>> 0);
    this.write(LAYOUT.HEADER_DOORBELL, word);
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

  sealCell(cell: ForgedCell): Buffer {
    const bytes = Buffer.alloc(this.cellBytes(cell.kind));
    bytes.writeBigUInt64LE(cell.slot, 0);
    bytes.writeUInt32LE(cell.view ?? 0, 8);
    bytes.writeUInt16LE(cell.epoch ?? SMALL.epoch, 12);
    bytes.writeUInt8(cell.kind, 14);
    if (cell.body !== undefined) bytes.set(cell.body, 16);
    if (cell.heads !== undefined) {
      bytes.writeBigUInt64LE(cell.heads[0], bytes.length - 40);
      bytes.writeBigUInt64LE(cell.heads[1], bytes.length - 32);
    }
    bytes.writeBigUInt64LE(
      cell.incarnation ?? BigInt(incarnationOf(this.#writer)),
      bytes.length - 24,
    );
    bytes.set(cmac(this.#keys.cell, bytes.subarray(0, -16)), bytes.length - 16);
    return bytes;
  }

  writeCell(cell: ForgedCell, index = Number(cell.slot % BigInt(SMALL.windowSlots))): void {
    this.write(this.cellOffset(cell.kind, index), this.sealCell(cell));
    this.ring();
  }

  /**
   * Puts one frame at ring position `position` without moving the tail; returns the position after
   * it.
   */
  writeFrame(ring: 'lane' | 'control', position: number, frame: ForgedFrame): number {
    const header = Buffer.alloc(LAYOUT.FRAME_HEADER_BYTES);
    header.writeUInt32LE(frame.length ?? frame.payload.length, 0);
    header.writeUInt32LE(frame.total ?? frame.payload.length, 4);
    header.writeBigUInt64LE(frame.sequence ?? 0n, 8);
    header.set(frame.hash ?? createHash('sha256').update(frame.payload).digest(), 16);
    header.set(frame.mac ?? cmac(this.#keys[ring], header.subarray(0, 48)), 48);
    const start = ring === 'lane' ? this.layout.laneRingOffset : this.layout.controlRingOffset;
    this.write(start + position, Buffer.concat([header, frame.payload]));
    return position + 64 + Math.ceil(frame.payload.length / 64) * 64;
  }

  publishTail(ring: 'lane' | 'control', tail: bigint): void {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt.asUintN(64, tail));
    this.write(ring === 'lane' ? LAYOUT.HEADER_LANE_TAIL : LAYOUT.HEADER_CONTROL_TAIL, bytes);
    this.ring();
  }
}
