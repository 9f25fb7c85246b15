import { createPrivateKey, generateKeyPairSync, hash, type KeyObject, sign } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import { expect } from 'chai';
import fc from 'fast-check';
import { verifySignatureNoble } from '../../ledger/signature/index.ts';
import { verifySignature } from '../../orderer/signature/index.ts';

const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/**
 * The verdict of OpenSSL behind the strict reader, after making sure that @noble gives the same.
 */
function agreed(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const server = verifySignature({ algorithm: 'p256', bytes: publicKey }, message, signature);
  const auditor = verifySignatureNoble({ algorithm: 'p256', publicKey }, message, signature);
  const input = [publicKey, message, signature].map((b) => Buffer.from(b).toString('hex'));
  expect(auditor, `OpenSSL says ${server} for ${input.join(' ')}`).to.equal(server);
  return server;
}

function rawPublicKey(key: KeyObject): Uint8Array {
  const { x, y } = key.export({ format: 'jwk' });
  const part = (text: string | undefined) => Buffer.from(text ?? '', 'base64url');
  return Uint8Array.from([4, ...part(x), ...part(y)]);
}

function bigEndian(value: bigint): number[] {
  const text = value.toString(16);
  return [...Buffer.from(text.length % 2 === 1 ? `0${text}` : text, 'hex')];
}

/** Content of a minimal, positive INTEGER. */
function integer(value: bigint): number[] {
  const bytes = bigEndian(value);
  return (bytes[0] ?? 0) >= 0x80 ? [0, ...bytes] : bytes;
}

function tlv(tag: number, content: readonly number[]): number[] {
  if (content.length < 0x80) return [tag, content.length, ...content];
  return [tag, 0x81, content.length, ...content];
}

function encode(r: readonly number[], s: readonly number[]): Uint8Array {
  return Uint8Array.from(tlv(0x30, [...tlv(2, r), ...tlv(2, s)]));
}

function mod(value: bigint): bigint {
  return ((value % ORDER) + ORDER) % ORDER;
}

function low(s: bigint): bigint {
  return s > ORDER / 2n ? ORDER - s : s;
}

const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const key = rawPublicKey(publicKey);
const message = Buffer.from('sluice');

function signScalars(m: Uint8Array, withKey: KeyObject = privateKey): { r: bigint; s: bigint } {
  const raw = sign('sha256', m, { key: withKey, dsaEncoding: 'ieee-p1363' }).toString('hex');
  return { r: BigInt(`0x${raw.slice(0, 64)}`), s: low(BigInt(`0x${raw.slice(64)}`)) };
}

const { r, s } = signScalars(message);
const valid = encode(integer(r), integer(s));

