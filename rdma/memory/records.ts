/**
 * What one native poll found, packed into one buffer (written by `native/record_sink.cc`).
 *
 *     0      1      2           3              4                       8       16           24
 *   +------+------+-----------+--------------+-----------------------+-------+------------+----------+
 *   | type | peer | kind/ring | flags/reason | view / index /        | slot  | body bytes | body,    |
 *   | u8   | u8   | u8        | u8           | payload's place  u32  | f64   | u32, zero  | padded 8 |
 *   +------+------+-----------+--------------+-----------------------+-------+------------+----------+
 *   1 cell: body as the writer gave it.    2 payload: body is its SHA-256, bytes are payloads[place].
 *   6 short payload: body is its SHA-256, then its bytes.
 *   3 bad cell: kind and index.            4 bad frame: ring and reason.
 *   5 dead connection: what the device says is asked for.
 */

import type { InboxHandler, RingName, TransportFault } from '../contract.ts';
import { CELL_KINDS, LAYOUT } from '../layout.ts';
import { LIMITS } from '../limits.ts';
import { Slab } from './slab.ts';

const TYPE_CELL = 1;
const TYPE_PAYLOAD = 2;
const TYPE_BAD_CELL = 3;
const TYPE_BAD_FRAME = 4;
const TYPE_DEAD_CONNECTION = 5;
const TYPE_SHORT_PAYLOAD = 6;
const RECORD_HEADER_BYTES = 24;
const SHA256_BYTES = LAYOUT.SHA256_BYTES;

const FRAME_REASONS = ['length', 'sequence', 'mac', 'fragment', 'head'] as const;

/** The buffers that one transport's polls fill again and again. */
export interface PollBuffers {
  readonly records: Uint8Array;
  readonly view: DataView;
  /** One private buffer for each payload that is not short; the handler keeps them. */
  readonly payloads: ArrayBuffer[];
  /** For each peer, so that none keeps more in memory than it has sent. */
  readonly slabs: readonly Slab[];
  /** Where a body or a hash lies while the handler looks at it, by its length: a view of the records for each is garbage. */
  readonly scratch: (Uint8Array | undefined)[];
}

/** `memory`: the addon's (`NativeTransport.memory`). */
export function createPollBuffers(memory: ArrayBuffer, replicas: number): PollBuffers {
  return {
    records: new Uint8Array(memory, 0, LIMITS.pollRecordBytesMax),
    view: new DataView(memory, 0, LIMITS.pollRecordBytesMax),
    payloads: [],
    slabs: Array.from({ length: replicas }, () => new Slab()),
    scratch: [],
  };
}

/** The `length` bytes of the records from `start`, until the next call for as many. */
function lookAt({ records, scratch }: PollBuffers, start: number, length: number): Uint8Array {
  let bytes = scratch[length];
  if (bytes === undefined) {
    bytes = new Uint8Array(length);
    scratch[length] = bytes;
  }
  for (let i = 0; i < length; i++) bytes[i] = records[start + i] as number;
  return bytes;
}

/** Our own addon wrote the records: what does not decode is a bug here, not a peer's fault. */
function impossible(what: string): Error {
  return new Error(`poll record with an unknown ${what}: the addon does not fit this release`);
}

function ringName(code: number): RingName {
  if (code === LAYOUT.RING_LANE) return 'lane';
  if (code === LAYOUT.RING_CONTROL) return 'control';
  throw impossible('ring');
}

function cellKind(code: number) {
  const kind = CELL_KINDS[code];
  if (kind === undefined) throw impossible('cell kind');
  return kind;
}

function frameFault(ring: RingName, code: number): TransportFault {
  const reason = FRAME_REASONS[code];
  if (reason === undefined) throw impossible('reason');
  return { kind: 'bad-frame', ring, reason };
}

/**
 * Calls the handler for the first `items` records, in order. Items of a peer whose entry in
 * `dropped` becomes non-zero (the handler closed its session) are left out.
 */
export function dispatchRecords(
  buffers: PollBuffers,
  items: number,
  handler: InboxHandler,
  dropped: Uint8Array,
  deviceFault: (peer: number) => string,
): void {
  const { records, view, payloads, slabs } = buffers;
  let offset = 0;
  for (let i = 0; i < items; i++) {
    const type = view.getUint8(offset);
    const peer = view.getUint8(offset + 1);
    const what = view.getUint8(offset + 2);
    const detail = view.getUint8(offset + 3);
    const number = view.getUint32(offset + 4, true);
    const start = offset + RECORD_HEADER_BYTES;
    const end = start + view.getUint32(offset + 16, true);
    const slot = view.getFloat64(offset + 8, true);
    offset = (end + 7) & ~7;
    if (dropped[peer] !== 0) continue;
    switch (type) {
      case TYPE_CELL:
        handler.onCell(
          peer,
          cellKind(what),
          slot,
          number,
          detail,
          lookAt(buffers, start, end - start),
        );
        break;
      case TYPE_PAYLOAD: {
        const buffer = payloads[number];
        if (buffer === undefined) throw impossible('payload');
        handOver(handler, peer, what, new Uint8Array(buffer), buffers, start);
        break;
      }
      case TYPE_SHORT_PAYLOAD: {
        const bytesAt = start + SHA256_BYTES;
        const payload = (slabs[peer] as Slab).copy(records, bytesAt, end);
        handOver(handler, peer, what, payload, buffers, start);
        break;
      }
      case TYPE_BAD_CELL:
        handler.onFault(peer, { kind: 'bad-cell', cell: cellKind(what), index: number });
        break;
      case TYPE_BAD_FRAME:
        handler.onFault(peer, frameFault(ringName(what), detail));
        break;
      case TYPE_DEAD_CONNECTION:
        handler.onFault(peer, { kind: 'device', reason: deviceFault(peer) });
        break;
      default:
        throw impossible('type');
    }
  }
}

/** `hashAt`: where the payload's SHA-256 lies in the records. */
function handOver(
  handler: InboxHandler,
  peer: number,
  ring: number,
  payload: Uint8Array,
  buffers: PollBuffers,
  hashAt: number,
): void {
  if (ringName(ring) !== 'lane') return handler.onMessage(peer, payload);
  handler.onLane(peer, payload, lookAt(buffers, hashAt, SHA256_BYTES));
}
