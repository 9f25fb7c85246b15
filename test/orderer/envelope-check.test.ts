import { expect } from 'chai';
import {
  type BatchCheck,
  EnvelopeChecker,
  isWithinValidity,
  type SubmittedCheck,
} from '../../orderer/envelope/index.ts';
import { OrdererError, REFUSAL_SENTENCES, refusal } from '../../orderer/errors.ts';
import type { RefusalCode } from '../../orderer/service.ts';
import { type VerifyItem, VerifyPool } from '../../orderer/signature/index.ts';
import {
  buildEnvelope,
  checkOne,
  createTestChannel,
  signAs,
  type TestChannel,
} from './fixtures/channel.ts';

const DYING_WORKER = new URL('./fixtures/dying-worker.js', import.meta.url);

describe('EnvelopeChecker', () => {
  let channel: TestChannel;
  let pool: VerifyPool;
  /** Signatures that went to the pool. */
  let verified: number;
  before(async () => {
    channel = await createTestChannel();
  });
  beforeEach(() => {
    pool = new VerifyPool({ threads: 1, queueMax: 1000 });
    verified = 0;
  });
  afterEach(() => pool.close());

  function checker(verifiedEnvelopesCachedMax = 100): EnvelopeChecker {
    const counting = {
      verify: (items: readonly VerifyItem[], options?: { whenFull?: 'reject' | 'wait' }) => {
        verified += items.length;
        return pool.verify(items, options);
      },
    };
    const options = { ...channel.freshContext(), verifiedEnvelopesCachedMax };
    return new EnvelopeChecker(options, { pool: counting });
  }

  function expectRefused(result: SubmittedCheck, code: RefusalCode): void {
    if (result.kind !== 'refused') throw new Error('accepted');
    expect(result.code).to.equal(code);
    expect(result.message).to.include(REFUSAL_SENTENCES[code].what);
  }

  function expectInvalid(result: BatchCheck, index: number, code: RefusalCode): void {
    if (result.kind !== 'invalid') throw new Error('accepted');
    expect(result.index).to.equal(index);
    expect(result.refusal.code).to.equal(code);
  }

  const badSignature = () =>
    buildEnvelope(channel.writer, { signature: signAs(channel.writer, Buffer.from('other')) });

  /** The same envelope with another, wrong signature. */
  function changeSignature(bytes: Uint8Array, salt: number): Uint8Array {
    const copy = Uint8Array.from(bytes);
    copy[copy.length - 60] = (copy[copy.length - 60] as number) ^ (salt + 1);
    return copy;
  }

  describe('checkSubmitted', () => {
    it('accepts Ed25519 and P-256 writers', async () => {
      for (const writer of [channel.writer, channel.p256Writer]) {
        const bytes = buildEnvelope(writer);
        const result = await checkOne(checker(), bytes, Date.now());
        if (result.kind !== 'checked') throw new Error(result.message);
        expect(result.transaction.bytes).to.equal(bytes);
        expect(result.transaction.txId).to.match(/^[0-9a-f]{64}$/);
      }
    });

    it('answers for each of many, in their order, with one call of the pool', async () => {
      const one = checker();
      const good = [buildEnvelope(channel.writer), buildEnvelope(channel.writer)];
      const mixed = [good[0], new Uint8Array(), badSignature(), good[1], good[0]] as Uint8Array[];
      const checks = await one.checkSubmitted(mixed, Date.now());
      const answers = checks.map((check) => (check.kind === 'checked' ? 'checked' : check.code));
      const expected = ['checked', 'empty_envelope', 'bad_signature', 'checked', 'checked'];
      expect(answers).to.deep.equal(expected);
      expect(await one.checkSubmitted([], Date.now())).to.deep.equal([]);
    });

    it('bad_signature: of other bytes, by another key, of another kind, none', async () => {
      const { writer, p256Writer } = channel;
      const spoiled = [
        badSignature(),
        buildEnvelope(writer, { signature: new Uint8Array(64) }),
        buildEnvelope(writer, { signature: new Uint8Array() }),
        buildEnvelope(writer, { signature: signAs(p256Writer, Buffer.from('data')) }),
        buildEnvelope({ ...writer, keyPem: channel.expired.keyPem }),
      ];
      for (const bytes of spoiled) {
        expectRefused(await checkOne(checker(), bytes, Date.now()), 'bad_signature');
      }
    });

    it('passes on what the inspection refuses, without asking the pool', async () => {
      const now = Date.now();
      expectRefused(await checkOne(checker(), new Uint8Array(), now), 'empty_envelope');
      expectRefused(await checkOne(checker(), buildEnvelope(channel.denied), now), 'policy_denied');
      expect(verified).to.equal(0);
    });

    it('expired_certificate: past or before its time on this clock', async () => {
      const now = Date.now();
      for (const writer of [channel.expired, channel.early]) {
        const result = await checkOne(checker(), buildEnvelope(writer), now);
        expectRefused(result, 'expired_certificate');
        expect(result)
          .to.have.property('message')
          .that.matches(/valid from \d{4}-.* to \d{4}-/);
      }
      expect(verified).to.equal(0);
      const inspected = await checkOne(checker(), buildEnvelope(channel.early), now + 5_400_000);
      expect(inspected.kind).to.equal('checked');
    });

    it('expired_certificate: of an envelope that was found valid before', async () => {
      const one = checker();
      const bytes = buildEnvelope(channel.writer);
      const now = Date.now();
      expect((await checkOne(one, bytes, now)).kind).to.equal('checked');
      expectRefused(await checkOne(one, bytes, now + 10 * 365 * 86_400_000), 'expired_certificate');
    });

    it('overloaded: when too many signatures wait, with a time to come back', async () => {
      await pool.close();
      pool = new VerifyPool({ threads: 1, queueMax: 1 });
      const one = checker();
      const first = checkOne(one, buildEnvelope(channel.writer), Date.now());
      const second = await checkOne(one, buildEnvelope(channel.writer), Date.now());
      expectRefused(second, 'overloaded');
      expect(second).to.have.property('retryAfterMs').that.is.greaterThan(0);
      expect((await first).kind).to.equal('checked');
    });

    it('overloaded: when the verify thread died, for nothing is known of the signature', async () => {
      await pool.close();
      pool = new VerifyPool({ threads: 1, queueMax: 10, workerFile: DYING_WORKER });
      const bytes = buildEnvelope(channel.writer, { data: Buffer.from('please die') });
      expectRefused(await checkOne(checker(), bytes, Date.now()), 'overloaded');
    });

    it('shutting_down: when the pool is closed', async () => {
      await pool.close();
      const bytes = buildEnvelope(channel.writer);
      expectRefused(await checkOne(checker(), bytes, Date.now()), 'shutting_down');
    });

    it('verifies the same bytes once, whoever brings them', async () => {
      const one = checker();
      const bytes = buildEnvelope(channel.writer);
      const first = await checkOne(one, bytes, Date.now());
      const again = await checkOne(one, Uint8Array.from(bytes), Date.now());
      expect(again).to.deep.equal(first);
      expect((await one.checkBatch([bytes, bytes])).kind).to.equal('valid');
      expect(verified).to.equal(1);
    });

    it('verifies again when the cache has forgotten, or a bit differs', async () => {
      const one = checker(1);
      const [a, b] = [buildEnvelope(channel.writer), buildEnvelope(channel.writer)];
      for (const bytes of [a, b, a]) await checkOne(one, bytes, Date.now());
      expect(verified).to.equal(3);
      const changed = Uint8Array.from(a);
      changed[changed.length - 1] = (changed[changed.length - 1] as number) ^ 1;
      expectRefused(await checkOne(one, changed, Date.now()), 'bad_signature');
    });

    it('does not remember a failure as a success', async () => {
      const one = checker();
      const bytes = badSignature();
      expectRefused(await checkOne(one, bytes, Date.now()), 'bad_signature');
      expectRefused(await checkOne(one, bytes, Date.now()), 'bad_signature');
      expectInvalid(await one.checkBatch([bytes]), 0, 'bad_signature');
      expect(verified).to.equal(3);
    });
  });

  describe('checkBatch', () => {
    it('gives the transactions in order, over several parts', async () => {
      const envelopes = Array.from({ length: 150 }, () => buildEnvelope(channel.writer));
      const result = await checker().checkBatch(envelopes);
      if (result.kind !== 'valid') throw new Error(result.refusal.message);
      expect(result.transactions.map(({ bytes }) => bytes)).to.deep.equal(envelopes);
      expect(verified).to.equal(150);
    });

    it('accepts an empty batch', async () => {
      const result = await checker().checkBatch([]);
      expect(result).to.deep.equal({ kind: 'valid', transactions: [] });
    });

    it('names the first envelope that is not valid, in whatever way', async () => {
      const good = () => buildEnvelope(channel.writer);
      for (const index of [0, 1, 31, 32, 63, 64, 99]) {
        const envelopes = Array.from({ length: 100 }, good);
        envelopes[index] = badSignature();
        expectInvalid(await checker().checkBatch(envelopes), index, 'bad_signature');
        envelopes[index] = buildEnvelope(channel.stranger);
        expectInvalid(await checker().checkBatch(envelopes), index, 'unknown_writer');
      }
      const both = [good(), badSignature(), new Uint8Array()];
      expectInvalid(await checker().checkBatch(both), 1, 'bad_signature');
      expectInvalid(await checker().checkBatch(both.reverse()), 0, 'empty_envelope');
    });

    it('gives the same answer with warm caches as with cold ones', async () => {
      const envelopes = Array.from({ length: 70 }, () => buildEnvelope(channel.writer));
      envelopes[66] = badSignature();
      const warm = checker();
      for (const bytes of envelopes) await checkOne(warm, bytes, Date.now());
      const cold = await checker().checkBatch(envelopes);
      expect(await warm.checkBatch(envelopes)).to.deep.equal(cold);
      expectInvalid(cold, 66, 'bad_signature');
    });

    it('does not look at the clock: reports the validity instead', async () => {
      const { expired, early, writer } = channel;
      const result = await checker().checkBatch(
        [expired, early, writer].map((w) => buildEnvelope(w)),
      );
      if (result.kind !== 'valid') throw new Error(result.refusal.message);
      const now = Date.now();
      const inTime = result.transactions.map((transaction) => isWithinValidity(transaction, now));
      expect(inTime).to.deep.equal([false, false, true]);
      const [first] = result.transactions;
      if (first === undefined) throw new Error('no transaction');
      expect(isWithinValidity(first, first.validity.notBeforeMs)).to.equal(true);
      expect(isWithinValidity(first, first.validity.notAfterMs)).to.equal(true);
      expect(isWithinValidity(first, first.validity.notBeforeMs - 1)).to.equal(false);
      expect(isWithinValidity(first, first.validity.notAfterMs + 1)).to.equal(false);
    });

    it('without signatures judges all the rest, asks nobody and remembers nothing', async () => {
      const one = checker();
      const good = buildEnvelope(channel.writer);
      const unsigned = badSignature();
      const read = await one.checkBatch([good, unsigned], { signatures: false });
      if (read.kind !== 'valid') throw new Error('a bad form');
      expect(read.transactions.map(({ bytes }) => bytes)).to.deep.equal([good, unsigned]);
      expect(verified).to.equal(0);
      for (const bad of [new Uint8Array(), buildEnvelope(channel.denied)]) {
        const result = await one.checkBatch([unsigned, bad], { signatures: false });
        expect(result).to.include({ kind: 'invalid', index: 1 });
      }
      // It was not taken for one that was found valid.
      expectInvalid(await one.checkBatch([good, unsigned]), 1, 'bad_signature');
      expect(verified).to.equal(2);
    });

    it('reads a long batch as it would check it', async () => {
      const envelopes = Array.from({ length: 200 }, () => buildEnvelope(channel.writer));
      const full = await checker().checkBatch(envelopes);
      expect(await checker().checkBatch(envelopes, { signatures: false })).to.deep.equal(full);
    });

    it('waits when the pool is full instead of calling a batch invalid', async () => {
      await pool.close();
      pool = new VerifyPool({ threads: 1, queueMax: 40 });
      const one = checker();
      const batches = Array.from({ length: 6 }, () =>
        Array.from({ length: 50 }, () => buildEnvelope(channel.writer)),
      );
      const results = await Promise.all(batches.map((batch) => one.checkBatch(batch)));
      expect(results.map(({ kind }) => kind)).to.deep.equal(new Array(6).fill('valid'));
    });

    it('checks the batches of a lane in turn, and gives another lane its share', async () => {
      const one = checker();
      const batch = Array.from({ length: 64 }, () => buildEnvelope(channel.writer));
      const order: number[] = [];
      const checkLane = async (lane: number, name: number) => {
        // Cold for each: the cache of a hundred has forgotten them.
        const envelopes = batch.map((bytes) => changeSignature(bytes, name));
        const result = await one.checkBatch([...batch.slice(0, 1), ...envelopes.slice(1)], {
          lane,
        });
        expect(result.kind).to.equal('invalid');
        order.push(name);
      };
      const flood = Array.from({ length: 10 }, (_, i) => checkLane(1, i));
      await checkLane(2, 100);
      expect(order.length).to.be.lessThan(5);
      await Promise.all(flood);
      const ofFlood = order.filter((name) => name < 100);
      expect(ofFlood).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    });

    it('goes on with a lane after a batch that had no answer', async () => {
      await pool.close();
      pool = new VerifyPool({ threads: 2, queueMax: 40, workerFile: DYING_WORKER });
      const one = checker();
      const die = buildEnvelope(channel.writer, { data: Buffer.from('please die') });
      const lost = one.checkBatch([die], { lane: 1 }).catch(() => 'lost');
      const next = one.checkBatch([buildEnvelope(channel.writer)], { lane: 1 });
      expect(await lost).to.equal('lost');
      expect((await next).kind).to.equal('valid');
    });

    it('asks again when the verify thread died, and rejects when that fails too', async () => {
      await pool.close();
      pool = new VerifyPool({ threads: 1, queueMax: 40, workerFile: DYING_WORKER });
      const bytes = buildEnvelope(channel.writer, { data: Buffer.from('please die') });
      const error = await checker()
        .checkBatch([bytes])
        .then(() => undefined)
        .catch((reason: unknown) => reason);
      expect(error).to.be.instanceOf(OrdererError).with.property('code', 'worker_failed');
    });

    it('rejects when the pool is closed', async () => {
      await pool.close();
      const batch = Array.from({ length: 100 }, () => buildEnvelope(channel.writer));
      const error = await checker()
        .checkBatch(batch)
        .catch((reason: unknown) => reason);
      expect(error).to.be.instanceOf(OrdererError).with.property('code', 'closed');
    });
  });

  it('has a sentence and a remedy for every refusal', () => {
    for (const [code, { what, remedy }] of Object.entries(REFUSAL_SENTENCES)) {
      expect(what, code).to.match(/^[A-Z].*[^.]$/);
      expect(remedy, code).to.match(/^[A-Z].*\.$/);
    }
    const location = { txId: 'a'.repeat(64), blockNumber: 3, index: 4 };
    expect(refusal('duplicate_transaction', undefined, { location })).to.deep.include({
      kind: 'refused',
      code: 'duplicate_transaction',
      location,
    });
    expect(refusal('not_ready', 'too few replicas', { retryAfterMs: 9 }).message).to.match(
      /at the moment: too few replicas\. Send/,
    );
  });
});
