/** SIGSTOP: a replica that stands still for longer than every time-out, and then goes on as if nothing had been. */
import { expect } from 'chai';
import { DEFAULT_LIMITS } from '../../consensus/core/index.ts';
import { type ChaosNetwork, onNewNetworks } from './chaos-network.ts';

/** Links, sessions, views and clients have all given up by then. */
const STOP_MS = 3 * DEFAULT_LIMITS.viewTimeoutMsMax;

describe('a replica that is stopped', function () {
  this.timeout(600_000);
  let chaos: ChaosNetwork;

  onNewNetworks((started) => {
    chaos = started;
  });

  /** Answers how many transactions were ordered meanwhile. */
  async function standStill(number: number): Promise<number> {
    const before = chaos.acknowledged.size;
    chaos.network.process(number).kill('SIGSTOP');
    const endMs = performance.now() + STOP_MS;
    // The others order all the time, not only at the end of it.
    while (performance.now() < endMs) await chaos.committed(10);
    chaos.network.process(number).kill('SIGCONT');
    return chaos.acknowledged.size - before;
  }

  async function backAgain(number: number, name: string, ordered: number): Promise<void> {
    const startedMs = performance.now();
    await chaos.takePart([number]);
    const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1);
    console.log(
      `${name}: ${ordered} transactions in ${STOP_MS / 1_000} s without it, back after ${seconds} s`,
    );
    await chaos.voteAll();
    await chaos.stopLoad();
    await chaos.verify(name);
  }

  it('a follower: nobody asks for another leader', async () => {
    const leader = await chaos.leader();
    const follower = 1 + (leader % 4);
    chaos.startLoad();
    await chaos.committed(20);
    const before = await chaos.info(leader);
    const ordered = await standStill(follower);
    const after = await chaos.info(leader);
    expect(after.view, 'the view').to.equal(before.view);
    await backAgain(follower, 'stopped follower', ordered);
  });

  it('the leader: another one leads, and it follows', async () => {
    chaos.startLoad();
    await chaos.committed(20);
    const leader = await chaos.leader();
    const other = 1 + (leader % 4);
    const { view } = await chaos.info(other);
    const ordered = await standStill(leader);
    expect((await chaos.info(other)).view, 'the view').to.be.above(view);
    await backAgain(leader, 'stopped leader', ordered);
  });
});
