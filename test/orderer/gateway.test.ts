import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { expect } from 'chai';
import { HEADER_TYPES, parseEnvelope } from '../../ledger/format/index.ts';
import { EnvelopeChecker } from '../../orderer/envelope/index.ts';
import { OrdererError } from '../../orderer/errors.ts';
import { createGateway } from '../../orderer/gateway.ts';
import { VerifyPool } from '../../orderer/signature/index.ts';
import { CHANNEL, checkOne, createTestChannel, type TestChannel } from './fixtures/channel.ts';

describe('gateway', () => {
  let channel: TestChannel;
  before(async () => {
    channel = await createTestChannel();
  });

  function options() {
    const { mspId, certPem, keyPem } = channel.writer;
    return { channel: CHANNEL, mspId, certificatePem: certPem, privateKeyPem: keyPem };
  }

  it('wraps data as an envelope that passes every check', async () => {
    const gateway = createGateway(options());
    const pool = new VerifyPool({ threads: 1, queueMax: 10 });
    const checker = new EnvelopeChecker(channel.context, { pool });
    for (const data of ['', 'hello', 'x'.repeat(10_000)]) {
      const result = await checkOne(checker, gateway.wrap(Buffer.from(data)), Date.now());
      if (result.kind !== 'checked') throw new Error(result.message);
    }
    await pool.close();
  });

  it('fills in type, channel, time and data, and a fresh nonce each time', () => {
    const nowMs = 1_700_000_000_456;
    const gateway = createGateway(options(), { nowMs: () => nowMs });
    const [first, second] = [gateway.wrap(Buffer.from('a')), gateway.wrap(Buffer.from('a'))];
    const parsed = [first, second].map((bytes) => {
      const result = parseEnvelope(bytes);
      if (result.kind !== 'ok') throw new Error(result.reason);
      return result.value;
    });
    for (const { channelHeader, signatureHeader, data } of parsed) {
      expect(channelHeader.type).to.equal(HEADER_TYPES.ENDORSER_TRANSACTION);
      expect(channelHeader.channelId).to.equal(CHANNEL);
      expect(channelHeader.timestampMs).to.equal(nowMs);
      expect(signatureHeader.nonce).to.have.length(24);
      expect(Buffer.from(data).toString()).to.equal('a');
    }
    expect(parsed[0]?.channelHeader.txId).to.not.equal(parsed[1]?.channelHeader.txId);
  });

  it('names what is wrong with the identity', () => {
    const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    const other = channel.denied.keyPem;
    const cases: [Partial<ReturnType<typeof options>>, RegExp][] = [
      [{ certificatePem: 'nonsense' }, /certificate cannot be read/],
      [{ privateKeyPem: 'nonsense' }, /private key cannot be read/],
      [{ privateKeyPem: other }, /does not belong to the certificate/],
      [
        { privateKeyPem: p256.export({ type: 'pkcs8', format: 'pem' }).toString() },
        /signs with Ed25519/,
      ],
      [
        {
          privateKeyPem: createPublicKey(other).export({ type: 'spki', format: 'pem' }).toString(),
        },
        /private key cannot be read/,
      ],
    ];
    for (const [change, message] of cases) {
      expect(() => createGateway({ ...options(), ...change }))
        .to.throw(OrdererError, message)
        .with.property('code', 'bad_gateway_identity');
    }
  });
});
