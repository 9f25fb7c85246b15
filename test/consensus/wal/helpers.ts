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

/** Path and bytes of the only segment. */
export function onlySegment(directory: string): { path: string; bytes: Buffer } {
  const [path = '', ...others] = segmentsOf(directory);
  if (others.length > 0) throw new Error(`${others.length} segments too many`);
  return { path, bytes: readFileSync(path) };
}
