/** A replica that stands still or is cut off for a while, under light load: it catches up and takes part again. */
import { expect } from 'chai';
import { audit } from '../load/scenario.ts';
import { cutLinks } from '../support/link-player.ts';
import { infoOf, submitText } from '../support/replica-api.ts';
import { eventually } from '../support/until.ts';
import { useNetwork } from '../support/use-network.ts';

/** Links die after five seconds of silence (rdma/links/limits.ts). */
const PAUSE_MS = 7_000;

const PATIENCE_MS = 15_000;

const until = (what: string, condition: () => Promise<boolean>): Promise<void> =>
  eventually(what, condition, PATIENCE_MS);

describe('a replica that is away for a while', function () {
  this.timeout(60_000);
  const network = useNetwork();
  let count = 0;

  /** Submits to these replicas, one after the other, until told to stop. */
  async function lightLoad(urls: readonly string[], done: () => boolean): Promise<void> {
    while (!done()) {
      await submitText(urls[count++ % urls.length] ?? '', `light load ${count}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** All sessions open, one chain, and the fast path, which needs all four. */
  async function expectRecovered(): Promise<void> {
    await until('all sessions are open', async () => {
      const infos = await Promise.all(network.urls.map(infoOf));
      return infos.every(({ peers }) => peers.every(({ connected }) => connected));
    });
    await until('the fast path is back', async () => {
      for (const url of network.urls) await submitText(url, `again ${count++}`);
      return (await Promise.all(network.urls.map(infoOf))).every(({ path }) => path === 'fast');
    });
    await until('all have the same certified tip', async () => {
      const infos = await Promise.all(network.urls.map(infoOf));
      return new Set(infos.map(({ tipHash }) => tipHash)).size === 1;
    });
    const report = await audit(network.urls.map((at) => ({ kind: 'url', at })));
    expect(report.verdict).to.equal('good');
  }

  it('is stopped until its links have died, continues, catches up and takes part', async () => {
    const [one = '', two = '', three = '', four = ''] = network.urls;
    network.process(3).kill('SIGSTOP');
    const endMs = Date.now() + PAUSE_MS;
    await lightLoad([one, two, four], () => Date.now() > endMs);
    const { height } = await infoOf(one);
    expect(height, 'blocks made meanwhile').to.be.above(50);
    network.process(3).kill('SIGCONT');
    await until('it has all certified blocks', async () => (await infoOf(three)).height >= height);
    await expectRecovered();
  });

  it('loses its links under load and is back at once', async () => {
    let stop = false;
    const load = lightLoad(network.urls, () => stop);
    expect(await cutLinks(network, 4), 'links cut').to.equal(3);
    await until('the sessions are open again', async () => {
      const { peers } = await infoOf(network.url(4));
      return peers.every(({ connected }) => connected);
    });
    stop = true;
    await load;
    await expectRecovered();
  });
});
