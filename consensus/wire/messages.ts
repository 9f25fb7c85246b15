/**
 * Two-sided messages. Byte 0 is the kind, byte 1 the version (2 of PREPARE, 1 of the others);
 * kinds from 0x80 are the application's.
 *
 *   0x01 prepare            flags u8 (bit 0: answer wanted) | view u32 | slot u64 | digest 24 |
 *                           signer u16 | signature 64
 *   0x02 fetch-batch        lane u16 | seq u64 | digest 32 | after u64
 *   0x03 batch              batch, standalone
 *   0x04 fetch-decided      fromSlot u64 | toSlot u64
 *   0x05 decided            proposal, standalone
 *   0x06 fetch-proposal     slot u64 | digest 24
 *   0x07 proposal           proposal, standalone
 *   0x08 view-change        VIEW-CHANGE
 *   0x09 new-view           NEW-VIEW
 *   0x0a checkpoint         checkpoint state | signer u16 | signature 64
 *   0x0b fetch-checkpoint   life u64 | flags u8 (bit 0: ready)
 *   0x0c stable-checkpoint  namedSlot u64 | life u64 | optional checkpoint
 *   0x0d attest             lane u16 | seq u64 | digest 32
 *   0x80 application        the rest, opaque
 *
 * Parts: `batch.ts`, `proposal.ts`, `view-change.ts`, `certificates.ts`.
 */
import { assertNever } from '../core/assert.ts';
import type { Message } from '../core/types.ts';
import { batchBytes, readBatch, writeBatch } from './batch.ts';
import { type Decoded, malformed, ok } from './bytes.ts';
import {
  checkpointStateBytes,
  DIGEST24_BYTES,
  optionalCheckpointBytes,
  readCheckpointState,
  readOptionalCheckpoint,
  SIGNATURE_BYTES,
  writeCheckpointState,
  writeOptionalCheckpoint,
} from './certificates.ts';
import { proposalBytes, readProposal, writeProposal } from './proposal.ts';
import { ByteReader, type ByteWriter, startTagged, TAG_BYTES } from './stream.ts';
import { encodeNewView, encodeViewChange, readNewView, readViewChange } from './view-change.ts';

const KIND = {
  PREPARE: 0x01,
  FETCH_BATCH: 0x02,
  BATCH: 0x03,
  FETCH_DECIDED: 0x04,
  DECIDED: 0x05,
  FETCH_PROPOSAL: 0x06,
  PROPOSAL: 0x07,
  VIEW_CHANGE: 0x08,
  NEW_VIEW: 0x09,
  CHECKPOINT: 0x0a,
  FETCH_CHECKPOINT: 0x0b,
  STABLE_CHECKPOINT: 0x0c,
  ATTEST: 0x0d,
  APPLICATION: 0x80,
} as const;
const VERSION = 1;
/** Before, a PREPARE named its signer's incarnation. */
const PREPARE_VERSION = 2;
const DIGEST32_BYTES = 32;
const PREPARE_BYTES = 1 + 4 + 8 + DIGEST24_BYTES + 2 + SIGNATURE_BYTES;
const FETCH_BATCH_BYTES = 2 + 8 + DIGEST32_BYTES + 8;
const ATTEST_BYTES = 2 + 8 + DIGEST32_BYTES;
const FLAG_REQUEST = 1;
const FLAG_READY = 1;

type MessageOf<K extends Message['kind']> = Extract<Message, { kind: K }>;

export function encodeMessage(message: Message): Uint8Array {
  switch (message.kind) {
    case 'prepare':
      return encodePrepare(message);
    case 'fetch-batch':
      return encodeFetchBatch(message);
    case 'batch':
      return encodeBatch(message);
    case 'fetch-decided':
      return start(KIND.FETCH_DECIDED, 8 + 8)
        .u64(message.fromSlot)
        .u64(message.toSlot)
        .finish();
    case 'decided':
      return encodeProposal(KIND.DECIDED, message);
    case 'fetch-proposal': {
      const writer = start(KIND.FETCH_PROPOSAL, 8 + DIGEST24_BYTES);
      return writer.u64(message.slot).fixed(message.digest, DIGEST24_BYTES).finish();
    }
    case 'proposal':
      return encodeProposal(KIND.PROPOSAL, message);
    case 'view-change':
      return encodeViewChange(KIND.VIEW_CHANGE, VERSION, message.viewChange);
    case 'new-view':
      return encodeNewView(KIND.NEW_VIEW, VERSION, message.newView);
    case 'checkpoint':
      return encodeCheckpoint(message);
    case 'fetch-checkpoint':
      return start(KIND.FETCH_CHECKPOINT, 8 + 1)
        .u64(message.life)
        .u8(message.ready ? FLAG_READY : 0)
        .finish();
    case 'stable-checkpoint':
      return encodeStableCheckpoint(message);
    case 'attest':
      return start(KIND.ATTEST, ATTEST_BYTES)
        .u16(message.lane)
        .u64(message.ref.seq)
        .fixed(message.ref.digest, DIGEST32_BYTES)
        .finish();
    default:
      return assertNever(message);
  }
}

