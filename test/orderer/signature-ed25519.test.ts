import { generateKeyPairSync, sign as nodeSign, randomBytes } from 'node:crypto';
import { ed25519 as curvesEd25519 } from '@noble/curves/ed25519.js';
import { expect } from 'chai';
import fc from 'fast-check';
import {
  ed25519KeyPair,
  signEd25519,
  verifyEd25519Strict,
} from '../../consensus/runtime/ed25519.ts';
import { verifyEd25519Noble } from '../../ledger/signature/index.ts';
import { verifySignature } from '../../orderer/signature/index.ts';
import { SPECCHECK } from './fixtures/speccheck.ts';
import {
  type CraftedSignature,
  craft,
  craftEncoded,
  fromLittleEndian,
  L,
  smallOrderEncodings,
  toLittleEndian,
} from './fixtures/torsion.ts';

function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

/** The verdict of libsodium, after making sure that @noble gives the same. */
function agreed(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const server = verifySignature({ algorithm: 'ed25519', bytes: publicKey }, message, signature);
  const auditor = verifyEd25519Noble(publicKey, message, signature);
  const input = [publicKey, message, signature].map((b) => Buffer.from(b).toString('hex'));
  expect(auditor, `libsodium says ${server} for ${input.join(' ')}`).to.equal(server);
  return server;
}

/** More often than the auditor sees a key before it makes a table of the key's multiples. */
const REPEATS = 9;

function expectVerdict(crafted: CraftedSignature): void {
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    agreed(crafted.publicKey, crafted.message, crafted.signature);
  }
  const verdict = agreed(crafted.publicKey, crafted.message, crafted.signature);
  expect(verdict, crafted.what).to.equal(crafted.accept);
}

const pair = ed25519KeyPair(Uint8Array.from({ length: 32 }, (_, i) => i));
const message = hex('736c75696365');
const valid = signEd25519(pair.secretKey, message);

