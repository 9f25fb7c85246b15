/**
 * Loaded before a replica's own code, in each of its threads: from then on it is the real program, with its real
 * certificate and keys, whose transport also writes lies into the others' regions, over and over.
 */
import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { PROVIDERS } from '../../../rdma/contract.ts';
import type { RegionDimensions } from '../../../rdma/layout.ts';
import type { NativeAddon, NativeTransportOptions } from '../../../rdma/native.ts';
import { ENDPOINT } from './attacker.ts';
import { Forge } from './forge.ts';
import { FileReach, FrameReach, type Reach } from './reach.ts';

const LIE_EVERY_MS = 10;
/** The lies that end a session come this much rarer: the others need one. */
const SESSION_LIE_EVERY = 40;

/** The same object that the replica's own code will get. */
const path = fileURLToPath(new URL('../../../../build/Release/sluice_rdma.node', import.meta.url));
const addon = createRequire(import.meta.url)(path) as {
  -readonly [K in keyof NativeAddon]: NativeAddon[K];
};

type LyingOptions = NativeTransportOptions & RegionDimensions;

interface Target {
  readonly forge: Forge;
  readonly reach: Reach;
  /** Frames that travel with the next ones. */
  readonly frames: Uint8Array[];
}

function cellLies({ forge, reach }: Target): void {
  const slot = BigInt(randomBytes(2).readUInt16LE());
  const index = forge.cellIndex(slot);
  const kind = 1 + (randomBytes(1).readUInt8() % 3);
  const at = [forge.cellOrdinal(kind, index), forge.cellOffset(kind, index)] as const;
  const lies = [
    randomBytes(forge.cellBytes(kind)),
    forge.sealCell({ kind, slot: slot + 1n }),
    forge.sealCell({ kind, slot, epoch: 77 }),
    forge.sealCell({ kind, slot, view: 1 << 30, body: randomBytes(24) }),
    forge.sealCell({ kind, slot: 1n << 62n }),
  ];
  reach.putCell(...at, lies[randomBytes(1).readUInt8() % lies.length] as Buffer);
}

function sessionLies({ forge, reach }: Target): void {
  const ring = randomBytes(1).readUInt8() % 2 === 0 ? 'lane' : 'control';
  const frames = forge.sealFrames(ring, [{ payload: Buffer.alloc(64), length: 0xffffffff }]);
  reach.putRing(ring, frames, BigInt(frames.length));
}

class LyingTransport extends addon.NativeTransport {
  readonly #options: LyingOptions;
  readonly #targets = new Map<number, Target>();
  #lies = 0;
  readonly #sessions = new Map<number, number>();
  #lastMs = 0;

  constructor(options: LyingOptions) {
    super(options);
    this.#options = options;
  }

  override map(
    peer: number,
    name: string,
    keys: Uint8Array,
    incarnation: bigint,
    endpoint: Uint8Array | undefined,
  ): void {
    this.#targets.get(peer)?.reach.close();
    this.#targets.delete(peer);
    if (endpoint === undefined) {
      this.#targets.set(peer, this.#target(name, Buffer.from(keys), incarnation));
      super.map(peer, name, keys, incarnation, endpoint);
      return;
    }
    const [bent, falseKeys] = [Buffer.from(endpoint), Buffer.from(keys)];
    const session = this.#sessions.get(peer) ?? 0;
    this.#sessions.set(peer, session + 1);
    DEVICE_LIES[session % DEVICE_LIES.length]?.(bent, falseKeys);
    super.map(peer, name, falseKeys, incarnation, bent);
  }

  #target(name: string, keys: Buffer, incarnation: bigint): Target {
    const dimensions = this.#options;
    const part = (use: number): Buffer => keys.subarray(16 * use, 16 * use + 16);
    const forge = new Forge(
      dimensions,
      { cell: part(0), lane: part(1), control: part(2) },
      { incarnation, epoch: dimensions.epoch },
    );
    const frames: Uint8Array[] = [];
    const keep = (more: Uint8Array): undefined => {
      frames.push(Uint8Array.from(more));
    };
    const isFile = PROVIDERS[dimensions.provider] === 'shm';
    const reach = isFile
      ? new FileReach(name, forge.layout)
      : new FrameReach(keep, dimensions.laneRingBytes);
    return { forge, reach, frames };
  }

  override poll(fromSlot: number, toSlot: number, payloads: ArrayBuffer[]): number {
    const nowMs = Date.now();
    if (nowMs - this.#lastMs >= LIE_EVERY_MS) {
      this.#lastMs = nowMs;
      this.#lies++;
      for (const target of this.#targets.values()) {
        cellLies(target);
        if (this.#lies % SESSION_LIE_EVERY === 0) sessionLies(target);
      }
    }
    return super.poll(fromSlot, toSlot, payloads);
  }

  override takeWrites(peer: number, buffer: Uint8Array): number {
    const frames = this.#targets.get(peer)?.frames ?? [];
    const lies = Buffer.concat(frames.splice(0));
    const bytes = super.takeWrites(peer, buffer.subarray(0, buffer.length - lies.length));
    buffer.set(lies, bytes);
    return bytes + lies.length;
  }
}

/** `verbs`: one lie a session, in turns, since the device takes no writes but those of the transport. */
const DEVICE_LIES: readonly ((endpoint: Buffer, keys: Buffer) => void)[] = [
  // Everything is sealed with keys that it made up.
  (_, keys) => keys.set(randomBytes(keys.length)),
  // A key that it was not given.
  (endpoint) => {
    endpoint.writeUInt32LE((endpoint.readUInt32LE(ENDPOINT.KEY) + 1) >>> 0, ENDPOINT.KEY);
  },
];

addon.NativeTransport = LyingTransport as unknown as NativeAddon['NativeTransport'];
