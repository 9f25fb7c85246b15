/**
 * The transport's promises in memory, with real bytes: per ordered pair a region with cell
 * places (the latest write stays, whoever looks late sees only that) and two rings. No order
 * between cells, nor cells and rings.
 */

import type { Input } from '../../../consensus/core/index.ts';
import {
  type CellFrame,
  type Decoded,
  decodeCell,
  decodeLaneBatch,
  decodeMessage,
} from '../../../consensus/wire/index.ts';

interface Place {
  frame: CellFrame;
  unread: boolean;
}

export interface Region {
  readonly places: Map<string, Place>;
  lane: Uint8Array[];
  control: Uint8Array[];
}

/** What is being written; a filter may drop it. */
export type Write =
  | { readonly kind: 'cell'; readonly frame: CellFrame }
  | { readonly kind: 'lane'; readonly bytes: Uint8Array }
  | { readonly kind: 'control'; readonly bytes: Uint8Array };

/** What one replica writes through. */
export interface Port {
  writeCell(frame: CellFrame): void;
  rewriteCells(to: number): void;
  writeLane(bytes: Uint8Array): void;
  send(to: number, bytes: Uint8Array): void;
}

const KIND_ORDER = ['proposal', 'vote', 'commit', 'progress'];

export class MemoryNetwork {
  readonly replicas: number;
  readonly windowSlots: number;
  /** regions[reader][writer] */
  readonly regions: Region[][];
  /** False: the write is lost. */
  filter: (from: number, to: number, write: Write) => boolean = () => true;

  constructor(replicas: number, windowSlots: number) {
    this.replicas = replicas;
    this.windowSlots = windowSlots;
    const region = (): Region => ({ places: new Map(), lane: [], control: [] });
    this.regions = Array.from({ length: replicas }, () => Array.from({ length: replicas }, region));
  }

  #place(frame: CellFrame): string {
    return frame.kind === 'progress'
      ? 'progress'
      : `${frame.kind}/${frame.slot % this.windowSlots}`;
  }

  /** The port of replica `from`; `reaches` limits it to some peers (a twin's side). */
  port(from: number, reaches: (to: number) => boolean = () => true): Port {
    // What the writer has written last in each place.
    const current = new Map<string, CellFrame>();
    const peers = () =>
      Array.from({ length: this.replicas }, (_, to) => to).filter(
        (to) => to !== from && reaches(to),
      );
    return {
      writeCell: (frame) => {
        current.set(this.#place(frame), frame);
        for (const to of peers()) this.writeCellTo(from, to, frame);
      },
      rewriteCells: (to) => {
        if (!reaches(to)) return;
        for (const frame of current.values()) this.writeCellTo(from, to, frame);
      },
      writeLane: (bytes) => {
        for (const to of peers()) this.writeLaneTo(from, to, bytes);
      },
      send: (to, bytes) => {
        if (!reaches(to) || !this.filter(from, to, { kind: 'control', bytes })) return;
        this.regions[to]![from]!.control.push(bytes);
      },
    };
  }

  /** To one peer only: what a correct replica never does. */
  writeCellTo(from: number, to: number, frame: CellFrame): void {
    if (!this.filter(from, to, { kind: 'cell', frame })) return;
    this.regions[to]![from]!.places.set(this.#place(frame), { frame, unread: true });
  }

  writeLaneTo(from: number, to: number, bytes: Uint8Array): void {
    if (this.filter(from, to, { kind: 'lane', bytes })) this.regions[to]![from]!.lane.push(bytes);
  }

  /** A session has ended: what was in the rings is gone. */
  clearRings(a: number, b: number): void {
    for (const region of [this.regions[a]![b]!, this.regions[b]![a]!]) {
      region.lane = [];
      region.control = [];
    }
  }

  /** The process is gone, and with it what others could read of it, and it of others. */
  forget(self: number): void {
    for (let peer = 0; peer < this.replicas; peer++) {
      this.clearRings(self, peer);
      this.regions[self]![peer]!.places.clear();
      this.regions[peer]![self]!.places.clear();
    }
  }

  /** Unread cells of a writer that the reader is interested in, in a fixed order. */
  unreadCells(reader: number, writer: number, from: number, to: number): CellFrame[] {
    const found: Place[] = [];
    for (const place of this.regions[reader]![writer]!.places.values()) {
      const { kind, slot } = place.frame;
      if (place.unread && (kind === 'progress' || (slot >= from && slot <= to))) found.push(place);
    }
    const rank = (frame: CellFrame) => KIND_ORDER.indexOf(frame.kind);
    return found.map(({ frame }) => frame).sort((a, b) => a.slot - b.slot || rank(a) - rank(b));
  }

  readCell(reader: number, writer: number, frame: CellFrame): Input {
    const place = this.regions[reader]![writer]!.places.get(this.#place(frame))!;
    place.unread = false;
    const cell = decodeCell({ ...frame, body: padded(frame.body) }, this.replicas);
    return asInput(writer, cell, (value) => ({ kind: 'cell', from: writer, cell: value }));
  }

  readLane(writer: number, bytes: Uint8Array): Input {
    const batch = decodeLaneBatch(bytes, writer);
    return asInput(writer, batch, (value) => ({ kind: 'lane-batch', from: writer, batch: value }));
  }

  readControl(writer: number, bytes: Uint8Array): Input {
    const message = decodeMessage(bytes, this.replicas);
    return asInput(writer, message, (value) => ({ kind: 'message', from: writer, message: value }));
  }
}

/** The transport pads bodies to cache lines. */
function padded(body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(Math.ceil((body.length + 40) / 64) * 64 - 40);
  bytes.set(body);
  return bytes;
}

function asInput<T>(from: number, decoded: Decoded<T>, wrap: (value: T) => Input): Input {
  if (decoded.kind === 'ok') return wrap(decoded.value);
  return { kind: 'malformed', from, reason: decoded.reason };
}
