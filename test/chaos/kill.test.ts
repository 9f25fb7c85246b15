/** kill -9 under load: followers, then the leader, then the leader again and again. */
import { expect } from 'chai';
import { type ChaosNetwork, describeTimes, onNewNetworks } from './chaos-network.ts';

const LEADER_KILLS = Number(process.env.SLUICE_CHAOS_ROUNDS ?? 20);
/** Not a speed: that a view change is no matter of many seconds, on whatever machine. */
const FAILOVER_P50_MS_MAX = 1_500;

describe('kill -9', function () {
  this.timeout(600_000);
  let chaos: ChaosNetwork;

  onNewNetworks((started) => {
    chaos = started;
  });

  it('each in turn, leader and followers: it is back, and the next one can be spared', async () => {
    chaos.startLoad();
    for (const number of [...chaos.numbers, ...chaos.numbers]) {
      await chaos.committed(20);
      await chaos.network.kill(number);
      // With one dead these three are a quorum: whoever was restarted before votes.
      await chaos.committed(30);
      await chaos.probe(chaos.othersThan(number));
      chaos.restart(number);
      await chaos.takePart([number]);
    }
    await chaos.voteAll();
    await chaos.stopLoad();
    await chaos.verify('kill in turn');
  });

  it(`the leader ${LEADER_KILLS} times: submitters see latency and nothing else`, async () => {
    chaos.startLoad();
    const timesMs: number[] = [];
    for (let round = 0; round < LEADER_KILLS; round++) {
      await chaos.committed(20);
      timesMs.push(await chaos.replaceLeader());
    }
    const { retries, txIds } = await chaos.stopLoad();
    console.log(
      `kill the leader: kill to next receipt ${describeTimes(timesMs)}; ` +
        `${txIds.length} transactions, ${retries} retries`,
    );
    const sorted = timesMs.toSorted((a, b) => a - b);
    expect(sorted[Math.floor(sorted.length / 2)]).to.be.below(FAILOVER_P50_MS_MAX);
    await chaos.verify('kill the leader');
  });
});
