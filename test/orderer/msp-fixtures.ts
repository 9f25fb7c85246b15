/**
 * Certificates of every kind for the tests of membership, issued with the
 * same library as `sluice init`.
 */

import 'reflect-metadata';
import { createPrivateKey, generateKeyPairSync, type KeyObject, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { encodeSerializedIdentity } from '../../ledger/format/index.ts';
import type { MspConfig } from '../../orderer/channel-config/index.ts';

export const NOW_MS = Date.UTC(2026, 5, 1);
const DAY_MS = 86_400_000;

const crypto = webcrypto as unknown as Crypto;

export interface Issued {
  readonly name: string;
  readonly pem: string;
  readonly privateKey: KeyObject;
  readonly spki: Uint8Array<ArrayBuffer>;
  readonly serial: string;
}

export interface IssueRules {
  readonly units?: readonly string[];
  readonly algorithm?: 'ed25519' | 'p256' | 'p384';
  readonly ca?: boolean;
  readonly pathLength?: number;
  readonly usages?: x509.KeyUsageFlags;
  readonly serial?: string;
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
  readonly extensions?: readonly x509.Extension[];
  /** Leaves the authority key identifier out. */
  readonly anonymousIssuer?: boolean;
}

let counter = 0;

/** `issuer` undefined: self-signed. */
export async function issue(
  issuer: Issued | undefined,
  name: string,
  rules: IssueRules = {},
): Promise<Issued> {
  const { privateKey, publicKey } = newKey(rules.algorithm ?? 'ed25519');
  const spki = Uint8Array.from(publicKey.export({ type: 'spki', format: 'der' }));
  const ca = rules.ca ?? issuer === undefined;
  const serial = rules.serial ?? (0x10_000 + ++counter).toString(16).padStart(6, '0');
  const units = (rules.units ?? []).map((unit) => ({ OU: [unit] }));
  const usages =
    rules.usages ??
    (ca
      ? x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign
      : x509.KeyUsageFlags.digitalSignature);
  const extensions: x509.Extension[] = [
    new x509.BasicConstraintsExtension(ca, rules.pathLength, true),
    new x509.KeyUsagesExtension(usages, true),
    await x509.SubjectKeyIdentifierExtension.create(spki, false, crypto),
    ...(rules.extensions ?? []),
  ];
  if (issuer !== undefined && rules.anonymousIssuer !== true) {
    extensions.push(await x509.AuthorityKeyIdentifierExtension.create(issuer.spki, false, crypto));
  }
  const signer = issuer?.privateKey ?? privateKey;
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: serial,
      subject: [{ CN: [name] }, ...units],
      issuer: issuer === undefined ? [{ CN: [name] }, ...units] : [{ CN: [issuer.name] }],
      notBefore: new Date(rules.notBeforeMs ?? NOW_MS - DAY_MS),
      notAfter: new Date(rules.notAfterMs ?? NOW_MS + 365 * DAY_MS),
      publicKey: spki,
      signingKey: await signingKey(signer),
      signingAlgorithm: algorithmOf(signer),
      extensions,
    },
    crypto,
  );
  return { name, pem: `${certificate.toString('pem')}\n`, privateKey, spki, serial };
}

export async function revocationList(issuer: Issued, serials: readonly string[]): Promise<string> {
  const list = await x509.X509CrlGenerator.create(
    {
      issuer: `CN=${issuer.name}`,
      thisUpdate: new Date(NOW_MS),
      nextUpdate: new Date(NOW_MS + DAY_MS),
      entries: serials.map((serialNumber) => ({
        serialNumber,
        revocationDate: new Date(NOW_MS),
      })),
      signingKey: await signingKey(issuer.privateKey),
      signingAlgorithm: algorithmOf(issuer.privateKey),
    },
    crypto,
  );
  // RFC 7468 and openssl call it X509 CRL.
  return list.toString('pem').replace(/(BEGIN|END) CRL/g, '$1 X509 CRL');
}

export function mspConfig(mspId: string, roots: readonly Issued[], more: Partial<MspConfig> = {}) {
  const config: MspConfig = {
    mspId,
    group: mspId,
    kind: 'application',
    rootCertsPem: roots.map((root) => root.pem),
    intermediateCertsPem: [],
    adminsPem: [],
    revokedPem: [],
    tlsRootCertsPem: [],
    tlsIntermediateCertsPem: [],
    nodeOus: undefined,
    organizationalUnits: [],
    ...more,
  };
  return config;
}

/** Node OUs with the usual names. */
export function roleUnits(certificatePem?: string): NonNullable<MspConfig['nodeOus']> {
  const ou = (unit: string) => ({ unit, certificatePem });
  return { client: ou('client'), peer: ou('peer'), admin: ou('admin'), orderer: ou('orderer') };
}

export function creatorOf(mspId: string, issued: Pick<Issued, 'pem'>): Uint8Array {
  return encodeSerializedIdentity({ mspId, idBytes: new TextEncoder().encode(issued.pem) });
}

function newKey(algorithm: 'ed25519' | 'p256' | 'p384') {
  if (algorithm === 'ed25519') return generateKeyPairSync('ed25519');
  return generateKeyPairSync('ec', { namedCurve: algorithm === 'p256' ? 'P-256' : 'P-384' });
}

function signingKey(key: KeyObject): Promise<CryptoKey> {
  const pkcs8 = Uint8Array.from(
    createPrivateKey(key.export({ type: 'pkcs8', format: 'pem' })).export({
      type: 'pkcs8',
      format: 'der',
    }),
  );
  return crypto.subtle.importKey('pkcs8', pkcs8, algorithmOf(key), false, ['sign']);
}

function algorithmOf(key: KeyObject): { name: string; namedCurve?: string; hash?: string } {
  return key.asymmetricKeyType === 'ed25519'
    ? { name: 'Ed25519' }
    : { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
}
