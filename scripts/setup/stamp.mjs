import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/** Hash over the names and contents of files; order does not matter. A file that is missing counts as such. */
export function hashFiles(root, paths, salt = '') {
  const hash = createHash('sha256').update(salt);
  for (const path of [...paths].sort()) {
    const content = readIfThere(path);
    const digest = content === undefined ? 'missing' : sha256(content);
    hash.update(`${relative(root, path)}\0${digest}\n`);
  }
  return hash.digest('hex');
}

export function sha256(content) {
  return createHash('sha256').update(content).digest('hex');
}

/** All files below a folder whose name passes; none when there is no such folder. */
export function filesUnder(folder, accepts) {
  let entries;
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    if (error.code === 'ENOENT') return [];
    throw error;
  }
  return entries.flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return filesUnder(path, accepts);
    return entry.isFile() && accepts(entry.name) ? [path] : [];
  });
}

export function readStamp(path) {
  return readIfThere(path)?.toString('utf8').trim();
}

/** Atomic: a reader sees the old stamp or the new one. */
export function writeStamp(path, value) {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, `${value}\n`);
  renameSync(temporary, path);
}

export function removeStamp(path) {
  rmSync(path, { force: true });
}

function readIfThere(path) {
  try {
    return readFileSync(path);
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  }
}
