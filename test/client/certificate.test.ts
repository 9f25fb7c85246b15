import { X509Certificate } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import { decodeCertificateDer, decodeCertificatePem } from '../../api/client/certificate.ts';
import { readPem } from '../../api/client/pem.ts';
import { createTestAuthority, type KeyAlgorithm } from '../support/certificates.ts';

describe('certificate reader of the client', () => {
  for (const algorithm of ['ed25519', 'p256'] as const satisfies KeyAlgorithm[]) {
    it(`reads in ${algorithm} certificates what OpenSSL reads`, async () => {
      const authority = await createTestAuthority('ca.test', algorithm);
      const leaf = await authority.issue({ commonName: 'leaf.test', algorithm, usage: 'tls' });
      for (const [pem, isCa] of [
        [authority.certPem, true],
        [leaf.certPem, false],
      ] as const) {
        const expected = new X509Certificate(pem);
        const decoded = decodeCertificatePem(pem);
        if (decoded.kind === 'malformed') throw new Error(decoded.reason);
        const { value } = decoded;
        expect(value.serialHex.toUpperCase()).to.equal(expected.serialNumber);
        expect(expected.subject).to.include(`CN=${value.commonName}`);
        expect(value.notBeforeMs).to.equal(Date.parse(expected.validFrom));
        expect(value.notAfterMs).to.equal(Date.parse(expected.validTo));
        expect(value.isCa).to.equal(isCa).and.to.equal(expected.ca);
        expect(value.maySignCertificates).to.equal(isCa);
        expect(value.unknownCritical).to.deep.equal([]);
        const spki = expected.publicKey.export({ type: 'spki', format: 'der' });
        expect(spki.subarray(-value.publicKey.bytes.length)).to.deep.equal(
          Buffer.from(value.publicKey.bytes),
        );
      }
      const [root, issued] = [authority.certPem, leaf.certPem].map((pem) =>
        decodeCertificatePem(pem),
      );
      if (root?.kind !== 'ok' || issued?.kind !== 'ok') throw new Error('not decoded');
      expect(issued.value.issuerHex).to.equal(root.value.subjectHex);
    });
  }

  it('is total: damaged and truncated certificates come back as data', async () => {
    const { certPem } = await createTestAuthority('ca.test');
    const der = readPem(certPem)[0]?.der ?? new Uint8Array(0);
    fc.assert(
      fc.property(
        fc.nat({ max: der.length - 1 }),
        fc.nat({ max: 255 }),
        fc.boolean(),
        (at, value, cut) => {
          const bytes = cut ? der.slice(0, at) : der.slice();
          if (!cut) bytes[at] = value;
          expect(decodeCertificateDer(bytes).kind).to.be.oneOf(['ok', 'malformed']);
        },
      ),
      { numRuns: 1000 },
    );
    expect(decodeCertificateDer(new Uint8Array([...der, 0])).kind).to.equal('malformed');
    expect(decodeCertificatePem('no PEM').kind).to.equal('malformed');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        expect(decodeCertificateDer(bytes).kind).to.equal('malformed');
      }),
    );
  });
});
