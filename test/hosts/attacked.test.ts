/** Four replicas as processes, of which one comes back as a liar and writes into the others' memory all the while: they order on. */
import { randomBytes } from 'node:crypto';
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
const LYING = new URL('../attacks/support/lying-replica.js', import.meta.url).href;
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

    async function load(urls: readonly string[], what: string): Promise<void> {
      const signer = signerOf(network);
      const envelopes = Array.from({ length: TRANSACTIONS }, () => signer.wrap(randomBytes(256)));
      const { channel } = network.created.config;
      const options = { urls, channel, envelopes, clients: 3, inFlight: 8, pauseMs: 0 };
      const { seconds, retries, txIds } = await runLoad({ ...options, onCommitted: () => {} });
      expect(txIds).to.have.length(TRANSACTIONS);
      console.log(
        `      ${provider}, ${what}: ${TRANSACTIONS} transactions in ${seconds.toFixed(1)} s, ${retries} retries`,
      );
    }

    it('goes on, in one chain, and every correct replica has seen the lies', async () => {
      const urls = CORRECT.map((number) => network.url(number));
      await network.start();
      await load(urls, 'before');
      await network.kill(LIAR);
      network.spawnWith(LIAR, { NODE_OPTIONS: `--import=${LYING}` });
      const haveSeen = async (): Promise<boolean> =>
        (await Promise.all(CORRECT.map(faultsOfLiar))).every((faults) => faults > 0);
      await eventually('lies are seen', haveSeen, patience(20_000));
      await load(urls, 'under attack');
      const faults = await Promise.all(CORRECT.map(faultsOfLiar));
      console.log(
        `      ${provider}: faults that the correct replicas count: ${faults.join(', ')}`,
      );
      const { verdict } = await audit(urls.map((at) => ({ kind: 'url', at }) as const));
      expect(verdict).to.equal('good');
      expect(network.process(LIAR).exitCode, 'the liar still runs').to.equal(null);
    });
  });
}
