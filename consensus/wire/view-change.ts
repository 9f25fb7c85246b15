/**
 * View changes. The signature covers the body (`core/digests.ts`) and follows it.
 *
 *   VIEW-CHANGE  body | signature 64
 *     body         view u32 | signer u16 | life u64 of each replica | optional checkpoint |
 *                  count u16 | reports
 *     report       slot u64 | flags u8 (bit 0: vote, bit 1: prepared; at least one) |
 *                  vote: view u32, digest 24 | prepared certificate without its slot
 *   NEW-VIEW     body | signature 64
 *     body         view u32 | count u16 | VIEW-CHANGEs
 *
 * Reports ascend by slot, VIEW-CHANGEs by signer. A report tells of views below that which is asked
 * for, and every VIEW-CHANGE of a NEW-VIEW asks for its view. Certificates: `certificates.ts`.
 */
import type { NewView, Slot, SlotReport, View, ViewChange } from '../core/types.ts';
import {
  DIGEST24_BYTES,
  optionalCheckpointBytes,
  preparedBytes,
  readOptionalCheckpoint,
  readPreparedBody,
  SIGNATURE_BYTES,
  SIGNATURE_ENTRY_BYTES,
  STATE_HEAD_BYTES,
  writeOptionalCheckpoint,
  writePreparedBody,
} from './certificates.ts';
import { TIP_BYTES } from './frontier.ts';
import { type ByteReader, ByteWriter, startTagged } from './stream.ts';

/** What the signature covers. */
export type ViewChangeBody = Omit<ViewChange, 'signature'>;
export type NewViewBody = Omit<NewView, 'signature'>;

/** No VIEW-CHANGE holds more; all replicas must agree on it. `windowSlots` stays below. */
export const REPORTS_MAX = 8192;

const CHANGE_HEAD_BYTES = 4 + 2;
const LIFE_BYTES = 8;
const REPORT_HEAD_BYTES = 8 + 1;
const VOTE_BYTES = 4 + DIGEST24_BYTES;
/** The shortest report has a vote only. */
const REPORT_BYTES_MIN = REPORT_HEAD_BYTES + VOTE_BYTES;
const FLAG_VOTE = 1;
const FLAG_PREPARED = 2;

/**
 * Bodies as they came, by what they were decoded to: a NEW-VIEW is megabytes, and each of its
 * signatures would otherwise cost an encoding. They are views into the input.
 */
const decodedBodies = new WeakMap<ViewChangeBody | NewViewBody, Uint8Array>();

export function encodeViewChangeBody(change: ViewChangeBody): Uint8Array {
  const { view, signer, lives, checkpoint, reports } = change;
  if (reports.length > REPORTS_MAX) throw new RangeError('too many reports');
  const writer = new ByteWriter(viewChangeBodyBytes(change));
  writer.u32(view).u16(signer);
  for (const life of lives) writer.u64(life);
  writeOptionalCheckpoint(writer, checkpoint);
  writer.u16(reports.length);
  let last = -1;
  for (const report of reports) {
    if (report.slot <= last) throw new RangeError('reports out of order');
    writeReport(writer, report, view);
    last = report.slot;
  }
  return writer.finish();
}

/** `encodeViewChangeBody`, without the work when the value was decoded. */
export function viewChangeBodyOf(change: ViewChangeBody): Uint8Array {
  return decodedBodies.get(change) ?? encodeViewChangeBody(change);
}

export function encodeNewViewBody(newView: NewViewBody): Uint8Array {
  const { view, changes } = newView;
  if (changes.length === 0) throw new RangeError('a NEW-VIEW without VIEW-CHANGEs');
  const bodies = changes.map(viewChangeBodyOf);
  const bytes = bodies.reduce((sum, { length }) => sum + length + SIGNATURE_BYTES, 4 + 2);
  const writer = new ByteWriter(bytes).u32(view).u16(changes.length);
  let last = -1;
  for (const [index, change] of changes.entries()) {
    if (change.view !== view) throw new RangeError('a VIEW-CHANGE for another view');
    if (change.signer <= last) throw new RangeError('VIEW-CHANGEs out of order');
    writer.put(bodies[index] as Uint8Array).fixed(change.signature, SIGNATURE_BYTES);
    last = change.signer;
  }
  return writer.finish();
}

/** `encodeNewViewBody`, without the work when the value was decoded. */
export function newViewBodyOf(newView: NewViewBody): Uint8Array {
  return decodedBodies.get(newView) ?? encodeNewViewBody(newView);
}

/** A message or record that is a VIEW-CHANGE. */
export function encodeViewChange(kind: number, version: number, change: ViewChange): Uint8Array {
  return encodeSigned(kind, version, viewChangeBodyOf(change), change.signature);
}

/** A message or record that is a NEW-VIEW. */
export function encodeNewView(kind: number, version: number, newView: NewView): Uint8Array {
  return encodeSigned(kind, version, newViewBodyOf(newView), newView.signature);
}

