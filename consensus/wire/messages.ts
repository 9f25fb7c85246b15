/**
 * Two-sided messages. Byte 0 is the kind, byte 1 the version; kinds
 * from 0x80 are the application's.
 *
 *   0x01 prepare        flags u8 (bit 0: answer wanted) | view u32 | slot u64 | digest 24 | signer u16 |
 *                       incarnation 8 | signature 64
 *   0x02 fetch-batch    lane u16 | seq u64 | digest 32 | after u64
 *   0x03 batch          lane u16 | lane frame
 *   0x04 fetch-decided  fromSlot u64 | toSlot u64
 *   0x05 decided        flags u8 (bit 0: cut) | slot u64 | proposal body
 *   0x80 application    the rest, opaque
 */
import { assertNever } from '../core/assert.ts';
import type { Message } from '../core/types.ts';
import { decodeLaneBatch, encodeLaneBatch } from './batch.ts';
import {
  type Decoded,
  malformed,
  ok,
  readU16,
  readU32,
  readU64,
  writeU16,
  writeU32,
  writeU64,
} from './bytes.ts';
import { cellBodyBytes, decodeProposalBody, proposalFlags, writeProposalBody } from './cells.ts';

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
const FETCH_BATCH_BYTES = HEADER_BYTES + 2 + 8 + 32 + 8;
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
      writeU16(bytes, 2, message.lane);
      writeU64(bytes, 4, message.ref.seq);
      bytes.set(message.ref.digest, 12);
      writeU64(bytes, 44, message.after);
      return bytes;
    }
    case 'batch': {
      const frame = encodeLaneBatch(message.batch);
      const bytes = start(KIND.BATCH, BATCH_FRAME_OFFSET + frame.length);
      writeU16(bytes, 2, message.batch.lane);
      bytes.set(frame, BATCH_FRAME_OFFSET);
      return bytes;
    }
    case 'fetch-decided': {
      const bytes = start(KIND.FETCH_DECIDED, FETCH_DECIDED_BYTES);
      writeU64(bytes, 2, message.fromSlot);
      writeU64(bytes, 10, message.toSlot);
      return bytes;
    }
    case 'decided': {
      const { proposal } = message;
      const bodyBytes = cellBodyBytes('proposal', proposal.frontier.length);
      const bytes = start(KIND.DECIDED, DECIDED_BODY_OFFSET + bodyBytes);
      bytes[2] = proposalFlags(proposal);
      writeU64(bytes, 3, proposal.slot);
      writeProposalBody(bytes, DECIDED_BODY_OFFSET, proposal);
      return bytes;
    }
    default:
      return assertNever(message);
  }
}

/** `bytes` becomes the message's to keep: signatures and payloads are views into it. */
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
  bytes[2] = message.request ? FLAG_REQUEST : 0;
  writeU32(bytes, 3, view);
  writeU64(bytes, 7, slot);
  bytes.set(digest, 15);
  writeU16(bytes, 39, signer);
  bytes.set(incarnation, 41);
  bytes.set(signature, 49);
  return bytes;
}

function decodePrepare(bytes: Uint8Array, replicas: number): Decoded<Message> {
  if (bytes.length !== PREPARE_BYTES) return malformed('PREPARE of wrong length');
  const flags = bytes[2] as number;
  if ((flags & ~FLAG_REQUEST) !== 0) return malformed('unknown PREPARE flags');
  const slot = readU64(bytes, 7);
  if (slot === undefined) return malformed(UNSAFE);
  const signer = readU16(bytes, 39);
  if (signer >= replicas) return malformed('PREPARE by an unknown replica');
  return ok({
    kind: 'prepare',
    request: flags === FLAG_REQUEST,
    prepare: {
      view: readU32(bytes, 3),
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
  const lane = readU16(bytes, 2);
  if (lane >= replicas) return malformed('unknown lane');
  const seq = readU64(bytes, 4);
  if (seq === undefined) return malformed(UNSAFE);
  if (seq === 0) return malformed('batch sequence 0');
  const after = readU64(bytes, 44);
  if (after === undefined) return malformed(UNSAFE);
  if (after >= seq) return malformed('fetch-batch of nothing');
  return ok({ kind: 'fetch-batch', lane, ref: { seq, digest: bytes.subarray(12, 44) }, after });
}

function decodeBatchMessage(bytes: Uint8Array, replicas: number): Decoded<Message> {
  if (bytes.length < BATCH_FRAME_OFFSET) return malformed('batch message too short');
  const lane = readU16(bytes, 2);
  if (lane >= replicas) return malformed('unknown lane');
  const batch = decodeLaneBatch(bytes.subarray(BATCH_FRAME_OFFSET), lane);
  return batch.kind === 'ok' ? ok({ kind: 'batch', batch: batch.value }) : batch;
}

function decodeFetchDecided(bytes: Uint8Array): Decoded<Message> {
  if (bytes.length !== FETCH_DECIDED_BYTES) return malformed('fetch-decided of wrong length');
  const fromSlot = readU64(bytes, 2);
  const toSlot = readU64(bytes, 10);
  if (fromSlot === undefined || toSlot === undefined) return malformed(UNSAFE);
  if (fromSlot > toSlot) return malformed('fetch-decided of an empty range');
  return ok({ kind: 'fetch-decided', fromSlot, toSlot });
}

function decodeDecided(bytes: Uint8Array, replicas: number): Decoded<Message> {
  if (bytes.length !== DECIDED_BODY_OFFSET + cellBodyBytes('proposal', replicas)) {
    return malformed('decided of wrong length');
  }
  const slot = readU64(bytes, 3);
  if (slot === undefined) return malformed(UNSAFE);
  const flags = bytes[2] as number;
  const proposal = decodeProposalBody(slot, flags, bytes, DECIDED_BODY_OFFSET, replicas);
  return proposal.kind === 'ok' ? ok({ kind: 'decided', proposal: proposal.value }) : proposal;
}
