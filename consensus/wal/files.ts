/** Calls of node:fs as the log needs them. Each throws WalError `disk_full` or `io`. */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { errnoOf, fileError, WalError } from './errors.ts';

/** `wx`: a file that must not be there yet; for its owner alone. */
export function openFile(path: string, flags: 'wx' | 'r+'): number {
  return named(path, () => openSync(path, flags, 0o600));
}

export function isThere(path: string): boolean {
  return named(path, () => statSync(path, { throwIfNoEntry: false }) !== undefined);
}

export function lengthOf(fd: number, path: string): number {
  return named(path, () => fstatSync(fd).size);
}

/** All of the bytes: the kernel may take less at a time than it was given, most of all when the disk gets full. */
export function writeAll(fd: number, path: string, bytes: Uint8Array, position: number): void {
  named(path, () => {
    for (let done = 0; done < bytes.length; ) {
      const count = writeSync(fd, bytes, done, bytes.length - done, position + done);
      if (count <= 0) throw new WalError('io', `${path}: a write took ${count} bytes`);
      done += count;
    }
  });
}

/** `how`: node:fs's fsyncSync, or fdatasyncSync. */
export function syncFile(fd: number, path: string, how: (fd: number) => void): void {
  named(path, () => how(fd));
}

export function truncateFile(fd: number, path: string, bytes: number): void {
  named(path, () => ftruncateSync(fd, bytes));
}

/** A file that is not there is fine. */
export function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw fileError(error, path);
  }
}

/** In the same folder; what has the other name is gone. */
export function renameFile(path: string, newPath: string): void {
  named(path, () => renameSync(path, newPath));
}

/** Makes names that were created, changed or removed in the folder last. */
export function syncDirectory(directory: string): void {
  named(directory, () => {
    const fd = openSync(directory, 'r');
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  });
}

function named<T>(path: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw fileError(error, path);
  }
}
