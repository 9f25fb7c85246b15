/** A replica that has lost everything but its keys, and one that never writes: they join, catch up and vote again. */
import { rmSync } from 'node:fs';
import { expect } from 'chai';
import { ChaosNetwork, describeStarts } from './chaos-network.ts';
import { fill, fillOn } from './fill.ts';

const LARGE_TRANSACTIONS = Number(process.env.SLUICE_CHAOS_TRANSACTIONS ?? 100_000);

/** What the others order while one catches up: more than 1,000, counted from the first request to the last receipt. */
const MEANWHILE_PER_SECOND = 1_100;

describe('a replica without memory', function () {
  this.timeout(1_800_000);
  let chaos: ChaosNetwork;

  afterEach(async function () {
    if (this.currentTest?.state === 'failed') console.log(chaos.network.logs());
    await chaos.destroy();
  });

  /** Its folder is removed while it is down: times from its start until it has all blocks, and until it votes. */
  async function wipeAndStart(number: number): Promise<{ caughtUpMs: number; votesMs: number }> {
    await chaos.network.kill(number);
    await chaos.committed(20);
    rmSync(chaos.network.channelFolder(number), { recursive: true });
    return await start(number);
  }

  async function start(number: number): Promise<{ caughtUpMs: number; votesMs: number }> {
    const startedMs = performance.now();
    chaos.restart(number);
    await chaos.catchUp(number);
    const caughtUpMs = performance.now() - startedMs;
    await chaos.takePart([number]);
    return { caughtUpMs, votesMs: performance.now() - startedMs };
  }

  function describeJoin(times: { caughtUpMs: number; votesMs: number }): string {
    const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
    return `caught up after ${seconds(times.caughtUpMs)}, votes after ${seconds(times.votesMs)}`;
  }

  it('each in turn, the leader too: its folder is removed', async () => {
    chaos = await ChaosNetwork.start();
    chaos.startLoad();
    for (const number of chaos.numbers) {
      await chaos.committed(30);
      console.log(`lost disk, replica ${number}: ${describeJoin(await wipeAndStart(number))}`);
    }
    // The others were a quorum with each that has joined; now it is needed itself.
    await chaos.network.kill(1);
    await chaos.committed(30);
    chaos.restart(1);
    await chaos.takePart([1]);
    await chaos.voteAll();
    await chaos.stopLoad();
    await chaos.verify('lost disk');
  });

  it(`with ${LARGE_TRANSACTIONS} transactions in the ledger, while the others order on`, async () => {
    chaos = await ChaosNetwork.start();
    await fill(chaos, LARGE_TRANSACTIONS);
    await chaos.network.kill(4);
    rmSync(chaos.network.channelFolder(4), { recursive: true });
    const others = fillOn(chaos, chaos.othersThan(4), MEANWHILE_PER_SECOND);
    const times = await start(4);
    const rate = (await others.stop()).toFixed(0);
    console.log(
      `lost disk, ${LARGE_TRANSACTIONS} transactions, ${rate} tx/s meanwhile: ${describeJoin(times)}`,
    );
    await chaos.voteAll();
    await chaos.verify('lost disk, large ledger');
  });

  it('in memory mode: one is restarted, another, then all', async () => {
    chaos = await ChaosNetwork.start({ durability: 'memory' });
    expect((await chaos.info(1)).durability).to.equal('memory');
    chaos.startLoad();
    for (const number of [await chaos.leader(), 3]) {
      await chaos.committed(30);
      await chaos.network.kill(number);
      await chaos.committed(20);
      const startedMs = performance.now();
      chaos.restart(number);
      await chaos.takePart([number]);
      const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1);
      console.log(`memory mode, replica ${number}: votes after ${seconds} s`);
    }
    const start = await chaos.cutPower();
    console.log(`memory mode, all four: start to next receipt ${describeStarts([start])}`);
    await chaos.committed(50);
    await chaos.stopLoad();
    await chaos.takePart();
    await chaos.verify('memory mode');
  });
});
