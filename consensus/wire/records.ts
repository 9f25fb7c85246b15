/**
 * Records of the log. Byte 0 is the kind, byte 1 the version, 1.
 *
 *   0x01 batch        batch, standalone
 *   0x02 vote         view u32 | proposal, standalone
 *   0x03 prepared     prepared certificate
 *   0x04 view-change  VIEW-CHANGE
 *   0x05 new-view     NEW-VIEW
 *   0x06 checkpoint   optional checkpoint
 *   0x07 stable       optional checkpoint, present
 *   0x08 lives        life u64 of each replica
 *
 * Parts: `batch.ts`, `proposal.ts`, `certificates.ts`, `view-change.ts`.
 */
import { assertNever } from '../core/assert.ts';
import type { Batch, LogRecord } from '../core/types.ts';
import { batchBytes, readBatch, writeBatch } from './batch.ts';
import { createRoom, type Decoded, malformed, ok } from './bytes.ts';
import {
  optionalCheckpointBytes,
  preparedBytes,
  readOptionalCheckpoint,
  readPrepared,
  writeOptionalCheckpoint,
  writePrepared,
} from './certificates.ts';
import { proposalBytes, readProposal, writeProposal } from './proposal.ts';
import { ByteReader, type ByteWriter, startTagged, TAG_BYTES } from './stream.ts';
import { encodeNewView, encodeViewChange, readNewView, readViewChange } from './view-change.ts';

const KIND = {
  BATCH: 0x01,
  VOTE: 0x02,
  PREPARED: 0x03,
  VIEW_CHANGE: 0x04,
  NEW_VIEW: 0x05,
  CHECKPOINT: 0x06,
  STABLE: 0x07,
  LIVES: 0x08,
} as const;
const VERSION = 1;
const LIFE_BYTES = 8;
/** What an encoder keeps for the next batch: no usual one is larger. */
const ROOM_BYTES_MAX = 1024 * 1024;

export function encodeRecord(record: LogRecord): Uint8Array {
  switch (record.kind) {
    case 'batch':
      return encodeBatch(record.batch);
    case 'vote': {
      const { view, proposal } = record;
      const writer = start(KIND.VOTE, 4 + proposalBytes(proposal.frontier.length));
      writeProposal(writer.u32(view), proposal);
      return writer.finish();
    }
    case 'prepared': {
      const writer = start(KIND.PREPARED, preparedBytes(record.certificate));
      writePrepared(writer, record.certificate);
      return writer.finish();
    }
    case 'view-change':
      return encodeViewChange(KIND.VIEW_CHANGE, VERSION, record.viewChange);
    case 'new-view':
      return encodeNewView(KIND.NEW_VIEW, VERSION, record.newView);
    case 'checkpoint': {
      const writer = start(KIND.CHECKPOINT, optionalCheckpointBytes(record.certificate));
      writeOptionalCheckpoint(writer, record.certificate);
      return writer.finish();
    }
    case 'stable': {
      const writer = start(KIND.STABLE, optionalCheckpointBytes(record.certificate));
      writeOptionalCheckpoint(writer, record.certificate);
      return writer.finish();
    }
    case 'lives': {
      const writer = start(KIND.LIVES, record.lives.length * LIFE_BYTES);
      for (const life of record.lives) writer.u64(life);
      return writer.finish();
    }
    default:
      return assertNever(record);
  }
}

/**
 * As `encodeRecord`, for a log that is done with each record before the next: a batch, which is large, is overwritten then. Fresh
 * memory for each costs page faults and collections.
 */
export function createRecordEncoder(): (record: LogRecord) => Uint8Array {
  const roomFor = createRoom();
  return (record) => {
    if (record.kind !== 'batch') return encodeRecord(record);
    const bytes = TAG_BYTES + batchBytes(record.batch);
    return encodeBatch(record.batch, bytes > ROOM_BYTES_MAX ? undefined : roomFor(bytes));
  };
}

function encodeBatch(batch: Batch, into?: Uint8Array): Uint8Array {
  const writer = startTagged(KIND.BATCH, VERSION, batchBytes(batch), into);
  writeBatch(writer, batch);
  return writer.finish();
}

/** `bytes` becomes the record's to keep, as with `decodeMessage`. */
export function decodeRecord(bytes: Uint8Array, replicas: number): Decoded<LogRecord> {
  if (bytes.length < TAG_BYTES) return malformed('record too short');
  if (bytes[1] !== VERSION) return malformed('unknown record version');
  const reader = new ByteReader(bytes, 'record', TAG_BYTES);
  switch (bytes[0]) {
    case KIND.BATCH: {
      const batch = readBatch(reader, replicas);
      return batch.kind === 'ok' ? ok({ kind: 'batch', batch: batch.value }) : batch;
    }
    case KIND.VOTE: {
      const view = reader.u32();
      return reader.finish({ kind: 'vote', view, proposal: readProposal(reader, replicas) });
    }
    case KIND.PREPARED:
      return reader.finish({ kind: 'prepared', certificate: readPrepared(reader, replicas) });
    case KIND.VIEW_CHANGE:
      return reader.finish({ kind: 'view-change', viewChange: readViewChange(reader, replicas) });
    case KIND.NEW_VIEW:
      return reader.finish({ kind: 'new-view', newView: readNewView(reader, replicas) });
    case KIND.CHECKPOINT: {
      const certificate = readOptionalCheckpoint(reader, replicas);
      return reader.finish({ kind: 'checkpoint', certificate });
    }
    case KIND.STABLE: {
      const certificate = readOptionalCheckpoint(reader, replicas);
      if (certificate === undefined) return malformed('stable record without a certificate');
      return reader.finish({ kind: 'stable', certificate });
    }
    case KIND.LIVES: {
      const lives: number[] = [];
      for (let replica = 0; replica < replicas; replica++) lives.push(reader.u64());
      return reader.finish({ kind: 'lives', lives });
    }
    default:
      return malformed('unknown record kind');
  }
}

function start(kind: number, bodyBytes: number): ByteWriter {
  return startTagged(kind, VERSION, bodyBytes);
}
