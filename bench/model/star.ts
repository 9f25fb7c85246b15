/** Real transports over shared memory: one in the middle, with a session to each of the others, as a replica has. */
import { DEFAULT_LIMITS } from '../../consensus/core/limits.ts';
import type { CellContent, InboxHandler, Transport } from '../../rdma/contract.ts';
import { openShmTransport } from '../../rdma/index.ts';
import { connect } from '../../test/rdma/support/pair.ts';
import { timeBetween, timeEach } from './clock.ts';

const NOTHING = (): void => {};
const IGNORING: InboxHandler = {
  onCell: NOTHING,
  onLane: NOTHING,
  onMessage: NOTHING,
  onFault: (peer, fault) => {
    throw new Error(`the transport of replica ${peer} is not healthy: ${JSON.stringify(fault)}`);
  },
};
const EVERYTHING = { fromSlot: 0, toSlot: Number.MAX_SAFE_INTEGER };
const CALLS = 2_000;
const LANE_CALLS = 200;

export class Star {
  readonly #hub: Transport;
  readonly #peers: readonly Transport[];

  constructor(replicas: number) {
    const open = (self: number): Transport =>
      openShmTransport({
        self,
        replicas,
        windowSlots: DEFAULT_LIMITS.windowSlots,
        channel: 'bench',
        epoch: 0,
        waitMode: 'spin',
      });
    this.#hub = open(0);
    this.#peers = Array.from({ length: replicas - 1 }, (_, i) => open(i + 1));
    for (const peer of this.#peers) connect(this.#hub, peer);
  }

  /** One cell, sealed and written to all peers in one call. */
  writeCellUs(cellOf: (slot: number) => CellContent): number {
    return timeEach(CALLS, (slot) => this.#hub.writeCell(cellOf(slot)));
  }

  /** One cell of one peer: found, copied, its MAC checked, handed up. */
  readCellUs(cellOf: (slot: number) => CellContent): number {
    const emptyUs = this.emptyPollUs();
    const us = timeBetween(CALLS, {
      prepare: (slot) => {
        for (const peer of this.#peers) peer.writeCell(cellOf(slot));
      },
      work: () => this.#poll(this.#hub),
      clear: NOTHING,
    });
    return Math.max(0, us - emptyUs) / this.#peers.length;
  }

  emptyPollUs(): number {
    this.#poll(this.#hub);
    return timeEach(CALLS, () => this.#poll(this.#hub));
  }

  /** One payload into the lane rings of all peers. */
  writeLaneUs(payload: Uint8Array): number {
    return timeBetween(LANE_CALLS, {
      prepare: NOTHING,
      work: () => this.#hub.writeLane(payload),
      clear: () => this.#drain(),
    });
  }

  /** One payload of one peer: copied, its MAC and hash checked, handed up. */
  readLaneUs(payload: Uint8Array): number {
    const emptyUs = this.emptyPollUs();
    const us = timeBetween(LANE_CALLS, {
      prepare: () => {
        for (const peer of this.#peers) peer.writeLane(payload);
      },
      work: () => this.#poll(this.#hub),
      clear: () => this.#drain(),
    });
    return Math.max(0, us - emptyUs) / this.#peers.length;
  }

  /** A message to one peer, and one of one peer. */
  messageUs(payload: Uint8Array): { sendUs: number; readUs: number } {
    const peer = this.#peers[0] as Transport;
    const sendUs = timeBetween(CALLS, {
      prepare: NOTHING,
      work: () => this.#hub.send(peer.self, payload),
      clear: () => this.#drain(),
    });
    const emptyUs = this.emptyPollUs();
    const us = timeBetween(CALLS, {
      prepare: () => {
        peer.send(this.#hub.self, payload);
      },
      work: () => this.#poll(this.#hub),
      clear: () => this.#drain(),
    });
    return { sendUs, readUs: Math.max(0, us - emptyUs) };
  }

  close(): void {
    for (const transport of [this.#hub, ...this.#peers]) transport.destroy();
  }

  /** Everybody reads what there is, and so returns the credits of the rings. */
  #drain(): void {
    for (const peer of this.#peers) this.#poll(peer);
    this.#poll(this.#hub);
  }

  #poll(transport: Transport): void {
    transport.poll(EVERYTHING, IGNORING);
  }
}
