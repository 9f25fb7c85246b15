/** How an honest core speaks: every peer hears the same. */
import type { Batch, Cell, Message } from '../../consensus/core/index.ts';
import type { Voice } from './life.ts';
import type { Port } from './network.ts';
import type { Protocol } from './protocol.ts';
import type { RingFrame } from './region.ts';

export class HonestVoice implements Voice {
  readonly port: Port;
  readonly #wire: Protocol['wire'];
  /** Broadcasts come as one message for each peer, with the same parts: encoded once. */
  #lastKey: unknown;
  #lastFrame: RingFrame | undefined;

  constructor(port: Port, wire: Protocol['wire']) {
    this.port = port;
    this.#wire = wire;
  }

  cell(cell: Cell, quiet: boolean): void {
    this.port.writeCell(this.#wire.encodeCell(cell), quiet);
  }

  rewriteCells(to: number): void {
    this.port.rewriteCells(to);
  }

  batch(batch: Batch): void {
    this.port.writeLane(this.#wire.encodeLaneBatch(batch));
  }

  message(to: number, message: Message): void {
    const key = keyOf(message);
    if (this.#lastFrame === undefined || key !== this.#lastKey) {
      this.#lastKey = key;
      this.#lastFrame = { bytes: this.#wire.encodeMessage(message), sha256: undefined };
    }
    this.port.send(to, this.#lastFrame);
  }
}

/** The object that is the same for all receivers of a broadcast. */
function keyOf(message: Message): unknown {
  switch (message.kind) {
    case 'view-change':
      return message.viewChange;
    case 'new-view':
      return message.newView;
    case 'checkpoint':
      return message.checkpoint;
    default:
      return message;
  }
}
