import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { expect } from 'chai';
import type { TrustedOrganization } from '../../api/client/index.ts';
import { encodeSerializedIdentity } from '../../ledger/format/index.ts';
import { createCreatorJudge } from '../../scripts/verify/x509.ts';
import { createTestAuthority } from '../support/certificates.ts';

x509.cryptoProvider.set(webcrypto as Crypto);

const ALGORITHMS = {
  ed25519: { name: 'Ed25519' },
  p256: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
} as const;

interface Node {
  readonly certificate: x509.X509Certificate;
  readonly keys: CryptoKeyPair;
}

interface NodeOptions {
  readonly name: string;
  readonly issuer?: Node;
  readonly ca?: boolean;
  readonly pathLength?: number;
  readonly maySign?: boolean;
  readonly algorithm?: keyof typeof ALGORITHMS;
  readonly serialNumber?: string;
  readonly critical?: boolean;
}

async function make(options: NodeOptions): Promise<Node> {
  const { name, issuer, ca = false, pathLength, maySign = ca, algorithm = 'ed25519' } = options;
  const keys = (await webcrypto.subtle.generateKey(ALGORITHMS[algorithm], true, [
    'sign',
    'verify',
  ])) as CryptoKeyPair;
  const usages = maySign ? x509.KeyUsageFlags.keyCertSign : x509.KeyUsageFlags.digitalSignature;
  const unknown = new x509.Extension('1.2.3.4', true, new Uint8Array([5, 0]));
  const certificate = await x509.X509CertificateGenerator.create({
    subject: `CN=${name}`,
    issuer: issuer?.certificate.subject ?? `CN=${name}`,
    serialNumber: options.serialNumber ?? '01',
    notBefore: new Date(0),
    notAfter: new Date('2100-01-01'),
    publicKey: keys.publicKey,
    signingKey: (issuer?.keys ?? keys).privateKey,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [
      new x509.BasicConstraintsExtension(ca, pathLength, true),
      new x509.KeyUsagesExtension(usages, true),
      ...(options.critical === true ? [unknown] : []),
    ],
  });
  return { certificate, keys };
}

const encode = (text: string) => new TextEncoder().encode(text);
const pem = (node: Node) => encode(node.certificate.toString('pem'));

function organization(options: Partial<TrustedOrganization>): TrustedOrganization {
  return {
    mspId: 'Org1MSP',
    rootCertificates: [],
    intermediateCertificates: [],
    revocationLists: [],
    ...options,
  };
}

function creatorOf(idBytes: Uint8Array, mspId = 'Org1MSP'): Uint8Array {
  return encodeSerializedIdentity({ mspId, idBytes });
}

function verdictOn(leaf: Node, options: Partial<TrustedOrganization>): string {
  const verdict = createCreatorJudge([organization(options)])(creatorOf(pem(leaf)));
  return verdict.kind === 'ok' ? 'ok' : verdict.reason;
}

