/** How an attacker gets bytes into the victim's region, by provider: past its own transport, with no rule kept. */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { LAYOUT, type RegionLayout } from '../../../rdma/layout.ts';
import { type Attacker, ENDPOINT } from './attacker.ts';

export type Ring = 'lane' | 'control';

/** A hint that no correct writer gives: the reader looks at every cell. */
const LOOK_EVERYWHERE = 0xfffffffe;

export interface Reach {
  /** Any bytes at any place; absent where only whole cells and rings travel. Rings nothing. */
  readonly write?: (offset: number, bytes: Uint8Array) => void;
  /** Tells the reader that something is new, wherever. */
  readonly ring?: (hint?: number) => void;
  /** A whole cell, and tells the reader. */
  putCell(ordinal: number, offset: number, bytes: Uint8Array): void;
  /** What the ring begins with, and its tail, which may be anything; and tells the reader. */
  putRing(ring: Ring, bytes: Uint8Array, tail: bigint): void;
  close(): void;
}

function word32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

function word64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, value));
  return bytes;
}

function ringOffset(layout: RegionLayout, ring: Ring): number {
  return ring === 'lane' ? layout.laneRingOffset : layout.controlRingOffset;
}

function tailOffset(ring: Ring): number {
  return ring === 'lane' ? LAYOUT.HEADER_LANE_TAIL : LAYOUT.HEADER_CONTROL_TAIL;
}

/** `shm`: through the region's file, while it has a name. */
export class FileReach implements Reach {
  readonly fd: number;
  readonly #layout: RegionLayout;

  constructor(name: string, layout: RegionLayout) {
    this.fd = openSync(`/dev/shm${name}`, 'r+');
    this.#layout = layout;
  }

  read(offset: number, bytes: number): Buffer {
    const buffer = Buffer.alloc(bytes);
    readSync(this.fd, buffer, 0, bytes, offset);
    return buffer;
  }

  readonly write = (offset: number, bytes: Uint8Array): void => {
    writeSync(this.fd, bytes, 0, bytes.length, offset);
  };

  readonly ring = (hint = LOOK_EVERYWHERE): void => {
    const doorbell = this.read(LAYOUT.HEADER_DOORBELL, 4).readUInt32LE();
    this.write(LAYOUT.HEADER_HINTS + 4 * (doorbell % LAYOUT.HINTS), word32(hint));
    this.write(LAYOUT.HEADER_DOORBELL, word32(doorbell + 1));
  };

  putCell(_ordinal: number, offset: number, bytes: Uint8Array): void {
    this.write(offset, bytes);
    this.ring();
  }

  putRing(ring: Ring, bytes: Uint8Array, tail: bigint): void {
    this.write(ringOffset(this.#layout, ring), bytes);
    this.write(tailOffset(ring), word64(tail));
    this.ring();
  }

  close(): void {
    closeSync(this.fd);
  }
}

const CELL_FRAME = 1;
const RING_FRAME = 2;

/** `tcp`: frames that the victim's host applies. What it would refuse is `shipping.test.ts`; these it takes. */
export class FrameReach implements Reach {
  readonly #apply: (frames: Uint8Array) => void;
  readonly #tails = { lane: 0n, control: 0n };
  readonly #ringBytes: number;

  /** `apply` says why it refuses. */
  constructor(apply: (frames: Uint8Array) => string | undefined, ringBytes: number) {
    this.#ringBytes = ringBytes;
    this.#apply = (frames) => {
      const refused = apply(frames);
      if (refused !== undefined) throw new Error(refused);
    };
  }

  putCell(ordinal: number, _offset: number, bytes: Uint8Array): void {
    const head = Buffer.alloc(8);
    head.writeUInt8(CELL_FRAME, 0);
    head.writeUInt32LE(ordinal, 4);
    this.#apply(Buffer.concat([head, bytes]));
  }

  /** Each write continues its ring, so a tail says how much is sent. */
  putRing(ring: Ring, bytes: Uint8Array, tail: bigint): void {
    const from = this.#tails[ring];
    const stream = Buffer.alloc(tail > from ? Number(tail - from) : bytes.length);
    stream.set(bytes.subarray(0, stream.length));
    for (let at = 0; at < stream.length; at += this.#ringBytes) {
      const piece = stream.subarray(at, at + this.#ringBytes);
      const head = Buffer.alloc(16);
      head.writeUInt8(RING_FRAME, 0);
      head.writeUInt8(ring === 'lane' ? LAYOUT.RING_LANE : LAYOUT.RING_CONTROL, 1);
      head.writeUInt8(at + piece.length === stream.length ? 1 : 0, 2);
      head.writeUInt32LE(piece.length, 4);
      head.writeBigUInt64LE(from + BigInt(at), 8);
      this.#apply(Buffer.concat([head, piece]));
    }
    this.#tails[ring] = from + BigInt(stream.length);
  }

  close(): void {}
}

/** `verbs`: RDMA WRITEs of a queue pair that the victim has connected to. */
export class DeviceReach implements Reach {
  readonly attacker: Attacker;
  readonly address: bigint;
  readonly key: number;
  /** Of the victim, hex. */
  readonly endpoint: string;
  readonly #layout: RegionLayout;

  constructor(attacker: Attacker, endpoint: string, layout: RegionLayout) {
    const bytes = Buffer.from(endpoint, 'hex');
    this.attacker = attacker;
    this.endpoint = endpoint;
    this.address = bytes.readBigUInt64LE(ENDPOINT.ADDRESS);
    this.key = bytes.readUInt32LE(ENDPOINT.KEY);
    this.#layout = layout;
  }

  readonly write = (offset: number, bytes: Uint8Array): void => {
    this.#post('write', offset, bytes);
  };

  readonly ring = (hint = LOOK_EVERYWHERE): void => {
    this.#post('write-immediate', 0, new Uint8Array(), hint);
  };

  putCell(ordinal: number, offset: number, bytes: Uint8Array): void {
    this.#post('write-immediate', offset, bytes, ordinal);
  }

  putRing(ring: Ring, bytes: Uint8Array, tail: bigint): void {
    this.write(ringOffset(this.#layout, ring), bytes);
    this.#post('write-immediate', tailOffset(ring), word64(tail), LAYOUT.HINT_RING);
  }

  close(): void {
    this.attacker.close();
  }

  /** When it returns the bytes are where they were meant to be. */
  #post(
    operation: 'write' | 'write-immediate',
    offset: number,
    bytes: Uint8Array,
    immediate = 0,
  ): void {
    const address = this.address + BigInt(offset);
    const word = this.attacker.post({ operation, address, key: this.key, immediate, bytes });
    if (word !== 'success') throw new Error(`the device did not write: ${word}`);
  }
}
