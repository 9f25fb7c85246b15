/** Messages and log records: both begin with a kind and a version, and share their parts. */
import { expect } from 'chai';
import fc from 'fast-check';
import type { LogRecord, Message } from '../../../consensus/core/index.ts';
import {
  createRecordEncoder,
  decodeMessage,
  decodeRecord,
  encodeMessage,
  encodeRecord,
  unwrapApplication,
  wrapApplication,
} from '../../../consensus/wire/index.ts';
import {
  change,
  checkCanonical,
  checkOneEncoding,
  message,
  REPLICAS,
  record,
  viewChange,
} from './arbitraries.ts';

const MESSAGE_KINDS: readonly Message['kind'][] = [
  'prepare',
  'fetch-batch',
  'batch',
  'fetch-decided',
  'decided',
  'fetch-proposal',
  'proposal',
  'view-change',
  'new-view',
  'checkpoint',
  'fetch-checkpoint',
  'stable-checkpoint',
  'attest',
];
const RECORD_KINDS: readonly LogRecord['kind'][] = [
  'batch',
  'vote',
  'prepared',
  'view-change',
  'new-view',
  'checkpoint',
];

const decodeM = (input: Uint8Array) => decodeMessage(input, REPLICAS);
const decodeR = (input: Uint8Array) => decodeRecord(input, REPLICAS);

/** Begins like a message or record, so that it gets past the first two checks. */
const noise = fc
  .tuple(
    fc.uint8Array({ minLength: 2, maxLength: 600 }),
    fc.integer({ min: 0, max: 14 }),
    fc.integer({ min: 0, max: 3 }),
    fc.boolean(),
  )
  .map(([bytes, kind, version, isSparse]) => {
    // Small numbers make counts, flags and orders that are nearly right.
    const input = isSparse ? bytes.map((byte) => (byte < 200 ? 0 : byte & 3)) : bytes.slice();
    input.set([kind, version]);
    return input;
  });

describe('messages', () => {
  it('come back as they went', () => {
    fc.assert(
      fc.property(message, (value) => {
        expect(decodeMessage(encodeMessage(value), REPLICAS)).to.eql({ kind: 'ok', value });
      }),
      { numRuns: 300 },
    );
  });

  it('have a number of their own each', () => {
    const numbers = new Map<string, number>();
    for (const value of fc.sample(message, { numRuns: 500, seed: 1 })) {
      numbers.set(value.kind, encodeMessage(value)[0] as number);
    }
    expect(MESSAGE_KINDS.map((kind) => numbers.get(kind))).to.eql(
      MESSAGE_KINDS.map((_, index) => index + 1),
    );
  });

  it('have one encoding', () => {
    fc.assert(
      fc.property(message, change, (value, changed) => {
        const isOpen = value.kind === 'batch';
        checkCanonical(encodeMessage(value), changed, decodeM, encodeMessage, isOpen);
      }),
      { numRuns: 60 },
    );
  }).timeout(60_000);

  it('never throw on noise', () => {
    fc.assert(
      fc.property(noise, (input) => {
        checkOneEncoding(input, decodeM, encodeMessage);
      }),
      { numRuns: 3_000 },
    );
    expect(decodeM(new Uint8Array(0)).kind).to.equal('malformed');
    expect(decodeM(new Uint8Array(1)).kind).to.equal('malformed');
  });

  it('name replicas of this channel only', () => {
    const digest = new Uint8Array(32);
    const fetch: Message = { kind: 'fetch-batch', lane: 3, ref: { seq: 1, digest }, after: 0 };
    expect(decodeMessage(encodeMessage(fetch), 3)).to.eql({
      kind: 'malformed',
      reason: 'unknown lane',
    });
  });

  it('refuse a PREPARE of version 1, which named an incarnation', () => {
    const encoded = encodeMessage({
      kind: 'prepare',
      request: false,
      prepare: {
        view: 0,
        slot: 1,
        digest: new Uint8Array(24),
        signer: 0,
        signature: new Uint8Array(64),
      },
    });
    expect(encoded[1]).to.equal(2);
    encoded[1] = 1;
    expect(decodeM(encoded)).to.eql({ kind: 'malformed', reason: 'unknown message version' });
  });

  it('keep application payloads apart', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), message, (body, core) => {
        const wrapped = wrapApplication(body);
        expect(Buffer.from(unwrapApplication(wrapped) ?? [])).to.eql(Buffer.from(body));
        expect(decodeMessage(wrapped, REPLICAS).kind).to.equal('malformed');
        expect(unwrapApplication(encodeMessage(core))).to.equal(undefined);
      }),
    );
    expect(unwrapApplication(new Uint8Array(0))).to.equal(undefined);
  });
});

describe('log records', () => {
  it('come back as they went', () => {
    fc.assert(
      fc.property(record, (value) => {
        expect(decodeRecord(encodeRecord(value), REPLICAS)).to.eql({ kind: 'ok', value });
      }),
      { numRuns: 300 },
    );
  });

  it('are the same from an encoder that writes over the one before', () => {
    const encode = createRecordEncoder();
    fc.assert(
      fc.property(fc.array(record, { minLength: 1 }), (values) => {
        for (const value of values) expect(encode(value)).to.eql(encodeRecord(value));
      }),
      { numRuns: 100 },
    );
    const batch = (payloadBytes: number) => ({
      lane: 1,
      seq: 1,
      previous: new Uint8Array(32),
      payload: new Uint8Array(payloadBytes).fill(payloadBytes),
    });
    for (const bytes of [1_000, 10, 2_000_000, 5_000, 20]) {
      const value = { kind: 'batch' as const, batch: batch(bytes) };
      expect(Buffer.compare(encode(value), encodeRecord(value)), `${bytes}`).to.equal(0);
    }
    const small = { kind: 'batch' as const, batch: batch(30) };
    expect(encode(small).buffer, 'one room').to.equal(encode(small).buffer);
  });

  it('have a number of their own each', () => {
    const numbers = new Map<string, number>();
    for (const value of fc.sample(record, { numRuns: 500, seed: 1 })) {
      numbers.set(value.kind, encodeRecord(value)[0] as number);
    }
    expect(RECORD_KINDS.map((kind) => numbers.get(kind))).to.eql(
      RECORD_KINDS.map((_, index) => index + 1),
    );
  });

  it('have one encoding', () => {
    fc.assert(
      fc.property(record, change, (value, changed) => {
        const isOpen = value.kind === 'batch';
        checkCanonical(encodeRecord(value), changed, decodeR, encodeRecord, isOpen);
      }),
      { numRuns: 60 },
    );
  }).timeout(60_000);

  it('never throw on noise', () => {
    fc.assert(
      fc.property(noise, (input) => {
        checkOneEncoding(input, decodeR, encodeRecord);
      }),
      { numRuns: 3_000 },
    );
    expect(decodeR(new Uint8Array(1)).kind).to.equal('malformed');
  });

  it('hold a VIEW-CHANGE in the bytes in which it is sent', () => {
    fc.assert(
      fc.property(viewChange, (value) => {
        const sent = encodeMessage({ kind: 'view-change', viewChange: value });
        const kept = encodeRecord({ kind: 'view-change', viewChange: value });
        expect(Buffer.compare(sent.slice(2), kept.slice(2))).to.equal(0);
      }),
    );
  });
});
