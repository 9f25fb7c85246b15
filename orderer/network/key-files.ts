/**
 * Certificates and private keys on disk. All reading of them goes through here,
 * with errors that name the file.
 */

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { encodeSerializedIdentity } from '../../ledger/format/index.ts';
import { type Certificate, parseCertificatePem } from '../msp/certificate.ts';
import type { KeyFiles } from '../settings/replica.ts';
import { NetworkError } from './errors.ts';

/** Settings and key files are small; anything larger is something else. */
const FILE_BYTES_MAX = 1024 * 1024;
const OTHERS_MODE = 0o077;
const DAY_MS = 86_400_000;
const WARN_DAYS = 30;

/** A certificate, and the private key that belongs to it. */
export interface LoadedKey {
  readonly certificatePem: string;
  readonly certificate: Certificate;
  readonly privateKey: KeyObject;
  readonly keyPem: string;
}

/** What signs envelopes. */
export interface WriterKey extends LoadedKey {
  readonly mspId: string;
  readonly algorithm: 'ed25519' | 'p256';
  /** 32 bytes: Ed25519 seed or P-256 scalar, as @noble wants it. */
  readonly secretKey: Uint8Array;
  /** Serialized msp.SerializedIdentity. */
  readonly creator: Uint8Array;
}

/** `what` names the pair in messages ('the identity key of replica 1'). Throws NetworkError. */
export function loadKey(files: KeyFiles, what: string): LoadedKey {
  const { certificateFile, keyFile } = files;
  const certificatePem = readText(certificateFile, `certificate of ${what}`);
  const parsed = parseCertificatePem(certificatePem);
  if (parsed.kind !== 'ok') {
    throw invalid(certificateFile, `is not a PEM certificate: ${parsed.reason}`);
  }
  const keyPem = readSecret(keyFile, what);
  let privateKey: KeyObject;
  let belongs: boolean;
  try {
    privateKey = createPrivateKey(keyPem);
  } catch (error) {
    throw invalid(keyFile, 'is not a PEM private key without a passphrase (PKCS #8)', error);
  }
  try {
    belongs = new X509Certificate(certificatePem).checkPrivateKey(privateKey);
  } catch (error) {
    throw invalid(certificateFile, 'cannot be used', error);
  }
  if (!belongs) {
    throw new NetworkError(
      'mismatch',
      `the private key in ${keyFile} does not belong to the certificate in ${certificateFile}; put back the pair that was issued together`,
    );
  }
  return { certificatePem, certificate: parsed.value, privateKey, keyPem };
}

/** Throws NetworkError; `mspId` is the organization that issued the certificate. */
export function loadWriter(files: KeyFiles & { mspId: string }, what = 'the writer'): WriterKey {
  const key = loadKey(files, what);
  const { publicKey } = key.certificate;
  const { d } = key.privateKey.export({ format: 'jwk' });
  if (publicKey === undefined || d === undefined) {
    throw invalid(files.keyFile, 'is neither an Ed25519 nor a P-256 key');
  }
  const idBytes = new TextEncoder().encode(key.certificatePem);
  return {
    ...key,
    mspId: files.mspId,
    algorithm: publicKey.algorithm,
    secretKey: new Uint8Array(Buffer.from(d, 'base64url')),
    creator: encodeSerializedIdentity({ mspId: files.mspId, idBytes }),
  };
}

/**
 * A sentence for the log when the certificate ends soon, or has ended; undefined when all is well.
 */
export function validityWarning(
  certificate: Certificate,
  what: string,
  nowMs: number,
): string | undefined {
  const { notBeforeMs, notAfterMs } = certificate;
  const until = new Date(notAfterMs).toISOString();
  if (nowMs > notAfterMs) return `the certificate of ${what} expired on ${until}; renew it`;
  if (nowMs < notBeforeMs) {
    return `the certificate of ${what} is not valid before ${new Date(notBeforeMs).toISOString()}; check the clock`;
  }
  const days = Math.floor((notAfterMs - nowMs) / DAY_MS);
  if (days >= WARN_DAYS) return undefined;
  return `the certificate of ${what} expires in ${days} days (${until}); renew it`;
}

/** Bytes of a file that the settings name. Throws NetworkError. */
export function readBytes(file: string, what: string, bytesMax = FILE_BYTES_MAX): Uint8Array {
  try {
    const { size } = statSync(file);
    if (size > bytesMax) throw invalid(file, `has ${size} bytes; at most ${bytesMax} can be right`);
    return new Uint8Array(readFileSync(file));
  } catch (error) {
    if (error instanceof NetworkError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    const why = code === 'ENOENT' ? 'there is no such file' : `it cannot be read (${code})`;
    throw new NetworkError('file_missing', `${what}: ${file}: ${why}`, { cause: error });
  }
}

function readText(file: string, what: string): string {
  return Buffer.from(readBytes(file, what)).toString('latin1');
}

function readSecret(file: string, what: string): string {
  const text = readText(file, `private key of ${what}`);
  const mode = statSync(file).mode & OTHERS_MODE;
  if (process.platform !== 'win32' && mode !== 0) {
    throw new NetworkError(
      'key_file_exposed',
      `others may read the private key in ${file}; take that away (chmod 600) and start again`,
    );
  }
  return text;
}

function invalid(file: string, problem: string, cause?: unknown): NetworkError {
  return new NetworkError('file_invalid', `${file} ${problem}`, { cause });
}