describe('ECDSA P-256: one acceptance rule', () => {
  it('accepts low S and refuses the other half of the same signature', () => {
    expect(agreed(key, message, valid)).to.equal(true);
    expect(agreed(key, message, encode(integer(r), integer(ORDER - s)))).to.equal(false);
  });

  it('accepts integers of every length', function () {
    this.timeout(20_000);
    // 1 in 256 signatures has a short integer: some hundred show several.
    const lengths = new Set<number>();
    for (let i = 0; i < 300; i++) {
      const m = Buffer.from(`message ${i}`);
      const scalars = signScalars(m);
      const signature = encode(integer(scalars.r), integer(scalars.s));
      lengths.add(signature.length);
      const verdict = verifySignature({ algorithm: 'p256', bytes: key }, m, signature);
      expect(verdict).to.equal(true);
      if (i % 20 === 0) agreed(key, m, signature);
    }
    expect(lengths.size).to.be.greaterThan(1);
  });

  it('accepts s at exactly half the order and refuses one more', () => {
    for (const [wanted, accept] of [
      [ORDER / 2n, true],
      [ORDER / 2n + 1n, false],
      [1n, true],
      [ORDER - 1n, false],
    ] as const) {
      // The key for which (r, wanted) signs the message: d = (wanted k - z) / r.
      const k = 12_345n;
      const x = mod(p256.Point.BASE.multiply(k).toAffine().x);
      const z = mod(BigInt(`0x${hash('sha256', message)}`));
      const d = mod(mod(wanted * k - z) * p256.Point.Fn.inv(x));
      const crafted = p256.Point.BASE.multiply(d).toBytes(false);
      expect(agreed(crafted, message, encode(integer(x), integer(wanted)))).to.equal(accept);
    }
  });

  const rBytes = integer(r);
  const sBytes = integer(s);
  const cases: Record<string, Uint8Array> = {
    'r = 0': encode([0], sBytes),
    's = 0': encode(rBytes, [0]),
    'r = 1': encode([1], sBytes),
    'r = n': encode(integer(ORDER), sBytes),
    's = n': encode(rBytes, integer(ORDER)),
    'r + n': encode(integer(r + ORDER), sBytes),
    's + n': encode(rBytes, integer(s + ORDER)),
    'r negative': encode([0xff, ...bigEndian(r)], sBytes),
    's negative': encode(rBytes, [0x80 | (sBytes[0] as number), ...sBytes.slice(1)]),
    'leading zero in r': encode([0, ...rBytes], sBytes),
    'leading zero in s': encode(rBytes, [0, ...sBytes]),
    'empty r': encode([], sBytes),
    'empty s': encode(rBytes, []),
    'long form length of the sequence': Uint8Array.from([0x30, 0x81, ...valid.subarray(1)]),
    'long form length of r': Uint8Array.from(
      tlv(0x30, [2, 0x81, rBytes.length, ...rBytes, ...tlv(2, sBytes)]),
    ),
    'long form length of s': Uint8Array.from(
      tlv(0x30, [...tlv(2, rBytes), 2, 0x81, sBytes.length, ...sBytes]),
    ),
    'two-byte length': Uint8Array.from([0x30, 0x82, 0, ...valid.subarray(1)]),
    'indefinite length': Uint8Array.from([0x30, 0x80, ...valid.subarray(2), 0, 0]),
    'bytes after the sequence': Uint8Array.from([...valid, 0]),
    'bytes inside the sequence': Uint8Array.from(
      tlv(0x30, [...tlv(2, rBytes), ...tlv(2, sBytes), 5, 0]),
    ),
    'no s': Uint8Array.from(tlv(0x30, tlv(2, rBytes))),
    'three integers': Uint8Array.from(
      tlv(0x30, [...tlv(2, rBytes), ...tlv(2, sBytes), ...tlv(2, sBytes)]),
    ),
    'SET instead of SEQUENCE': Uint8Array.from(tlv(0x31, [...tlv(2, rBytes), ...tlv(2, sBytes)])),
    'BIT STRING instead of INTEGER': Uint8Array.from(
      tlv(0x30, [...tlv(3, rBytes), ...tlv(2, sBytes)]),
    ),
    'raw r and s': Uint8Array.from([
      ...Buffer.from(r.toString(16).padStart(64, '0'), 'hex'),
      ...Buffer.from(s.toString(16).padStart(64, '0'), 'hex'),
    ]),
    'length beyond the end': Uint8Array.from([
      0x30,
      (valid[1] as number) + 1,
      ...valid.subarray(2),
    ]),
    empty: new Uint8Array(),
  };
  for (const [what, signature] of Object.entries(cases)) {
    it(`refuses ${what}`, () => {
      expect(agreed(key, message, signature)).to.equal(false);
    });
  }

  it('refuses every truncation', () => {
    for (let length = 0; length < valid.length; length++) {
      expect(agreed(key, message, valid.subarray(0, length))).to.equal(false);
    }
  });

  it('refuses every single-bit change', function () {
    this.timeout(20_000);
    for (let bit = 0; bit < valid.length * 8; bit++) {
      const changed = Uint8Array.from(valid);
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      const bytes = { algorithm: 'p256', bytes: key } as const;
      expect(verifySignature(bytes, message, changed)).to.equal(false);
      if (bit % 5 === 0) expect(agreed(key, message, changed)).to.equal(false);
    }
  });

  it('refuses keys that are compressed, hybrid, off the curve, at infinity or of another length', () => {
    const parity = (key[64] as number) & 1;
    const compressed = Uint8Array.from([2 + parity, ...key.subarray(1, 33)]);
    const hybrid = Uint8Array.from([6 + parity, ...key.subarray(1)]);
    const offCurve = Uint8Array.from(key);
    offCurve[64] = (offCurve[64] as number) ^ 1;
    const tooLarge = Uint8Array.from([4, ...new Uint8Array(64).fill(0xff)]);
    const infinity = Uint8Array.of(0);
    const zero = Uint8Array.from([4, ...new Uint8Array(64)]);
    const bad = [compressed, hybrid, offCurve, tooLarge, infinity, zero, key.subarray(0, 64)];
    bad.push(Uint8Array.from([...key, 0]), new Uint8Array());
    for (const other of bad) expect(agreed(other, message, valid)).to.equal(false);
    // Twice: the second time the answer comes from the cache of parsed keys.
    for (const other of bad) expect(agreed(other, message, valid)).to.equal(false);
    expect(agreed(key, message, valid)).to.equal(true);
  });

  it('both implementations agree on mutated signatures', function () {
    this.timeout(30_000);
    const mutation = fc.record({
      at: fc.nat({ max: 71 }),
      byte: fc.integer({ min: 0, max: 255 }),
      insert: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
    });
    fc.assert(
      fc.property(fc.array(mutation, { maxLength: 3 }), (changes) => {
        const bytes = [...valid];
        for (const { at, byte, insert } of changes) {
          bytes.splice(Math.min(at, bytes.length), insert ? 0 : 1, byte);
        }
        agreed(key, message, Uint8Array.from(bytes));
      }),
      { numRuns: 300 },
    );
  });

  it('works with a key parsed from PEM', () => {
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
    const scalars = signScalars(message, createPrivateKey(pem));
    expect(agreed(key, message, encode(integer(scalars.r), integer(scalars.s)))).to.equal(true);
  });
});
