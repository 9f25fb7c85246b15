/** The same replicas with one line of network.yaml changed: load, the leader killed, view change, restart, audit. */
import { PROVIDERS } from '../../rdma/contract.ts';
import { ChaosNetwork } from '../chaos/chaos-network.ts';
import { type Pace, STEADY } from '../chaos/load.ts';
import { IN_GUEST } from '../support/slow.ts';

/** `shm` has tests enough; a device is where the guest is. */
const TESTED = PROVIDERS.filter((provider) => (provider === 'verbs') === IN_GUEST).filter(
  (provider) => provider !== 'shm',
);

const PACE: Pace = IN_GUEST ? { clients: 2, inFlight: 1, pauseMs: 1_000 } : STEADY;
const TRANSACTIONS = IN_GUEST ? 10 : 30;

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
      const startedMs = performance.now();
      const tell = (what: string): void => {
        const seconds = (performance.now() - startedMs) / 1_000;
        console.log(`      ${what} after ${seconds.toFixed(0)} s`);
      };
      chaos.startLoad(PACE);
      await chaos.committed(TRANSACTIONS);
      tell('ordering');
      await chaos.replaceLeader();
      tell('leader killed, replaced and back');
      await chaos.committed(TRANSACTIONS);
      const { retries } = await chaos.stopLoad();
      tell(`all receipts (${retries} requests tried again)`);
      await chaos.verify(`over ${provider}`);
    });
  });
}
