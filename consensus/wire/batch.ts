/**
 * A batch in its owner's lane ring. The lane is the writer's number and is not repeated.
 *
 *     0         1        9                41
 *   +---------+--------+----------------+---------+
 *   | version | seq    | previous       | payload |
 *   | u8 = 1  | u64    | digest, 32     | rest    |
 *   +---------+--------+----------------+---------+
 *
 * Standalone, in messages and records: lane u16 | frame.
 *
 * The batch digest covers SHA-256 of this frame, which the transport computes natively anyway.
 */
import type { Batch, BatchSeq, Digest32, ReplicaIndex } from '../core/types.ts';
import {
  copyShort,
  createRoom,
  type Decoded,
  isZero,
  malformed,
  ok,
  readU64,
  writeU64,
} from './bytes.ts';
import type { ByteReader, ByteWriter } from './stream.ts';

const VERSION = 1;
const PREVIOUS_OFFSET = 9;
const DIGEST32_BYTES = 32;
const LANE_BYTES = 2;
export const LANE_FRAME_HEADER_BYTES = 41;

/** The frame's first 41 bytes, for hashing header and payload without joining them. */
export function laneFrameHeader(seq: BatchSeq, previous: Digest32): Uint8Array {
  const header = new Uint8Array(LANE_FRAME_HEADER_BYTES);
  writeHeader(header, seq, previous);
  return header;
}

export function encodeLaneBatch(batch: Batch): Uint8Array {
  return fillFrame(new Uint8Array(LANE_FRAME_HEADER_BYTES + batch.payload.length), batch);
}

/** As `encodeLaneBatch`, for a writer that is done with each frame before the next: it is overwritten then. */
export function createLaneEncoder(): (batch: Batch) => Uint8Array {
  const roomFor = createRoom();
  return (batch) => fillFrame(roomFor(LANE_FRAME_HEADER_BYTES + batch.payload.length), batch);
}

function fillFrame(frame: Uint8Array, batch: Batch): Uint8Array {
  writeHeader(frame, batch.seq, batch.previous);
  frame.set(batch.payload, LANE_FRAME_HEADER_BYTES);
  return frame;
}

/** The payload is a view into `frame`, which becomes the batch's to keep. */
export function decodeLaneBatch(frame: Uint8Array, lane: ReplicaIndex): Decoded<Batch> {
  if (frame.length <= LANE_FRAME_HEADER_BYTES) return malformed('lane frame too short');
  if (frame[0] !== VERSION) return malformed('unknown lane frame version');
  const seq = readU64(frame, 1);
  if (seq === undefined) return malformed('batch sequence exceeds 2^53 - 1');
  if (seq === 0) return malformed('batch sequence 0');
  const previous = copyShort(frame, PREVIOUS_OFFSET, DIGEST32_BYTES);
  if (seq === 1 && !isZero(previous)) return malformed('first batch with a predecessor');
  return ok({ lane, seq, previous, payload: frame.subarray(LANE_FRAME_HEADER_BYTES) });
}

/** Of a standalone batch. */
export function batchBytes(batch: Batch): number {
  return LANE_BYTES + LANE_FRAME_HEADER_BYTES + batch.payload.length;
}

export function writeBatch(writer: ByteWriter, batch: Batch): void {
  writer.u16(batch.lane).put(laneFrameHeader(batch.seq, batch.previous)).put(batch.payload);
}

/** Takes all that is left. */
export function readBatch(reader: ByteReader, replicas: number): Decoded<Batch> {
  const lane = reader.replica(replicas, 'unknown lane');
  const frame = reader.finish(reader.rest());
  return frame.kind === 'ok' ? decodeLaneBatch(frame.value, lane) : frame;
}

function writeHeader(frame: Uint8Array, seq: BatchSeq, previous: Digest32): void {
  if (previous.length !== DIGEST32_BYTES) throw new RangeError('a batch digest has 32 bytes');
  frame[0] = VERSION;
  writeU64(frame, 1, seq);
  frame.set(previous, PREVIOUS_OFFSET);
}
