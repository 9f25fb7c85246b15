/** A short version of `npm run test:chaos`: the leader killed under load, then all four, and the chain audited. */
import { ChaosNetwork } from '../chaos/chaos-network.ts';

describe('faults under load', function () {
  this.timeout(240_000);
  let chaos: ChaosNetwork;

  before(async () => {
    chaos = await ChaosNetwork.start();
  });

  after(async () => {
    await chaos?.destroy();
  });

  it('the leader is killed and restarted, then all are: nothing acknowledged is lost', async () => {
    chaos.startLoad();
    await chaos.committed(30);
    await chaos.replaceLeader();
    await chaos.committed(30);
    await chaos.cutPower();
    await chaos.committed(30);
    await chaos.stopLoad();
    await chaos.takePart();
    await chaos.verify('faults under load');
  });
});
