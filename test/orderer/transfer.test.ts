/** Catching up with the others' checkpoints: whom blocks are fetched from, and what takes the place of what. */
import { expect } from 'chai';
import type { CheckpointState } from '../../consensus/core/index.ts';
import { BlockFetch } from '../../orderer/startup/block-fetch.ts';
import { StateTransfer } from '../../orderer/transfer.ts';
import { until } from '../support/until.ts';

const ANSWER_MS = 60;

/** Blocks of two bytes: a number, and what stands for a certificate (1), or for the content of one without. */
class Peers {
  height = 1;
  readonly asked: { peer: number; fromNumber: number }[] = [];
  readonly faults: string[] = [];
  readonly connected = new Set([1, 2, 3]);
  readonly inRun = new Set([1, 2, 3]);
  readonly contents: number[] = [];
  readonly answers = new Map<number, (fromNumber: number) => Uint8Array[] | undefined>();
  delayMs = 0;
  readonly fetch: BlockFetch;

  constructor(answerMs = ANSWER_MS) {
    const options = { replicas: 4, faults: 1, self: 0, answerMs, retryMs: 10 };
    this.fetch = new BlockFetch(options, {
      isConnected: (peer) => this.connected.has(peer),
      isInRun: (peer) => this.inRun.has(peer),
      ask: (peer, fromNumber) => this.#ask(peer, fromNumber),
      storedHeight: () => this.height,
      takeCertified: async () => 0,
      take: async (number, [at, content = 0], isVouched) => {
        await Promise.resolve();
        if (at !== number) return { kind: 'refused', reason: 'it is another block' };
        const hash = String(content);
        const isProven = content === 1 || (number === this.height && isVouched(number, hash));
        if (number !== this.height || !isProven) return { kind: 'unproven', hash };
        this.contents[number] = content;
        this.height = number + 1;
        return { kind: 'stored' };
      },
      onFault: (peer, reason) => this.faults.push(`${peer}: ${reason}`),
    });
  }

  #ask(peer: number, fromNumber: number): void {
    this.asked.push({ peer, fromNumber });
    setTimeout(() => {
      const blocks = this.answers.get(peer)?.(fromNumber);
      if (blocks !== undefined) this.fetch.onBlocks(peer, fromNumber, blocks);
    }, this.delayMs);
  }

  /** Certified blocks up to `end`; or others with this content. */
  serve(peer: number, end: number, content = 1): void {
    this.answers.set(peer, (from) => {
      const length = Math.max(0, Math.min(5, end - from));
      return Array.from({ length }, (_, i) => new Uint8Array([from + i, content]));
    });
  }
}

describe('certified blocks fetched during a run', () => {
  it('come from all peers in turn, and end where they were asked to', async () => {
    const peers = new Peers();
    for (const peer of [1, 2, 3]) peers.serve(peer, 100);
    await peers.fetch.run(42, () => false);
    expect(peers.height).to.equal(42);
    expect(new Set(peers.asked.map(({ peer }) => peer))).to.deep.equal(new Set([1, 2, 3]));
    expect(peers.faults).to.deep.equal([]);
  });

  it('come in spite of one that lies and one that is silent: both are named', async () => {
    const peers = new Peers();
    peers.serve(3, 100);
    peers.answers.set(1, () => [new Uint8Array([99])]);
    peers.answers.set(2, () => undefined);
    await peers.fetch.run(30, () => false);
    expect(peers.height).to.equal(30);
    expect(peers.faults).to.deep.equal([
      '1: block 1: it is another block',
      '2: it did not answer in time',
    ]);
  });

  it('come from peers that are slow, all of them: each is given more time than before', async () => {
    const peers = new Peers();
    peers.delayMs = 1.5 * ANSWER_MS;
    for (const peer of [1, 2, 3]) peers.serve(peer, 100);
    await peers.fetch.run(11, () => false);
    expect(peers.height).to.be.at.least(11);
  });

  it('are waited for when nobody has them yet, and nobody is blamed', async () => {
    const peers = new Peers();
    for (const peer of [1, 2, 3]) peers.serve(peer, 5);
    const running = peers.fetch.run(10, () => false);
    await until('it has asked all', () => peers.asked.length > 6);
    for (const peer of [1, 2, 3]) peers.serve(peer, 10);
    await running;
    expect([peers.height, peers.faults]).to.deep.equal([10, []]);
  });

  it('need no certificate when f + 1 of the run give the same, and only then', async () => {
    const peers = new Peers();
    peers.serve(1, 20, 7);
    peers.serve(2, 20, 8);
    peers.serve(3, 0);
    const running = peers.fetch.run(10, () => false);
    await until('it has asked all, often', () => peers.asked.length > 9);
    expect(peers.height).to.equal(1);
    // One that is in no run, or in another, vouches for nothing.
    peers.inRun.delete(3);
    peers.serve(3, 20, 8);
    await until('it has asked all, often', () => peers.asked.length > 18);
    expect(peers.height).to.equal(1);
    peers.inRun.add(3);
    await running;
    expect(peers.height).to.equal(10);
    expect(new Set(peers.contents.slice(1))).to.deep.equal(new Set([8]));
    expect(peers.faults).to.deep.equal([]);
  });

  it('are not asked of whom no link leads to; one that breaks is no fault', async () => {
    // On a busy machine even a link that breaks at once may be noticed late.
    const peers = new Peers(60_000);
    peers.serve(2, 100);
    peers.answers.set(1, () => undefined);
    peers.connected.clear();
    const running = peers.fetch.run(10, () => false);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(peers.asked).to.deep.equal([]);
    peers.connected.add(1);
    peers.fetch.onLink(1, true);
    await until('it asks', () => peers.asked.length > 0);
    peers.connected.delete(1);
    peers.connected.add(2);
    peers.fetch.onLink(1, false);
    await running;
    expect([peers.height, peers.faults]).to.deep.equal([10, []]);
  });

  it('are not taken when nobody asked, and end when they are not wanted any more', async () => {
    const peers = new Peers();
    peers.fetch.onBlocks(2, 1, [new Uint8Array([1])]);
    let over = false;
    const running = peers.fetch.run(10, () => over);
    await until('it asks', () => peers.asked.length > 0);
    over = true;
    peers.fetch.interrupt();
    await running;
    expect([peers.height, peers.faults]).to.deep.equal([1, []]);
  });
});