export function readViewChange(reader: ByteReader, replicas: number): ViewChange {
  const start = reader.offset;
  const view = reader.u32();
  const signer = reader.replica(replicas, 'VIEW-CHANGE of an unknown replica');
  const lives: number[] = [];
  for (let replica = 0; replica < replicas; replica++) lives.push(reader.u64());
  const checkpoint = readOptionalCheckpoint(reader, replicas);
  const reports = readReports(reader, view, replicas);
  const body = reader.since(start);
  const signature = reader.copy(SIGNATURE_BYTES);
  const change: ViewChange = { view, signer, lives, checkpoint, reports, signature };
  if (!reader.failed) decodedBodies.set(change, body);
  return change;
}

export function readNewView(reader: ByteReader, replicas: number): NewView {
  const start = reader.offset;
  const view = reader.u32();
  const count = reader.u16();
  if (count === 0) reader.fail('NEW-VIEW without VIEW-CHANGEs');
  if (count > replicas) reader.fail('more VIEW-CHANGEs than replicas');
  const changes: ViewChange[] = [];
  let last = -1;
  for (let i = 0; i < count && !reader.failed; i++) {
    const change = readViewChange(reader, replicas);
    if (change.view !== view) reader.fail('VIEW-CHANGE for another view');
    if (change.signer <= last) reader.fail('VIEW-CHANGEs out of order');
    changes.push(change);
    last = change.signer;
  }
  const body = reader.since(start);
  const signature = reader.copy(SIGNATURE_BYTES);
  const newView: NewView = { view, changes, signature };
  if (!reader.failed) decodedBodies.set(newView, body);
  return newView;
}

function encodeSigned(
  kind: number,
  version: number,
  body: Uint8Array,
  signature: Uint8Array,
): Uint8Array {
  const writer = startTagged(kind, version, body.length + SIGNATURE_BYTES);
  return writer.put(body).fixed(signature, SIGNATURE_BYTES).finish();
}

function viewChangeBodyBytes(change: ViewChangeBody): number {
  let bytes = CHANGE_HEAD_BYTES + change.lives.length * LIFE_BYTES;
  bytes += optionalCheckpointBytes(change.checkpoint) + 2;
  for (const { vote, prepared } of change.reports) {
    bytes += REPORT_HEAD_BYTES;
    if (vote !== undefined) bytes += VOTE_BYTES;
    if (prepared !== undefined) bytes += preparedBytes(prepared) - 8;
  }
  return bytes;
}

function writeReport(writer: ByteWriter, report: SlotReport, below: View): void {
  const { slot, vote, prepared } = report;
  if (vote === undefined && prepared === undefined) throw new RangeError('an empty report');
  const flags = (vote === undefined ? 0 : FLAG_VOTE) | (prepared === undefined ? 0 : FLAG_PREPARED);
  writer.u64(slot).u8(flags);
  if (vote !== undefined) {
    if (vote.view >= below) throw new RangeError('a vote of no earlier view');
    writer.u32(vote.view).fixed(vote.digest, DIGEST24_BYTES);
  }
  if (prepared !== undefined) {
    if (prepared.slot !== slot) throw new RangeError('a certificate of another slot');
    if (prepared.view >= below) throw new RangeError('a certificate of no earlier view');
    writePreparedBody(writer, prepared);
  }
}

function readReports(reader: ByteReader, below: View, replicas: number): SlotReport[] {
  const reports: SlotReport[] = [];
  const count = reader.u16();
  if (count > REPORTS_MAX) reader.fail('too many reports');
  // Before the loop, so that a false count costs nothing.
  if (count * REPORT_BYTES_MIN > reader.left) reader.fail('report count exceeds the bytes');
  let last = -1;
  for (let i = 0; i < count && !reader.failed; i++) {
    const slot = reader.u64();
    if (slot <= last) reader.fail('reports out of order');
    reports.push(readReport(reader, slot, below, replicas));
    last = slot;
  }
  return reports;
}

function readReport(reader: ByteReader, slot: Slot, below: View, replicas: number): SlotReport {
  const flags = reader.flags(FLAG_VOTE | FLAG_PREPARED);
  if (flags === 0) reader.fail('empty report');
  const vote =
    (flags & FLAG_VOTE) === 0
      ? undefined
      : { view: reader.u32(), digest: reader.copy(DIGEST24_BYTES) };
  const prepared =
    (flags & FLAG_PREPARED) === 0 ? undefined : readPreparedBody(reader, slot, replicas);
  if (vote !== undefined && vote.view >= below) reader.fail('vote of no earlier view');
  if (prepared !== undefined && prepared.view >= below) {
    reader.fail('certificate of no earlier view');
  }
  return { slot, vote, prepared };
}

/** No NEW-VIEW of so many replicas and slots is longer: every slot voted for, and certified by all. */
export function newViewBytesMax(replicas: number, windowSlots: number): number {
  const signatures = 2 + replicas * SIGNATURE_ENTRY_BYTES;
  const report = REPORT_HEAD_BYTES + VOTE_BYTES + 4 + DIGEST24_BYTES + signatures;
  const checkpoint = 1 + STATE_HEAD_BYTES + replicas * TIP_BYTES + signatures;
  const head = CHANGE_HEAD_BYTES + replicas * LIFE_BYTES;
  const change = head + checkpoint + 2 + windowSlots * report + SIGNATURE_BYTES;
  return 4 + 2 + replicas * change + SIGNATURE_BYTES;
}
