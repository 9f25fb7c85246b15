/** What comes from peers, decoded for the core. Whatever the bytes are, at worst their writer's session begins anew. */
import type { InboxHandler } from '../../rdma/contract.ts';
import type { Cell, Input, ReplicaIndex } from '../core/types.ts';
import {
  type CellFrame,
  createCellDecoder,
  decodeLaneBatch,
  decodeMessage,
  unwrapApplication,
} from '../wire/index.ts';

type Writable<T> = { -readonly [K in keyof T]: T[K] };

const NO_BYTES = new Uint8Array(0);

export interface InboxDependencies {
  readonly replicas: number;
  readonly take: (input: Input) => void;
  /** A message that is not for consensus. */
  readonly onApplication: (from: ReplicaIndex, body: Uint8Array) => void;
  /** The frame of a lane holds one batch; called before it is taken. */
  readonly onFrame: (frame: Uint8Array) => void;
  /** The peer's session cannot go on. */
  readonly onFault: (from: ReplicaIndex, reason: string) => void;
}

export function createInbox(dependencies: InboxDependencies): InboxHandler {
  const { replicas, take, onApplication, onFrame, onFault } = dependencies;
  const malformed = (from: ReplicaIndex, reason: string): void =>
    take({ kind: 'malformed', from, reason });
  const decodeCell = createCellDecoder(replicas);
  // The core keeps neither the input nor the frame, so there is one of each.
  const frame: Writable<CellFrame> = { kind: 'vote', slot: 0, view: 0, flags: 0, body: NO_BYTES };
  const nothing: Cell = { kind: 'vote', view: 0, slot: 0, digest: NO_BYTES };
  const input: Writable<Extract<Input, { kind: 'cell' }>> = {
    kind: 'cell',
    from: 0,
    cell: nothing,
  };
  return {
    onCell: (from, kind, slot, view, flags, body) => {
      frame.kind = kind;
      frame.slot = slot;
      frame.view = view;
      frame.flags = flags;
      frame.body = body;
      const cell = decodeCell(frame);
      if (cell.kind === 'malformed') return malformed(from, cell.reason);
      input.from = from;
      input.cell = cell.value;
      take(input);
    },
    onLane: (from, payload, frameSha256) => {
      const batch = decodeLaneBatch(payload, from);
      if (batch.kind === 'malformed') return malformed(from, batch.reason);
      onFrame(payload);
      take({ kind: 'lane-batch', from, batch: batch.value, frameSha256 });
    },
    onMessage: (from, payload) => {
      const body = unwrapApplication(payload);
      if (body !== undefined) return onApplication(from, body);
      const message = decodeMessage(payload, replicas);
      if (message.kind === 'malformed') return malformed(from, message.reason);
      take({ kind: 'message', from, message: message.value });
    },
    onFault: (from, fault) => {
      // Whoever kills a connection need not be the peer: its session begins anew, and nothing is held against it.
      if (fault.kind === 'device') return onFault(from, fault.reason);
      const where = fault.kind === 'bad-cell' ? fault.cell : `${fault.ring} ring, ${fault.reason}`;
      malformed(from, `${fault.kind}: ${where}`);
      // The reader does not know where the next frame would begin; a bad `head` mends itself.
      if (fault.kind === 'bad-frame' && fault.reason !== 'head') onFault(from, where);
    },
  };
}
