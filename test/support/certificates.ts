/**
 * Real certificates for tests: Ed25519 (or P-256) keys, X.509 v3, one identity CA and one TLS CA as
 * Fabric keeps them apart. A network of ten replicas takes a few tens of milliseconds.
 */
import 'reflect-metadata';
import { KeyObject, randomBytes, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

x509.cryptoProvider.set(webcrypto as Crypto);

export type KeyAlgorithm = 'ed25519' | 'p256';

export interface KeyAndCertificate {
  readonly certPem: string;
  /** PKCS#8. */
  readonly keyPem: string;
}

export interface IssueOptions {
  readonly commonName: string;
  readonly organization?: string;
  /** Fabric's NodeOU role: `client`, `peer`, `admin`, `orderer`. */
  readonly organizationalUnit?: string;
  readonly algorithm?: KeyAlgorithm;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  /** `tls`: both extended key usages and the loopback names; `identity`: signs, nothing else. */
  readonly usage: 'tls' | 'identity';
}

export interface TestAuthority extends KeyAndCertificate {
  issue(options: IssueOptions): Promise<KeyAndCertificate>;
}

export interface TestReplicaCertificates {
  readonly index: number;
  /** Consenter number: `index + 1`. */
  readonly number: number;
  readonly identity: KeyAndCertificate;
  /** One certificate for both directions of TLS. */
  readonly tls: KeyAndCertificate;
}

export interface TestNetwork {
  readonly mspId: string;
  /** Issues identities (replicas, writers, administrators). */
  readonly ca: TestAuthority;
  readonly tlsCa: TestAuthority;
  readonly replicas: readonly TestReplicaCertificates[];
}

const HOUR_MS = 3_600_000;

const SIGNING = {
  ed25519: { generate: { name: 'Ed25519' }, sign: { name: 'Ed25519' } },
  p256: {
    generate: { name: 'ECDSA', namedCurve: 'P-256' },
    sign: { name: 'ECDSA', hash: 'SHA-256' },
  },
} as const;

/** A self-signed root that can issue leaf certificates. */
export async function createTestAuthority(
  commonName: string,
  algorithm: KeyAlgorithm = 'ed25519',
): Promise<TestAuthority> {
  const keys = await generateKeys(algorithm);
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=${commonName}, O=SluiceTest`,
    notBefore: new Date(Date.now() - HOUR_MS),
    notAfter: new Date(Date.now() + 24 * HOUR_MS),
    signingAlgorithm: SIGNING[algorithm].sign,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return {
    certPem: pem(root),
    keyPem: privatePem(keys.privateKey),
    issue: (options) => issueLeaf(root, keys.privateKey, algorithm, options),
  };
}

/** `n` replicas of one organization: identity and TLS certificates, each kind under its own CA. */
export async function issueTestNetwork(
  n: number,
  algorithm: KeyAlgorithm = 'ed25519',
): Promise<TestNetwork> {
  const [ca, tlsCa] = await Promise.all([
    createTestAuthority('ca.sluice.test', algorithm),
    createTestAuthority('tlsca.sluice.test', algorithm),
  ]);
  const replicas = await Promise.all(
    Array.from({ length: n }, async (_, index): Promise<TestReplicaCertificates> => {
      const commonName = `replica${index + 1}.sluice.test`;
      const [identity, tls] = await Promise.all([
        ca.issue({ commonName, organizationalUnit: 'orderer', algorithm, usage: 'identity' }),
        tlsCa.issue({ commonName, algorithm, usage: 'tls' }),
      ]);
      return { index, number: index + 1, identity, tls };
    }),
  );
  return { mspId: 'SluiceTestMSP', ca, tlsCa, replicas };
}

async function issueLeaf(
  root: x509.X509Certificate,
  signingKey: CryptoKey,
  issuerAlgorithm: KeyAlgorithm,
  options: IssueOptions,
): Promise<KeyAndCertificate> {
  const keys = await generateKeys(options.algorithm ?? 'ed25519');
  const unit = options.organizationalUnit;
  const subject = [
    `CN=${options.commonName}`,
    ...(unit === undefined ? [] : [`OU=${unit}`]),
    `O=${options.organization ?? 'SluiceTest'}`,
  ].join(', ');
  const leaf = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject,
    issuer: root.subject,
    notBefore: options.notBefore ?? new Date(Date.now() - HOUR_MS),
    notAfter: options.notAfter ?? new Date(Date.now() + 24 * HOUR_MS),
    signingAlgorithm: SIGNING[issuerAlgorithm].sign,
    publicKey: keys.publicKey,
    signingKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      await x509.AuthorityKeyIdentifierExtension.create(root.publicKey),
      ...(options.usage === 'tls' ? tlsExtensions(options.commonName) : []),
    ],
  });
  return { certPem: pem(leaf), keyPem: privatePem(keys.privateKey) };
}

function tlsExtensions(commonName: string): x509.Extension[] {
  return [
    new x509.ExtendedKeyUsageExtension([
      x509.ExtendedKeyUsage.serverAuth,
      x509.ExtendedKeyUsage.clientAuth,
    ]),
    new x509.SubjectAlternativeNameExtension([
      { type: 'ip', value: '127.0.0.1' },
      { type: 'dns', value: 'localhost' },
      { type: 'dns', value: commonName },
    ]),
  ];
}

async function generateKeys(algorithm: KeyAlgorithm): Promise<CryptoKeyPair> {
  const parameters = SIGNING[algorithm].generate;
  return (await webcrypto.subtle.generateKey(parameters, true, [
    'sign',
    'verify',
  ])) as CryptoKeyPair;
}

function privatePem(key: CryptoKey): string {
  return KeyObject.from(key as webcrypto.CryptoKey)
    .export({ type: 'pkcs8', format: 'pem' })
    .toString();
}

function pem(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem').trim()}\n`;
}

function serialNumber(): string {
  // The leading 01 keeps the DER integer positive and free of a leading zero.
  return `01${randomBytes(15).toString('hex')}`;
}
