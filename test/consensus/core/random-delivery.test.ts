/**
 * Clusters under random delivery. `SEEDS=500 npx mocha ...` runs more of
 * them; a failure names its seed.
 */
import { expect } from 'chai';
import type { CoreState } from '../../../consensus/core/state.ts';
import { RandomCluster, type RandomOptions } from '../support/random-cluster.ts';

const SEEDS = Number(process.env.SEEDS ?? 1);
const FIRST_SEED = Number(process.env.FIRST_SEED ?? 1);
const EVENTS = 1_200;
/** Virtual time within which a healed cluster must have delivered everything. */
const HEALED_WITHIN_MS = 60_000;

function disturbed(options: RandomOptions, events: number): RandomCluster {
  const cluster = new RandomCluster(options);
  for (let event = 0; event < events; event++) cluster.disturb();
  return cluster;
}

function seeds(): number[] {
  return Array.from({ length: SEEDS }, (_, index) => FIRST_SEED + index);
}

/** A window so small that replicas fall out of it and logs are needed. */
const SMALL = { windowSlots: 8, pipelineSlotsMax: 3, fetchSlotsMax: 8, laneAdvanceBatchesMax: 3 };

/** Followers that lose patience all the time: views change under everything else. */
const IMPATIENT = { ...SMALL, heartbeatMs: 5, viewTimeoutMs: 20, leaderGoneMs: 10 };

function checkHealed(cluster: RandomCluster, seed: number): void {
  expect(cluster.disagreement(), `seed ${seed}`).to.equal(undefined);
  cluster.heal();
  const healed = cluster.settle(() => cluster.isComplete(), HEALED_WITHIN_MS);
  expect(cluster.disagreement(), `seed ${seed}`).to.equal(undefined);
  expect(healed, `seed ${seed} delivers everything`).to.equal(true);
}

describe('random delivery', function () {
  this.timeout(Math.max(10_000, SEEDS * 4_000));

  for (let replicas = 1; replicas <= 7; replicas++) {
    // Without loss, a few sizes say as much as all.
    for (const lossPercent of [1, 4, 7].includes(replicas) ? [0, 10] : [10]) {
      const limits = lossPercent === 0 ? {} : SMALL;
      it(`of ${replicas} replicas at ${lossPercent} % loss: all deliver all, the same, once`, () => {
        for (const seed of seeds()) {
          const cluster = disturbed({ seed, replicas, lossPercent, limits }, EVENTS);
          checkHealed(cluster, seed);
          const faults = cluster.correct.flatMap(({ evidence }) => evidence);
          expect(faults, `seed ${seed} accuses nobody`).to.eql([]);
        }
      });
    }
  }

  for (const replicas of [4, 6]) {
    it(`of ${replicas} replicas whose views change: all deliver all, the same, once`, () => {
      let views = 0;
      for (const seed of seeds()) {
        const options = { seed, replicas, lossPercent: 5, limits: IMPATIENT };
        const cluster = disturbed(options, 2 * EVENTS);
        checkHealed(cluster, seed);
        views += Math.max(...cluster.correct.map(({ core }) => core.status().view));
        const faults = cluster.correct.flatMap(({ evidence }) => evidence);
        expect(faults, `seed ${seed} accuses nobody`).to.eql([]);
      }
      expect(views).to.be.above(0);
    });
  }

  for (const replicas of [1, 4, 5]) {
    it(`of ${replicas} replicas that are killed: all deliver all, the same, once`, () => {
      for (const seed of seeds()) {
        const options = { seed, replicas, lossPercent: 3, limits: IMPATIENT, restarts: true };
        checkHealed(disturbed(options, 2 * EVENTS), seed);
      }
    });
  }

  for (const replicas of [4, 7]) {
    it(`of ${replicas} replicas that lose disks: all get their voices back, and deliver the same`, () => {
      for (const seed of seeds()) {
        const disks = { restarts: true, wipes: true };
        const options = { seed, replicas, lossPercent: 2, limits: IMPATIENT, ...disks };
        checkHealed(disturbed(options, 2 * EVENTS), seed);
      }
    });
  }

  for (const replicas of [4, 5, 7]) {
    const twins = Math.floor((replicas - 1) / 3);
    it(`of ${replicas} replicas, ${twins} followers lying: correct lanes are delivered`, () => {
      for (const seed of seeds()) {
        const options = { seed, replicas, twins, byzantineFrom: 1, limits: SMALL };
        checkHealed(disturbed(options, EVENTS), seed);
      }
    });

    it(`of ${replicas} replicas, the leader lying: correct lanes are delivered`, () => {
      for (const seed of seeds()) {
        const limits = seed % 2 === 0 ? SMALL : IMPATIENT;
        const options = { seed, replicas, twins, byzantineFrom: 0, lossPercent: 5, limits };
        checkHealed(disturbed(options, EVENTS), seed);
      }
    });
  }
});

describe('a planted bug', function () {
  this.timeout(20_000);
  const bugs: Record<string, (state: CoreState) => void> = {
    'a quorum of f + 1': (state) => {
      state.quorum = state.faults + 1;
    },
    'a fast path of q - 1 votes': (state) => {
      state.fastQuorum = state.quorum - 1;
    },
  };
  for (const [name, plant] of Object.entries(bugs)) {
    it(`is found: ${name}`, () => {
      const caught = Array.from({ length: 200 }, (_, seed) => seed).some((seed) => {
        const options = { seed, replicas: 4, twins: 1, byzantineFrom: 0, plant };
        try {
          return disturbed(options, 1_500).disagreement() !== undefined;
        } catch (error) {
          return (error as { code?: string }).code === 'safety_violation';
        }
      });
      expect(caught).to.equal(true);
    });
  }
});