describe('Ed25519: one acceptance rule', () => {
  for (const { what, message: m, publicKey, signature, accept } of SPECCHECK) {
    it(`speccheck ${what}: ${accept ? 'accepted' : 'refused'}`, () => {
      expect(hex(signature)).to.have.length(64);
      expect(agreed(hex(publicKey), hex(m), hex(signature))).to.equal(accept);
    });
  }

  it('accepts the test vectors of RFC 8032 section 7.1, and signs them the same', () => {
    const vectors = [
      [
        '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
        'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
        '',
        'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
      ],
      [
        '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
        '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
        '72',
        '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
      ],
    ] as const;
    for (const [seed, publicKey, m, signature] of vectors) {
      expect(agreed(hex(publicKey), hex(m), hex(signature))).to.equal(true);
      expect(Buffer.from(signEd25519(hex(seed), hex(m))).toString('hex')).to.equal(signature);
      expect(Buffer.from(ed25519KeyPair(hex(seed)).publicKey).toString('hex')).to.equal(publicKey);
    }
  });

  it('judges every combination of small-order components without the cofactor', function () {
    this.timeout(20_000);
    let accepted = 0;
    for (let i = 0; i < 8; i++) {
      for (let j = 0; j < 8; j++) {
        const crafted = craft(7n, i, 11n, j, i * 8 + j);
        expectVerdict(crafted);
        if (crafted.accept) accepted++;
      }
    }
    expect(accepted).to.be.greaterThan(0);
    for (let i = 0; i < 8; i++) {
      expectVerdict(craft(0n, i, 11n, 0, i));
      expectVerdict(craft(7n, 0, 0n, i, i));
      expectVerdict(craft(0n, i, 0n, 8 - i - (i === 0 ? 1 : 0), i));
    }
  });

  it('refuses every encoding of a small-order point, canonical or not, as key and as commitment', function () {
    this.timeout(20_000);
    const encodings = smallOrderEncodings();
    expect(encodings.filter(({ canonical }) => canonical)).to.have.length(8);
    expect(encodings).to.have.length(14);
    for (const { bytes } of encodings) {
      expectVerdict(craftEncoded(bytes, undefined));
      expectVerdict(craftEncoded(undefined, bytes));
      for (const other of encodings) expectVerdict(craftEncoded(bytes, other.bytes));
    }
  });

  it('refuses non-canonical y of a point of large order', () => {
    // y = p + 3 .. p + 18 are the only other encodings above p that fit in 255 bits.
    for (let extra = 0n; extra < 19n; extra++) {
      const encoding = toLittleEndian(2n ** 255n - 19n + extra);
      expect(agreed(encoding, message, valid)).to.equal(false);
      const asR = Uint8Array.from([...encoding, ...valid.subarray(32)]);
      expect(agreed(pair.publicKey, message, asR)).to.equal(false);
    }
  });

  it('refuses S + kL, although the equation still holds', () => {
    const s = fromLittleEndian(valid.subarray(32));
    let checked = 0;
    for (let multiple = s + L; multiple < 2n ** 256n; multiple += L) {
      const malleable = Uint8Array.from([...valid.subarray(0, 32), ...toLittleEndian(multiple)]);
      expect(agreed(pair.publicKey, message, malleable)).to.equal(false);
      checked++;
    }
    expect(checked).to.be.greaterThan(10);
  });

  it('judges S at the edges of its range', () => {
    for (const s of [0n, 1n, L - 1n, L, L + 1n, 2n ** 252n, 2n ** 253n, 2n ** 256n - 1n]) {
      const signature = Uint8Array.from([...valid.subarray(0, 32), ...toLittleEndian(s)]);
      expect(agreed(pair.publicKey, message, signature)).to.equal(false);
    }
  });

  it('refuses keys and signatures of every other length', () => {
    for (let length = 0; length <= 130; length++) {
      const signature = new Uint8Array(length);
      signature.set(valid.subarray(0, Math.min(64, length)));
      expect(agreed(pair.publicKey, message, signature)).to.equal(length === 64);
    }
    for (let length = 0; length <= 66; length++) {
      const key = new Uint8Array(length);
      key.set(pair.publicKey.subarray(0, Math.min(32, length)));
      expect(agreed(key, message, valid)).to.equal(length === 32);
    }
  });

  it('accepts what node:crypto signs, of any length', () => {
    for (const length of [0, 1, 63, 64, 1000, 70_000]) {
      const { publicKey, privateKey } = generateKeyPairSync('ed25519');
      const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x as string, 'base64url');
      const m = randomBytes(length);
      expect(agreed(raw, m, nodeSign(null, m, privateKey))).to.equal(true);
    }
  });

  it('refuses every single-bit change of signature, key and message', function () {
    this.timeout(30_000);
    const flip = (bytes: Uint8Array, bit: number): Uint8Array => {
      const copy = Uint8Array.from(bytes);
      copy[bit >> 3] = (copy[bit >> 3] as number) ^ (1 << (bit & 7));
      return copy;
    };
    for (let bit = 0; bit < 512; bit++) {
      expect(verifyEd25519Strict(pair.publicKey, message, flip(valid, bit))).to.equal(false);
    }
    // Both implementations on a sample: @noble needs milliseconds for each.
    for (let bit = 0; bit < 512; bit += 7) {
      expect(agreed(pair.publicKey, message, flip(valid, bit))).to.equal(false);
    }
    for (let bit = 0; bit < 256; bit += 5) {
      expect(agreed(flip(pair.publicKey, bit), message, valid)).to.equal(false);
    }
    for (let bit = 0; bit < message.length * 8; bit += 3) {
      expect(agreed(pair.publicKey, flip(message, bit), valid)).to.equal(false);
    }
  });

  it('both implementations agree on mutated signatures', function () {
    this.timeout(30_000);
    const mutation = fc.record({
      at: fc.nat({ max: 95 }),
      byte: fc.integer({ min: 0, max: 255 }),
      length: fc.oneof(
        { weight: 5, arbitrary: fc.constant(64) },
        { weight: 1, arbitrary: fc.nat(80) },
      ),
    });
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 40 }),
        fc.array(mutation, { maxLength: 3 }),
        (m, changes) => {
          let signature = signEd25519(pair.secretKey, m);
          const key = Uint8Array.from(pair.publicKey);
          for (const { at, byte, length } of changes) {
            if (at < 64) signature[at] = byte;
            else key[at - 64] = byte;
            const resized = new Uint8Array(length);
            resized.set(signature.subarray(0, Math.min(length, signature.length)));
            signature = resized;
          }
          const verdict = agreed(key, m, signature);
          if (changes.length === 0) expect(verdict).to.equal(true);
        },
      ),
      { numRuns: 150 },
    );
  });

  it('both implementations agree on random bytes', function () {
    this.timeout(30_000);
    const bytes = (n: number) => fc.uint8Array({ minLength: n, maxLength: n });
    fc.assert(
      fc.property(bytes(32), fc.uint8Array({ maxLength: 8 }), bytes(64), (key, m, signature) => {
        expect(agreed(key, m, signature)).to.equal(false);
      }),
      { numRuns: 300 },
    );
  });

  it("is not @noble's own strict mode: that multiplies by the cofactor and takes a small-order R", () => {
    for (const index of [2, 4]) {
      const { message: m, publicKey, signature } = SPECCHECK[index] as (typeof SPECCHECK)[number];
      const strict = { zip215: false };
      expect(curvesEd25519.verify(hex(signature), hex(m), hex(publicKey), strict)).to.equal(true);
      expect(agreed(hex(publicKey), hex(m), hex(signature))).to.equal(false);
    }
  });

  it('names the length it wants when a seed has another', () => {
    expect(() => ed25519KeyPair(new Uint8Array(31))).to.throw(RangeError, '32 bytes, got 31');
    expect(() => signEd25519(new Uint8Array(63), message)).to.throw(RangeError);
  });
});
