/** Submission streams of a real network: ordered like everything else, and carried on when their replica dies. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { SluiceClient, type StreamResult } from '../../api/client/index.ts';
import { audit, signerOf } from '../load/scenario.ts';
import { useNetwork } from '../support/use-network.ts';

const COUNT = 1_500;
/** Results after which the stream's replica is killed. */
const KILL_AFTER = 300;

describe('a submission stream', function () {
  this.timeout(120_000);
  const network = useNetwork();

  it('has one receipt for each envelope, also when its replica is killed in the middle', async () => {
    const { directory, config } = network.created;
    const { channel } = config;
    const trust = readFileSync(join(directory, 'genesis', `${channel}.block`));
    const client = new SluiceClient({ urls: network.urls, channel, trust });
    const signer = signerOf(network);
    const envelopes = Array.from({ length: COUNT }, (_, i) => signer.wrap(Buffer.from(`${i}`)));
    const results: StreamResult[] = [];
    for await (const result of client.submitStream(envelopes, { inFlightMax: 200 })) {
      results.push(result);
      if (results.length === KILL_AFTER) await network.kill(1);
    }
    const places = results.map((result) => {
      if (result.kind === 'failed') throw result.error;
      return `${result.receipt.blockNumber}/${result.receipt.index}`;
    });
    expect(new Set(results.map(({ index }) => index)).size).to.equal(COUNT);
    expect(new Set(places).size).to.equal(COUNT);
    const report = await audit(network.urls.slice(1).map((at) => ({ kind: 'url', at })));
    expect(report.verdict).to.equal('good');
    // The genesis block holds one more; the auditor refuses a transaction that stands there twice.
    expect(report.transactions).to.equal(COUNT + 1);
  });
});
