import { expect } from 'chai';
import fc from 'fast-check';
import { ed25519KeyPair, signEd25519 } from '../../consensus/runtime/ed25519.ts';
import { OrdererError } from '../../orderer/errors.ts';
import { ORDERER_LIMITS } from '../../orderer/limits.ts';
import { type VerifyItem, VerifyPool, verifySignature } from '../../orderer/signature/index.ts';

const pair = ed25519KeyPair(new Uint8Array(32).fill(7));
const key = { algorithm: 'ed25519', bytes: pair.publicKey } as const;
const DYING_WORKER = new URL('./fixtures/dying-worker.js', import.meta.url);

function item(text: string, valid = true): VerifyItem {
  const message = Buffer.from(text);
  const signature = signEd25519(pair.secretKey, message);
  if (!valid) signature[0] = (signature[0] as number) ^ 1;
  return { key, message, signature };
}

async function rejection(promise: Promise<unknown>): Promise<OrdererError> {
  try {
    await promise;
  } catch (error) {
    expect(error).to.be.instanceOf(OrdererError);
    return error as OrdererError;
  }
  throw new Error('should have been rejected');
}

describe('VerifyPool', () => {
  const pools: VerifyPool[] = [];
  function open(options: Partial<ConstructorParameters<typeof VerifyPool>[0]> = {}): VerifyPool {
    const pool = new VerifyPool({ threads: 1, queueMax: 1000, ...options });
    pools.push(pool);
    return pool;
  }
  afterEach(async () => {
    await Promise.all(pools.splice(0).map((pool) => pool.close()));
  });

  it('gives each item its own verdict, in order', async () => {
    const pool = open();
    const expected = Array.from({ length: 300 }, (_, i) => i % 3 !== 0);
    const verdicts = await pool.verify(expected.map((valid, i) => item(`m${i}`, valid)));
    expect(verdicts).to.deep.equal(expected);
    expect(pool.stats().itemsVerified).to.equal(300);
    expect(pool.stats().itemsQueued).to.equal(0);
  });

  it('checks a few that come alone on the calling thread, and no more than it may', async () => {
    const dies = (valid = true) => item('please die', valid);
    const pool = open({ herePerMs: 0.001, workerFile: DYING_WORKER });
    // Eight milliseconds' worth at most has been saved up: none yet.
    expect((await rejection(pool.verify([dies()]))).code).to.equal('worker_failed');
    const generous = open({ herePerMs: 1, workerFile: DYING_WORKER });
    expect(await generous.verify([dies(), dies(false)])).to.deep.equal([true, false]);
    expect(await generous.verify([{ ...dies(), signature: new Uint8Array(3) }])).to.deep.equal([
      false,
    ]);
    expect(generous.stats().itemsVerified).to.equal(3);
    const many = Array.from({ length: 5 }, () => dies());
    expect((await rejection(generous.verify(many))).code).to.equal('worker_failed');
  });

  it('settles the calls in the order of submission, on several threads too', async () => {
    const pool = open({ threads: 2, queueMax: 10_000 });
    const order: number[] = [];
    const calls = Array.from({ length: 40 }, async (_, i) => {
      // Long and short ones in turn: a later short call finishes its work first.
      const items = Array.from({ length: i % 2 === 0 ? 60 : 1 }, (_, j) => item(`${i}/${j}`));
      expect(await pool.verify(items)).to.not.include(false);
      order.push(i);
    });
    await Promise.all(calls);
    expect(order).to.deep.equal([...order].sort((a, b) => a - b));
  });

  it('gives the same verdicts as the calling thread, for any lengths', async () => {
    const pool = open({ queueMax: 100_000 });
    const arbitraryItem = fc.record({
      key: fc.record({
        algorithm: fc.constantFrom('ed25519' as const, 'p256' as const),
        bytes: fc.uint8Array({ maxLength: 70 }),
      }),
      message: fc.uint8Array({ maxLength: 300 }),
      signature: fc.uint8Array({ maxLength: 80 }),
    });
    const validItem = fc.string({ maxLength: 50 }).map((text) => item(text));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(arbitraryItem, validItem), { maxLength: 80 }),
        async (items) => {
          const direct = items.map((i) => verifySignature(i.key, i.message, i.signature));
          expect(await pool.verify(items)).to.deep.equal(direct);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('checks messages larger than a job', async () => {
    const pool = open();
    const large = Buffer.alloc(3 * ORDERER_LIMITS.verifyJobBytesMax, 1);
    const signature = signEd25519(pair.secretKey, large);
    const items = [item('a'), { key, message: large, signature }, item('b', false)];
    expect(await pool.verify(items)).to.deep.equal([true, true, false]);
  });

  it('answers an empty call', async () => {
    expect(await open().verify([])).to.deep.equal([]);
  });

  it('rejects with `overloaded` when the queue is full, and recovers', async () => {
    const pool = open({ queueMax: 10 });
    const first = pool.verify(Array.from({ length: 10 }, (_, i) => item(`${i}`)));
    const error = await rejection(pool.verify([item('one too many')]));
    expect(error.code).to.equal('overloaded');
    expect(error.message).to.include('10 signatures');
    expect(await first).to.have.length(10);
    expect(await pool.verify([item('again')])).to.deep.equal([true]);
  });

  it('bounds the bytes that wait', async () => {
    const pool = open({ queueBytesMax: 100 });
    const first = pool.verify([item('x'.repeat(90))]);
    expect((await rejection(pool.verify([item('y'.repeat(20))]))).code).to.equal('overloaded');
    await first;
  });

  it('lets a call larger than the queue in when it has the queue for itself', async () => {
    const pool = open({ queueMax: 4 });
    expect(await pool.verify(Array.from({ length: 9 }, (_, i) => item(`${i}`)))).to.have.length(9);
  });

  it('holds callers that would rather wait, first come, first served', async () => {
    const pool = open({ queueMax: 4 });
    const order: string[] = [];
    const call = (name: string, count: number) =>
      pool
        .verify(
          Array.from({ length: count }, () => item(name)),
          { whenFull: 'wait' },
        )
        .then((verdicts) => {
          expect(verdicts).to.deep.equal(new Array(count).fill(true));
          order.push(name);
        });
    const calls = [call('a', 4), call('b', 4), call('c', 1), call('d', 4)];
    expect(pool.stats().callsWaiting).to.equal(3);
    // Nobody overtakes those who wait, even where there would be room.
    expect((await rejection(pool.verify([item('e')]))).code).to.equal('overloaded');
    await Promise.all(calls);
    expect(order).to.deep.equal(['a', 'b', 'c', 'd']);
  });

  it('finishes what it has when it is closed, and takes no more', async () => {
    const pool = open({ queueMax: 60 });
    const queued = pool.verify(Array.from({ length: 60 }, (_, i) => item(`${i}`)));
    const waiting = pool.verify([item('waits')], { whenFull: 'wait' });
    const closed = pool.close();
    expect((await rejection(pool.verify([item('late')]))).code).to.equal('closed');
    expect(await queued).to.have.length(60);
    expect(await waiting).to.deep.equal([true]);
    await closed;
    await pool.close();
    expect(pool.stats().threads).to.equal(0);
  });

  it('rejects what a dead thread had, starts it again once, and then gives up', async () => {
    const pool = open({ workerFile: DYING_WORKER, queueMax: 10_000 });
    expect(await pool.verify([item('ok')])).to.deep.equal([true]);
    const lost = rejection(pool.verify([item('please die')]));
    // Behind it, with parts in the dead thread's hands and parts that no thread had yet.
    const behind = Array.from({ length: 200 }, (_, i) => pool.verify([item(`behind ${i}`)]));
    const error = await lost;
    expect(error.code).to.equal('worker_failed');
    expect(error.message).to.include('told to die');
    const settled = await Promise.allSettled(behind);
    const kept = settled.filter(({ status }) => status === 'fulfilled');
    expect(kept.length).to.be.greaterThan(100);
    for (const result of kept) expect(result).to.have.deep.property('value', [true]);
    expect(pool.stats()).to.include({ threads: 1, restarts: 1, itemsQueued: 0 });
    expect(await pool.verify([item('again')])).to.deep.equal([true]);
    expect((await rejection(pool.verify([item('please die')]))).code).to.equal('worker_failed');
    expect(pool.stats().threads).to.equal(0);
    expect((await rejection(pool.verify([item('none left')]))).message).to.include(
      'every verify thread',
    );
  });

  it('rejects everything, waiting calls too, when the last thread dies', async () => {
    const pool = open({ workerFile: DYING_WORKER, queueMax: 1 });
    expect((await rejection(pool.verify([item('please die')]))).code).to.equal('worker_failed');
    const calls = ['please die', 'b', 'c'].map((text) =>
      pool.verify([item(text)], { whenFull: 'wait' }),
    );
    const results = await Promise.allSettled(calls);
    expect(results.map(({ status }) => status)).to.deep.equal(['rejected', 'rejected', 'rejected']);
    expect(pool.stats()).to.include({ itemsQueued: 0, callsWaiting: 0 });
  });

  it('fails every call when the thread cannot start', async () => {
    const pool = open({ workerFile: new URL('./fixtures/no-such-file.js', import.meta.url) });
    expect((await rejection(pool.verify([item('a')]))).code).to.equal('worker_failed');
  });

  it('names the option that is out of range', () => {
    const bad = [
      { threads: 0, queueMax: 1 },
      { threads: 1.5, queueMax: 1 },
      { threads: 1000, queueMax: 1 },
    ];
    for (const options of bad) {
      expect(() => new VerifyPool(options)).to.throw(OrdererError, /^threads is/);
    }
    expect(() => new VerifyPool({ threads: 1, queueMax: 0 })).to.throw(OrdererError, /queueMax/);
  });
});
