/**
 * Two-sided messages. Byte 0 is the kind, byte 1 the version; kinds from 0x80 are the application's.
 *
 *   0x01 prepare        flags u8 (bit 0: answer wanted) | view u32 | slot u64 | digest 24 | signer u16 |
 *                       incarnation 8 | signature 64
 *   0x02 fetch-batch    lane u16 | seq u64 | digest 32
 *   0x03 batch          lane u16 | lane frame
 *   0x04 fetch-decided  fromSlot u64 | toSlot u64
 *   0x05 decided        flags u8 (bit 0: cut) | slot u64 | proposal body
 *   0x80 application    the rest, opaque
 */
import { assertNever } from '../core/assert.ts';
import type { Message } from '../core/types.ts';
import { decodeLaneBatch, encodeLaneBatch } from './batch.ts';
import { type Decoded, malformed, ok, readU64, viewOf, writeU64 } from './bytes.ts';
import { cellBodyBytes, decodeProposalBody, encodeProposalBody, proposalFlags } from './cells.ts';

const KIND = {
  PREPARE: 0x01,
  FETCH_BATCH: 0x02,
  BATCH: 0x03,
  FETCH_DECIDED: 0x04,
  DECIDED: 0x05,
  APPLICATION: 0x80,
} as const;
const VERSION = 1;
const HEADER_BYTES = 2;
const PREPARE_BYTES = HEADER_BYTES + 1 + 4 + 8 + 24 + 2 + 8 + 64;
const FETCH_BATCH_BYTES = HEADER_BYTES + 2 + 8 + 32;
const BATCH_FRAME_OFFSET = HEADER_BYTES + 2;
const FETCH_DECIDED_BYTES = HEADER_BYTES + 8 + 8;
const DECIDED_BODY_OFFSET = HEADER_BYTES + 1 + 8;
const FLAG_REQUEST = 1;
const UNSAFE = 'number exceeds 2^53 - 1';

export function encodeMessage(message: Message): Uint8Array {
  switch (message.kind) {
    case 'prepare':
      return encodePrepare(message);
    case 'fetch-batch': {
      const bytes = start(KIND.FETCH_BATCH, FETCH_BATCH_BYTES);
      const view = viewOf(bytes);
      view.setUint16(2, message.lane, true);
      writeU64(view, 4, message.ref.seq);
      bytes.set(message.ref.digest, 12);
      return bytes;
    }
    case 'batch': {
      const frame = encodeLaneBatch(message.batch);
      const bytes = start(KIND.BATCH, BATCH_FRAME_OFFSET + frame.length);
      viewOf(bytes).setUint16(2, message.batch.lane, true);
      bytes.set(frame, BATCH_FRAME_OFFSET);
      return bytes;
    }
    case 'fetch-decided': {
      const bytes = start(KIND.FETCH_DECIDED, FETCH_DECIDED_BYTES);
      writeU64(viewOf(bytes), 2, message.fromSlot);
      writeU64(viewOf(bytes), 10, message.toSlot);
      return bytes;
    }
    case 'decided': {
      const body = encodeProposalBody(message.proposal);
      const bytes = start(KIND.DECIDED, DECIDED_BODY_OFFSET + body.length);
      bytes[2] = proposalFlags(message.proposal);
      writeU64(viewOf(bytes), 3, message.proposal.slot);
      bytes.set(body, DECIDED_BODY_OFFSET);
      return bytes;
    }
    default:
      return assertNever(message);
  }
}

/** `bytes` becomes the message's to keep: digests, signatures and payloads are views into it. */
export function decodeMessage(bytes: Uint8Array, replicas: number): Decoded<Message> {
  if (bytes.length < HEADER_BYTES) return malformed('message too short');
  if (bytes[1] !== VERSION) return malformed('unknown message version');
  switch (bytes[0]) {
    case KIND.PREPARE:
      return decodePrepare(bytes, replicas);
    case KIND.FETCH_BATCH:
      return decodeFetchBatch(bytes, replicas);
    case KIND.BATCH:
      return decodeBatchMessage(bytes, replicas);
    case KIND.FETCH_DECIDED:
      return decodeFetchDecided(bytes);
    case KIND.DECIDED:
      return decodeDecided(bytes, replicas);
    default:
      return malformed('unknown message kind');
  }
}

/** An application payload as a two-sided message. */
export function wrapApplication(body: Uint8Array): Uint8Array {
  const bytes = start(KIND.APPLICATION, HEADER_BYTES + body.length);
  bytes.set(body, HEADER_BYTES);
  return bytes;
}

