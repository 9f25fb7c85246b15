/** What one replica does, counted at the border of its core. */
import type { Cell, Effect, Input, Message } from '../../consensus/core/index.ts';
import { LAYOUT, regionLayout } from '../../rdma/layout.ts';
import type { Protocol } from '../../test/sim/protocol.ts';

export type CellKind = Cell['kind'];
export const CELL_KINDS: readonly CellKind[] = ['proposal', 'vote', 'commit', 'progress'];

/** Sums, or after `per` shares of a slot. */
export interface Counts {
  turns: number;
  settles: number;
  takes: number;
  /** Cells that are written: once each, whatever the number of peers. */
  readonly written: Record<CellKind, number>;
  /** Cells that are read, each from one peer. */
  readonly read: Record<CellKind, number>;
  batchesWritten: number;
  batchesRead: number;
  /** Messages, each to or from one peer. */
  messagesSent: number;
  messagesRead: number;
  /** The core's; what the transport hashes of ring frames comes with those. */
  hashes: number;
  hashedBytes: number;
  signed: number;
  verified: number;
  /** On the wire, cells and frames with everything around them, to all peers. */
  bytesOut: number;
  writesOut: number;
  slots: number;
}

/** Message kinds that no run without faults should have: they are what the slow path and catching up say. */
const UNEXPECTED: ReadonlySet<Message['kind']> = new Set([
  'prepare',
  'view-change',
  'new-view',
  'fetch-decided',
]);

export class Tally {
  readonly counts: Counts = emptyCounts();
  /** Of the kinds that only faults and slowness bring. */
  unexpected = 0;
  /** The first that was sent, encoded. */
  message: Uint8Array | undefined;
  readonly #replicas: number;
  readonly #wire: Protocol['wire'];

  constructor(replicas: number, wire: Protocol['wire']) {
    this.#replicas = replicas;
    this.#wire = wire;
  }

  onTurn(): void {
    this.counts.turns++;
  }

  onInput(input: Input): void {
    const { counts } = this;
    counts.takes++;
    if (input.kind === 'cell') counts.read[input.cell.kind]++;
    else if (input.kind === 'lane-batch') counts.batchesRead++;
    else if (input.kind === 'message') counts.messagesRead++;
  }

  onHash(first: Uint8Array, second: Uint8Array | undefined): void {
    this.counts.hashes++;
    this.counts.hashedBytes += first.length + (second?.length ?? 0);
  }

  onSettled(effects: readonly Effect[]): void {
    this.counts.settles++;
    for (const effect of effects) this.#onEffect(effect);
  }

  #onEffect(effect: Effect): void {
    const { counts } = this;
    const peers = this.#replicas - 1;
    switch (effect.kind) {
      case 'write-cell':
        counts.written[effect.cell.kind]++;
        return this.#onWritten(peers, cellBytes(effect.cell.kind, this.#replicas));
      case 'write-batch':
        counts.batchesWritten++;
        return this.#onWritten(peers, frameBytes(this.#wire.encodeLaneBatch(effect.batch).length));
      case 'send': {
        counts.messagesSent++;
        if (UNEXPECTED.has(effect.message.kind)) this.unexpected++;
        const encoded = this.#wire.encodeMessage(effect.message);
        this.message ??= encoded;
        return this.#onWritten(1, frameBytes(encoded.length));
      }
      case 'deliver':
        counts.slots++;
        return;
      default:
    }
  }

  #onWritten(peers: number, bytes: number): void {
    this.counts.writesOut += peers;
    this.counts.bytesOut += peers * bytes;
  }
}

/** As a cell lies in memory and travels. */
export function cellBytes(kind: CellKind, replicas: number): number {
  const ring = { laneRingBytes: 0, controlRingBytes: 0, payloadBytesMax: 0, windowSlots: 1 };
  const layout = regionLayout({ replicas, ...ring });
  switch (kind) {
    case 'vote':
      return LAYOUT.VOTE_CELL_BYTES;
    case 'commit':
      return LAYOUT.COMMIT_CELL_BYTES;
    case 'proposal':
      return layout.proposalCellBytes;
    case 'progress':
      return layout.progressCellBytes;
  }
}

/** Of a payload that needs one fragment. */
export function frameBytes(payloadBytes: number): number {
  const { FRAME_HEADER_BYTES, FRAME_ALIGN } = LAYOUT;
  return FRAME_HEADER_BYTES + Math.ceil(payloadBytes / FRAME_ALIGN) * FRAME_ALIGN;
}

function emptyCounts(): Counts {
  const none = (): Record<CellKind, number> => ({ proposal: 0, vote: 0, commit: 0, progress: 0 });
  return {
    turns: 0,
    settles: 0,
    takes: 0,
    written: none(),
    read: none(),
    batchesWritten: 0,
    batchesRead: 0,
    messagesSent: 0,
    messagesRead: 0,
    hashes: 0,
    hashedBytes: 0,
    signed: 0,
    verified: 0,
    bytesOut: 0,
    writesOut: 0,
    slots: 0,
  };
}

/** What one replica does for one slot, on the average over these. */
export function perSlot(all: readonly Counts[]): Counts {
  const slots = all.reduce((sum, counts) => sum + counts.slots, 0);
  if (slots === 0) throw new RangeError('no slot was delivered: nothing can be said of one');
  const mean = emptyCounts();
  for (const counts of all) addTo(mean, counts, 1 / slots);
  return mean;
}

function addTo(sum: Counts, counts: Counts, weight: number): void {
  for (const kind of CELL_KINDS) {
    sum.written[kind] += counts.written[kind] * weight;
    sum.read[kind] += counts.read[kind] * weight;
  }
  for (const name of Object.keys(counts) as (keyof Counts)[]) {
    const value = counts[name];
    if (name === 'written' || name === 'read' || typeof value !== 'number') continue;
    sum[name] += value * weight;
  }
}
