/** More writers for an organization whose CA key is here: what `sluice keygen` does. */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { issueCertificate, type KeyAlgorithm } from './certificates.ts';
import { NetworkError } from './errors.ts';
import { syncDirectory, writeKeyPair } from './files.ts';
import { loadKey } from './key-files.ts';
import { APPLICATION_MSP, authorityDirectory, writerDirectory } from './layout.ts';

/** Roles that a writer may get; the unit in the certificate's subject carries it. */
export const WRITER_ROLES = ['client', 'admin', 'peer'] as const;

export interface IssueWriterOptions {
  /** The network's directory, with the CA's key in it. */
  readonly directory: string;
  readonly name: string;
  readonly mspId?: string;
  readonly algorithm?: KeyAlgorithm;
  readonly role?: (typeof WRITER_ROLES)[number];
  readonly nowMs?: number;
}

export interface IssuedWriter {
  readonly mspId: string;
  readonly name: string;
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** Throws NetworkError `bad_option`, `writer_exists`, `file_missing`. */
export async function issueWriter(options: IssueWriterOptions): Promise<IssuedWriter> {
  const { directory, name, mspId = APPLICATION_MSP, role = 'client' } = options;
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name)) {
    throw new NetworkError(
      'bad_option',
      `name: ${JSON.stringify(name)} must be 1..64 letters, digits, dots, dashes or underscores, not starting with a dot or dash`,
    );
  }
  const organizations = organizationsOf(directory);
  if (!organizations.includes(mspId)) {
    const known = organizations.join(', ') || 'none';
    throw new NetworkError(
      'bad_option',
      `org: ${directory} has no CA of ${JSON.stringify(mspId)} (there: ${known}); name another organization or directory`,
    );
  }
  const files = authorityDirectory(directory, mspId);
  const authority = loadKey(
    { certificateFile: join(files, 'cert.pem'), keyFile: join(files, 'key.pem') },
    `the CA of ${mspId}`,
  );
  const pair = await issueCertificate(
    authority,
    { commonName: name, organization: mspId, unit: role },
    {
      algorithm: options.algorithm ?? 'ed25519',
      purpose: 'identity',
      nowMs: options.nowMs ?? Date.now(),
    },
  );
  const target = writerDirectory(directory, mspId, name);
  try {
    const written = await writeKeyPair(target, '', pair);
    await syncDirectory(target);
    return { mspId, name, ...written };
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    throw new NetworkError(
      'writer_exists',
      `there is a writer ${name} in ${target} already; it is left as it is. Choose another name`,
    );
  }
}

/** Organizations whose CA is in the directory. */
function organizationsOf(directory: string): string[] {
  try {
    return readdirSync(join(directory, 'orgs')).sort();
  } catch {
    return [];
  }
}
