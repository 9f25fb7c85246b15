/** The same replicas with one line of network.yaml changed: load, the leader killed, view change, restart, audit. */
import { PROVIDERS } from '../../rdma/contract.ts';
import { ChaosNetwork } from '../chaos/chaos-network.ts';
import { IN_GUEST } from '../support/slow.ts';

/** `shm` has tests enough; a device is where the guest is. */
const TESTED = PROVIDERS.filter((provider) => (provider === 'verbs') === IN_GUEST).filter(
  (provider) => provider !== 'shm',
);

for (const provider of TESTED) {
  describe(`a network over ${provider}`, function () {
    this.timeout(IN_GUEST ? 900_000 : 240_000);
    let chaos: ChaosNetwork;

    before(async () => {
      chaos = await ChaosNetwork.start({ provider });
    });

    afterEach(function () {
      if (this.currentTest?.state === 'failed') console.log(chaos.network.logs());
    });

    after(async () => {
      await chaos?.destroy();
    });

    it('orders, replaces a leader that was killed, and takes it back', async () => {
      chaos.startLoad();
      await chaos.committed(30);
      await chaos.replaceLeader();
      await chaos.committed(30);
      await chaos.stopLoad();
      await chaos.verify(`over ${provider}`);
    });
  });
}
