/** Logs in temporary folders. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type OpenedWal,
  openWal,
  WalError,
  type WalOptions,
} from '../../../consensus/wal/index.ts';

export const NAME = Uint8Array.from({ length: 32 }, (_, index) => index);
export const RECORD_BYTES_MAX = 4096;
export const HEADER_BYTES = 64;
export const FRAME_BYTES = 24;

export function optionsFor(directory: string, more: Partial<WalOptions> = {}): WalOptions {
  return { directory, reserveBytes: 0, recordBytesMax: RECORD_BYTES_MAX, name: NAME, ...more };
}

export function open(directory: string, more: Partial<WalOptions> = {}): OpenedWal {
  return openWal(optionsFor(directory, more));
}

/** Opens the log, closes it, and returns what it held. */
export function contentsOf(directory: string): string[] {
  const { wal, records } = open(directory);
  wal.close();
  return asText(records);
}

export function asText(records: readonly Uint8Array[]): string[] {
  return records.map((record) => Buffer.from(record).toString('latin1'));
}

export function asBytes(text: string): Uint8Array {
  return Buffer.from(text, 'latin1');
}

/** Writes one group. */
export function appendGroup({ wal }: OpenedWal, ...records: readonly string[]): void {
  for (const record of records) wal.append(asBytes(record));
  wal.sync();
}

/** The code of the WalError that `work` throws; anything else is passed on. */
export function codeOf(work: () => unknown): string {
  return errorOf(work)?.code ?? 'no error';
}

export function errorOf(work: () => unknown): WalError | undefined {
  try {
    work();
  } catch (error) {
    if (error instanceof WalError) return error;
    throw error;
  }
  return undefined;
}

export function inFolder<T>(work: (directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-wal-'));
  try {
    return work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Paths of the segments, oldest first. */
export function segmentsOf(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.log'))
    .sort()
    .map((name) => join(directory, name));
}

/** Path and bytes of the only segment, up to the end of what was written as a part of it. */
export function onlySegment(directory: string): { path: string; bytes: Buffer } {
  const [path = '', ...others] = segmentsOf(directory);
  if (others.length > 0) throw new Error(`${others.length} segments too many`);
  const bytes = readFileSync(path);
  return { path, bytes: bytes.subarray(0, endOf(bytes)) };
}

/** Behind the last record that has the tag of the header. */
function endOf(bytes: Buffer): number {
  const tag = bytes.subarray(24, 32);
  let end = HEADER_BYTES;
  while (bytes.subarray(end + 8, end + 16).equals(tag)) {
    end += FRAME_BYTES + bytes.readUInt32LE(end + 20);
  }
  return end;
}
