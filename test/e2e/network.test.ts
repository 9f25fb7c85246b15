/** Four real replica processes: order, agree, survive the loss of one, stop and continue. */
import { getPriority } from 'node:os';
import { expect } from 'chai';
import { niceOfThreads } from '../support/process-stats.ts';
import {
  blockHashOf,
  infoOf,
  type ReceiptBody,
  submitText as submitAt,
} from '../support/replica-api.ts';
import { eventually } from '../support/until.ts';
import { useNetwork } from '../support/use-network.ts';

const ANSWER_MS = 20_000;

const submitText = (url: string, text: string): Promise<ReceiptBody> =>
  submitAt(url, text, ANSWER_MS);

/** Waits until all replicas have this many certified blocks. */
async function heightReached(urls: readonly string[], height: number): Promise<void> {
  const endMs = Date.now() + 20_000;
  while (Date.now() < endMs) {
    const infos = await Promise.all(urls.map(infoOf));
    if (infos.every((one) => one.height >= height)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`not all replicas reached height ${height}`);
}

async function expectSameChain(urls: readonly string[], height: number): Promise<void> {
  await heightReached(urls, height);
  for (let number = 0; number < height; number++) {
    const hashes = new Set(await Promise.all(urls.map((url) => blockHashOf(url, number))));
    expect(hashes.size, `block ${number}`).to.equal(1);
  }
}

describe('a network of four replicas', function () {
  this.timeout(120_000);
  const network = useNetwork();

  it('lets the consensus thread win over HTTP, ledger and signatures', () => {
    const { pid } = network.process(1);
    const threads = niceOfThreads(pid);
    const own = getPriority();
    expect(threads.get(pid), 'main thread').to.be.above(own);
    const lowered = [...threads.values()].filter((nice) => nice > own);
    expect(lowered, 'main thread and verify thread').to.have.length(2);
    expect(threads.size, 'consensus and others').to.be.above(2);
  });

  it('orders what any replica is given, and all four have the same chain', async () => {
    const receipts = await Promise.all(
      network.urls.flatMap((url, i) => [submitText(url, `a${i}`), submitText(url, `b${i}`)]),
    );
    expect(new Set(receipts.map(({ txId }) => txId)).size).to.equal(receipts.length);
    const height = 1 + Math.max(...receipts.map(({ blockNumber }) => blockNumber));
    await expectSameChain(network.urls, height);
  });

  it('puts a lone transaction into a block without waiting for BatchTimeout', async () => {
    const startedMs = performance.now();
    await submitText(network.url(3), 'alone');
    // BatchTimeout is two seconds; what is asserted is that nobody waited for it, not a speed.
    expect(performance.now() - startedMs).to.be.below(1_500);
  });

  it('goes on with three replicas when one is killed, on the slow path', async () => {
    await network.kill(3);
    const alive = network.urls.filter((_, index) => index !== 2);
    const receipts: ReceiptBody[] = [];
    for (let i = 0; i < 10; i++) receipts.push(await submitText(alive[i % 3] ?? '', `three ${i}`));
    expect((await infoOf(alive[0] ?? '')).path).to.equal('slow');
    const height = 1 + Math.max(...receipts.map(({ blockNumber }) => blockNumber));
    await expectSameChain(alive, height);
  });

  it('lets the killed replica take part again after its restart', async () => {
    network.spawn(3);
    const { height } = await infoOf(network.url(1));
    await network.ready();
    await expectSameChain(network.urls, height);
    await eventually(
      'the fast path is back',
      async () => {
        await submitText(network.url(3), 'back again');
        return (await infoOf(network.url(3))).path === 'fast';
      },
      ANSWER_MS,
    );
  });

  it('holds submissions while the leader is replaced, and answers them with receipts', async () => {
    const { leader } = await infoOf(network.url(2));
    const alive = network.urls.filter((_, index) => index !== leader - 1);
    const submitting = alive.flatMap((url, i) => [
      submitText(url, `before ${i}`),
      submitText(url, `too ${i}`),
    ]);
    network.process(leader).kill('SIGKILL');
    submitting.push(...alive.map((url, i) => submitText(url, `after ${i}`)));
    const receipts = await Promise.all(submitting);
    expect(new Set(receipts.map(({ txId }) => txId)).size).to.equal(9);
    const now = await infoOf(alive[0] ?? '');
    expect(now.leader).to.not.equal(leader);
    expect(now.view).to.be.above(0);
    network.spawn(leader);
    await network.ready();
  });

  it('can be stopped and started with nothing ordered in between, again and again', async () => {
    for (let round = 0; round < 3; round++) {
      await network.stop();
      await network.start();
    }
  });

  it('continues the same chain after all have stopped', async () => {
    const before = await infoOf(network.url(1));
    await network.stop();
    await network.start();
    const receipt = await submitText(network.url(2), 'after the restart');
    expect(receipt.blockNumber).to.be.at.least(before.height);
    expect(await blockHashOf(network.url(4), before.height - 1)).to.equal(before.tipHash);
    await expectSameChain(network.urls, receipt.blockNumber + 1);
    // The first slots may be decided while one replica is still coming up; then the fast path is back by itself.
    await eventually(
      'the fast path is back',
      async () => {
        await submitText(network.url(2), 'on the fast path again');
        return (await infoOf(network.url(1))).path === 'fast';
      },
      ANSWER_MS,
    );
  });
});
