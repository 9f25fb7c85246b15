/**
 * What one replica may write into another's memory, in one session: cell places where the latest write
 * stays, and two rings. Mirrors the transport's contract (rdma/contract.ts); the MACs are modelled by who can
 * reach which region at all.
 */
import type { Batch, Cell, Message } from '../../consensus/core/index.ts';
import type { CellFrame, Decoded } from '../../consensus/wire/index.ts';
import type { Actor, EventQueue } from './event-queue.ts';

export type RingName = 'lane' | 'control';

export interface RingFrame {
  readonly bytes: Uint8Array;
  /** Of a lane frame: the transport computes it while copying. */
  readonly sha256: Uint8Array | undefined;
  /** What it decodes to, once somebody has read it: the same for all. */
  batch?: Decoded<Batch>;
  message?: Decoded<Message>;
}

/** A cell as it lies in memory. */
export interface WrittenCell extends CellFrame {
  /** Its reader is not woken for it. */
  readonly quiet?: boolean;
  cell?: Decoded<Cell>;
}

/** A ring that keeps order: what has been written, how much of it has arrived, how much was read. */
class Ring {
  frames: RingFrame[] = [];
  arrived = 0;
  read = 0;
  bytes = 0;
  lastArrivalMs = -Infinity;

  clear(): void {
    this.frames = [];
    this.arrived = 0;
    this.read = 0;
    this.bytes = 0;
    this.lastArrivalMs = -Infinity;
  }

  take(): RingFrame | undefined {
    if (this.read >= this.arrived) return undefined;
    const frame = this.frames[this.read++] as RingFrame;
    this.bytes -= frame.bytes.length;
    if (this.read === this.frames.length) {
      this.frames = [];
      this.arrived = 0;
      this.read = 0;
    }
    return frame;
  }
}

export interface Inbox {
  onCell(from: number, frame: WrittenCell): void;
  onLane(from: number, frame: RingFrame): void;
  onMessage(from: number, frame: RingFrame): void;
}

const CELL = 0;
const TEAR = 1;
const LANE = 2;
const CONTROL = 3;

const NO_WRITE = -1;

export class Region implements Actor {
  readonly writer: number;
  readonly #queue: EventQueue;
  readonly #windowSlots: number;
  /** Called when something has become readable. */
  readonly #onArrival: () => void;
  readonly #frames: (WrittenCell | undefined)[];
  /** Number of the write whose content lies in each place: an older one that comes later is lost. */
  readonly #writes: Float64Array;
  readonly #isUnread: Uint8Array;
  #unread: number[] = [];
  readonly #lane = new Ring();
  readonly #control = new Ring();
  #writeCount = 0;
  /** Writes before this one belong to a session that is over. */
  #firstWrite = 0;

  constructor(writer: number, queue: EventQueue, windowSlots: number, onArrival: () => void) {
    this.writer = writer;
    this.#queue = queue;
    this.#windowSlots = windowSlots;
    this.#onArrival = onArrival;
    const places = 3 * windowSlots + 1;
    this.#frames = new Array<WrittenCell | undefined>(places).fill(undefined);
    this.#writes = new Float64Array(places).fill(NO_WRITE);
    this.#isUnread = new Uint8Array(places);
  }

  /** The session has ended: all of it is gone, what is on its way too. */
  clear(): void {
    this.#frames.fill(undefined);
    this.#writes.fill(NO_WRITE);
    this.#isUnread.fill(0);
    this.#unread = [];
    this.#lane.clear();
    this.#control.clear();
    this.#firstWrite = this.#writeCount;
  }

  /** `tornMs` above zero: the place is unreadable so long before the write is complete. */
  writeCell(frame: WrittenCell, arrivesMs: number, tornMs: number): void {
    const place = placeOf(frame, this.#windowSlots);
    const write = this.#writeCount++;
    if (tornMs > 0) this.#queue.schedule(arrivesMs, this, TEAR, place, write);
    this.#queue.schedule(arrivesMs + tornMs, this, CELL, place, write, frame);
  }

  /** False: the ring is full, the frame is skipped. */
  writeRing(name: RingName, frame: RingFrame, arrivesMs: number, bytesMax: number): boolean {
    const ring = name === 'lane' ? this.#lane : this.#control;
    if (ring.bytes > 0 && ring.bytes + frame.bytes.length > bytesMax) return false;
    ring.frames.push(frame);
    ring.bytes += frame.bytes.length;
    ring.lastArrivalMs = Math.max(ring.lastArrivalMs, arrivesMs);
    const kind = name === 'lane' ? LANE : CONTROL;
    this.#queue.schedule(ring.lastArrivalMs, this, kind, 0, this.#writeCount++);
    return true;
  }

  onEvent(kind: number, place: number, write: number, payload: unknown): void {
    if (write < this.#firstWrite) return;
    if (kind === LANE || kind === CONTROL) {
      (kind === LANE ? this.#lane : this.#control).arrived++;
      this.#onArrival();
      return;
    }
    if (write < (this.#writes[place] as number)) return;
    this.#writes[place] = write;
    if (kind === TEAR) {
      this.#frames[place] = undefined;
      return;
    }
    this.#frames[place] = payload as WrittenCell;
    if (this.#isUnread[place] === 0) {
      this.#isUnread[place] = 1;
      this.#unread.push(place);
    }
    if ((payload as WrittenCell).quiet !== true) this.#onArrival();
  }

  get isEmpty(): boolean {
    return (
      this.#unread.length === 0 &&
      this.#lane.read >= this.#lane.arrived &&
      this.#control.read >= this.#control.arrived
    );
  }

  /** Reads everything that has arrived and lies in the interest. Returns the number of items. */
  read(fromSlot: number, toSlot: number, inbox: Inbox, cellsFirst: boolean): number {
    let items = 0;
    if (cellsFirst) items += this.#readCells(fromSlot, toSlot, inbox);
    for (let frame = this.#lane.take(); frame !== undefined; frame = this.#lane.take()) {
      inbox.onLane(this.writer, frame);
      items++;
    }
    if (!cellsFirst) items += this.#readCells(fromSlot, toSlot, inbox);
    for (let frame = this.#control.take(); frame !== undefined; frame = this.#control.take()) {
      inbox.onMessage(this.writer, frame);
      items++;
    }
    return items;
  }

  #readCells(fromSlot: number, toSlot: number, inbox: Inbox): number {
    const unread = this.#unread;
    if (unread.length === 0) return 0;
    const progress = 3 * this.#windowSlots;
    let kept = 0;
    let items = 0;
    for (let i = 0; i < unread.length; i++) {
      const place = unread[i] as number;
      const frame = this.#frames[place];
      if (frame !== undefined && place !== progress && frame.slot > toSlot) {
        unread[kept++] = place;
        continue;
      }
      this.#isUnread[place] = 0;
      // Torn; or of a slot that is past, which nobody will ask for again.
      if (frame === undefined || (place !== progress && frame.slot < fromSlot)) continue;
      items++;
      inbox.onCell(this.writer, frame);
    }
    unread.length = kept;
    return items;
  }
}

export function placeOf(frame: CellFrame, windowSlots: number): number {
  const index = frame.slot % windowSlots;
  switch (frame.kind) {
    case 'proposal':
      return index;
    case 'vote':
      return windowSlots + index;
    case 'commit':
      return 2 * windowSlots + index;
    case 'progress':
      return 3 * windowSlots;
  }
}
