/** The same replicas without shared memory: load, the leader killed, view change, restart, audit. */
import { ChaosNetwork } from '../chaos/chaos-network.ts';

describe('a network over tcp', function () {
  this.timeout(240_000);
  let chaos: ChaosNetwork;

  before(async () => {
    chaos = await ChaosNetwork.start({ provider: 'tcp' });
  });

  after(async () => {
    await chaos?.destroy();
  });

  it('orders, replaces a leader that was killed, and takes it back', async () => {
    await chaos.voteAll();
    chaos.startLoad();
    await chaos.committed(30);
    const leader = await chaos.leader();
    await chaos.network.kill(leader);
    await chaos.probe(chaos.othersThan(leader));
    chaos.restart(leader);
    await chaos.takePart([leader]);
    await chaos.committed(30);
    await chaos.stopLoad();
    await chaos.voteAll();
    await chaos.verify('over tcp');
  });
});
