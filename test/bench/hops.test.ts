import { expect } from 'chai';
import { measureHops } from '../../bench/http/hops.ts';

describe('the bare pattern of a transaction', function () {
  this.timeout(30_000);

  it('comes to its end for each, at a rate and one after the other', async () => {
    for (const rate of [undefined, 500]) {
      const options = rate === undefined ? { count: 300 } : { count: 100, rate };
      const { latenciesMs, cpuUsPerTransactionAndReplica } = await measureHops(options);
      expect(latenciesMs).to.have.length(options.count);
      // Thirteen wake-ups, one after the other.
      expect(Math.min(...latenciesMs)).to.be.greaterThan(0.01);
      expect(cpuUsPerTransactionAndReplica).to.be.greaterThan(0);
    }
  });
});
