/** Four replicas on four machines (network namespaces), over tcp: cables pulled and plugged in, long ways. */
import { expect } from 'chai';
import { ChaosNetwork, describeTimes } from '../chaos/chaos-network.ts';
import { Namespaces } from './namespaces.ts';

const HOSTS = [1, 2, 3, 4];
/** Longer than what makes a link dead (`silenceMaxMs`). */
const CUT_MS = 8_000;
const DELAY_MS = 20;
const PROBES = 20;

describe('replicas on several hosts', function () {
  this.timeout(240_000);
  let namespaces: Namespaces;
  let chaos: ChaosNetwork;

  before(async function () {
    const obstacle = Namespaces.obstacle();
    if (obstacle !== undefined) {
      console.log(`      skipped: there can be no network namespaces here: ${obstacle}`);
      this.skip();
    }
    namespaces = Namespaces.create(HOSTS.length);
    chaos = await ChaosNetwork.start({
      provider: 'tcp',
      hosts: HOSTS.map((host) => namespaces.addressOf(host)),
      launcherOf: (number) => namespaces.launcherOf(number),
    });
  });

  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.log(chaos.network.logs());
  });

  after(async () => {
    await chaos?.destroy();
    namespaces?.destroy();
  });

  const cutFor = async (host: number): Promise<void> => {
    namespaces.cut(host);
    const endMs = performance.now() + CUT_MS;
    // The others go on all the while.
    while (performance.now() < endMs) await chaos.probe(chaos.othersThan(host));
    namespaces.heal(host);
  };

  it('order, all of them voting', async () => {
    await chaos.voteAll();
    chaos.startLoad();
    await chaos.committed(50);
    await chaos.stopLoad();
  });

  it('go on without one whose cable is pulled, and take it back', async () => {
    const leader = await chaos.leader();
    const follower = chaos.othersThan(leader)[0] as number;
    await cutFor(follower);
    await chaos.takePart([follower]);
    await chaos.voteAll();
  });

  it('replace a leader whose cable is pulled, and take it back', async () => {
    const leader = await chaos.leader();
    namespaces.cut(leader);
    const ms = await chaos.probe(chaos.othersThan(leader));
    console.log(`      cable of the leader pulled to next receipt: ${ms.toFixed(0)} ms`);
    await cutFor(leader);
    await chaos.takePart([leader]);
    expect(await chaos.leader()).to.not.equal(leader);
    await chaos.voteAll();
  });

  it(`order over ways of ${DELAY_MS} ms`, async () => {
    await namespaces.delay(DELAY_MS);
    await chaos.voteAll();
    const timesMs: number[] = [];
    for (let i = 0; i < PROBES; i++) timesMs.push(await chaos.probe(chaos.numbers));
    console.log(`      submit to receipt over ways of ${DELAY_MS} ms: ${describeTimes(timesMs)}`);
    // Batch, votes and block signatures each take a way, one after the other: less, and nothing was delayed.
    expect(Math.min(...timesMs)).to.be.at.least(3 * DELAY_MS);
  });

  it('are one chain in the end', async () => {
    await chaos.verify('several hosts');
  });
});
