/** The scale model: what is counted, and what follows from counts and costs. */
import { expect } from 'chai';
import {
  type Costs,
  cpuParts,
  cpuUs,
  gatheredCellBytes,
  trafficOf,
  VOTINGS,
  type Work,
} from '../../bench/model/cost.ts';
import { deploy } from '../../bench/model/deployment.ts';
import { NETWORKS, type NetworkModel } from '../../bench/model/networks.ts';
import { replayCosts } from '../../bench/model/replay.ts';
import { type Simulated, simulate } from '../../bench/model/simulated.ts';
import { type CellKind, cellBytes, frameBytes, perSlot, Tally } from '../../bench/model/tally.ts';
import * as wire from '../../consensus/wire/index.ts';

const each = (value: number): Record<CellKind, number> => ({
  proposal: value,
  vote: value,
  commit: value,
  progress: value,
});

/** Every operation a microsecond, but what is said. */
function costsOf(replicas: number, more: Partial<Costs> = {}): Costs {
  return {
    replicas,
    turn: 1,
    writeCell: each(replicas),
    readCell: each(1),
    decodeCell: each(1),
    dispatch: 0.5,
    sealVote: 0.5,
    writeBatch: { small: 1, large: 10 },
    readBatch: { small: 1, large: 10 },
    sendMessage: 1,
    readMessage: 1,
    hash: 1,
    hashPerByte: 0,
    sign: 1,
    verify: 1,
    copyPerByte: 0,
    ...more,
  };
}

/** Of a slot: a proposal by the leader, votes of all, nothing else. */
function workOf(replicas: number): Work {
  const tally = new Tally(replicas, wire);
  const { counts } = tally;
  counts.slots = 1;
  counts.turns = 3;
  counts.written.vote = 1;
  counts.read.vote = replicas - 1;
  counts.read.proposal = 1;
  counts.writesOut = replicas - 1;
  counts.bytesOut = (replicas - 1) * cellBytes('vote', replicas);
  return { counts: perSlot([counts]), coreUs: 2 * replicas, voteUs: 1 };
}

describe('sizes on the wire', () => {
  it('are those of the layout', () => {
    expect(cellBytes('vote', 31)).to.equal(64);
    expect(cellBytes('proposal', 4) % 64).to.equal(0);
    expect(cellBytes('proposal', 31)).to.be.above(31 * 40);
    expect(frameBytes(1)).to.equal(128);
    expect(frameBytes(64)).to.equal(128);
    expect(frameBytes(65)).to.equal(192);
  });

  it('of a gathered vote grow by a MAC for each reader', () => {
    expect(gatheredCellBytes(4)).to.equal(128);
    expect(gatheredCellBytes(31)).to.equal(576);
  });
});

describe('means per slot', () => {
  it('are weighted by the slots of each replica', () => {
    const [one, other] = [new Tally(4, wire), new Tally(4, wire)];
    one.counts.slots = 3;
    one.counts.read.vote = 9;
    other.counts.slots = 1;
    other.counts.read.vote = 3;
    other.counts.verified = 2;
    const mean = perSlot([one.counts, other.counts]);
    expect(mean.read.vote).to.equal(3);
    expect(mean.verified).to.equal(0.5);
    expect(mean.slots).to.equal(1);
    expect(() => perSlot([new Tally(4, wire).counts])).to.throw(RangeError);
  });
});

describe('the cost of a slot', () => {
  it('is the sum of what happens times what it costs', () => {
    const parts = cpuParts(workOf(4), costsOf(4), 'all-to-all');
    expect(parts.turns).to.equal(3);
    expect(parts.writing).to.equal(4);
    expect(parts.reading).to.equal(4);
    expect(parts.decoding).to.equal(4);
    expect(parts.core).to.equal(8);
    expect(cpuUs(parts)).to.equal(23);
  });

  it('is less by what JavaScript does for all votes but one, when they are gathered', () => {
    for (const n of [4, 31]) {
      const [work, costs] = [workOf(n), costsOf(n)];
      const saved =
        cpuUs(cpuParts(work, costs, 'all-to-all')) - cpuUs(cpuParts(work, costs, 'gathered'));
      expect(saved).to.be.closeTo((n - 2) * (0.5 + 1 + 1), 1e-9);
    }
  });

  it('keeps as many MACs with a collector, at both ends', () => {
    const n = 31;
    const [work, costs] = [workOf(n), costsOf(n, { sealVote: 1, writeCell: each(n - 1) })];
    const parts = cpuParts(work, costs, 'collector');
    expect(parts.writing, 'a MAC for each peer, and one write').to.equal(n);
    expect(parts.reading, 'proposal and relay, and a MAC for each peer').to.be.at.least(n - 1);
    expect(parts.collecting).to.be.above(0);
  });

  it('is the same for all ways of voting where nobody votes', () => {
    const work = workOf(4);
    work.counts.read.vote = 0;
    const all = VOTINGS.map((voting) => cpuUs(cpuParts(work, costsOf(4), voting)));
    expect(new Set(all).size).to.equal(1);
  });
});

