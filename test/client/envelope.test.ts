import { createHash, verify, X509Certificate } from 'node:crypto';
import fabric from '@hyperledger/fabric-protos';
import { expect } from 'chai';
import fc from 'fast-check';
import {
  buildEnvelope,
  ClientError,
  createWriter,
  transactionIdOf,
  type Writer,
} from '../../api/client/index.ts';
import { HEADER_TYPES, parseEnvelope } from '../../ledger/format/index.ts';
import {
  createTestAuthority,
  type KeyAlgorithm,
  type TestAuthority,
} from '../support/certificates.ts';

const { common, msp } = fabric;

async function writerOf(authority: TestAuthority, algorithm: KeyAlgorithm): Promise<Writer> {
  const { certPem, keyPem } = await authority.issue({
    commonName: 'writer',
    algorithm,
    usage: 'identity',
  });
  return createWriter({ mspId: 'Org1MSP', certificatePem: certPem, privateKeyPem: keyPem });
}

describe('envelopes of the client', () => {
  for (const algorithm of ['ed25519', 'p256'] as const) {
    it(`says to Fabric's own types what was meant, signed for OpenSSL (${algorithm})`, async () => {
      const writer = await writerOf(await createTestAuthority('ca'), algorithm);
      const key = new X509Certificate(writer.certificatePem).publicKey;
      fc.assert(
        fc.property(
          fc.uint8Array({ maxLength: 300 }),
          fc.integer({ min: 1, max: 4_102_444_800_000 }),
          (data, timestampMs) => {
            const built = buildEnvelope({ channel: 'main', data, writer, timestampMs });
            const envelope = common.Envelope.deserializeBinary(built.envelope);
            const payloadBytes = envelope.getPayload_asU8();
            const hashName = algorithm === 'p256' ? 'sha256' : null;
            expect(verify(hashName, payloadBytes, key, envelope.getSignature_asU8())).to.equal(
              true,
            );
            const payload = common.Payload.deserializeBinary(payloadBytes);
            expect(payload.getData_asU8()).to.deep.equal(data);
            const header = common.ChannelHeader.deserializeBinary(
              payload.getHeader()?.getChannelHeader_asU8() ?? new Uint8Array(0),
            );
            expect(header.getChannelId()).to.equal('main');
            expect(header.getType()).to.equal(HEADER_TYPES.ENDORSER_TRANSACTION);
            expect(header.getTimestamp()?.toDate().getTime()).to.equal(timestampMs);
            const signatureHeader = common.SignatureHeader.deserializeBinary(
              payload.getHeader()?.getSignatureHeader_asU8() ?? new Uint8Array(0),
            );
            const txId = createHash('sha256')
              .update(signatureHeader.getNonce_asU8())
              .update(signatureHeader.getCreator_asU8())
              .digest('hex');
            expect(header.getTxId()).to.equal(txId).and.to.equal(built.txId);
            const creator = msp.SerializedIdentity.deserializeBinary(
              signatureHeader.getCreator_asU8(),
            );
            expect(creator.getMspid()).to.equal('Org1MSP');
            expect(Buffer.from(creator.getIdBytes_asU8()).toString()).to.equal(
              writer.certificatePem,
            );
            // Canonical: Fabric's library writes the same bytes.
            expect(Buffer.from(envelope.serializeBinary())).to.deep.equal(
              Buffer.from(built.envelope),
            );
            expect(parseEnvelope(built.envelope).kind).to.equal('ok');
            expect(transactionIdOf(built.envelope)).to.equal(txId);
          },
        ),
        { numRuns: 15 },
      );
    });
  }

  it('draws a new nonce each time, and takes one that is given', async () => {
    const writer = await writerOf(await createTestAuthority('ca'), 'ed25519');
    const build = (nonce?: Uint8Array) =>
      buildEnvelope({
        channel: 'main',
        data: new Uint8Array(0),
        writer,
        timestampMs: 1,
        ...(nonce === undefined ? {} : { nonce }),
      });
    expect(build().txId).not.to.equal(build().txId);
    const nonce = new Uint8Array(24).fill(7);
    expect(build(nonce)).to.deep.equal(build(nonce));
  });

  it('refuses a key that is not the one of the certificate', async () => {
    const authority = await createTestAuthority('ca');
    const issue = (commonName: string) => authority.issue({ commonName, usage: 'identity' });
    const [alice, bob] = await Promise.all([issue('alice'), issue('bob')]);
    expect(() =>
      createWriter({
        mspId: 'Org1MSP',
        certificatePem: alice.certPem,
        privateKeyPem: bob.keyPem,
      }),
    )
      .to.throw(ClientError, 'does not belong')
      .with.property('code', 'invalid_argument');
    expect(() => createWriter({ mspId: 'Org1MSP', certificatePem: 'x', privateKeyPem: bob.keyPem }))
      .to.throw(ClientError)
      .with.property('code', 'malformed_certificate');
  });
});
