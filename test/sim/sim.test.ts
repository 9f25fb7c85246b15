/** A few fixed seeds, and those that have found bugs. `npm run sim` runs as many as one likes. */
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { Coverage } from './coverage.ts';
import { loadProtocol, type Protocol } from './protocol.ts';
import { describeScenario } from './report.ts';
import { runSeed } from './run.ts';
import type { Overrides } from './scenario.ts';
import { Trace } from './trace.ts';

interface Regression {
  readonly seed: number;
  readonly overrides: Overrides;
  /** What the seed found. */
  readonly bug: string;
}

const FIRST_SEED = 1;
const SEEDS = 10;
/** From dist/test/sim to the source. */
const REGRESSIONS = new URL('../../../test/sim/regressions.json', import.meta.url);

describe('simulated clusters', function () {
  this.timeout(60_000);
  let protocol: Protocol;

  before(async () => {
    protocol = await loadProtocol();
  });

  it('break no rule, though much goes wrong', () => {
    const coverage = new Coverage();
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
      const result = runSeed(protocol, seed);
      expect(result.violations, describeScenario(result.scenario)).to.eql([]);
      coverage.add(result.coverage);
    }
    for (const what of [
      'slots delivered fast',
      'slots delivered slow',
      'slots delivered fetched',
      'checkpoints executed',
      'lives begun: restore',
      'lives begun: join',
      'records new-view',
      'logs rotated',
      'transfers',
      'attestations read',
      'batches to check: form',
      'batches to check: late',
    ]) {
      expect(coverage.counts.get(what), what).to.be.above(0);
    }
  });

  it('do not break again where they once did', () => {
    const regressions = JSON.parse(readFileSync(REGRESSIONS, 'utf8')) as Regression[];
    for (const { seed, overrides, bug } of regressions) {
      const { violations } = runSeed(protocol, seed, overrides);
      expect(violations, `seed ${seed}: ${bug}`).to.eql([]);
    }
  });

  it('are the same whenever they run, traced or not', () => {
    const plain = runSeed(protocol, FIRST_SEED);
    let lines = 0;
    const write = () => {
      lines++;
    };
    const traced = runSeed(protocol, FIRST_SEED, {}, new Trace({ write, everything: true }));
    expect(traced).to.eql(plain);
    expect(lines).to.be.above(100);
  });
});
