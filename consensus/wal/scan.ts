/**
 * What the bytes of one segment say: what a crash left unfinished is told apart from what changed
 * after it had been synced.
 *
 * What a crash may leave: of the group that was being written, any of its sectors, in any order;
 * zeros or old contents in the others; any length. Everything before that group is as it was (the
 * sector that the group shares with what was synced before it is written whole or not at all). So
 * the records before the first one that does not fit are good, and the rest is torn, unless a
 * record in the rest proves that the first bad place had been synced (layout.ts, `groupStart`).
 *
 * A segment mostly has a rest that nobody wrote as a part of it: zeros, or what an older segment held there (segment-file.ts). It is
 * told from a torn write by the tag, which stands in each record: a rest without it has nothing that could ever pass for a record of
 * this segment, so it may stay.
 *
 * Nothing behind the newest group proves that for it: if it had been synced and its bytes change
 * later, that looks like a torn write and is cut off. No log can tell without writing twice.
 */
import {
  type DecodedRecord,
  decodeHeader,
  decodeRecord,
  HEADER_BYTES,
  type Header,
  KIND,
  TAG_OFFSET,
} from './layout.ts';

export type SegmentScan =
  | {
      readonly kind: 'complete';
      readonly header: Header;
      /** Parts of the bytes that were scanned, not copies. */
      readonly records: readonly Buffer[];
      /** Behind the last good record. */
      readonly end: number;
      /** What is wrong at `end`, when a part of a record of this segment lies behind. */
      readonly torn: string | undefined;
    }
  /** The header or the snapshot is not whole, and nothing shows that it ever was. */
  | { readonly kind: 'incomplete'; readonly offset: number; readonly reason: string }
  | { readonly kind: 'damaged'; readonly offset: number; readonly reason: string }
  | { readonly kind: 'version'; readonly version: number };

/** `groupStart` in the snapshot. */
const SNAPSHOT = 0;
/** Behind a mark: the next record begins a group. */
const NO_GROUP = -1;

/** `sequence` is what the file's name says. */
export function scanSegment(bytes: Buffer, sequence: number): SegmentScan {
  const header = decodeHeader(bytes, sequence);
  if (header.kind === 'version') return header;
  if (header.kind === 'malformed') {
    return { kind: 'incomplete', offset: 0, reason: header.reason };
  }
  const records: Buffer[] = [];
  let position = HEADER_BYTES;
  /** The `groupStart` of the last record. */
  let group = SNAPSHOT;
  while (group === SNAPSHOT || position < bytes.length) {
    const record = decodeRecord(bytes, position, header.tag);
    const next = record.kind === 'ok' ? groupAfter(record, position, group) : record.reason;
    if (record.kind === 'malformed' || typeof next === 'string') {
      const reason = String(next);
      const proof = findLaterGroup(bytes, position, header.tag);
      if (proof !== undefined) {
        const why = `${reason}, but the record at byte ${proof} was written after this was synced`;
        return { kind: 'damaged', offset: position, reason: why };
      }
      if (group === SNAPSHOT) return { kind: 'incomplete', offset: position, reason };
      const torn = bytes.includes(header.tag, position) ? reason : undefined;
      return { kind: 'complete', header, records, end: position, torn };
    }
    if (record.type === KIND.record) records.push(record.payload);
    group = next;
    position = record.end;
  }
  return { kind: 'complete', header, records, end: position, torn: undefined };
}

/** The group that goes on behind the record, or why an intact record cannot stand here. */
function groupAfter(
  record: DecodedRecord & { readonly kind: 'ok' },
  position: number,
  group: number,
): number | string {
  const { type, groupStart } = record;
  if (group === SNAPSHOT) {
    if (groupStart !== SNAPSHOT || type === KIND.cut) return 'the snapshot has no end';
    return type === KIND.endOfSnapshot ? NO_GROUP : SNAPSHOT;
  }
  const begins = groupStart === position;
  if (type === KIND.record && (begins || groupStart === group)) return groupStart;
  if (type === KIND.cut && begins) return NO_GROUP;
  return 'a record is not of the group that it stands in';
}

/**
 * Where an intact record begins that was written after `position` had been synced. One pass over
 * the bytes: the tag stands nowhere but in records.
 */
function findLaterGroup(bytes: Buffer, position: number, tag: Buffer): number | undefined {
  let found = bytes.indexOf(tag, position + 1 + TAG_OFFSET);
  while (found !== -1) {
    const offset = found - TAG_OFFSET;
    const record = decodeRecord(bytes, offset, tag);
    if (record.kind === 'ok' && record.groupStart > position) return offset;
    found = bytes.indexOf(tag, found + 1);
  }
  return undefined;
}
