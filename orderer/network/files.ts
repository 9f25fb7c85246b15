/**
 * Writing keys and configuration so that they are there whole, synced,
 * and readable by their owner only.
 */

import { mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { KeyPair } from './certificates.ts';

const DIRECTORY_MODE = 0o700;
const SECRET_MODE = 0o600;
const PUBLIC_MODE = 0o644;

export async function makeDirectory(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: DIRECTORY_MODE });
}

/** Creates the file and its directories; fails when it exists. Synced before it returns. */
export async function writeNewFile(
  path: string,
  content: string | Uint8Array,
  access: 'public' | 'secret' = 'public',
): Promise<void> {
  await makeDirectory(dirname(path));
  const file = await open(path, 'wx', access === 'secret' ? SECRET_MODE : PUBLIC_MODE);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** `<prefix>cert.pem` and `<prefix>key.pem` in a directory. */
export async function writeKeyPair(
  directory: string,
  prefix: string,
  pair: KeyPair,
): Promise<{ certificateFile: string; keyFile: string }> {
  const certificateFile = join(directory, `${prefix}cert.pem`);
  const keyFile = join(directory, `${prefix}key.pem`);
  await writeNewFile(keyFile, pair.keyPem, 'secret');
  await writeNewFile(certificateFile, pair.certificatePem);
  return { certificateFile, keyFile };
}

/** Makes the names in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
