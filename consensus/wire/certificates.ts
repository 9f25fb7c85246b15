/**
 * Certificates: many signatures over one thing.
 *
 *   signatures            count u16 | per signature: signer u16, signature 64; by ascending signer
 *   prepared certificate  slot u64 | view u32 | digest 24 | signatures
 *     in a report           its slot is the report's and is not repeated
 *   checkpoint state      slot u64 | timeMs u64 | height u64 | tipHash 32 |
 *                         per lane: seq u64, digest 32
 *   checkpoint            checkpoint state | signatures
 *   optional checkpoint   u8 = 0, or u8 = 1 | checkpoint
 *
 * What is decoded is a copy: a certificate outlives by far the message that brought it, which may
 * be megabytes of a view change.
 */
import type {
  CheckpointCertificate,
  CheckpointState,
  PreparedCertificate,
  SignerSignature,
  Slot,
} from '../core/types.ts';
import { appendFrontier, nextFrontier, TIP_BYTES } from './frontier.ts';
import { type ByteReader, ByteWriter } from './stream.ts';

export const SIGNATURE_BYTES = 64;
export const DIGEST24_BYTES = 24;
const HASH_BYTES = 32;
const SIGNER_BYTES = 2;
export const SIGNATURE_ENTRY_BYTES = SIGNER_BYTES + SIGNATURE_BYTES;
export const STATE_HEAD_BYTES = 8 + 8 + 8 + HASH_BYTES;
const FLAG_PRESENT = 1;

function signaturesBytes(signatures: readonly SignerSignature[]): number {
  return 2 + signatures.length * SIGNATURE_ENTRY_BYTES;
}

/** Of a certificate that stands by itself. */
export function preparedBytes(certificate: PreparedCertificate): number {
  return 8 + 4 + DIGEST24_BYTES + signaturesBytes(certificate.signatures);
}

export function checkpointStateBytes(replicas: number): number {
  return STATE_HEAD_BYTES + replicas * TIP_BYTES;
}

export function optionalCheckpointBytes(certificate: CheckpointCertificate | undefined): number {
  if (certificate === undefined) return 1;
  const { state, signatures } = certificate;
  return 1 + checkpointStateBytes(state.frontier.length) + signaturesBytes(signatures);
}

function writeSignatures(writer: ByteWriter, signatures: readonly SignerSignature[]): void {
  if (signatures.length === 0) throw new RangeError('a certificate without signatures');
  writer.u16(signatures.length);
  let last = -1;
  for (const { signer, signature } of signatures) {
    if (signer <= last) throw new RangeError('signers out of order');
    writer.u16(signer).fixed(signature, SIGNATURE_BYTES);
    last = signer;
  }
}

function readSignatures(reader: ByteReader, replicas: number): SignerSignature[] {
  const signatures: SignerSignature[] = [];
  const count = reader.u16();
  if (count === 0) reader.fail('certificate without signatures');
  if (count > replicas) reader.fail('more signatures than replicas');
  let last = -1;
  for (let i = 0; i < count && !reader.failed; i++) {
    const signer = reader.replica(replicas, 'signature of an unknown replica');
    const signature = reader.copy(SIGNATURE_BYTES);
    if (signer <= last) reader.fail('signers out of order');
    signatures.push({ signer, signature });
    last = signer;
  }
  return signatures;
}

/** Without its slot. */
export function writePreparedBody(writer: ByteWriter, certificate: PreparedCertificate): void {
  writer.u32(certificate.view).fixed(certificate.digest, DIGEST24_BYTES);
  writeSignatures(writer, certificate.signatures);
}

export function readPreparedBody(
  reader: ByteReader,
  slot: Slot,
  replicas: number,
): PreparedCertificate {
  const view = reader.u32();
  const digest = reader.copy(DIGEST24_BYTES);
  return { view, slot, digest, signatures: readSignatures(reader, replicas) };
}

export function writePrepared(writer: ByteWriter, certificate: PreparedCertificate): void {
  writer.u64(certificate.slot);
  writePreparedBody(writer, certificate);
}

export function readPrepared(reader: ByteReader, replicas: number): PreparedCertificate {
  return readPreparedBody(reader, reader.u64(), replicas);
}

export function writeCheckpointState(writer: ByteWriter, state: CheckpointState): void {
  const { slot, timeMs, height, tipHash, frontier } = state;
  if (height === 0) throw new RangeError('a ledger has its genesis block at least');
  writer.u64(slot).u64(timeMs).u64(height).fixed(tipHash, HASH_BYTES);
  appendFrontier(writer, frontier);
}

/** These bytes are what a checkpoint's signers agree on, by their hash. */
export function encodeCheckpointState(state: CheckpointState): Uint8Array {
  const writer = new ByteWriter(checkpointStateBytes(state.frontier.length));
  writeCheckpointState(writer, state);
  return writer.finish();
}

export function readCheckpointState(reader: ByteReader, replicas: number): CheckpointState {
  const slot = reader.u64();
  const timeMs = reader.u64();
  const height = reader.u64();
  const tipHash = reader.copy(HASH_BYTES);
  if (height === 0) reader.fail('checkpoint of an empty ledger');
  return { slot, timeMs, frontier: nextFrontier(reader, replicas), height, tipHash };
}

export function writeOptionalCheckpoint(
  writer: ByteWriter,
  certificate: CheckpointCertificate | undefined,
): void {
  if (certificate === undefined) {
    writer.u8(0);
    return;
  }
  writer.u8(FLAG_PRESENT);
  writeCheckpointState(writer, certificate.state);
  writeSignatures(writer, certificate.signatures);
}

export function readOptionalCheckpoint(
  reader: ByteReader,
  replicas: number,
): CheckpointCertificate | undefined {
  if (reader.flags(FLAG_PRESENT) === 0) return undefined;
  const state = readCheckpointState(reader, replicas);
  return { state, signatures: readSignatures(reader, replicas) };
}