describe('auditor: certificates of creators', () => {
  it('accepts what the root issued, Ed25519 and P-256 in any mixture', async () => {
    for (const algorithm of ['ed25519', 'p256'] as const) {
      const root = await make({ name: 'root', ca: true, algorithm });
      for (const leafAlgorithm of ['ed25519', 'p256'] as const) {
        const leaf = await make({ name: 'leaf', issuer: root, algorithm: leafAlgorithm });
        expect(verdictOn(leaf, { rootCertificates: [pem(root)] })).to.equal('ok');
      }
    }
  });

  it('follows intermediates, as far as path lengths allow', async () => {
    const root = await make({ name: 'root', ca: true, pathLength: 1 });
    const one = await make({ name: 'one', issuer: root, ca: true });
    const two = await make({ name: 'two', issuer: one, ca: true });
    const under = async (issuer: Node) => make({ name: 'leaf', issuer });
    const authorities = {
      rootCertificates: [pem(root)],
      intermediateCertificates: [pem(one), pem(two)],
    };
    expect(verdictOn(await under(one), authorities)).to.equal('ok');
    expect(verdictOn(await under(two), authorities)).to.include('not issued');
    expect(verdictOn(await under(one), { rootCertificates: [pem(root)] })).to.include('not issued');
  });

  it('refuses another root of the same name, other organizations, and what is no certificate', async () => {
    const [root, impostor] = await Promise.all([
      make({ name: 'root', ca: true }),
      make({ name: 'root', ca: true }),
    ]);
    const leaf = await make({ name: 'leaf', issuer: impostor });
    expect(verdictOn(leaf, { rootCertificates: [pem(root)] })).to.include('not issued');
    const judge = createCreatorJudge([organization({ rootCertificates: [pem(root)] })]);
    const other = judge(creatorOf(pem(leaf), 'Org2MSP'));
    expect(other).to.have.property('reason').that.includes('"Org2MSP" is not in the genesis');
    expect(judge(creatorOf(encode('nothing'))).kind).to.equal('invalid');
    expect(judge(encode('\xff')).kind).to.equal('invalid');
  });

  it('refuses authorities as writers, and writers as authorities', async () => {
    const root = await make({ name: 'root', ca: true });
    const noCa = await make({ name: 'sub', issuer: root });
    const mayNot = await make({ name: 'sub', issuer: root, ca: true, maySign: false });
    const authorities = (sub: Node) => ({
      rootCertificates: [pem(root)],
      intermediateCertificates: [pem(sub)],
    });
    expect(verdictOn(root, { rootCertificates: [pem(root)] })).to.include('authority');
    for (const sub of [noCa, mayNot]) {
      const leaf = await make({ name: 'leaf', issuer: sub });
      expect(verdictOn(leaf, authorities(sub))).to.include('not issued');
    }
    const strange = await make({ name: 'leaf', issuer: root, critical: true });
    expect(verdictOn(strange, { rootCertificates: [pem(root)] })).to.include('critical');
  });

  it('honors the revocation lists of the genesis block', async () => {
    const root = await make({ name: 'root', ca: true });
    const [good, bad] = await Promise.all([
      make({ name: 'good', issuer: root, serialNumber: '0a' }),
      make({ name: 'bad', issuer: root, serialNumber: '0b' }),
    ]);
    const list = async (issuer: Node) => {
      const crl = await x509.X509CrlGenerator.create({
        issuer: root.certificate.subject,
        thisUpdate: new Date(),
        entries: [{ serialNumber: '0b', revocationDate: new Date() }],
        signingKey: issuer.keys.privateKey,
        signingAlgorithm: ALGORITHMS.ed25519,
      });
      return encode(crl.toString('pem'));
    };
    const options = { rootCertificates: [pem(root)], revocationLists: [await list(root)] };
    expect(verdictOn(good, options)).to.equal('ok');
    expect(verdictOn(bad, options)).to.include('revoked');
    const forged = [await list(await make({ name: 'root', ca: true }))];
    expect(() => verdictOn(good, { ...options, revocationLists: forged })).to.throw('no authority');
  });

  it('finds a certificate whose signature was touched', async () => {
    const authority = await createTestAuthority('ca');
    const leaf = await authority.issue({ commonName: 'leaf', usage: 'identity' });
    const judge = createCreatorJudge([
      organization({ rootCertificates: [encode(authority.certPem)] }),
    ]);
    expect(judge(creatorOf(encode(leaf.certPem))).kind).to.equal('ok');
    const body = leaf.certPem.split('\n');
    const line = body.length - 3;
    const text = body[line] ?? '';
    body[line] = `${text.slice(0, 4)}${text[4] === 'A' ? 'B' : 'A'}${text.slice(5)}`;
    expect(judge(creatorOf(encode(body.join('\n')))).kind).to.equal('invalid');
  });
});