/**
 * `bytes` becomes the message's to keep: the payload of a batch, what a PREPARE or a request
 * consists of, and what `viewChangeBodyOf` and `newViewBodyOf` return are views into it.
 */
export function decodeMessage(bytes: Uint8Array, replicas: number): Decoded<Message> {
  if (bytes.length < TAG_BYTES) return malformed('message too short');
  const kind = bytes[0] as number;
  if (bytes[1] !== versionOf(kind)) return malformed('unknown message version');
  switch (kind) {
    case KIND.PREPARE:
      return decodePrepare(bytes, replicas);
    case KIND.FETCH_BATCH:
      return decodeFetchBatch(bytes, replicas);
    case KIND.BATCH:
      return decodeBatch(bytes, replicas);
    case KIND.FETCH_DECIDED:
      return decodeFetchDecided(bytes);
    case KIND.DECIDED:
      return decodeProposal('decided', bytes, replicas);
    case KIND.FETCH_PROPOSAL:
      return decodeFetchProposal(bytes);
    case KIND.PROPOSAL:
      return decodeProposal('proposal', bytes, replicas);
    case KIND.VIEW_CHANGE: {
      const reader = new ByteReader(bytes, 'VIEW-CHANGE', TAG_BYTES);
      return reader.finish({ kind: 'view-change', viewChange: readViewChange(reader, replicas) });
    }
    case KIND.NEW_VIEW: {
      const reader = new ByteReader(bytes, 'NEW-VIEW', TAG_BYTES);
      return reader.finish({ kind: 'new-view', newView: readNewView(reader, replicas) });
    }
    case KIND.CHECKPOINT:
      return decodeCheckpoint(bytes, replicas);
    case KIND.FETCH_CHECKPOINT:
      return decodeFetchCheckpoint(bytes);
    case KIND.STABLE_CHECKPOINT:
      return decodeStableCheckpoint(bytes, replicas);
    case KIND.ATTEST:
      return decodeAttest(bytes, replicas);
    default:
      return malformed('unknown message kind');
  }
}

/** An application payload as a two-sided message. */
export function wrapApplication(body: Uint8Array): Uint8Array {
  return start(KIND.APPLICATION, body.length).put(body).finish();
}

/** The application's payload (a view), or undefined when the message is not an application's. */
export function unwrapApplication(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes.length < TAG_BYTES) return undefined;
  if (bytes[0] !== KIND.APPLICATION || bytes[1] !== VERSION) return undefined;
  return bytes.subarray(TAG_BYTES);
}

function versionOf(kind: number): number {
  return kind === KIND.PREPARE ? PREPARE_VERSION : VERSION;
}

function start(kind: number, bodyBytes: number): ByteWriter {
  return startTagged(kind, versionOf(kind), bodyBytes);
}

function encodePrepare(message: MessageOf<'prepare'>): Uint8Array {
  const { view, slot, digest, signer, signature } = message.prepare;
  const writer = start(KIND.PREPARE, PREPARE_BYTES);
  writer
    .u8(message.request ? FLAG_REQUEST : 0)
    .u32(view)
    .u64(slot);
  writer.fixed(digest, DIGEST24_BYTES).u16(signer).fixed(signature, SIGNATURE_BYTES);
  return writer.finish();
}

function decodePrepare(bytes: Uint8Array, replicas: number): Decoded<Message> {
  const reader = new ByteReader(bytes, 'PREPARE', TAG_BYTES);
  const request = reader.flags(FLAG_REQUEST) === FLAG_REQUEST;
  const view = reader.u32();
  const slot = reader.u64();
  const digest = reader.take(DIGEST24_BYTES);
  const signer = reader.replica(replicas, 'PREPARE of an unknown replica');
  const signature = reader.take(SIGNATURE_BYTES);
  return reader.finish({
    kind: 'prepare',
    request,
    prepare: { view, slot, digest, signer, signature },
  });
}

function encodeFetchBatch({ lane, ref, after }: MessageOf<'fetch-batch'>): Uint8Array {
  const writer = start(KIND.FETCH_BATCH, FETCH_BATCH_BYTES).u16(lane).u64(ref.seq);
  return writer.fixed(ref.digest, DIGEST32_BYTES).u64(after).finish();
}

