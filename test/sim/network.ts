/**
 * The transport of one channel, for all its replicas: regions, sessions that open, break and open
 * again, and everything that may go wrong on the way.
 */
import type { CellFrame } from '../../consensus/wire/index.ts';
import { sha256 } from './crypto.ts';
import type { Actor, EventQueue } from './event-queue.ts';
import type { Weakness } from './protocol.ts';
import type { Random } from './random.ts';
import {
  type Inbox,
  placeOf,
  Region,
  type RingFrame,
  type RingName,
  type WrittenCell,
} from './region.ts';

export interface NetworkProfile {
  /** A write takes base + (0..1) * jitter, now and then a spike more. */
  readonly latencyMs: number;
  readonly jitterMs: number;
  readonly spikeChance: number;
  readonly spikeMs: number;
  /** A completed write that never arrives. */
  readonly lossChance: number;
  /** A frame that finds the ring full. */
  readonly skipChance: number;
  readonly tearChance: number;
  readonly tearMs: number;
  readonly ringBytesMax: number;
}

/** The machines beneath: shared by all channels. */
export interface Links {
  /** Is the way from one process to another cut? */
  isCut(from: number, to: number): boolean;
  /** May this process take part in a new session now? */
  isReachable(process: number): boolean;
}

/** One replica as the network sees it. */
export interface Endpoint {
  onArrival(): void;
  onSession(peer: number, open: boolean): void;
}

const TRY = 0;
const UP = 1;
const DOWN = 2;

const HANDSHAKE_MS_MAX = 3;
const RETRY_MS_MIN = 5;
const RETRY_MS_MAX = 150;

export class Network implements Actor {
  readonly replicas: number;
  readonly windowSlots: number;
  profile: NetworkProfile;
  readonly #weakness: Weakness | undefined;
  readonly #queue: EventQueue;
  readonly #random: Random;
  readonly #links: Links;
  readonly #endpoints: (Endpoint | undefined)[];
  /** [reader][writer] */
  readonly #regions: Region[][];
  /** [a][b] for a < b: does the session stand? */
  readonly #standing: boolean[][];
  readonly #epochs: number[][];
  /** [a][b]: does a believe that its session with b is open? */
  readonly #open: boolean[][];
  /** By reader: cells of slots below this one are past, and will never be looked at. */
  readonly #pastBelow: Float64Array;

