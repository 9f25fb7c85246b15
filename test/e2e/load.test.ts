/** A short version of `npm run test:load`: a replica is killed in the middle of a load, nothing is lost. */
import { expect } from 'chai';
import { audit, runScenario } from '../load/scenario.ts';
import { useNetwork } from '../support/use-network.ts';

const load = { transactions: 1_500, payloadBytes: 256, clients: 8, inFlight: 8, kill: 3 };

describe('a replica killed under load', function () {
  this.timeout(120_000);
  const network = useNetwork();

  it('costs no transaction and no client an error that it cannot retry', async () => {
    const result = await runScenario(network, load);
    expect(new Set(result.txIds).size).to.equal(load.transactions);
    const alive = network.urls.filter((_, index) => index !== load.kill - 1);
    const report = await audit(alive.map((at) => ({ kind: 'url', at })));
    expect(report.verdict).to.equal('good');
    expect(new Set(report.sources.map(({ tipHash }) => tipHash)).size).to.equal(1);
    // The genesis block holds one more. The auditor refuses a transaction that stands there twice.
    expect(report.transactions).to.equal(load.transactions + 1);
  });

  it('leaves ledgers on disk that the auditor accepts, all four of them', async () => {
    await network.stop();
    const folders = network.created.replicas.map(({ number }) => network.ledgerFolder(number));
    const report = await audit(folders.map((at) => ({ kind: 'data', at })));
    expect(report.verdict).to.equal('good');
    expect(report.sources).to.have.length(4);
  });
});
