import { expect } from 'chai';
import fc from 'fast-check';
import {
  EnvelopeScan,
  encodeEnvelope,
  encodePayload,
  HEADER_TYPES,
  parseEnvelope,
} from '../../ledger/format/index.ts';
import { makeEnvelope } from './helpers.ts';

const bytes = fc.uint8Array({ maxLength: 90 });
const text = fc.string({ unit: 'binary', maxLength: 70 });
const header = fc.record({
  type: fc.oneof(fc.constantFrom(...Object.values(HEADER_TYPES)), fc.integer()),
  version: fc.integer(),
  timestampMs: fc.integer({ min: 0, max: 4e12 }),
  channelId: text,
  txId: text,
  epoch: fc.maxSafeNat(),
  extension: bytes,
  tlsCertHash: bytes,
});
const envelope = fc
  .tuple(header, fc.record({ creator: bytes, nonce: bytes }), bytes, bytes)
  .map(([channelHeader, signatureHeader, data, signature]) =>
    encodeEnvelope(encodePayload(channelHeader, signatureHeader, data), signature),
  );
const EMPTY_HEADERS = encodeEnvelope(Uint8Array.from([0x0a, 0x00]), new Uint8Array(3));

/** The scan accepts what `parseEnvelope` accepts, with the same parts, and beyond it only texts that are not UTF-8. */
function expectAgreement(given: Uint8Array): void {
  const scan = new EnvelopeScan();
  const accepted = scan.scan(given);
  const parsed = parseEnvelope(given);
  if (parsed.kind === 'malformed') {
    if (accepted) expect(parsed.reason).to.match(/: not UTF-8$/);
    return;
  }
  expect(accepted).to.equal(true);
  const { channelHeader, signatureHeader, signature } = parsed.value;
  const textOf = (start: number, end: number) =>
    new TextDecoder('utf-8', { ignoreBOM: true }).decode(given.subarray(start, end));
  expect(scan.type).to.equal(channelHeader.type);
  expect(textOf(scan.channelIdStart, scan.channelIdEnd)).to.equal(channelHeader.channelId);
  expect(textOf(scan.txIdStart, scan.txIdEnd)).to.equal(channelHeader.txId);
  const { creator, nonce } = signatureHeader;
  expect(given.subarray(scan.creatorStart, scan.creatorEnd)).to.deep.equal(creator);
  expect(given.subarray(scan.nonceStart, scan.nonceEnd)).to.deep.equal(nonce);
  expect(given.subarray(scan.signatureStart, scan.signatureEnd)).to.deep.equal(signature);
}

describe('ledger/format: an envelope scanned', () => {
  it('has the parts that it has parsed', () => {
    fc.assert(fc.property(envelope, expectAgreement), { numRuns: 500 });
    expectAgreement(EMPTY_HEADERS);
    expectAgreement(new Uint8Array(0));
  });

  it('is refused as it is parsed: with any byte changed, cut off or put in', () => {
    const given = makeEnvelope('x').envelope;
    for (let at = 0; at < given.length; at++) {
      expectAgreement(given.subarray(0, at));
      for (const mask of [1, 2, 4, 8, 16, 32, 64, 128, 255]) {
        const changed = given.slice();
        changed[at]! ^= mask;
        expectAgreement(changed);
      }
      const longer = [...given];
      longer.splice(at, 0, longer[at] ?? 0);
      expectAgreement(Uint8Array.from(longer));
    }
  });

  it('is refused as it is parsed: any envelope, changed in a few places', () => {
    const changes = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), {
      minLength: 1,
      maxLength: 3,
    });
    const property = fc.property(envelope, changes, (given, places) => {
      const changed = given.slice();
      for (const [at, value] of places) changed[at % changed.length] = value;
      expectAgreement(changed);
    });
    fc.assert(property, { numRuns: 3_000 });
  });

  it('keeps nothing of the one before', () => {
    const scan = new EnvelopeScan();
    expect(scan.scan(makeEnvelope('x').envelope)).to.equal(true);
    expect(scan.scan(EMPTY_HEADERS)).to.equal(true);
    const { type, channelIdEnd, txIdEnd, creatorEnd, nonceEnd } = scan;
    expect([type, channelIdEnd, txIdEnd, creatorEnd, nonceEnd]).to.deep.equal([0, 0, 0, 0, 0]);
  });
});
