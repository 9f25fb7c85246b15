/** Four replicas as processes, of which one writes lies into the memory of the others all the while: they order on. */
import { expect } from 'chai';
import type { ProviderName } from '../../rdma/index.ts';
import { runLoad } from '../load/driver.ts';
import { audit, signerOf } from '../load/scenario.ts';
import { TestNetwork } from '../support/network.ts';
import { IN_GUEST, patience } from '../support/slow.ts';
import { eventually } from '../support/until.ts';

const LIAR = 4;
const CORRECT = [1, 2, 3];
const TRANSACTIONS = IN_GUEST ? 20 : 300;
const LYING = new URL('./support/lying-replica.js', import.meta.url).href;
/** A device is where the guest is. */
const PROVIDERS_HERE: readonly ProviderName[] = IN_GUEST ? ['verbs'] : ['shm', 'tcp'];

interface Peer {
  readonly replica: number;
  readonly faults: number;
}

for (const provider of PROVIDERS_HERE) {
  describe(`ordering while a replica lies to memory (${provider})`, function () {
    this.timeout(patience(90_000));
    let network: TestNetwork;

    before(async () => {
      network = await TestNetwork.create({ provider });
    });
    afterEach(function () {
      if (this.currentTest?.state === 'failed') console.log(network.logs());
    });
    after(async () => {
      await network?.destroy();
    });

    async function faultsOfLiar(number: number): Promise<number> {
      const answer = await fetch(`${network.url(number)}/v1/channels/main`);
      const { peers } = (await answer.json()) as { peers: readonly Peer[] };
      return peers.find(({ replica }) => replica === LIAR)?.faults ?? 0;
    }

    it('goes on, in one chain, and every correct replica has seen the lies', async () => {
      network.spawn(...CORRECT);
      network.spawnWith(LIAR, { NODE_OPTIONS: `--import=${LYING}` });
      const urls = CORRECT.map((number) => network.url(number));
      await network.ready(urls);
      await eventually(
        'lies are seen',
        async () => (await Promise.all(CORRECT.map(faultsOfLiar))).every((faults) => faults > 0),
        patience(20_000),
      );
      const signer = signerOf(network);
      const envelopes = Array.from({ length: TRANSACTIONS }, (_, i) =>
        signer.wrap(Buffer.from(`${i}`)),
      );
      const channel = network.created.config.channel;
      const load = { urls, channel, envelopes, clients: 3, inFlight: 8, pauseMs: 0 };
      const result = await runLoad({ ...load, onCommitted: () => {} });
      const faults = await Promise.all(CORRECT.map(faultsOfLiar));
      console.log(
        `      ${provider}: ${TRANSACTIONS} transactions in ${result.seconds.toFixed(1)} s, ` +
          `${result.retries} retries; faults of the liar as the others count them: ${faults.join(', ')}`,
      );
      const { verdict } = await audit(urls.map((at) => ({ kind: 'url', at }) as const));
      expect(verdict).to.equal('good');
    });
  });
}
