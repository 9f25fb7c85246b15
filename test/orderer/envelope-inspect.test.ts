import { expect } from 'chai';
import fc from 'fast-check';
import {
  computeTxId,
  encodeEnvelope,
  HEADER_TYPES,
  parseEnvelope,
} from '../../ledger/format/index.ts';
import { inspectEnvelope } from '../../orderer/envelope/index.ts';
import { REFUSAL_SENTENCES } from '../../orderer/errors.ts';
import type { Refusal, RefusalCode } from '../../orderer/service.ts';
import { sha256 } from '../support/hash.ts';
import {
  ABSOLUTE_MAX_BYTES,
  buildEnvelope,
  createTestChannel,
  creatorOf,
  type TestChannel,
} from './fixtures/channel.ts';

describe('inspectEnvelope', () => {
  let channel: TestChannel;
  before(async () => {
    channel = await createTestChannel();
  });

  function refused(bytes: Uint8Array, code: RefusalCode, pattern: RegExp): Refusal {
    const result = inspectEnvelope(bytes, channel.context);
    if (result.kind !== 'refused') throw new Error(`accepted ${result.unverified.txId}`);
    expect(result.code).to.equal(code);
    expect(result.message).to.match(pattern);
    expect(result.message).to.include(REFUSAL_SENTENCES[code].remedy);
    return result;
  }

  it('reads a valid envelope', () => {
    const bytes = buildEnvelope(channel.writer, { data: Buffer.alloc(100) });
    const result = inspectEnvelope(bytes, channel.context);
    if (result.kind !== 'inspected') throw new Error(result.message);
    const parsed = parseEnvelope(bytes);
    if (parsed.kind !== 'ok') throw new Error(parsed.reason);
    const { payload, signature, channelHeader } = parsed.value;
    expect(result.unverified.txId).to.equal(channelHeader.txId);
    expect(result.unverified.sizeBytes).to.equal(payload.length + signature.length);
    expect(result.unverified.bytes).to.equal(bytes);
    expect(result.unverified.validity.notBeforeMs).to.be.lessThan(Date.now());
    expect(result.unverified.validity.notAfterMs).to.be.greaterThan(Date.now());
    expect(result.verify.key.algorithm).to.equal('ed25519');
    expect(result.verify.message).to.deep.equal(payload);
  });

  it('takes MESSAGE as well as ENDORSER_TRANSACTION, and P-256 writers', () => {
    const message = buildEnvelope(channel.writer, { header: { type: HEADER_TYPES.MESSAGE } });
    expect(inspectEnvelope(message, channel.context).kind).to.equal('inspected');
    const p256 = inspectEnvelope(buildEnvelope(channel.p256Writer), channel.context);
    if (p256.kind !== 'inspected') throw new Error(p256.message);
    expect(p256.verify.key.algorithm).to.equal('p256');
  });

  it('empty_envelope', () => {
    refused(new Uint8Array(), 'empty_envelope', /is empty/);
  });

  it('envelope_too_large: payload and signature are counted, as Fabric does', () => {
    const base = inspectEnvelope(
      buildEnvelope(channel.writer, { data: Buffer.alloc(17_000) }),
      channel.context,
    );
    if (base.kind !== 'inspected') throw new Error(base.message);
    const fill = 17_000 + ABSOLUTE_MAX_BYTES - base.unverified.sizeBytes;
    const largest = buildEnvelope(channel.writer, { data: Buffer.alloc(fill) });
    expect(largest.length).to.be.greaterThan(ABSOLUTE_MAX_BYTES);
    const accepted = inspectEnvelope(largest, channel.context);
    expect(accepted).to.have.nested.property('unverified.sizeBytes', ABSOLUTE_MAX_BYTES);
    const over = buildEnvelope(channel.writer, { data: Buffer.alloc(fill + 1) });
    refused(over, 'envelope_too_large', /20001 bytes, at most 20000/);
    // Not even parsed: the length alone decides.
    refused(new Uint8Array(ABSOLUTE_MAX_BYTES + 100), 'envelope_too_large', /20100 bytes/);
  });

  it('malformed_envelope: garbage, and every truncation of a valid envelope', () => {
    refused(Buffer.from('not protobuf'), 'malformed_envelope', /not a common.Envelope/);
    const bytes = buildEnvelope(channel.writer);
    let unsigned = 0;
    for (let length = 1; length < bytes.length; length++) {
      const result = inspectEnvelope(bytes.subarray(0, length), channel.context);
      if (result.kind === 'refused') {
        expect(result.code, `${length} bytes`).to.equal('malformed_envelope');
      } else {
        // Cut right after the payload: an envelope without signature is well-formed, and refused
        // for that later.
        expect(result.verify.signature, `${length} bytes`).to.have.length(0);
        unsigned++;
      }
    }
    expect(unsigned).to.equal(1);
  });

  it('malformed_envelope: every truncation of the payload inside a whole envelope', () => {
    const parsed = parseEnvelope(buildEnvelope(channel.writer));
    if (parsed.kind !== 'ok') throw new Error(parsed.reason);
    const { payload, signature } = parsed.value;
    for (let length = 0; length < payload.length; length++) {
      const result = inspectEnvelope(
        encodeEnvelope(payload.subarray(0, length), signature),
        channel.context,
      );
      // Without its last field, the data, a payload is a payload still: the signature decides then.
      if (result.kind === 'inspected') expect(result.verify.message).to.have.length(length);
      else expect(result.code).to.equal('malformed_envelope');
    }
  });

  it('not_canonical: an unknown field, a repeated one, a longer varint', () => {
    const bytes = buildEnvelope(channel.writer);
    const withUnknown = Buffer.concat([bytes, Buffer.from([0x18, 0x01])]);
    refused(withUnknown, 'not_canonical', /does not re-marshal/);
    const twice = Buffer.concat([bytes, bytes]);
    refused(twice, 'not_canonical', /does not re-marshal/);
    // Tag, then a two-byte length: one more byte with the continuation bit says the same.
    const padded = Buffer.concat([
      bytes.subarray(0, 2),
      Buffer.from([(bytes[2] as number) | 0x80, 0]),
      bytes.subarray(3),
    ]);
    refused(padded, 'not_canonical', /does not re-marshal/);
  });

  it('unsupported_type', () => {
    for (const type of [HEADER_TYPES.CONFIG, HEADER_TYPES.CONFIG_UPDATE]) {
      const bytes = buildEnvelope(channel.writer, { header: { type } });
      refused(bytes, 'unsupported_type', /configuration updates are not there yet/);
    }
    for (const type of [HEADER_TYPES.ORDERER_TRANSACTION, HEADER_TYPES.DELIVER_SEEK_INFO, 99, -1]) {
      refused(buildEnvelope(channel.writer, { header: { type } }), 'unsupported_type', /has type/);
    }
  });

  it('wrong_channel, quoting no more than a piece of a hostile name', () => {
    const other = buildEnvelope(channel.writer, { header: { channelId: 'other' } });
    refused(other, 'wrong_channel', /names "other", this is "main"/);
    refused(
      buildEnvelope(channel.writer, { header: { channelId: '' } }),
      'wrong_channel',
      /names ""/,
    );
    const long = buildEnvelope(channel.writer, { header: { channelId: '\n'.repeat(5000) } });
    expect(refused(long, 'wrong_channel', /\\n\.\.\."/).message.length).to.be.lessThan(400);
  });

  it('bad_tx_id', () => {
    const { writer } = channel;
    const nonce = Buffer.alloc(24, 1);
    const right = computeTxId(nonce, creatorOf(writer), sha256);
    const wrong = ['', 'x', 'a'.repeat(64), right.toUpperCase(), `${right}0`, right.slice(1)];
    for (const txId of wrong) {
      refused(buildEnvelope(writer, { nonce, header: { txId } }), 'bad_tx_id', /header names/);
    }
    refused(buildEnvelope(writer, { nonce: new Uint8Array() }), 'bad_tx_id', /nonce is empty/);
    refused(
      buildEnvelope(writer, { nonce: Buffer.alloc(129) }),
      'bad_tx_id',
      /129 bytes, at most 128/,
    );
    for (const length of [1, 24, 32, 128]) {
      const bytes = buildEnvelope(writer, { nonce: Buffer.alloc(length, 7) });
      expect(inspectEnvelope(bytes, channel.context).kind).to.equal('inspected');
    }
  });

  it('unknown_writer: no creator, one too long, garbage, another CA, another organization', () => {
    const { writer, stranger } = channel;
    const with_ = (creator: Uint8Array) => buildEnvelope(writer, { creator });
    refused(with_(new Uint8Array()), 'unknown_writer', /creator is empty/);
    refused(with_(Buffer.alloc(17_000)), 'unknown_writer', /17000 bytes/);
    refused(with_(Buffer.from('garbage')), 'unknown_writer', /not a known identity/);
    refused(buildEnvelope(stranger), 'unknown_writer', /not issued by a CA of Org1MSP/);
    const outsider = { ...writer, mspId: 'NobodyMSP' };
    refused(buildEnvelope(outsider), 'unknown_writer', /"NobodyMSP" is not an organization/);
    const borrowed = { ...writer, mspId: 'AuditorsMSP' };
    refused(buildEnvelope(borrowed), 'unknown_writer', /not issued by a CA of AuditorsMSP/);
  });

  it('revoked_certificate', () => {
    refused(buildEnvelope(channel.revoked), 'revoked_certificate', /revocation list of Org1MSP/);
  });

  it('policy_denied', () => {
    refused(buildEnvelope(channel.denied), 'policy_denied', /belongs to AuditorsMSP/);
  });

  it('reports an expired certificate and does not judge it: it reads no clock', () => {
    const result = inspectEnvelope(buildEnvelope(channel.expired), channel.context);
    if (result.kind !== 'inspected') throw new Error(result.message);
    expect(result.unverified.validity.notAfterMs).to.be.lessThan(Date.now());
  });

  it('refuses in the order of the checks', () => {
    const { stranger } = channel;
    const header = { type: 99, channelId: 'other', txId: 'x' };
    refused(buildEnvelope(stranger, { header }), 'unsupported_type', /./);
    refused(buildEnvelope(stranger, { header: { ...header, type: 3 } }), 'wrong_channel', /./);
    refused(buildEnvelope(stranger, { header: { txId: 'x' } }), 'bad_tx_id', /./);
    refused(buildEnvelope(stranger), 'unknown_writer', /./);
  });

  it('never throws, whatever the bytes are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => {
        expect(inspectEnvelope(bytes, channel.context).kind).to.equal('refused');
      }),
      { numRuns: 500 },
    );
  });

  it('never throws on a changed envelope, and gives the same answer again', () => {
    const bytes = buildEnvelope(channel.writer);
    const change = fc.record({
      at: fc.nat({ max: bytes.length - 1 }),
      byte: fc.integer({ min: 0, max: 255 }),
      remove: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const changed = [...bytes];
        for (const { at, byte, remove } of changes) changed.splice(at, remove ? 1 : 0, byte);
        const input = Uint8Array.from(changed);
        const first = inspectEnvelope(input, channel.context);
        expect(inspectEnvelope(input, channel.freshContext())).to.deep.equal(first);
      }),
      { numRuns: 200 },
    );
  });
});