describe('traffic', () => {
  it('has as many votes as pairs all-to-all, and two a replica with a collector', () => {
    const n = 31;
    const { counts } = workOf(n);
    expect(trafficOf(counts, n, 'all-to-all').writes).to.equal(n - 1);
    expect(trafficOf(counts, n, 'gathered')).to.eql(trafficOf(counts, n, 'all-to-all'));
    const collected = trafficOf(counts, n, 'collector');
    expect(collected.writes * n).to.be.closeTo(2 * (n - 1), 1e-9);
    expect(collected.bytes).to.be.closeTo(collected.writes * gatheredCellBytes(n), 1e-9);
  });
});

describe('a modeled deployment', () => {
  const clusterOf = (n: number) => {
    const work = workOf(n);
    return { costs: costsOf(n), work, leader: work, smallBatchBytes: 64 };
  };
  const network = NETWORKS[0] as NetworkModel;

  it('commits one hop later with a collector', () => {
    const hopUs = 1_000;
    const near = deploy(clusterOf(7), { ...network, latencyUs: 0 }, 'collector').commitUs;
    const far = deploy(clusterOf(7), { ...network, latencyUs: hopUs }, 'collector').commitUs;
    expect(far - near).to.be.closeTo(3 * hopUs, 1e-6);
    const direct = (latencyUs: number): number =>
      deploy(clusterOf(7), { ...network, latencyUs }, 'all-to-all').commitUs;
    expect(direct(hopUs) - direct(0)).to.be.closeTo(2 * hopUs, 1e-6);
  });

  it('is bound by whatever is slowest', () => {
    const cluster = clusterOf(7);
    const free = { ...network, postUs: 0, messageUs: 0, bytesPerUs: 1e9 };
    const byCpu = deploy(cluster, free, 'all-to-all');
    expect(byCpu.slotsPerSecond).to.be.closeTo(1e6 / byCpu.cpuUsPerSlot, 1e-6);
    const byCard = deploy(cluster, { ...free, messageUs: 100 }, 'all-to-all');
    expect(byCard.slotsPerSecond).to.be.closeTo(1e6 / (100 * byCard.traffic.writes), 1e-6);
    const byCable = deploy(cluster, { ...free, bytesPerUs: 0.1 }, 'all-to-all');
    expect(byCable.slotsPerSecond).to.be.closeTo(1e5 / byCable.traffic.bytes, 1e-6);
  });
});

describe('a simulated cluster without faults', function () {
  this.timeout(60_000);
  let four: Simulated;
  before(async () => {
    four = await simulate({ replicas: 4, batchesPerSecond: 500, slots: 256 });
  });

  it('votes once and reads each vote once, and never goes the slow way', () => {
    const { counts, leader, unexpected } = four;
    expect(unexpected).to.equal(0);
    expect(counts.written.vote).to.be.closeTo(1, 0.05);
    expect(counts.read.vote).to.be.closeTo(3, 0.15);
    expect(counts.written.commit).to.equal(0);
    expect(counts.written.proposal).to.be.closeTo(1 / 4, 0.02);
    expect(leader.written.proposal).to.be.closeTo(1, 0.05);
    expect(counts.hashes).to.be.above(1);
  });

  it('does the same again when it is replayed', () => {
    for (const recording of [four.leaderRecording, four.followerRecording]) {
      const { slotUs, voteUs } = replayCosts(recording);
      expect(slotUs).to.be.above(0);
      expect(voteUs).to.be.below(slotUs);
    }
  });
});
