import { generateKeyPairSync, type KeyObject, verify } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import { ClientError, parsePrivateKey, publicKeyOf, sign } from '../../api/client/index.ts';
import { fromBase64, readPem, toBase64 } from '../../api/client/pem.ts';

function pkcs8(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

function thrownBy(work: () => unknown): ClientError {
  try {
    work();
  } catch (error) {
    if (error instanceof ClientError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('private keys of the client', () => {
  it('reads an Ed25519 key as OpenSSL writes it, and signs what OpenSSL verifies', () => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const key = parsePrivateKey(pkcs8(privateKey));
    const message = new TextEncoder().encode('message');
    expect(key.algorithm).to.equal('ed25519');
    expect(verify(null, message, publicKey, sign(key, message))).to.equal(true);
    const raw = publicKey.export({ format: 'jwk' }).x ?? '';
    expect(Buffer.from(publicKeyOf(key).bytes).toString('base64url')).to.equal(raw);
  });

  it('reads a P-256 key as OpenSSL writes it, and signs low S that OpenSSL verifies', () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    const key = parsePrivateKey(pkcs8(privateKey));
    const message = new TextEncoder().encode('message');
    expect(key.algorithm).to.equal('p256');
    expect(publicKeyOf(key).bytes).to.have.length(65);
    expect(verify('sha256', message, publicKey, sign(key, message))).to.equal(true);
  });

  it('says how to convert what is not PKCS#8', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    const sec1 = privateKey.export({ type: 'sec1', format: 'pem' }).toString();
    const error = thrownBy(() => parsePrivateKey(sec1));
    expect(error.code).to.equal('malformed_key');
    expect(error.message).to.include('EC PRIVATE KEY').and.to.include('openssl pkcs8');
    expect(thrownBy(() => parsePrivateKey('')).message).to.include('found nothing');
  });

  it('refuses keys of other kinds', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'secp384r1' });
    expect(thrownBy(() => parsePrivateKey(pkcs8(privateKey))).message).to.include('P-256');
    const { privateKey: x25519 } = generateKeyPairSync('x25519');
    expect(thrownBy(() => parsePrivateKey(pkcs8(x25519))).code).to.equal('malformed_key');
  });

  it('answers any damaged key with its own error', () => {
    const keys = ['ed25519', 'ec'].map((kind) => {
      const { privateKey } =
        kind === 'ec'
          ? generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
          : generateKeyPairSync('ed25519');
      return readPem(pkcs8(privateKey))[0]?.der ?? new Uint8Array(0);
    });
    fc.assert(
      fc.property(
        fc.constantFrom(...keys),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        (der, at, mask, cut) => {
          const bytes = cut ? der.slice(0, at % der.length) : der.slice();
          const place = at % Math.max(1, bytes.length);
          bytes[place] = (bytes[place] ?? 0) ^ mask;
          const pem = `-----BEGIN PRIVATE KEY-----\n${toBase64(bytes)}\n-----END PRIVATE KEY-----`;
          try {
            expect(parsePrivateKey(pem).secret).to.have.length(32);
          } catch (error) {
            expect(error).to.be.instanceOf(ClientError);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('PEM and base64', () => {
  it('finds every block and skips what stands between', () => {
    const text = `noise
-----BEGIN A-----
AQID
-----END A-----
noise
-----BEGIN B B-----
BAUG
-----END B B-----`;
    expect(readPem(text).map(({ label, der }) => [label, [...der]])).to.deep.equal([
      ['A', [1, 2, 3]],
      ['B B', [4, 5, 6]],
    ]);
  });

  it('gives back any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(fromBase64(toBase64(bytes))).to.deep.equal(bytes);
      }),
    );
    expect(fromBase64('***')).to.equal(undefined);
  });
});
