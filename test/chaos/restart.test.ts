/** Replicas that are killed and come back: with their log, without it, with nothing, one by one and all at once. */
import { existsSync, readdirSync, renameSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { audit, runScenario } from '../load/scenario.ts';
import { TestNetwork } from '../support/network.ts';
import { infoOf, submitText } from '../support/replica-api.ts';
import { eventually } from '../support/until.ts';

const PATIENCE_MS = 20_000;

const until = (what: string, condition: () => Promise<boolean>): Promise<void> =>
  eventually(what, condition, PATIENCE_MS);

describe('replicas that come back', function () {
  this.timeout(90_000);
  let network: TestNetwork;
  let count = 0;

  afterEach(async () => {
    await network?.destroy();
  });

  async function create(options: Parameters<typeof TestNetwork.create>[0] = {}): Promise<void> {
    network = await TestNetwork.create(options);
    await network.start();
  }

  async function order(transactions: number, ...numbers: number[]): Promise<void> {
    for (let i = 0; i < transactions; i++) {
      await submitText(network.url(numbers[i % numbers.length] ?? 1), `tx ${count++}`);
    }
  }

  /** The fast path needs the votes of all. */
  async function expectAllTakePart(): Promise<void> {
    await network.ready();
    await until('the fast path is back', async () => {
      await order(4, 1, 2, 3, 4);
      const infos = await Promise.all(network.urls.map(infoOf));
      return infos.every(({ path, state }) => path === 'fast' && state === 'ordering');
    });
    await expectOneChain();
  }

  async function expectOneChain(): Promise<void> {
    await until('all have the same certified tip', async () => {
      const infos = await Promise.all(network.urls.map(infoOf));
      return new Set(infos.map(({ tipHash }) => tipHash)).size === 1;
    });
    const report = await audit(network.urls.map((at) => ({ kind: 'url', at })));
    expect(report.verdict).to.equal('good');
  }

  it('one by one, the leader too: each takes part again, and the rest goes on meanwhile', async () => {
    await create();
    for (const number of [3, 1, 2, 4]) {
      await order(4, 1, 2, 3, 4);
      await network.kill(number);
      const others = [1, 2, 3, 4].filter((other) => other !== number);
      await order(6, ...others);
      network.spawn(number);
      await expectAllTakePart();
    }
  });

  it('all at once, killed in mid-load: nothing that was acknowledged is lost', async () => {
    await create();
    const load = { transactions: 1_200, payloadBytes: 256, clients: 4, inFlight: 8 };
    let killed = false;
    const loading = runScenario(network, {
      ...load,
      onCommitted: async (done) => {
        if (killed || done < load.transactions / 3) return;
        killed = true;
        await network.kill(1, 2, 3, 4);
        network.spawn();
      },
    });
    const result = await loading;
    expect(new Set(result.txIds).size).to.equal(load.transactions);
    await expectAllTakePart();
    for (const { number } of network.created.replicas) {
      expect(network.log(number)).to.not.contain('SAFETY VIOLATION');
    }
  });

  it('after having been away for long: with the blocks of the others', async () => {
    await create({ sluice: { windowSlots: 16 } });
    await order(5, 1, 2, 3, 4);
    await network.kill(4);
    await order(60, 1, 2, 3);
    network.spawn(4);
    await expectAllTakePart();
    expect(network.log(4)).to.contain('caught up with a checkpoint of the others');
  });

  it('or come for the first time when the others are far: it knows that it never voted', async () => {
    network = await TestNetwork.create({ sluice: { windowSlots: 16 } });
    network.spawn(1, 2, 3);
    await network.ready([1, 2, 3].map((number) => network.url(number)));
    await order(60, 1, 2, 3);
    network.spawn(4);
    await expectAllTakePart();
    expect(network.log(4)).to.contain('"entry":"begin"');
    expect(network.log(4)).to.contain('caught up with a checkpoint of the others');
  });

  it('with an empty data folder: it joins, and votes after a checkpoint', async () => {
    await create({ sluice: { windowSlots: 16 } });
    await order(20, 1, 2, 3, 4);
    await network.kill(2);
    rmSync(network.channelFolder(2), { recursive: true });
    network.spawn(2);
    await until('it has joined', async () => (await infoOf(network.url(2))).state === 'joined');
    const answer = await fetch(`${network.url(2)}/healthz`);
    expect(answer.status).to.equal(503);
    expect(await answer.text()).to.contain('joined without memory of its votes');
    const refused = await fetch(`${network.url(2)}/v1/channels/main/transactions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ data: 'not yet' }),
    });
    expect(refused.status).to.equal(503);
    await order(40, 1, 3, 4);
    await expectAllTakePart();
    await network.kill(2);
    network.spawn(2);
    await expectAllTakePart();
    expect(network.log(2).match(/"entry":"(\w+)"/g)).to.deep.equal(
      ['begin', 'join', 'restore'].map((entry) => `"entry":"${entry}"`),
    );
  });

  it('refuses a log that was changed, and joins when it is moved away', async () => {
    await create({ sluice: { windowSlots: 16 } });
    await order(20, 1, 2, 3, 4);
    await network.kill(3);
    const log = join(network.channelFolder(3), 'log');
    const [segment = ''] = readdirSync(log);
    truncateSync(join(log, segment), 20);
    network.spawn(3);
    await network.process(3).exited;
    expect(network.process(3).exitCode).to.equal(1);
    expect(network.log(3)).to.match(/move the folder of this file away, and start it again/);
    renameSync(log, join(network.directory, 'damaged-log'));
    network.spawn(3);
    await until('it has joined', async () => (await infoOf(network.url(3))).state === 'joined');
    await order(40, 1, 2, 4);
    await expectAllTakePart();
  });

  it('refuses a ledger that is older than its log', async () => {
    await create({ sluice: { windowSlots: 16 } });
    await order(40, 1, 2, 3, 4);
    await network.kill(3);
    for (const part of ['db', 'segments']) {
      rmSync(join(network.channelFolder(3), part), { recursive: true });
    }
    rmSync(join(network.channelFolder(3), 'clean-stop'), { force: true });
    network.spawn(3);
    await network.process(3).exited;
    expect(network.process(3).exitCode).to.equal(1);
    expect(network.log(3)).to.match(/the ledger has 1 blocks, and this replica has signed/);
    rmSync(network.channelFolder(3), { recursive: true });
    network.spawn(3);
    await order(40, 1, 2, 4);
    await expectAllTakePart();
  });

  it('in memory mode: one joins, all begin a new run, and nothing certified is lost', async () => {
    await create({ durability: 'memory', sluice: { windowSlots: 16 } });
    await order(10, 1, 2, 3, 4);
    expect(existsSync(join(network.channelFolder(1), 'log'))).to.equal(false);
    await network.kill(4);
    network.spawn(4);
    await until('it has joined', async () => (await infoOf(network.url(4))).state === 'joined');
    await order(40, 1, 2, 3);
    await expectAllTakePart();
    const { height, tipHash } = await infoOf(network.url(1));
    await network.kill(1, 2, 3, 4);
    network.spawn();
    await network.ready();
    expect((await infoOf(network.url(3))).height).to.be.at.least(height);
    const { blockNumber } = await submitText(network.url(2), 'after the restart');
    expect(blockNumber).to.be.at.least(height);
    await expectAllTakePart();
    expect(tipHash).to.have.length(64);
    expect(network.log(1)).to.match(/"generation":2/);
  });

  it('more than f of them without memory: all leave the run and begin another', async () => {
    await create();
    await order(8, 1, 2, 3, 4);
    const { height } = await infoOf(network.url(3));
    await network.kill(1, 2);
    for (const number of [1, 2]) rmSync(network.channelFolder(number), { recursive: true });
    network.spawn(1, 2);
    await network.ready();
    expect((await submitText(network.url(3), 'in the new run')).blockNumber).to.be.at.least(height);
    await expectAllTakePart();
    expect(network.log(3)).to.match(/2 of 4 replicas have lost the memory of this run/);
    expect(readdirSync(network.channelFolder(3))).to.include('log.abandoned-1');
  });
});
