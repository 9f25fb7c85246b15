/**
 * Which segment of a folder is in force.
 *
 * `rotate()` writes a new segment whole, and removes the old one for good, before anything is
 * appended to the new one. So when two segments are found, a crash fell into `rotate()` (or into
 * the opening that had to finish its work): either may be taken, if it is whole.
 */
import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import { damaged, errnoOf, fileError, WalError } from './errors.ts';
import { decodeHeader, EMPTY_SEGMENT_BYTES, type Header } from './layout.ts';
import { READ_BYTES_MAX } from './limits.ts';
import { type SegmentScan, scanSegment } from './scan.ts';
import { segmentPath } from './segment-file.ts';

const SEGMENT_NAME = /^wal-(\d{20})\.log$/;

export interface FoundSegment {
  readonly path: string;
  readonly header: Header;
  readonly records: readonly Buffer[];
  readonly end: number;
  readonly isTorn: boolean;
}

export interface FoundLog {
  /** Undefined: there is no log, or its creation was cut off. */
  readonly segment: FoundSegment | undefined;
  /** Segments that do not count; to be removed before anything is written. */
  readonly superseded: readonly string[];
  /** Sentences about what a crash cut off. */
  readonly torn: readonly string[];
}

interface SegmentName {
  readonly sequence: number;
  readonly path: string;
}

/** Changes nothing. Throws WalError `damaged`, `other_run`, `format_version` or `io`. */
export function findLog(directory: string, name: Uint8Array): FoundLog {
  const names = listSegments(directory);
  const torn: string[] = [];
  for (const [index, { path, sequence }] of names.entries()) {
    const bytes = readSegment(path);
    const scan = scanSegment(bytes, sequence);
    const isUnused = isFirstWords(names, bytes);
    // Before anything else: what is wrong with the log of another run is not our concern.
    if (!isUnused) requireName(path, bytes, sequence, name);
    switch (scan.kind) {
      case 'complete': {
        const { header, records, end } = scan;
        // Created for another run, which was left before its first record.
        if (isUnused && Buffer.compare(header.name, name) !== 0) break;
        if (scan.torn !== undefined) torn.push(describeTail(path, scan, bytes.length));
        const segment = { path, header, records, end, isTorn: scan.torn !== undefined };
        const superseded = names.filter((other) => other.path !== path).map((other) => other.path);
        return { segment, superseded, torn };
      }
      case 'incomplete':
        if (index === names.length - 1 && !isUnused) {
          throw damaged(path, scan.offset, scan.reason);
        }
        torn.push(`${path}: a crash cut off its creation (${scan.reason}); it is removed`);
        break;
      case 'damaged':
        throw damaged(path, scan.offset, scan.reason);
      case 'version':
        throw otherVersion(path, scan.version);
      default:
        return assertNever(scan);
    }
  }
  return { segment: undefined, superseded: names.map(({ path }) => path), torn };
}

/**
 * The name of the log in a folder, without opening the log; undefined when there is none, or only
 * a first segment in which there is nothing: whoever created it has said nothing yet. Throws WalError `damaged`, `format_version` or `io`.
 */
export function readWalName(directory: string): Uint8Array | undefined {
  const names = listSegments(directory);
  for (const [index, { path, sequence }] of names.entries()) {
    // One byte more than a first segment is created with tells whether it was used.
    const bytes = readStart(path, EMPTY_SEGMENT_BYTES + 1);
    const isUnused = isFirstWords(names, bytes);
    const header = decodeHeader(bytes, sequence);
    switch (header.kind) {
      case 'ok':
        if (isUnused) return undefined;
        return Uint8Array.from(header.name);
      case 'malformed':
        if (index === names.length - 1 && !isUnused) throw damaged(path, 0, header.reason);
        break;
      case 'version':
        throw otherVersion(path, header.version);
      default:
        return assertNever(header);
    }
  }
  return undefined;
}

/**
 * Whether this is the only segment, the first of its log, and nothing was ever appended: then
 * nothing is lost with it, whatever its bytes are. An append comes after the creation was synced.
 */
function isFirstWords(names: readonly SegmentName[], bytes: Uint8Array): boolean {
  return names.length === 1 && names[0]?.sequence === 1 && bytes.length <= EMPTY_SEGMENT_BYTES;
}

/** Newest first. */
export function listSegments(directory: string): SegmentName[] {
  let entries: string[];
  try {
    entries = readdirSync(directory);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw fileError(error, directory);
  }
  const found: SegmentName[] = [];
  for (const entry of entries) {
    const digits = SEGMENT_NAME.exec(entry)?.[1];
    if (digits === undefined) continue;
    const sequence = Number(digits);
    const path = segmentPath(directory, sequence);
    if (!Number.isSafeInteger(sequence) || sequence === 0) {
      throw damaged(`${directory}/${entry}`, 0, 'no log is ever named so');
    }
    found.push({ sequence, path });
  }
  return found.sort((left, right) => right.sequence - left.sequence);
}

function readSegment(path: string): Buffer {
  try {
    const { size } = statSync(path);
    if (size > READ_BYTES_MAX) throw damaged(path, READ_BYTES_MAX, `it has ${size} bytes`);
    return readFileSync(path);
  } catch (error) {
    throw fileError(error, path);
  }
}

function readStart(path: string, bytesMax: number): Buffer {
  const bytes = Buffer.alloc(bytesMax);
  try {
    const fd = openSync(path, 'r');
    try {
      return bytes.subarray(0, readSync(fd, bytes, 0, bytesMax, 0));
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw fileError(error, path);
  }
}

function requireName(path: string, bytes: Buffer, sequence: number, name: Uint8Array): void {
  const header = decodeHeader(bytes, sequence);
  if (header.kind !== 'ok' || header.name.equals(name)) return;
  const found = header.name.toString('hex');
  const expected = Buffer.from(name).toString('hex');
  throw new WalError(
    'other_run',
    `${path} belongs to run ${found}, not ${expected}: check which folder the replica was given`,
    { path, found, expected },
  );
}

function describeTail(
  path: string,
  { end, torn }: SegmentScan & { kind: 'complete' },
  size: number,
): string {
  const dropped = `${size - end} bytes are dropped`;
  return `${path}: a crash cut off the last write (byte ${end}: ${torn}); ${dropped}`;
}

function otherVersion(path: string, found: number): WalError {
  return new WalError(
    'format_version',
    `${path} has format ${found} of the write-ahead log: use the Sluice that wrote it`,
    { path, found },
  );
}

function assertNever(value: never): never {
  throw new Error(`unexpected ${JSON.stringify(value)}`);
}