/** The application's payload (a view), or undefined when the message is not an application's. */
export function unwrapApplication(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  if (bytes[0] !== KIND.APPLICATION || bytes[1] !== VERSION) return undefined;
  return bytes.subarray(HEADER_BYTES);
}

function start(kind: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes[0] = kind;
  bytes[1] = VERSION;
  return bytes;
}

function encodePrepare(message: Extract<Message, { kind: 'prepare' }>): Uint8Array {
  const { view, slot, digest, signer, incarnation, signature } = message.prepare;
  if (digest.length !== 24 || incarnation.length !== 8 || signature.length !== 64) {
    throw new RangeError('a PREPARE has a 24-byte digest, 8-byte incarnation, 64-byte signature');
  }
  const bytes = start(KIND.PREPARE, PREPARE_BYTES);
  const data = viewOf(bytes);
  bytes[2] = message.request ? FLAG_REQUEST : 0;
  data.setUint32(3, view, true);
  writeU64(data, 7, slot);
  bytes.set(digest, 15);
  data.setUint16(39, signer, true);
  bytes.set(incarnation, 41);
  bytes.set(signature, 49);
  return bytes;
}

function decodePrepare(bytes: Uint8Array, replicas: number): Decoded<Message> {
  if (bytes.length !== PREPARE_BYTES) return malformed('PREPARE of wrong length');
  const data = viewOf(bytes);
  const flags = data.getUint8(2);
  if ((flags & ~FLAG_REQUEST) !== 0) return malformed('unknown PREPARE flags');
  const slot = readU64(data, 7);
  if (slot === undefined) return malformed(UNSAFE);
  const signer = data.getUint16(39, true);
  if (signer >= replicas) return malformed('PREPARE by an unknown replica');
  return ok({
    kind: 'prepare',
    request: flags === FLAG_REQUEST,
    prepare: {
      view: data.getUint32(3, true),
      slot,
      digest: bytes.subarray(15, 39),
      signer,
      incarnation: bytes.subarray(41, 49),
      signature: bytes.subarray(49),
    },
  });
}

function decodeFetchBatch(bytes: Uint8Array, replicas: number): Decoded<Message> {
  if (bytes.length !== FETCH_BATCH_BYTES) return malformed('fetch-batch of wrong length');
  const data = viewOf(bytes);
  const lane = data.getUint16(2, true);
  if (lane >= replicas) return malformed('unknown lane');
  const seq = readU64(data, 4);
  if (seq === undefined) return malformed(UNSAFE);
  if (seq === 0) return malformed('batch sequence 0');
  return ok({ kind: 'fetch-batch', lane, ref: { seq, digest: bytes.subarray(12) } });
}

function decodeBatchMessage(bytes: Uint8Array, replicas: number): Decoded<Message> {
  if (bytes.length < BATCH_FRAME_OFFSET) return malformed('batch message too short');
  const lane = viewOf(bytes).getUint16(2, true);
  if (lane >= replicas) return malformed('unknown lane');
  const batch = decodeLaneBatch(bytes.subarray(BATCH_FRAME_OFFSET), lane);
  return batch.kind === 'ok' ? ok({ kind: 'batch', batch: batch.value }) : batch;
}

function decodeFetchDecided(bytes: Uint8Array): Decoded<Message> {
  if (bytes.length !== FETCH_DECIDED_BYTES) return malformed('fetch-decided of wrong length');
  const fromSlot = readU64(viewOf(bytes), 2);
  const toSlot = readU64(viewOf(bytes), 10);
  if (fromSlot === undefined || toSlot === undefined) return malformed(UNSAFE);
  if (fromSlot > toSlot) return malformed('fetch-decided of an empty range');
  return ok({ kind: 'fetch-decided', fromSlot, toSlot });
}

function decodeDecided(bytes: Uint8Array, replicas: number): Decoded<Message> {
  if (bytes.length !== DECIDED_BODY_OFFSET + cellBodyBytes('proposal', replicas)) {
    return malformed('decided of wrong length');
  }
  const data = viewOf(bytes);
  const slot = readU64(data, 3);
  if (slot === undefined) return malformed(UNSAFE);
  const body = bytes.subarray(DECIDED_BODY_OFFSET);
  const proposal = decodeProposalBody(slot, data.getUint8(2), body, replicas);
  return proposal.kind === 'ok' ? ok({ kind: 'decided', proposal: proposal.value }) : proposal;
}