describe('state transfer', () => {
  function state(slot: number, height: number): CheckpointState {
    return { slot, height, timeMs: 0, frontier: [], tipHash: new Uint8Array(32) };
  }

  interface Harness {
    readonly transfer: StateTransfer;
    readonly log: string[];
    height: number;
    drained: Promise<void>;
    fatal: Error | undefined;
  }

  function harness(): Harness {
    let wake = (): void => {};
    const self: Harness = {
      log: [],
      height: 1,
      drained: Promise.resolve(),
      fatal: undefined,
      transfer: new StateTransfer({
        drained: () => self.drained,
        fetch: async (height, isOver) => {
          self.log.push(`fetch ${height}`);
          while (self.height < height && !isOver()) {
            await new Promise<void>((resolve) => {
              wake = resolve;
              setTimeout(resolve, 5);
            });
          }
        },
        interrupt: () => wake(),
        install: async ({ slot }) => {
          self.log.push(`install ${slot}`);
          if (slot === 13) throw new Error('another block');
        },
        onDone: ({ slot }) => self.log.push(`done ${slot}`),
        onFatal: (error) => {
          self.fatal = error;
        },
      }),
    };
    return self;
  }

  it('stores what was delivered, fetches, goes on from there, and says so', async () => {
    const h = harness();
    let release = (): void => {};
    h.drained = new Promise((resolve) => {
      release = resolve;
    });
    h.height = 9;
    h.transfer.to(state(8, 5));
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(h.log).to.deep.equal([]);
    expect(h.transfer.sinceMs).to.be.a('number');
    release();
    await until('done', () => h.log.length === 3);
    expect(h.log).to.deep.equal(['fetch 5', 'install 8', 'done 8']);
    expect(h.transfer.sinceMs).to.equal(undefined);
  });

  it('is taken over by a later one, of which alone it is said to be done', async () => {
    const h = harness();
    h.transfer.to(state(8, 5));
    await until('it fetches', () => h.log.length === 1);
    h.transfer.to(state(16, 9));
    await until('it fetches the later one', () => h.log.length === 2);
    h.height = 9;
    await until('done', () => h.log.includes('done 16'));
    expect(h.log).to.deep.equal(['fetch 5', 'fetch 9', 'install 16', 'done 16']);
  });

  it('reports a state that cannot be, and stops without a word when the replica does', async () => {
    const bad = harness();
    bad.height = 9;
    bad.transfer.to(state(13, 5));
    await until('fatal', () => bad.fatal !== undefined);
    const stopped = harness();
    stopped.transfer.to(state(8, 5));
    await until('it fetches', () => stopped.log.length === 1);
    await stopped.transfer.stop();
    expect(stopped.log).to.deep.equal(['fetch 5']);
    expect(stopped.fatal).to.equal(undefined);
  });
});
