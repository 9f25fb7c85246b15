import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { X509CertificateGenerator } from '@peculiar/x509';
import { expect } from 'chai';
import fc from 'fast-check';
import { createBlockJsonRenderer } from '../../api/block-json.ts';
import type { BlockView } from '../../api/schemas.ts';
import { encodeBlock, encodeSerializedIdentity } from '../../ledger/format/index.ts';
import { makeEnvelope } from '../support/memory-service.ts';

const empty = new Uint8Array(0);

function blockOf(
  data: Uint8Array[],
  metadata: Uint8Array[] = [empty, empty, empty, empty, empty],
): Uint8Array {
  return encodeBlock({
    header: { number: 5, previousHash: new Uint8Array(32), dataHash: new Uint8Array(32) },
    data,
    metadata,
  });
}

function render(bytes: Uint8Array): BlockView {
  const json = createBlockJsonRenderer()(bytes, { raw: false });
  if (json.kind === 'malformed') throw new Error(json.reason);
  return JSON.parse(json.value.toString()) as BlockView;
}

describe('the readable form of a block', () => {
  it('shows an envelope that cannot be parsed with its bytes and the reason', () => {
    const view = render(blockOf([Uint8Array.from([1, 2, 3]), makeEnvelope('ok')]));
    expect(view.transactions[0]).to.have.keys('index', 'malformed', 'data');
    expect(view.transactions[1]).to.include({ index: 1, text: 'ok' });
  });

  it('is total: any data, any metadata', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array()),
        fc.array(fc.uint8Array(), { maxLength: 5 }),
        (data, metadata) => {
          expect(render(blockOf(data, metadata)).transactions).to.have.length(data.length);
        },
      ),
    );
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(createBlockJsonRenderer()(bytes, { raw: true }).kind).to.be.oneOf([
          'ok',
          'malformed',
        ]);
      }),
    );
  });

  it('is one line, whatever the data says', () => {
    const json = createBlockJsonRenderer()(blockOf([makeEnvelope('a\nb\r\n\u2028')]), {
      raw: true,
    });
    if (json.kind === 'malformed') throw new Error(json.reason);
    expect(json.value.toString().split('\n')).to.have.length(2);
  });

  it('names the subject of the certificate of the creator', async () => {
    const keys = (await webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, [
      'sign',
      'verify',
    ])) as CryptoKeyPair;
    const certificate = await X509CertificateGenerator.createSelfSigned(
      { name: 'CN=writer, O=Org1', keys },
      webcrypto as Crypto,
    );
    const creator = encodeSerializedIdentity({
      mspId: 'Org1MSP',
      idBytes: Buffer.from(certificate.toString('pem')),
    });
    const view = render(blockOf([makeEnvelope('a', { creator }), makeEnvelope('b', { creator })]));
    for (const transaction of view.transactions) {
      expect('creator' in transaction && transaction.creator.mspId).to.equal('Org1MSP');
      expect('creator' in transaction && transaction.creator.subject).to.match(/CN=writer/);
    }
  });

  it('shows text only when all of it is readable', () => {
    const texts: [Uint8Array | string, string | undefined][] = [
      ['grüße\n', 'grüße\n'],
      ['\u0000', undefined],
      [Uint8Array.from([0xff, 0xfe]), undefined],
      ['', undefined],
      ['x'.repeat(5000), undefined],
    ];
    for (const [data, text] of texts) {
      const [transaction] = render(blockOf([makeEnvelope(data)])).transactions;
      expect(transaction && 'text' in transaction ? transaction.text : undefined).to.equal(text);
    }
  });
});
