import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import type { Transport } from '../../rdma/index.ts';
import { wakeTransport } from '../../rdma/index.ts';
import { ALL, connect, describeProviders, Inbox, open } from './support/pair.ts';

const LONG_US = 10_000_000;
const MODES = [
  { waitMode: 'spin' },
  { waitMode: 'adaptive' },
  { waitMode: 'block' },
  { waitMode: 'block', futexWaitv: false },
] as const;

for (const options of MODES) {
  const name = `${options.waitMode}${'futexWaitv' in options ? ' without futex_waitv' : ''}`;
  describeProviders(`wait (${name})`, () => {
    let a: Transport;
    let b: Transport;
    beforeEach(() => {
      a = open(0, 2, options);
      b = open(1, 2, options);
      connect(a, b);
      a.poll(ALL, new Inbox());
      b.poll(ALL, new Inbox());
    });
    afterEach(() => {
      a.destroy();
      b.destroy();
    });

    it('returns false when the time is up, and not much later', () => {
      const start = performance.now();
      expect(a.wait(20_000)).to.equal(false);
      const took = performance.now() - start;
      expect(took).to.be.within(19, 2000);
      expect(a.wait(0)).to.equal(false);
    });

    it('returns at once when something was written before, until it is polled', () => {
      b.writeCell({ kind: 'vote', slot: 1, view: 0, flags: 0, body: Buffer.alloc(24) });
      expect(a.wait(LONG_US)).to.equal(true);
      expect(a.wait(LONG_US)).to.equal(true);
      expect(a.poll(ALL, new Inbox())).to.equal(1);
      expect(a.wait(0)).to.equal(false);
      b.send(0, Buffer.alloc(1));
      expect(a.wait(LONG_US)).to.equal(true);
      a.poll(ALL, new Inbox());
      expect(a.wait(0)).to.equal(false);
    });

    it('finds a quiet cell when it looks next', () => {
      const cell = { kind: 'vote', slot: 1, view: 0, flags: 0, body: Buffer.alloc(24) } as const;
      b.writeCell(cell, true);
      expect(a.wait(LONG_US)).to.equal(true);
      expect(a.poll(ALL, new Inbox())).to.equal(1);
    });

    it('does not take cells outside of the interest for work', () => {
      b.writeCell({ kind: 'vote', slot: 7, view: 0, flags: 0, body: Buffer.alloc(24) });
      expect(a.wait(LONG_US), 'its doorbell').to.equal(true);
      expect(a.poll({ fromSlot: 0, toSlot: 1 }, new Inbox())).to.equal(0);
      expect(a.wait(1000)).to.equal(false);
    });

    it('remembers a wake that came before, once', () => {
      expect(wakeTransport(a.wakeHandle)).to.equal(true);
      expect(wakeTransport(a.wakeHandle)).to.equal(true);
      expect(a.wait(LONG_US)).to.equal(true);
      expect(a.wait(0)).to.equal(false);
    });

    it('is woken by another thread', async () => {
      const worker = new Worker(new URL('./support/waker.js', import.meta.url), {
        workerData: { handle: a.wakeHandle, delayMs: 20 },
      });
      await once(worker, 'message');
      const start = performance.now();
      expect(a.wait(LONG_US)).to.equal(true);
      expect(performance.now() - start).to.be.lessThan(LONG_US / 1000 / 2);
      expect((await once(worker, 'message'))[0]).to.equal(true);
      await worker.terminate();
    });

    it('returns when a session has opened', () => {
      a.close(1);
      b.close(0);
      expect(a.wait(0)).to.equal(false);
      connect(a, b);
      expect(a.wait(LONG_US)).to.equal(true);
    });
  });
}

describe('wake handles', () => {
  it('are never given out twice, and stale ones wake nobody', () => {
    const seen = new Set<number>();
    for (let i = 0; i < 50; i++) {
      const transport = open(0, 2);
      expect(seen.has(transport.wakeHandle)).to.equal(false);
      seen.add(transport.wakeHandle);
      expect(wakeTransport(transport.wakeHandle)).to.equal(true);
      transport.destroy();
      expect(wakeTransport(transport.wakeHandle)).to.equal(false);
    }
    expect(wakeTransport(0)).to.equal(false);
    expect(wakeTransport(Number.MAX_SAFE_INTEGER)).to.equal(false);
  });
});