  constructor(
    options: {
      replicas: number;
      windowSlots: number;
      profile: NetworkProfile;
      weakness: Weakness | undefined;
    },
    dependencies: { queue: EventQueue; random: Random; links: Links },
  ) {
    const { replicas, windowSlots } = options;
    this.replicas = replicas;
    this.windowSlots = windowSlots;
    this.profile = options.profile;
    this.#weakness = options.weakness;
    this.#queue = dependencies.queue;
    this.#random = dependencies.random;
    this.#links = dependencies.links;
    const table = <T>(value: (row: number, column: number) => T): T[][] =>
      Array.from({ length: replicas }, (_, row) =>
        Array.from({ length: replicas }, (_, column) => value(row, column)),
      );
    this.#endpoints = new Array<Endpoint | undefined>(replicas).fill(undefined);
    this.#regions = table((reader, writer) => {
      const onArrival = () => {
        if (this.#open[reader]![writer]) this.#endpoints[reader]?.onArrival();
      };
      return new Region(writer, dependencies.queue, windowSlots, onArrival);
    });
    this.#standing = table(() => false);
    this.#epochs = table(() => 0);
    this.#open = table(() => false);
    this.#pastBelow = new Float64Array(replicas);
  }

  /** A process has come up: it looks for its peers. */
  attach(self: number, endpoint: Endpoint): void {
    this.#endpoints[self] = endpoint;
    this.#pastBelow[self] = 0;
    for (let peer = 0; peer < this.replicas; peer++) {
      if (peer !== self) this.#tryLater(Math.min(self, peer), Math.max(self, peer));
    }
  }

  /** A process is gone; its peers notice within `noticeMsMax`. */
  detach(self: number, noticeMsMax: number): void {
    this.#endpoints[self] = undefined;
    for (let peer = 0; peer < this.replicas; peer++) {
      if (peer === self) continue;
      this.#open[self]![peer] = false;
      this.breakSession(self, peer, noticeMsMax);
    }
  }

  /**
   * A QP error: both notice within `noticeMsMax`, then try to open a new session. What was posted before still arrives,
   * and is read until the reader has noticed.
   */
  breakSession(one: number, other: number, noticeMsMax: number): void {
    const [a, b] = [Math.min(one, other), Math.max(one, other)];
    if (!this.#standing[a]![b]) return;
    this.#standing[a]![b] = false;
    const epoch = ++this.#epochs[a]![b]!;
    const { nowMs } = this.#queue;
    const noticedA = nowMs + this.#random.next() * noticeMsMax;
    const noticedB = nowMs + this.#random.next() * noticeMsMax;
    this.#queue.schedule(noticedA, this, DOWN, a, b, epoch);
    this.#queue.schedule(noticedB, this, DOWN, b, a, epoch);
    this.#queue.schedule(Math.max(noticedA, noticedB) + 0.001, this, TRY, a, b, epoch);
  }

  isOpen(self: number, peer: number): boolean {
    return this.#open[self]![peer]!;
  }

  onEvent(kind: number, a: number, b: number, payload: unknown): void {
    const low = Math.min(a, b);
    const high = Math.max(a, b);
    if (payload !== this.#epochs[low]![high]) return;
    switch (kind) {
      case TRY:
        return this.#tryOpen(a, b);
      case UP:
        return this.#setOpen(a, b, true);
      case DOWN:
        return this.#setOpen(a, b, false);
      default:
        throw new RangeError(`network event ${kind}`);
    }
  }

  #setOpen(self: number, peer: number, open: boolean): void {
    const endpoint = this.#endpoints[self];
    if (endpoint === undefined || this.#open[self]![peer] === open) return;
    this.#open[self]![peer] = open;
    if (!open) this.#regions[self]![peer]!.clear();
    endpoint.onSession(peer, open);
    // What came before this side knew of the session.
    if (open && !this.#regions[self]![peer]!.isEmpty) endpoint.onArrival();
  }

  #tryOpen(a: number, b: number): void {
    if (this.#standing[a]![b]) return;
    const possible =
      this.#endpoints[a] !== undefined &&
      this.#endpoints[b] !== undefined &&
      this.#links.isReachable(a) &&
      this.#links.isReachable(b) &&
      !this.#links.isCut(a, b) &&
      !this.#links.isCut(b, a);
    if (!possible) return this.#tryLater(a, b);
    // Whoever has not noticed the end of the old session does so by the new one.
    this.#setOpen(a, b, false);
    this.#setOpen(b, a, false);
    this.#regions[a]![b]!.clear();
    this.#regions[b]![a]!.clear();
    this.#standing[a]![b] = true;
    const epoch = ++this.#epochs[a]![b]!;
    const { nowMs } = this.#queue;
    for (const [self, peer] of [
      [a, b],
      [b, a],
    ] as const) {
      const atMs = nowMs + this.#random.next() * HANDSHAKE_MS_MAX;
      this.#queue.schedule(atMs, this, UP, self, peer, epoch);
    }
  }

  #tryLater(a: number, b: number): void {
    const atMs = this.#queue.nowMs + this.#random.between(RETRY_MS_MIN, RETRY_MS_MAX);
    this.#queue.schedule(atMs, this, TRY, a, b, this.#epochs[a]![b]);
  }

  /** One cell from one replica to one other. */
  postCell(from: number, to: number, frame: WrittenCell): void {
    const { lossChance, tearChance, tearMs } = this.profile;
    if (!this.#reaches(from, to) || this.#random.chance(lossChance)) return;
    // Half of what a rewrite writes; nobody would notice that it came.
    if (frame.slot < (this.#pastBelow[to] as number) && frame.kind !== 'progress') return;
    const tornMs = this.#random.chance(tearChance) ? this.#random.next() * tearMs : 0;
    this.#regions[to]![from]!.writeCell(frame, this.#arrivalMs(), tornMs);
  }

  /**
   * Somebody writes into memory that is `writer`'s alone, having guessed the key of that region, or replays what it
   * has seen pass by. `original` is what `writer` wrote, in whatever region and view. MACs see to it that it is not
   * even read; a mutant's MACs may not cover everything.
   */
  postSpoofed(
    writer: number,
    to: number,
    spoofed: {
      readonly frame: WrittenCell;
      readonly original: WrittenCell;
      readonly reader: number;
    },
  ): void {
    const { frame, original, reader } = spoofed;
    const { slot, kind, flags, body } = original;
    const isOtherwiseSame =
      reader === to && frame.slot === slot && frame.kind === kind && frame.flags === flags;
    const passes =
      this.#weakness === 'mac-writer' ||
      (this.#weakness === 'mac-view' && isOtherwiseSame && frame.body === body);
    if (passes) this.postCell(writer, to, frame);
  }

  postRing(from: number, to: number, ring: RingName, frame: RingFrame): void {
    const { skipChance, ringBytesMax } = this.profile;
    if (!this.#reaches(from, to) || this.#random.chance(skipChance)) return;
    this.#regions[to]![from]!.writeRing(ring, frame, this.#arrivalMs(), ringBytesMax);
  }

  #reaches(from: number, to: number): boolean {
    return (
      this.#open[from]![to]! &&
      this.#standing[Math.min(from, to)]![Math.max(from, to)]! &&
      !this.#links.isCut(from, to)
    );
  }

  #arrivalMs(): number {
    const { latencyMs, jitterMs, spikeChance, spikeMs } = this.profile;
    const delayMs = latencyMs + this.#random.next() * jitterMs;
    const spike = this.#random.chance(spikeChance) ? this.#random.next() * spikeMs : 0;
    return this.#queue.nowMs + delayMs + spike;
  }

  /** Hands up what has come for `reader`, its peers in random order. Returns the number of items. */
  poll(
    reader: number,
    interest: { readonly fromSlot: number; readonly toSlot: number },
    inbox: Inbox,
  ): number {
    const { replicas } = this;
    const regions = this.#regions[reader] as Region[];
    const open = this.#open[reader] as boolean[];
    this.#pastBelow[reader] = interest.fromSlot;
    const first = this.#random.below(2 * replicas);
    let items = 0;
    for (let step = 0; step < replicas; step++) {
      const writer = (first + step) % replicas;
      if (writer === reader || !open[writer]) continue;
      const region = regions[writer] as Region;
      if (region.isEmpty) continue;
      items += region.read(interest.fromSlot, interest.toSlot, inbox, first >= replicas);
    }
    return items;
  }
}

/** What one core writes through. `reaches` limits it to some peers (a twin's side). */
export class Port {
  readonly #network: Network;
  readonly #self: number;
  /** What it has written last in each place, for those whose session opens. */
  readonly #current = new Map<number, WrittenCell>();
  reaches: (to: number) => boolean;

  constructor(network: Network, self: number, reaches: (to: number) => boolean = () => true) {
    this.#network = network;
    this.#self = self;
    this.reaches = reaches;
  }

  writeCell(frame: CellFrame, quiet: boolean): void {
    const padded: WrittenCell = { ...frame, body: padBody(frame.body), quiet };
    this.#current.set(placeOf(frame, this.#network.windowSlots), padded);
    for (let to = 0; to < this.#network.replicas; to++) {
      if (to !== this.#self && this.reaches(to)) this.postCell(to, padded);
    }
  }

  rewriteCells(to: number): void {
    if (!this.reaches(to)) return;
    for (const frame of this.#current.values()) this.postCell(to, frame);
  }

  /** To one peer only, and not kept. */
  postCell(to: number, frame: WrittenCell): void {
    this.#network.postCell(this.#self, to, frame);
  }

  writeLane(bytes: Uint8Array): void {
    const frame = { bytes, sha256: sha256(bytes) };
    for (let to = 0; to < this.#network.replicas; to++) {
      if (to !== this.#self && this.reaches(to)) this.postLane(to, frame);
    }
  }

  postLane(to: number, frame: RingFrame): void {
    this.#network.postRing(this.#self, to, 'lane', frame);
  }

  send(to: number, frame: RingFrame): void {
    if (this.reaches(to)) this.#network.postRing(this.#self, to, 'control', frame);
  }
}

/** The transport pads a body to whole cache lines, 40 bytes of which are head and MAC. */
export function padBody(body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(Math.ceil((body.length + 40) / 64) * 64 - 40);
  bytes.set(body);
  return bytes;
}