function decodeFetchBatch(bytes: Uint8Array, replicas: number): Decoded<Message> {
  const reader = new ByteReader(bytes, 'fetch-batch', TAG_BYTES);
  const lane = reader.replica(replicas, 'unknown lane');
  const seq = reader.u64();
  const digest = reader.take(DIGEST32_BYTES);
  const after = reader.u64();
  if (seq === 0) reader.fail('batch sequence 0');
  if (after >= seq) reader.fail('fetch-batch of nothing');
  return reader.finish({ kind: 'fetch-batch', lane, ref: { seq, digest }, after });
}

/** It is kept for longer than what it came in. */
function decodeAttest(bytes: Uint8Array, replicas: number): Decoded<Message> {
  const reader = new ByteReader(bytes, 'attest', TAG_BYTES);
  const lane = reader.replica(replicas, 'unknown lane');
  const seq = reader.u64();
  const digest = reader.copy(DIGEST32_BYTES);
  if (seq === 0) reader.fail('batch sequence 0');
  return reader.finish({ kind: 'attest', lane, ref: { seq, digest } });
}

function encodeBatch({ batch }: MessageOf<'batch'>): Uint8Array {
  const writer = start(KIND.BATCH, batchBytes(batch));
  writeBatch(writer, batch);
  return writer.finish();
}

function decodeBatch(bytes: Uint8Array, replicas: number): Decoded<Message> {
  const batch = readBatch(new ByteReader(bytes, 'batch', TAG_BYTES), replicas);
  return batch.kind === 'ok' ? ok({ kind: 'batch', batch: batch.value }) : batch;
}

function decodeFetchDecided(bytes: Uint8Array): Decoded<Message> {
  const reader = new ByteReader(bytes, 'fetch-decided', TAG_BYTES);
  const fromSlot = reader.u64();
  const toSlot = reader.u64();
  if (fromSlot > toSlot) reader.fail('fetch-decided of an empty range');
  return reader.finish({ kind: 'fetch-decided', fromSlot, toSlot });
}

function encodeProposal(
  kind: number,
  { proposal }: MessageOf<'decided'> | MessageOf<'proposal'>,
): Uint8Array {
  const writer = start(kind, proposalBytes(proposal.frontier.length));
  writeProposal(writer, proposal);
  return writer.finish();
}

function decodeProposal(
  kind: 'decided' | 'proposal',
  bytes: Uint8Array,
  replicas: number,
): Decoded<Message> {
  const reader = new ByteReader(bytes, kind, TAG_BYTES);
  return reader.finish({ kind, proposal: readProposal(reader, replicas) });
}

function decodeFetchProposal(bytes: Uint8Array): Decoded<Message> {
  const reader = new ByteReader(bytes, 'fetch-proposal', TAG_BYTES);
  const slot = reader.u64();
  return reader.finish({ kind: 'fetch-proposal', slot, digest: reader.take(DIGEST24_BYTES) });
}

function encodeCheckpoint({ checkpoint }: MessageOf<'checkpoint'>): Uint8Array {
  const { state, signer, signature } = checkpoint;
  const stateBytes = checkpointStateBytes(state.frontier.length);
  const writer = start(KIND.CHECKPOINT, stateBytes + 2 + SIGNATURE_BYTES);
  writeCheckpointState(writer, state);
  return writer.u16(signer).fixed(signature, SIGNATURE_BYTES).finish();
}

function decodeFetchCheckpoint(bytes: Uint8Array): Decoded<Message> {
  const reader = new ByteReader(bytes, 'fetch-checkpoint', TAG_BYTES);
  const life = reader.u64();
  const ready = reader.flags(FLAG_READY) === FLAG_READY;
  return reader.finish({ kind: 'fetch-checkpoint', life, ready });
}

function encodeStableCheckpoint(message: MessageOf<'stable-checkpoint'>): Uint8Array {
  const { certificate, namedSlot, life } = message;
  const writer = start(KIND.STABLE_CHECKPOINT, 8 + 8 + optionalCheckpointBytes(certificate));
  writeOptionalCheckpoint(writer.u64(namedSlot).u64(life), certificate);
  return writer.finish();
}

function decodeStableCheckpoint(bytes: Uint8Array, replicas: number): Decoded<Message> {
  const reader = new ByteReader(bytes, 'stable-checkpoint', TAG_BYTES);
  const namedSlot = reader.u64();
  const life = reader.u64();
  const certificate = readOptionalCheckpoint(reader, replicas);
  return reader.finish({ kind: 'stable-checkpoint', certificate, namedSlot, life });
}

function decodeCheckpoint(bytes: Uint8Array, replicas: number): Decoded<Message> {
  const reader = new ByteReader(bytes, 'checkpoint', TAG_BYTES);
  const state = readCheckpointState(reader, replicas);
  const signer = reader.replica(replicas, 'checkpoint of an unknown replica');
  const signature = reader.copy(SIGNATURE_BYTES);
  return reader.finish({ kind: 'checkpoint', checkpoint: { state, signer, signature } });
}
