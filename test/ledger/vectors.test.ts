import { p256 } from '@noble/curves/nist.js';
import { expect } from 'chai';
import {
  type Block,
  type BlockHeader,
  bytesEqual,
  type ConsenterKey,
  checkBlockLinks,
  checkCertificate,
  computeTxId,
  decodeBlock,
  decodeCertificate,
  encodeBlock,
  encodeCertificate,
  parseEnvelope,
  signatureFault,
  toHex,
  type VerifySignature,
} from '../../ledger/format/index.ts';
import { sha256 } from '../support/hash.ts';
import { fabricConsenters, requireFabricBlocks, verifyWithNode } from './helpers.ts';

function decodeOrThrow(bytes: Uint8Array): Block {
  const block = decodeBlock(bytes);
  if (block.kind === 'malformed') throw new Error(block.reason);
  return block.value;
}

describe('ledger/format: a chain that Fabric wrote', () => {
  let raw: Uint8Array[] = [];
  let chain: Block[] = [];
  let consenters: ConsenterKey[] = [];

  before(function () {
    raw = requireFabricBlocks(this);
    chain = raw.map(decodeOrThrow);
    consenters = fabricConsenters(raw[0]!);
  });

  /** Undefined when the bytes pass for block `number` of the chain. */
  async function faultOf(
    bytes: Uint8Array,
    number: number,
    verify: VerifySignature = verifyWithNode,
  ): Promise<string | undefined> {
    const block = decodeBlock(bytes);
    if (block.kind === 'malformed') return block.reason;
    const links = checkBlockLinks(block.value, chain[number - 1]?.header, sha256);
    if (links.kind === 'invalid') return links.reason;
    if (number === 0) return undefined;
    const certificate = await checkCertificate(block.value, consenters, verify);
    return certificate.kind === 'invalid' ? certificate.reason : undefined;
  }

  it('has 41 blocks and four consenters', () => {
    expect(raw).to.have.length(41);
    expect(consenters.map(({ number }) => number)).to.deep.equal([1, 2, 3, 4]);
  });

  it('passes: links, data hashes, certificates, canonical envelopes, transaction ids', async () => {
    for (const [number, bytes] of raw.entries()) {
      expect(await faultOf(bytes, number), `block ${number}`).to.equal(undefined);
      const block = decodeOrThrow(bytes);
      expect(bytesEqual(encodeBlock(block), bytes), `block ${number} re-encodes`).to.equal(true);
      for (const entry of block.data) {
        const envelope = parseEnvelope(entry);
        if (envelope.kind === 'malformed') throw new Error(envelope.reason);
        const { signatureHeader, channelHeader } = envelope.value;
        expect(channelHeader.channelId).to.equal('ch1');
        const { nonce, creator } = signatureHeader;
        expect(computeTxId(nonce, creator, sha256)).to.equal(channelHeader.txId);
      }
    }
  });

  it('passes with @noble/curves as well', async () => {
    const verifyWithNoble: VerifySignature = (key, message, signature) =>
      p256.verify(signature, message, key.publicKey, { format: 'der', lowS: true });
    expect(await faultOf(raw[1]!, 1, verifyWithNoble)).to.equal(undefined);
    expect(await faultOf(raw[40]!, 40, verifyWithNoble)).to.equal(undefined);
  });

  /** Flips the given bits one at a time; returns those that went unnoticed. */
  async function unnoticed(number: number, bits: Iterable<number>): Promise<string[]> {
    const bytes = raw[number]!.slice();
    const found: string[] = [];
    for (const bit of bits) {
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      if ((await faultOf(bytes, number)) === undefined) {
        found.push(`block ${number} byte ${bit >> 3} bit ${bit & 7}`);
      }
      bytes[bit >> 3]! ^= 1 << (bit & 7);
    }
    return found;
  }

  function* every(from: number, to: number, step: number): Generator<number> {
    for (let bit = from; bit < to; bit += step) yield bit;
  }

  it('every bit of two blocks matters', async function () {
    this.timeout(60_000);
    for (const number of [1, 40]) {
      const bits = raw[number]!.length * 8;
      expect(await unnoticed(number, every(0, bits, 1))).to.deep.equal([]);
    }
  });

  it('a dense sample of the bits of every block matters', async function () {
    this.timeout(60_000);
    for (let number = 1; number < raw.length; number += 1) {
      const bits = raw[number]!.length * 8;
      expect(await unnoticed(number, every(number % 19, bits, 19))).to.deep.equal([]);
    }
  });

  it('every bit of structure and metadata of the genesis block matters, and a sample of its data', async function () {
    this.timeout(60_000);
    const bits = raw[0]!.length * 8;
    expect(await unnoticed(0, every(0, 100 * 8, 1))).to.deep.equal([]);
    expect(await unnoticed(0, every(bits - 40 * 8, bits, 1))).to.deep.equal([]);
    expect(await unnoticed(0, every(0, bits, 53))).to.deep.equal([]);
  });

  it('every cut and every extra byte is noticed', async () => {
    const bytes = raw[7]!;
    for (let length = 0; length < bytes.length; length += 1) {
      expect(decodeBlock(bytes.subarray(0, length)).kind).to.equal('malformed');
    }
    for (let byte = 0; byte < 256; byte += 1) {
      expect(decodeBlock(Uint8Array.from([...bytes, byte])).kind).to.equal('malformed');
    }
  });

  it('a whole block in the wrong place is noticed', async () => {
    expect(await faultOf(raw[2]!, 1)).to.match(/block number is 2, 1 must follow/);
    expect(await faultOf(raw[0]!, 1)).to.match(/block number is 0/);
    const first: BlockHeader | undefined = undefined;
    expect(checkBlockLinks(chain[3]!, first, sha256).kind).to.equal('invalid');
  });

  it('bytes in the unprotected metadata slots are refused', async () => {
    for (const slot of [1, 2, 3, 4]) {
      const metadata = chain[5]!.metadata.with(slot, Uint8Array.of(0));
      const fault = await faultOf(encodeBlock({ ...chain[5]!, metadata }), 5);
      expect(fault).to.match(/nothing protects it/);
    }
    const four = { ...chain[5]!, metadata: chain[5]!.metadata.slice(0, 4) };
    expect(await faultOf(encodeBlock(four), 5)).to.match(/4 metadata entries instead of 5/);
  });

  it('the order of signatures is free: it is the only thing that is', async () => {
    const certificate = decodeCertificate(chain[9]!.metadata[0]!);
    if (certificate.kind === 'malformed') throw new Error(certificate.reason);
    const { value, signatures } = certificate.value;
    const withCertificate = (list: typeof signatures): Uint8Array =>
      encodeBlock({
        ...chain[9]!,
        metadata: chain[9]!.metadata.with(0, encodeCertificate({ value, signatures: list })),
      });
    expect(await faultOf(withCertificate(signatures.toReversed()), 9)).to.equal(undefined);
    expect(await faultOf(withCertificate(signatures.slice(1)), 9)).to.match(/2 signatures, 3 of 4/);
    expect(await faultOf(withCertificate([...signatures, signatures[0]!]), 9)).to.match(
      /signed more than once/,
    );
    const stranger = { ...signatures[0]!, identifier: 77 };
    expect(await faultOf(withCertificate(signatures.with(0, stranger)), 9)).to.match(
      /unknown consenter 77/,
    );
  });

  it('a signature with high S is refused although OpenSSL accepts it', async () => {
    const certificate = decodeCertificate(chain[4]!.metadata[0]!);
    if (certificate.kind === 'malformed') throw new Error(certificate.reason);
    const { value, signatures } = certificate.value;
    const low = p256.Signature.fromBytes(signatures[0]!.signature, 'der');
    const high = new p256.Signature(low.r, p256.Point.CURVE().n - low.s).toBytes('der');
    expect(signatureFault('p256', high)).to.equal('has a high S');
    const forged = signatures.with(0, { ...signatures[0]!, signature: high });
    const block = {
      ...chain[4]!,
      metadata: chain[4]!.metadata.with(0, encodeCertificate({ value, signatures: forged })),
    };
    const accepting: VerifySignature = () => true;
    expect(await faultOf(encodeBlock(block), 4, accepting)).to.match(/has a high S/);
    expect(toHex(signatures[0]!.signature)).to.not.equal(toHex(high));
  });
});
