/**
 * Issuing of X.509 certificates, for `sluice init` and `sluice keygen`. The certificate library is
 * loaded when the first one is issued: it takes 13 MB, which a running replica has no use for.
 */

import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  webcrypto,
} from 'node:crypto';
import { isIP } from 'node:net';
import type * as X509 from '@peculiar/x509';

export type KeyAlgorithm = 'ed25519' | 'p256';

/** A certificate and its private key, both PEM (the key PKCS #8). */
export interface KeyPair {
  readonly certificatePem: string;
  readonly keyPem: string;
}

export interface SubjectName {
  readonly commonName: string;
  /** The `O` of the subject; Sluice puts the MSP id there. */
  readonly organization: string;
  /** The `OU` that gives the identity its role. */
  readonly unit?: string;
}

const CA_YEARS = 10;
const LEAF_YEARS = 5;
/** Machines' clocks differ a little: a new certificate must be valid on all of them at once. */
const BACKDATE_MS = 5 * 60_000;
const SERIAL_BYTES = 16;

/** The library needs the metadata polyfill to be there first. */
async function loadLibrary(): Promise<typeof X509> {
  await import('reflect-metadata');
  return import('@peculiar/x509');
}

/**
 * Self-signed CA for Ed25519 signatures, valid for ten years, that
 * may issue leaf certificates only.
 */
export async function createAuthority(subject: SubjectName, nowMs: number): Promise<KeyPair> {
  const x509 = await loadLibrary();
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const name = nameOf(subject);
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: randomSerial(),
      subject: name,
      issuer: name,
      ...validity(nowMs, CA_YEARS),
      publicKey: spki,
      signingKey: await signingKey(privateKey),
      signingAlgorithm: { name: 'Ed25519' },
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(
          x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
          true,
        ),
        await x509.SubjectKeyIdentifierExtension.create(spki, false, webCrypto()),
      ],
    },
    webCrypto(),
  );
  return { certificatePem: pemOf(certificate), keyPem: keyPemOf(privateKey) };
}

export interface IssueOptions {
  readonly algorithm: KeyAlgorithm;
  /**
   * `identity`: signs transactions, blocks, messages. `tls`: both ends
   * of a link, for the given hosts.
   */
  readonly purpose: 'identity' | { readonly kind: 'tls'; readonly hosts: readonly string[] };
  readonly nowMs: number;
}

/**
 * A fresh key and its certificate, valid for five years or as long as
 * the CA's, whichever ends first.
 */
export async function issueCertificate(
  authority: KeyPair,
  subject: SubjectName,
  options: IssueOptions,
): Promise<KeyPair> {
  const x509 = await loadLibrary();
  const { privateKey, publicKey } =
    options.algorithm === 'ed25519'
      ? generateKeyPairSync('ed25519')
      : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const issuer = new x509.X509Certificate(authority.certificatePem);
  const issuerKey = createPrivateKey(authority.keyPem);
  const issuerSpki = createPublicKey(issuerKey).export({ type: 'spki', format: 'der' });
  const ends = validity(options.nowMs, LEAF_YEARS);
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: randomSerial(),
      subject: nameOf(subject),
      issuer: issuer.subjectName.toJSON(),
      notBefore: ends.notBefore,
      notAfter: new Date(Math.min(issuer.notAfter.getTime(), ends.notAfter.getTime())),
      publicKey: spki,
      signingKey: await signingKey(issuerKey),
      signingAlgorithm: signingAlgorithm(issuerKey),
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        await x509.SubjectKeyIdentifierExtension.create(spki, false, webCrypto()),
        await x509.AuthorityKeyIdentifierExtension.create(issuerSpki, false, webCrypto()),
        ...tlsExtensions(x509, options.purpose),
      ],
    },
    webCrypto(),
  );
  return { certificatePem: pemOf(certificate), keyPem: keyPemOf(privateKey) };
}

function tlsExtensions(x509: typeof X509, purpose: IssueOptions['purpose']): X509.Extension[] {
  if (purpose === 'identity') return [];
  return [
    new x509.ExtendedKeyUsageExtension([
      x509.ExtendedKeyUsage.serverAuth,
      x509.ExtendedKeyUsage.clientAuth,
    ]),
    new x509.SubjectAlternativeNameExtension(
      purpose.hosts.map((host) => {
        const type = isIP(host) === 0 ? ('dns' as const) : ('ip' as const);
        return { type, value: host };
      }),
    ),
  ];
}

/** Node's own implementation, in the type that the library knows. */
function webCrypto(): Crypto {
  return webcrypto as unknown as Crypto;
}

/** An Ed25519 or P-256 private key as the library signs with it. */
function signingKey(key: KeyObject): Promise<CryptoKey> {
  const pkcs8 = Uint8Array.from(key.export({ type: 'pkcs8', format: 'der' }));
  return webCrypto().subtle.importKey('pkcs8', pkcs8, signingAlgorithm(key), false, ['sign']);
}

function signingAlgorithm(key: KeyObject): { name: string; namedCurve?: string; hash?: string } {
  return key.asymmetricKeyType === 'ed25519'
    ? { name: 'Ed25519' }
    : { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
}

function nameOf(subject: SubjectName): X509.JsonName {
  const name: X509.JsonName = [{ O: [subject.organization] }];
  if (subject.unit !== undefined) name.push({ OU: [subject.unit] });
  name.push({ CN: [subject.commonName] });
  return name;
}

/** X.509 times have whole seconds. */
function validity(nowMs: number, years: number): { notBefore: Date; notAfter: Date } {
  const notBefore = new Date(Math.floor((nowMs - BACKDATE_MS) / 1000) * 1000);
  const notAfter = new Date(notBefore);
  notAfter.setUTCFullYear(notAfter.getUTCFullYear() + years);
  return { notBefore, notAfter };
}

/** Positive and of full length: the first byte is in 0x40..0x7f. */
function randomSerial(): string {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}

function pemOf(certificate: X509.X509Certificate): string {
  return `${certificate.toString('pem').trim()}\n`;
}

function keyPemOf(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}
